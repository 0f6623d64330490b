import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, insert, inspect, text
from sqlalchemy.exc import OperationalError
from sqlmodel import Session, select

from gateway.database import Database, clock
from gateway.errors import (
    BugError,
    OverloadedError,
    SetupError,
    StoreDamagedError,
    StoreError,
    StoreUnknownError,
)
from gateway.rows import MetaRow
from gateway.sql_engines import sqlite_file
from gateway.sql_errors import translate

ROUNDED_MS = 2
"""What a database's clock and ours differ by where they are one."""


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def sqlite(tmp_path: Path, migrated_file: Path) -> Iterator[Database]:
    (tmp_path / "gateway.db").write_bytes(migrated_file.read_bytes())
    opened = Database(f"sqlite:///{tmp_path}/gateway.db", busy_ms=50)
    yield opened
    opened.close()


async def wait_for(flag: threading.Event) -> None:
    assert await asyncio.get_running_loop().run_in_executor(None, flag.wait, 10)


def put(session: Session, name: str, value: str = "x") -> None:
    session.execute(insert(MetaRow), [{"name": name, "value": value}])


def names(session: Session) -> list[str]:
    return list(session.exec(select(MetaRow.name).order_by(MetaRow.name)))


def pragma(session: Session, name: str) -> object:
    return session.execute(text(f"PRAGMA {name}")).scalar_one()


async def test_write_is_seen_by_a_later_read(database: Database) -> None:
    await database.write(lambda session: put(session, "a"))
    assert await database.read(names) == ["a"]


async def test_failed_work_leaves_nothing(database: Database) -> None:
    def half(session: Session) -> None:
        put(session, "a")
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await database.write(half)
    assert await database.read(names) == []


async def test_ddl_is_part_of_the_transaction(database: Database) -> None:
    def half(session: Session) -> None:
        session.execute(text("CREATE TABLE extra (x INTEGER)"))
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await database.write(half)
    tables = await database.read(lambda session: inspect(session.connection()).get_table_names())
    assert "gateway_meta" in tables
    assert "extra" not in tables


async def test_every_connection_is_durable(sqlite: Database) -> None:
    def durability(session: Session) -> tuple[object, object]:
        return pragma(session, "journal_mode"), pragma(session, "synchronous")

    assert await sqlite.read(durability) == ("wal", 2)
    assert await sqlite.write(durability) == ("wal", 2)


async def test_read_cannot_write(database: Database) -> None:
    with pytest.raises(StoreError):
        await database.read(lambda session: put(session, "a"))
    assert await database.read(names) == []


async def test_read_is_one_snapshot(database: Database) -> None:
    first_done, go_on = threading.Event(), threading.Event()

    def twice(session: Session) -> tuple[list[str], list[str]]:
        before = names(session)
        first_done.set()
        assert go_on.wait(10)
        return before, names(session)

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(database.read(twice))
        await wait_for(first_done)
        await database.write(lambda session: put(session, "a"))
        go_on.set()
    assert reading.result() == ([], [])


async def test_writes_run_in_the_order_they_were_submitted_on_sqlite(sqlite: Database) -> None:
    order: list[int] = []

    def note(number: int) -> Callable[[Session], None]:
        return lambda _: order.append(number)

    running = [sqlite.submit(note(n)) for n in range(20)]
    for each in running:
        await each
    assert order == list(range(20))


