"""What only PostgreSQL does: connections cut, COMMITs that nobody answers, standbys that are missing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress

import psycopg
import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from gateway.database import Database
from gateway.errors import BugError, StoreError, StoreUnknownError
from gateway.rows import MetaRow
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres

DIE_AT_COMMIT = """
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_terminate_backend(pg_backend_pid());
  PERFORM pg_sleep(10);
  RETURN NEW;
END $$;
CREATE CONSTRAINT TRIGGER die AFTER INSERT ON gateway_meta DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW WHEN (NEW.name = 'deadly') EXECUTE FUNCTION die();
"""


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as made:
        yield made


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    opened = Database(url)
    yield opened
    opened.close()


def named(name: str) -> Callable[[Session], None]:
    return lambda session: put(session, name)


def put(session: Session, name: str) -> None:
    session.execute(insert(MetaRow), [{"name": name, "value": "x"}])


def names(session: Session) -> list[str]:
    return list(session.exec(select(MetaRow.name).order_by(MetaRow.name)))


def name_of(url: str) -> str:
    return url.rpartition("/")[2]


async def test_a_write_that_swallowed_an_error_is_not_called_committed(database: Database) -> None:
    def swallow(session: Session) -> None:
        put(session, "a")
        with suppress(DBAPIError):
            session.execute(text("SELECT 1 / 0"))

    with pytest.raises(StoreError, match="ended the transaction"):
        await database.write(swallow)
    await database.write(named("b"))
    assert await database.read(names) == ["b"]


async def test_connections_that_were_cut_while_idle_are_replaced_unseen(
    database: Database, url: str, postgres_server: PostgresServer
) -> None:
    await database.write(named("a"))
    await database.read(names)
    assert postgres_server.cut(name_of(url)) >= 1
    await database.write(named("b"))
    assert await database.read(names) == ["a", "b"]


async def test_a_connection_cut_before_the_commit_stores_nothing_for_certain(
    database: Database, url: str, postgres_server: PostgresServer
) -> None:
    def cut_then_go_on(session: Session) -> None:
        put(session, "a")
        postgres_server.cut(name_of(url))
        put(session, "b")

    with pytest.raises(StoreError) as caught:
        await database.write(cut_then_go_on)
    assert caught.value.code == "store_unavailable"
    await database.write(named("c"))
    assert await database.read(names) == ["c"]


async def test_a_commit_cut_before_it_was_written_is_unknown(
    database: Database, url: str, postgres_server: PostgresServer
) -> None:
    postgres_server.execute(DIE_AT_COMMIT, database=name_of(url))
    with pytest.raises(StoreUnknownError):
        await database.write(named("deadly"))
    assert await database.read(names) == []
    await database.write(named("b"))


@pytest.mark.parametrize("how", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_a_commit_that_was_written_but_that_no_standby_has_is_unknown(
    url: str, postgres_server: PostgresServer, how: str
) -> None:
    server = postgres_server
    with ExitStack() as after:
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        after.callback(server.restart)
        after.callback(server.execute, "ALTER SYSTEM RESET synchronous_standby_names")
        server.restart()
        database = Database(url)
        after.callback(database.close)
        running = database.submit(named("a"))
        waits = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        for _ in range(500):
            if found := server.execute(waits):
                break
            await asyncio.sleep(0.02)
        server.execute(f"SELECT {how}(%s)", *found[0])
        with pytest.raises(StoreUnknownError):
            await running
        assert await database.read(names) == ["a"]


async def test_a_lock_held_elsewhere_is_unavailable_and_passes(database: Database, url: str) -> None:
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE gateway_meta")
        with pytest.raises(StoreError) as caught:
            await database.write(named("a"))
        assert caught.value.code == "store_unavailable"
    await database.write(named("b"))
    assert await database.read(names) == ["b"]


async def test_a_server_without_free_connections_is_unavailable_and_passes(
    url: str, postgres_server: PostgresServer
) -> None:
    name = name_of(url)
    # Superusers are not counted, so that the gateway comes as somebody else here.
    postgres_server.execute("CREATE ROLE plain LOGIN")
    with ExitStack() as after:
        after.callback(postgres_server.execute, "DROP ROLE plain")
        after.callback(postgres_server.execute, "DROP OWNED BY plain", database=name)
        postgres_server.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO plain", database=name)
        postgres_server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")
        database = Database(url.replace("gateway@", "plain@"))
        after.callback(database.close)
        with pytest.raises(StoreError) as caught:
            await database.write(named("a"))
        assert caught.value.code == "store_unavailable"
        postgres_server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
        await database.write(named("b"))
        assert await database.read(names) == ["b"]


async def test_a_server_that_was_stopped_and_started_is_found_again(
    database: Database, postgres_server: PostgresServer
) -> None:
    await database.write(named("a"))
    postgres_server.stop()
    with pytest.raises(StoreError) as caught:
        await database.write(named("b"))
    postgres_server.start()
    assert caught.value.code == "store_unavailable"
    await database.write(named("c"))
    assert await database.read(names) == ["a", "c"]


async def test_text_that_the_driver_cannot_send_is_our_bug(database: Database) -> None:
    with pytest.raises(BugError):
        await database.write(named("a\x00b"))
    assert await database.read(names) == []


async def test_writes_run_beside_one_another(database: Database, url: str) -> None:
    """As many as there are threads: one that waits must not hold up the others."""
    gate = psycopg.connect(url)
    gate.execute("SELECT pg_advisory_lock(7)")
    waiting = database.submit(lambda session: session.execute(text("SELECT pg_advisory_lock(7)")).all())
    await database.write(named("a"))
    assert not waiting.done()
    gate.close()
    await waiting
