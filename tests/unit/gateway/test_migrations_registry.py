"""The registry's tables change under a database that is in use: what stands there stays."""

from collections.abc import Iterator

import pytest
from alembic import command
from sqlalchemy import text
from sqlmodel import Session

from gateway.database import Database
from gateway.migrations import history
from schemas import registration, registry, store
from schemas.registration import Prepared, Submission
from schemas.schema import parse_schema

ONE = '{"type":"record","name":"R","fields":[]}'
TWO = '{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":0}]}'
BEFORE = "0004"


@pytest.fixture
def database(empty_database_url: str) -> Iterator[Database]:
    opened = Database(empty_database_url)
    yield opened
    opened.close()


def add_version(session: Session, subject: str, number: int, schema_id: int) -> None:
    """As the program of the revision before writes one."""
    row = "INSERT INTO schemas_version (subject, number, schema_id, created_at) VALUES (:s, :n, :i, 1)"
    session.execute(text(row), {"s": subject, "n": number, "i": schema_id})


def test_what_was_registered_before_is_there_afterwards(database: Database) -> None:
    with database.begin() as session:
        command.upgrade(history._config(session.connection()), BEFORE)
        schema = registry.draft_of(parse_schema(ONE))
        schema_id = store.save_schema(session, schema, now=1)
        add_version(session, "s", 1, schema_id)
    with database.begin() as session:
        assert history.upgrade(session) == BEFORE
    with database.begin() as session:
        assert [one.number for one in registry.versions(session, "s")] == [1]
        assert registry.register(session, "s", ONE, now=2).id == schema_id
        assert registry.register(session, "s", TWO, now=2).version == 2


def test_the_program_before_goes_on_registering_beside_the_new_one(database: Database) -> None:
    with database.begin() as session:
        history.upgrade(session)
        made = registry.register(session, "s", ONE, now=1)
        add_version(session, "t", 1, made.id)
    with database.begin() as session:
        prepared = registration.prepare(session, Submission("t", TWO), is_strict=True)
        assert isinstance(prepared, Prepared)
        added = registration.complete(session, prepared, now=2)
        assert added is not None
        assert added.version == 2