async def test_lock_held_by_another_program_is_unavailable_and_passes(
    sqlite: Database, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "gateway.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError) as caught:
        await sqlite.write(lambda session: put(session, "a"))
    assert caught.value.code == "store_unavailable"
    other.execute("ROLLBACK")
    other.close()
    await sqlite.write(lambda session: put(session, "b"))
    assert await sqlite.read(names) == ["b"]


async def test_full_disk_is_storage_full_and_recovers_by_itself(sqlite: Database) -> None:
    def limit(session: Session, pages: int) -> None:
        session.execute(text(f"PRAGMA max_page_count = {pages}"))

    pages = await sqlite.write(lambda s: int(str(pragma(s, "page_count"))))
    await sqlite.write(lambda session: limit(session, pages))
    with pytest.raises(StoreError) as caught:
        await sqlite.write(lambda session: put(session, "a", "y" * 100_000))
    assert caught.value.code == "storage_full"
    assert await sqlite.read(names) == []
    await sqlite.write(lambda session: limit(session, 1_000_000))
    await sqlite.write(lambda session: put(session, "a", "y" * 100_000))
    assert await sqlite.read(names) == ["a"]


async def test_transaction_that_sqlite_ended_by_itself_is_not_called_committed(sqlite: Database) -> None:
    def ended(session: Session) -> None:
        put(session, "a")
        session.execute(text("ROLLBACK"))

    with pytest.raises(StoreError, match="ended the transaction"):
        await sqlite.write(ended)
    await sqlite.write(lambda session: put(session, "b"))
    assert await sqlite.read(names) == ["b"]


async def test_commit_without_an_answer_is_unknown(sqlite: Database) -> None:
    lost = sqlite3.OperationalError("disk I/O error")

    def fail(_connection: object) -> None:
        raise OperationalError("COMMIT", None, lost)

    event.listen(sqlite._writer, "commit", fail, once=True)
    with pytest.raises(StoreUnknownError) as caught:
        await sqlite.write(lambda session: put(session, "a"))
    assert caught.value.code == "outcome_unknown"
    await sqlite.write(lambda session: put(session, "b"))


def opening(file: Path) -> StoreError:
    """The error of the first transaction on a file."""
    database = Database(f"sqlite:///{file}")
    try:
        with pytest.raises(StoreError) as caught, database.begin() as session:
            names(session)
        return caught.value
    finally:
        database.close()


def test_a_file_that_is_no_database_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").write_bytes(b"these are no pages of a database" * 200)
    error = opening(tmp_path / "gateway.db")
    assert isinstance(error, StoreDamagedError)
    assert "the database file is damaged: restore a backup" in error.text


def test_a_page_overwritten_is_called_damaged(tmp_path: Path, migrated_file: Path) -> None:
    raw = bytearray(migrated_file.read_bytes())
    raw[100:4096] = b"\xff" * 3996
    (tmp_path / "gateway.db").write_bytes(raw)
    assert isinstance(opening(tmp_path / "gateway.db"), StoreDamagedError)


def test_a_folder_in_the_files_place_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "gateway.db").mkdir()
    error = opening(tmp_path / "gateway.db")
    assert (type(error), "cannot be opened" in error.text) == (StoreDamagedError, True)


def test_a_missing_folder_is_no_damage(tmp_path: Path) -> None:
    assert type(opening(tmp_path / "none" / "gateway.db")) is StoreError


@pytest.mark.parametrize(
    ("name", "at_commit", "kind", "code"),
    [
        ("SQLITE_FULL", False, StoreError, "storage_full"),
        ("SQLITE_FULL", True, StoreError, "storage_full"),
        ("SQLITE_BUSY", True, StoreError, "store_unavailable"),
        ("SQLITE_IOERR_WRITE", False, StoreError, "store_unavailable"),
        ("SQLITE_IOERR_FSYNC", True, StoreUnknownError, "outcome_unknown"),
        ("SQLITE_IOERR_SHMSIZE", False, StoreError, "storage_full"),
        ("SQLITE_IOERR_SHMSIZE", True, StoreUnknownError, "outcome_unknown"),
        ("SQLITE_CORRUPT", False, StoreDamagedError, "store_unavailable"),
        ("SQLITE_CORRUPT_INDEX", False, StoreDamagedError, "store_unavailable"),
        ("SQLITE_CORRUPT", True, StoreUnknownError, "outcome_unknown"),
        ("SQLITE_NOTADB", False, StoreDamagedError, "store_unavailable"),
        ("SQLITE_CONSTRAINT_PRIMARYKEY", False, BugError, "internal"),
        ("SQLITE_ERROR", False, BugError, "internal"),
        ("40P01", True, StoreError, "store_unavailable"),
        ("53100", False, StoreError, "storage_full"),
        ("53100", True, StoreError, "storage_full"),
        ("57P01", True, StoreUnknownError, "outcome_unknown"),
        ("08006", False, StoreError, "store_unavailable"),
        ("", True, StoreUnknownError, "outcome_unknown"),
        ("", False, StoreError, "store_unavailable"),
        ("23505", False, BugError, "internal"),
    ],
)
def test_driver_error_is_translated_by_its_code(
    name: str, at_commit: object, kind: type[Exception], code: str
) -> None:
    class DriverError(Exception):
        sqlstate = name

    translated = translate(OperationalError("X", None, DriverError()), at_commit=bool(at_commit))
    assert type(translated) is kind
    assert translated.code == code


