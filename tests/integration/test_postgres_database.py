"""What only PostgreSQL does: connections cut, COMMITs that nobody answers, standbys that are missing."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from typing import Any, TypeVar

import psycopg
import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, select

from gateway.database import Database, take_time
from gateway.errors import BugError, StoreError, StoreUnknownError
from gateway.rows import MetaRow
from gateway.sql_engines import POOL, READERS
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres

BOUND_SECONDS = 60.0

T = TypeVar("T")

_QUESTION = ";"
"""What a connection is asked before it is used again."""

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


@pytest.fixture
def hasty(url: str) -> Iterator[Database]:
    """One that leaves a server after a second without an answer.

    A server that is well, on a machine that is busy, is left as well: `at_last` asks again.
    """
    opened = Database(url, silent_seconds=1.0)
    yield opened
    opened.close()


async def failure(asked: Awaitable[object]) -> StoreError:
    """How it fails."""
    with pytest.raises(StoreError) as caught:
        await asked
    return caught.value


async def at_last(ask: Callable[[], Awaitable[T]]) -> T:
    """What is answered once nothing is held up; a COMMIT whose outcome is unknown is no such thing."""
    deadline = time.monotonic() + BOUND_SECONDS
    while True:
        try:
            return await ask()
        except StoreError as error:
            if isinstance(error, StoreUnknownError) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)


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


async def test_a_connection_that_was_at_work_just_now_is_not_asked_whether_it_is_there(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    execute = psycopg.Cursor.execute

    def note(cursor: psycopg.Cursor[Any], query: str, *values: Any, **more: Any) -> psycopg.Cursor[Any]:
        asked.append(query)
        return execute(cursor, query, *values, **more)

    monkeypatch.setattr("gateway.postgresql.SURE_SECONDS", BOUND_SECONDS)
    monkeypatch.setattr(psycopg.Cursor, "execute", note)
    for _ in range(3 * POOL):
        await database.write(lambda session: session.execute(text("SELECT 7")))
    assert asked.count("SELECT 7") == 3 * POOL
    assert _QUESTION not in asked
    monkeypatch.setattr("gateway.postgresql.SURE_SECONDS", 0.0)
    await database.write(lambda session: session.execute(text("SELECT 7")))
    assert _QUESTION in asked


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
        while not (found := server.execute(waits)):
            assert not running.done(), running
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


async def test_a_paused_server_is_told_to_everybody_in_time_and_found_again(
    database: Database, postgres_server: PostgresServer
) -> None:
    async with asyncio.TaskGroup() as warm:
        for number in range(READERS):
            warm.create_task(database.write(named(f"warm {number}")))
            warm.create_task(database.read(names))
    postgres_server.pause()
    try:
        async with asyncio.timeout(BOUND_SECONDS), asyncio.TaskGroup() as asked:
            # One after the other in the threads there are, these would take minutes.
            reads = [asked.create_task(failure(database.read(names))) for _ in range(100)]
            writes = [asked.create_task(failure(database.write(named(f"lost {n}")))) for n in range(100)]
        threads = [one.name for one in threading.enumerate() if one.name.startswith("sql-")]
    finally:
        postgres_server.resume()
    assert {task.result().code for task in reads + writes} == {"store_unavailable"}
    assert {str(task.result()) for task in reads + writes} == {"the database does not answer"}
    assert len(threads) <= 2 * READERS
    await database.write(named("after"))
    assert await database.read(names) == ["after", *(f"warm {number}" for number in range(READERS))]


@pytest.mark.parametrize("kind", ["read", "write"])
async def test_a_server_that_is_paused_within_a_statement_is_left(
    hasty: Database, postgres_server: PostgresServer, kind: str
) -> None:
    begun = threading.Event()

    def ask(session: Session) -> None:
        session.execute(text("SELECT 1"))
        begun.set()
        assert paused.wait(BOUND_SECONDS)
        session.execute(text("SELECT 2"))

    paused = threading.Event()
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(BOUND_SECONDS), asyncio.TaskGroup() as tasks:
        asked = tasks.create_task(failure(hasty.read(ask) if kind == "read" else hasty.write(ask)))
        await loop.run_in_executor(None, begun.wait, BOUND_SECONDS)
        postgres_server.pause()
        try:
            paused.set()
            error = await asked
        finally:
            postgres_server.resume()
    assert (error.code, str(error)) == ("store_unavailable", "the database does not answer")
    await at_last(lambda: hasty.write(named("after")))
    assert await at_last(lambda: hasty.read(names)) == ["after"]


async def test_a_statement_without_end_is_cancelled_at_the_server(
    hasty: Database, url: str, postgres_server: PostgresServer
) -> None:
    error = await failure(hasty.read(lambda session: session.execute(text("SELECT pg_sleep(600)")).all()))
    assert error.code == "store_unavailable"
    asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
    # It is told to cancel before we are answered, and does so in its own time: long before ten minutes.
    async with asyncio.timeout(BOUND_SECONDS):
        while postgres_server.execute(asleep, name_of(url)) != [(0,)]:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    assert await at_last(lambda: hasty.read(names)) == []


async def test_a_migration_may_take_any_time(hasty: Database) -> None:
    def slow(session: Session) -> None:
        take_time(session)
        session.execute(text("SELECT pg_sleep(1.5)"))
        put(session, "slow")

    await at_last(lambda: hasty.write(slow))
    assert await at_last(lambda: hasty.read(names)) == ["slow"]


async def test_a_commit_that_waits_for_a_standby_is_left_and_not_cancelled(
    hasty: Database, postgres_server: PostgresServer
) -> None:
    """Cancelled, it would be seen here, and signed, before any standby has it."""
    server = postgres_server
    server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    server.execute("SELECT pg_reload_conf()")
    stored: list[str] = []
    try:
        # The server takes the setting up in its own time; nothing tells when.
        for number in range(1_000):
            name = f"{number:04}"
            try:
                async with asyncio.timeout(BOUND_SECONDS):
                    await at_last(partial(hasty.write, named(name)))
            except StoreUnknownError:
                break
            stored.append(name)
        else:
            pytest.fail("no commit waited for the standby")
        assert await at_last(lambda: hasty.read(names)) == stored
    finally:
        server.execute("ALTER SYSTEM RESET synchronous_standby_names")
        server.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(BOUND_SECONDS):
        while await at_last(lambda: hasty.read(names)) != [*stored, name]:  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)


async def test_another_life_of_the_server_is_refused_until_it_is_vetted(
    database: Database, postgres_server: PostgresServer
) -> None:
    assert await database.vet(names) == []
    unvetted = [database.is_unvetted]
    await database.write(named("a"))
    postgres_server.restart()
    assert "compared with our published logs" in str(await failure(database.read(names)))
    assert "compared with our published logs" in str(await failure(database.write(named("b"))))
    unvetted.append(database.is_unvetted)
    assert unvetted == [False, True]

    def object_to(_: Session) -> None:
        raise ValueError("behind")

    with pytest.raises(ValueError, match="behind"):
        await database.vet(object_to)
    assert (await failure(database.write(named("c")))).code == "store_unavailable"
    assert await database.vet(names) == ["a"]
    await database.write(named("d"))
    assert await database.read(names) == ["a", "d"]


@pytest.mark.parametrize(
    ("part", "instead"),
    [
        ("127.0.0.1", "127.0.0.1:1,127.0.0.1"),
        ("127.0.0.1", "localhost:1,127.0.0.1"),
        ("/test_", ",[::1]:1/test_"),
        ("postgresql:", "postgres:"),
        ("postgresql:", "postgresql+psycopg:"),
    ],
)
async def test_the_first_server_of_a_url_that_answers_is_used(url: str, part: str, instead: str) -> None:
    more = "?target_session_attrs=read-write&connect_timeout=5&options=-c%20work_mem%3D5MB"
    with closing(Database(url.replace(part, instead) + more)) as database:
        show = "SELECT string_agg(setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN "
        named = "('lock_timeout', 'statement_timeout', 'work_mem')"
        found = await database.read(lambda session: session.execute(text(show + named)).scalar_one())
    assert found == "1500 7000 5120"


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("nobody@127.0.0.1:PORT/postgres", "check user and password"),
        ("gateway@127.0.0.1:PORT/nowhere", "no such database"),
        ("gateway@127.0.0.1:1,127.0.0.1:2/postgres", "cannot be reached"),
    ],
)
async def test_what_cannot_be_reached_says_how_to_mend_it(
    postgres_server: PostgresServer, wrong: str, words: str
) -> None:
    with closing(Database(f"postgresql://{wrong.replace('PORT', str(postgres_server.port))}")) as database:
        error = await failure(database.read(names))
    assert error.code == "store_unavailable"
    assert words in str(error)


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
        assert "raise its max_connections" in str(caught.value)
        assert f"processes times {POOL}" in str(caught.value)
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
