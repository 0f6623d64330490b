import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from schemas import deletion, registry, store
from schemas.refusal import RegistryError
from schemas.registration import Prepared, Submission, complete, prepare
from schemas.store import Link

ONE = '{"type":"record","name":"R","fields":[]}'
TWO = '{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":0}]}'
REFERRING = json.dumps({"type": "record", "name": "S", "fields": [{"name": "x", "type": "R"}]})


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as one:
        registry.register(one, "s", ONE, now=1)
        registry.register(one, "s", TWO, now=1)
        yield one


def subject(session: Session, name: str = "s", *, permanent: bool = False) -> tuple[int, ...]:
    return deletion.delete_subject(session, name, permanent=permanent, now=2)


def version(session: Session, number: int | None, *, permanent: bool = False, name: str = "s") -> int:
    return deletion.delete_version(session, name, number, permanent=permanent, now=2)


def numbers(session: Session, *, deleted: bool = False) -> list[int]:
    return [one.number for one in store.load_places(session, "s", deleted=deleted)]


def refer(session: Session) -> int:
    wanted = Submission("t", REFERRING, links=(Link("R", "s", 1),))
    prepared = prepare(session, wanted, is_strict=True)
    assert isinstance(prepared, Prepared)
    made = complete(session, prepared, now=1)
    assert made is not None
    return made.id


def test_a_subject_goes_softly_first_and_then_for_good(session: Session) -> None:
    schema_id = store.load_places(session, "s")[0].schema_id
    assert subject(session) == (1, 2)
    assert numbers(session) == []
    assert numbers(session, deleted=True) == [2, 1]
    assert registry.by_id(session, schema_id) is not None
    assert subject(session, permanent=True) == (1, 2)
    assert numbers(session, deleted=True) == []


def test_a_version_goes_softly_first_and_then_for_good(session: Session) -> None:
    assert version(session, 1) == 1
    assert numbers(session) == [2]
    assert version(session, 1, permanent=True) == 1
    assert numbers(session, deleted=True) == [2]
    assert version(session, None) == 2


def test_the_newest_for_good_leaves_its_number_used(session: Session) -> None:
    version(session, 2)
    version(session, 2, permanent=True)
    assert registry.register(session, "s", TWO, now=3).version == 3


@pytest.mark.parametrize(
    ("before", "permanent", "number"),
    [("none", False, 40401), ("none", True, 40401), ("there", True, 40405), ("soft", False, 40404)],
)
def test_a_subject_in_another_state_is_told_apart(
    session: Session, before: str, *, permanent: bool, number: int
) -> None:
    if before == "soft":
        subject(session)
    with pytest.raises(RegistryError) as refused:
        subject(session, "other" if before == "none" else "s", permanent=permanent)
    assert refused.value.number == number


@pytest.mark.parametrize(
    ("name", "wanted", "permanent", "number"),
    [
        ("other", 1, False, 40401),
        ("s", 9, False, 40402),
        ("s", 2, True, 40407),
        ("s", 1, False, 40406),
    ],
)
def test_a_version_in_another_state_is_told_apart(
    session: Session, name: str, wanted: int, *, permanent: bool, number: int
) -> None:
    version(session, 1)
    with pytest.raises(RegistryError) as refused:
        version(session, wanted, permanent=permanent, name=name)
    assert refused.value.number == number


def test_the_newest_of_a_subject_without_versions_is_unknown(session: Session) -> None:
    subject(session)
    with pytest.raises(RegistryError) as refused:
        version(session, None)
    assert refused.value.number == 40401


def test_what_is_referred_to_stays_and_who_refers_is_named(session: Session) -> None:
    schema_id = refer(session)
    for delete in (lambda: subject(session), lambda: version(session, 1)):
        with pytest.raises(RegistryError, match=f"id {schema_id}") as refused:
            delete()
        assert refused.value.number == 42206
    assert version(session, 2) == 2


def test_what_softly_deleted_schemas_refer_to_goes_softly_but_not_for_good(session: Session) -> None:
    refer(session)
    subject(session, "t")
    assert subject(session) == (1, 2)
    with pytest.raises(RegistryError) as refused:
        subject(session, permanent=True)
    assert refused.value.number == 42206
    subject(session, "t", permanent=True)
    assert subject(session, permanent=True) == (1, 2)


def test_in_read_only_mode_nothing_is_deleted(session: Session) -> None:
    store.save_mode(session, "s", "READONLY")
    for delete in (lambda: subject(session), lambda: version(session, 1)):
        with pytest.raises(RegistryError) as refused:
            delete()
        assert refused.value.number == 42205


def test_a_subject_that_is_gone_has_neither_level_nor_mode(session: Session) -> None:
    store.save_level(session, "s", "NONE")
    store.save_mode(session, "s", "READWRITE")
    subject(session)
    assert store.load_terms(session, "s") == store.SubjectTerms()