async def test_statement_with_a_broken_constraint_is_our_bug_and_shows_no_value(database: Database) -> None:
    await database.write(lambda session: put(session, "secret-name"))
    with pytest.raises(BugError) as caught:
        await database.write(lambda session: put(session, "secret-name"))
    assert "secret-name" not in str(caught.value) + str(caught.value.__cause__)


async def test_too_much_waiting_work_is_refused_and_the_rest_is_done(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/g.db", waiting=2)
    go_on = threading.Event()
    running = [database.submit(lambda _: go_on.wait(10)) for _ in range(2)]
    with pytest.raises(OverloadedError) as caught:
        await database.write(lambda _: None)
    assert caught.value.code == "overloaded"
    go_on.set()
    assert [await each for each in running] == [True, True]
    await database.write(lambda _: None)
    database.close()


async def test_close_waits_for_running_work_and_refuses_more(database: Database) -> None:
    def named(name: str) -> Callable[[Session], None]:
        return lambda session: put(session, name)

    running = [database.submit(named(str(n))) for n in range(5)]
    database.close()
    for each in running:
        await each
    with pytest.raises(StoreError) as caught:
        await database.read(names)
    assert caught.value.code == "store_unavailable"
    database.close()


async def test_cancelled_write_that_has_begun_runs_to_its_end(database: Database, database_url: str) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow(session: Session) -> None:
        begun.set()
        assert go_on.wait(10)
        put(session, "a")

    running = database.submit(slow)
    await wait_for(begun)
    running.cancel()
    go_on.set()
    database.close()
    again = Database(database_url)
    assert await again.read(names) == ["a"]
    again.close()


def test_clock_is_the_wall_clock_in_milliseconds(database: Database) -> None:
    with database.begin() as session:
        before, there = time.time_ns() // 1_000_000, clock(session)
        assert before - ROUNDED_MS <= there <= time.time_ns() // 1_000_000 + ROUNDED_MS


def test_clock_goes_on_within_a_transaction(database: Database) -> None:
    with database.begin() as session:
        before = clock(session)
        while clock(session) == before:
            pass
        assert clock(session) > before


@pytest.mark.parametrize("url", ["nonsense", "sqlite://", "sqlite:///:memory:", "mysql://h/x"])
def test_unusable_url_says_how_to_mend_it(url: str) -> None:
    with pytest.raises(SetupError, match="sqlite:///FILE"):
        Database(url)


def test_folder_that_is_missing_is_unavailable(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/no/such/folder/g.db")
    with pytest.raises(StoreError), database.begin() as session:
        session.execute(text("SELECT 1"))
    database.close()


def test_file_of_a_sqlite_url_is_known() -> None:
    assert sqlite_file("sqlite:////tmp/x.db") == Path("/tmp/x.db")  # noqa: S108 - only a name
    assert sqlite_file("postgresql://h/x") is None
