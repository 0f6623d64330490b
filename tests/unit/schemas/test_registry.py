from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from schemas import registry
from schemas.errors import SchemaError, SubjectError
from schemas.rows import ReferenceRow, SchemaRow, SubjectRow, VersionRow

_ONE = '{"type":"record","name":"R","fields":[]}'
_TWO = '{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":0}]}'


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as one:
        yield one


def test_a_new_text_is_the_next_version(session: Session) -> None:
    first = registry.register(session, "s", _ONE, now=1)
    second = registry.register(session, "s", _TWO, now=2)
    assert (first.version, first.is_new, second.version, second.is_new) == (1, True, 2, True)
    assert first.id != second.id
    assert second.schema.name == "R"


def test_the_same_text_again_is_the_same_version(session: Session) -> None:
    first = registry.register(session, "s", _ONE, now=1)
    registry.register(session, "s", _TWO, now=2)
    again = registry.register(session, "s", _ONE, now=3)
    assert (again.id, again.version, again.is_new) == (first.id, 1, False)
    assert len(registry.versions(session, "s")) == 2


def test_one_text_has_one_id_under_all_subjects(session: Session) -> None:
    first = registry.register(session, "s", _ONE, now=1)
    other = registry.register(session, "t", _ONE, now=1)
    assert (other.id, other.version, other.is_new) == (first.id, 1, True)
    assert registry.uses(session, first.id) == (("s", 1), ("t", 1))


def test_texts_that_mean_the_same_but_differ_have_ids_of_their_own(session: Session) -> None:
    first = registry.register(session, "s", _ONE, now=1)
    spaced = registry.register(session, "s", _ONE + " ", now=1)
    assert spaced.id != first.id
    assert spaced.schema.fingerprint == first.schema.fingerprint


def test_schemas_are_found_by_id_guid_and_text(session: Session) -> None:
    made = registry.register(session, "s", _TWO, now=1)
    assert registry.by_id(session, made.id) == made.schema
    assert registry.by_guid(session, made.schema.guid) == made.schema
    found = registry.look_up(session, "s", _TWO)
    assert found is not None
    assert (found.id, found.version, found.is_new) == (made.id, 1, False)


def test_what_is_not_there_is_none(session: Session) -> None:
    registry.register(session, "s", _ONE, now=1)
    assert registry.by_id(session, 99) is None
    assert registry.by_guid(session, UUID(int=0)) is None
    assert registry.look_up(session, "s", _TWO) is None
    assert registry.look_up(session, "t", _ONE) is None
    assert registry.versions(session, "t") == ()


@pytest.mark.parametrize("schema_id", [0, 2**31, 2**32 - 1, 2**64])
def test_an_id_that_no_schema_can_have_is_not_there(session: Session, schema_id: int) -> None:
    registry.register(session, "s", _ONE, now=1)
    assert registry.by_id(session, schema_id) is None
    assert registry.uses(session, schema_id) == ()


def test_versions_come_newest_first(session: Session) -> None:
    registry.register(session, "s", _ONE, now=1)
    registry.register(session, "s", _TWO, now=2)
    assert [version.number for version in registry.versions(session, "s")] == [2, 1]
    assert registry.versions(session, "s")[0].schema.text == _TWO


def test_a_schema_that_must_not_be_used_leaves_nothing_behind(session: Session) -> None:
    with pytest.raises(SchemaError):
        registry.register(session, "s", '{"type":"record","name":"R"}', now=1)
    with pytest.raises(SubjectError):
        registry.register(session, "", _ONE, now=1)
    assert registry.versions(session, "s") == ()
    assert registry.by_id(session, 1) is None


def test_the_registry_never_commits(session: Session) -> None:
    made = registry.register(session, "s", _ONE, now=1)
    session.rollback()
    assert registry.by_id(session, made.id) is None


def test_tables_bear_the_name_of_the_package() -> None:
    rows = (SchemaRow, ReferenceRow, VersionRow, SubjectRow)
    assert all(str(row.__tablename__).startswith("schemas_") for row in rows)
