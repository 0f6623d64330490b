import json
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from schemas import registry
from schemas.copying import keep_copy
from schemas.errors import SubjectError
from schemas.refusal import RegistryError
from schemas.registry import Registered
from schemas.schema import Schema, parse_schema

SUBJECT = "partners.acme.inbound-R"
NOW = 1_700_000_000_000


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as one:
        yield one


def made(*fields: str) -> Schema:
    listed = [{"name": one, "type": "int"} for one in fields]
    return parse_schema(json.dumps({"type": "record", "name": "R", "fields": listed}))


def keep(session: Session, schema: Schema, schema_id: int, number: int, subject: str = SUBJECT) -> Registered:
    return keep_copy(session, subject, schema, schema_id=schema_id, number=number, now=NOW)


def places(session: Session, subject: str = SUBJECT) -> list[tuple[int, int]]:
    return [(one.number, one.id) for one in registry.versions(session, subject)]


def test_a_copy_has_the_id_and_the_number_that_it_has_elsewhere(session: Session) -> None:
    assert keep(session, made("a"), 100_007, 4) == Registered(100_007, 4, made("a"), is_new=True)
    assert places(session) == [(4, 100_007)]
    assert registry.by_id(session, 100_007) == made("a")
    assert registry.by_guid(session, made("a").guid) == made("a")


def test_the_same_again_changes_nothing(session: Session) -> None:
    keep(session, made("a"), 7, 1)
    assert keep(session, made("a"), 7, 1).is_new is False
    assert places(session) == [(1, 7)]


def test_a_schema_may_stand_in_several_subjects_under_one_id(session: Session) -> None:
    keep(session, made("a"), 7, 1)
    keep(session, made("a"), 7, 2, "other-R")
    assert (places(session), places(session, "other-R")) == ([(1, 7)], [(2, 7)])


def test_an_id_that_is_another_schemas_here_is_refused(session: Session) -> None:
    own = registry.register(session, SUBJECT, made("a").text, now=NOW)
    with pytest.raises(RegistryError, match=r"another schema has this id here.*used with another registry"):
        keep(session, made("b"), own.id, 1)
    assert places(session) == [(1, own.id)]


def test_a_schema_that_has_another_id_here_is_refused(session: Session) -> None:
    own = registry.register(session, SUBJECT, made("a").text, now=NOW)
    with pytest.raises(RegistryError, match=f"has the id {own.id} here"):
        keep(session, made("a"), own.id + 1, 1)


def test_a_number_that_is_another_schemas_here_is_refused(session: Session) -> None:
    registry.register(session, SUBJECT, made("a").text, now=NOW)
    with pytest.raises(RegistryError, match=r"version 1 of .* is another schema here"):
        keep(session, made("b"), 700, 1)


def test_ids_that_the_database_gives_go_on_behind_a_copy(session: Session) -> None:
    keep(session, made("a"), 700, 1)
    assert registry.register(session, "own-R", made("b").text, now=NOW).id > 700


@pytest.mark.parametrize("schema_id", [2_000_000_001, 2_147_483_647])
def test_an_id_that_leaves_no_room_for_ours_is_refused(session: Session, schema_id: int) -> None:
    with pytest.raises(RegistryError, match="from 1 to 2000000000"):
        keep(session, made("a"), schema_id, 1)


def test_what_is_no_subject_is_refused(session: Session) -> None:
    with pytest.raises(SubjectError):
        keep(session, made("a"), 7, 1, "")
