"""Many schemas are registered as one after the other would be, with statements that do not grow with them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlmodel import Session

from schemas import registry, store
from schemas.errors import SubjectError
from schemas.schema import Schema, parse_schema
from tests.postgres_server import PostgresServer

ROUNDS = 20


def made(name: str) -> Schema:
    return parse_schema(f'{{"type":"record","name":"R","fields":[{{"name":"{name}","type":"int"}}]}}')


ONE, TWO = made("one"), made("two")


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as one:
        yield one


def statements(session: Session, wanted: list[tuple[str, Schema]]) -> int:
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    connection = session.connection()
    event.listen(connection, "before_cursor_execute", note)
    registry.register_all(session, wanted, now=1)
    event.remove(connection, "before_cursor_execute", note)
    return len(seen)


def test_each_gets_what_it_would_get_alone(session: Session) -> None:
    wanted = [("s", ONE), ("t", TWO), ("s", TWO), ("s", ONE), ("t", ONE)]
    found = registry.register_all(session, wanted, now=1)
    assert [(one.version, one.is_new) for one in found] == [
        (1, True),
        (1, True),
        (2, True),
        (1, True),
        (2, True),
    ]
    assert [one.schema for one in found] == [schema for _, schema in wanted]
    again = registry.register_all(session, wanted, now=2)
    assert [(one.id, one.version) for one in again] == [(one.id, one.version) for one in found]
    assert not any(one.is_new for one in again)
    assert {one.id for one in found} == {registry.register(session, "u", ONE.text, now=3).id, found[1].id}


def test_nothing_is_nothing(session: Session) -> None:
    assert registry.register_all(session, [], now=1) == ()
    assert store.load_subjects(session) == ()


def test_one_that_is_no_subject_leaves_nothing_behind(session: Session) -> None:
    with pytest.raises(SubjectError):
        registry.register_all(session, [("s", ONE), ("", TWO)], now=1)
    assert store.load_subjects(session) == ()
    assert store.load_largest_id(session) == 0


def test_numbers_are_not_used_again_whatever_was_deleted(session: Session) -> None:
    registry.register_all(session, [("s", ONE), ("s", TWO)], now=1)
    store.mark_deleted(session, "s", [2], now=2)
    (back,) = registry.register_all(session, [("s", TWO)], now=3)
    assert (back.version, back.is_new) == (3, True)
    store.mark_deleted(session, "s", [1, 2, 3], now=4)
    store.remove_versions(session, "s", [1, 2, 3])
    (next_one,) = registry.register_all(session, [("s", ONE)], now=5)
    assert next_one.version == 4


def test_the_statements_do_not_grow_with_what_is_there(session: Session) -> None:
    many = [(f"s{number}", ONE) for number in range(40)]
    registry.register_all(session, [("s0", ONE)], now=1)
    one = statements(session, [("s0", ONE)])
    registry.register_all(session, many, now=1)
    assert statements(session, many) == one <= 3


@pytest.mark.postgres
def test_who_locks_the_same_subjects_in_another_order_waits_and_no_more(
    postgres_server: PostgresServer,
) -> None:
    names = [f"s{number}" for number in range(6)]
    ready = threading.Barrier(2, timeout=60)

    def work(subjects: list[str]) -> int:
        for _ in range(ROUNDS):
            ready.wait()
            with Session(engine) as session:
                store.lock_subjects(session, subjects)
                session.commit()
        return ROUNDS

    with postgres_server.database() as url, ThreadPoolExecutor(2) as threads:
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        assert list(threads.map(work, [names, names[::-1]])) == [ROUNDS, ROUNDS]
        engine.dispose()


def test_schemas_are_found_by_many_ids_at_once(session: Session) -> None:
    ids = [one.id for one in registry.register_all(session, [("s", ONE), ("s", TWO)], now=1)]
    assert registry.by_ids(session, [*ids, 99, 0, 2**31, -1]) == dict(zip(ids, (ONE, TWO), strict=True))
    assert registry.by_ids(session, []) == {}
