"""The SQL engine: transactions for the whole gateway, run on SQL threads, errors translated at one boundary.

SQLite gets one writer thread and connection (BEGIN IMMEDIATE, WAL, synchronous=FULL) and a few read-only
ones; PostgreSQL gets a pool. The engine is synchronous; the event loop awaits functions of a session.
Never runs SQL on the event loop, never commits half of a unit of work, never calls an unknown COMMIT a
failed one.

Cancelling the task that awaits a write does not undo the write: once begun, it runs to its end.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Engine, create_engine, event, literal_column, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    NoSuchModuleError,
    NotSupportedError,
    ProgrammingError,
    SQLAlchemyError,
)
from sqlalchemy.exc import (
    TimeoutError as PoolTimeoutError,
)
from sqlmodel import Session, SQLModel

from gateway.errors import (
    BugError,
    GatewayError,
    OverloadedError,
    SetupError,
    StoreDamagedError,
    StoreError,
    StoreUnknownError,
)

T = TypeVar("T")

READERS: Final = 4
"""Threads and connections for reads; on PostgreSQL as many again for writes."""

WAITING: Final = 2_000
"""Functions that may wait for a SQL thread before new ones are refused."""

BUSY_MS: Final = 1_000
"""How long SQLite waits for another program's lock: a caller is to hear 503 within two seconds."""

_FULL_CODES: Final = frozenset({"SQLITE_FULL", "SQLITE_IOERR_SHMSIZE", "53100"})
_DAMAGE_CODES: Final = ("SQLITE_CORRUPT", "SQLITE_NOTADB")
_BUG_CODES: Final = ("SQLITE_ERROR", "SQLITE_CONSTRAINT", "SQLITE_MISMATCH", "SQLITE_MISUSE", "SQLITE_RANGE")
_HARMLESS_CODES: Final = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", *_BUG_CODES)
"""Certainly not committed, and the connection is as good as before."""
_BUG_CLASSES: Final = ("22", "23", "42", "0A")
_UNCERTAIN_CLASSES: Final = ("08", "57", "58", "XX", "40003")
_TELLING_CLASSES: Final = ("22", "23")
"""PostgreSQL's text of these errors holds values of the row."""

_KEEPALIVE: Final = {
    # A host that went without a word is found in 10 s; a paused one answers these, and only our cap helps.
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

_SQLITE_CLOCK: Final = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
_POSTGRESQL_CLOCK: Final = "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)"


class Database:
    """One database, opened lazily: making this object connects to nothing."""

    def __init__(self, url: str, *, waiting: int = WAITING, busy_ms: int = BUSY_MS) -> None:
        """Take a `sqlite:///file` or `postgresql://...` URL.

        Raises:
            SetupError: the URL is none of these, or the driver for it is not installed.
        """
        parsed = _parse(url)
        self._file = sqlite_file(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            self._writer = _sqlite_engine(parsed, busy_ms, is_writer=True)
            self._reader = _sqlite_engine(parsed, busy_ms, is_writer=False)
        else:
            self._writer = _postgresql_engine(parsed)
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        writers = 1 if self.is_sqlite else READERS
        self._write_threads = ThreadPoolExecutor(writers, thread_name_prefix="sql-write")
        self._read_threads = ThreadPoolExecutor(READERS, thread_name_prefix="sql-read")
        self._places = threading.BoundedSemaphore(waiting)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """One transaction on the calling thread: for the CLI, migrations, start-up and tests.

        Commits at the end of the block, rolls back when it raises.

        Raises:
            StoreError: nothing is stored.
            StoreUnknownError: the COMMIT's outcome is not known.
            StoreDamagedError: SQLite's file is damaged or cannot be opened; nothing is stored.
            BugError: the statement was wrong, or broke a constraint that its author should have foreseen.
        """
        with _translated(self._file), Session(self._writer, expire_on_commit=False) as session:
            try:
                yield session
                session.flush()
            except BaseException as error:
                _give_back(session, error)
                raise
            _commit(session)

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run a function on a read-only snapshot; what it raises is raised here. Errors as `begin`."""
        return await asyncio.wrap_future(self._queue(self._read_threads, lambda: self._look(work)))

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run a function in one transaction of its own. Errors as `begin`, and OverloadedError."""
        return await self.submit(work)

    def submit(self, work: Callable[[Session], T]) -> "asyncio.Future[T]":
        """As `write`, but queued before it returns: writes run in the order of these calls on SQLite."""
        return asyncio.wrap_future(self._queue(self._write_threads, lambda: self._change(work)))

    def close(self) -> None:
        """Wait for running and queued work, then let every connection go. Idempotent."""
        self._write_threads.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        self._writer.dispose()
        self._reader.dispose()

    def _change(self, work: Callable[[Session], T]) -> T:
        with self.begin() as session:
            return work(session)

    def _look(self, work: Callable[[Session], T]) -> T:
        with _translated(self._file), Session(self._reader, expire_on_commit=False) as session:
            try:
                return work(session)
            except BaseException as error:
                _give_back(session, error)
                raise

    def _queue(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> "Future[T]":
        if not self._places.acquire(blocking=False):
            raise OverloadedError("too much work is waiting for the database; try again")
        try:
            future = threads.submit(work)
        except RuntimeError as error:
            self._places.release()
            raise StoreError("store_unavailable", "the database is closed: we are stopping") from error
        future.add_done_callback(lambda _: self._places.release())
        return future


def clock(session: Session) -> int:
    """The database's clock, Unix milliseconds: the one clock that all instances share."""
    text = _SQLITE_CLOCK if _dialect(session) == "sqlite" else _POSTGRESQL_CLOCK
    return int(session.execute(select(literal_column(text))).scalar_one())


def insert_missing(session: Session, row: type[SQLModel], values: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, passing over those whose key is there already.

    Row counts say nothing about which were inserted, on either database: read back what you need to know.
    Callers that overlap must hand the rows in one order (PostgreSQL deadlocks otherwise).
    """
    if not values:
        return
    table = row.__table__  # type: ignore[attr-defined]  # SQLModel does not type its own table
    if _dialect(session) == "sqlite":
        session.execute(sqlite.insert(table).on_conflict_do_nothing(), [dict(each) for each in values])
    else:
        session.execute(postgresql.insert(table).on_conflict_do_nothing(), [dict(each) for each in values])


def translate(error: SQLAlchemyError, *, at_commit: bool = False, has_file: bool = False) -> GatewayError:
    """What a driver's error means to us, by its code. At COMMIT, what is not certain is unknown.

    `has_file`: SQLite's file is there, so that failing to open it is no matter of a missing folder.
    """
    if isinstance(error, PoolTimeoutError):
        return StoreError("store_unavailable", "no database connection came free in time")
    if not isinstance(error, DBAPIError):
        return BugError(f"SQL used wrongly: {type(error).__name__}")
    code = _code(error)
    if at_commit and not _is_certain(code):
        return StoreUnknownError(f"the database did not answer a COMMIT ({code or 'no code'})")
    if not code and isinstance(error, DataError | NotSupportedError | ProgrammingError):
        return BugError(f"the driver refused a statement or its values ({type(error).__name__})")
    if has_file and code.startswith("SQLITE_CANTOPEN"):
        return StoreDamagedError(
            "the database file cannot be opened: give this user the right to read and write it and its "
            "folder, or restore a backup"
        )
    return _refusal(code)


def _refusal(code: str) -> GatewayError:
    if code.startswith(_DAMAGE_CODES):
        return StoreDamagedError(f"the database file is damaged: restore a backup ({code})")
    if code in _FULL_CODES:
        return StoreError(
            "storage_full", "the database's disk is full: free some space, no restart is needed"
        )
    if code.startswith(_BUG_CODES) or (not code.startswith("SQLITE") and code[:2] in _BUG_CLASSES):
        return BugError(f"the database refused a statement ({code})")
    return StoreError("store_unavailable", f"the database is away or busy ({code or 'no code'})")


def _code(error: DBAPIError) -> str:
    origin = error.orig
    name = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    return str(name or "")


def _is_certain(code: str) -> bool:
    if code.startswith("SQLITE"):
        # A commit frame may be in the WAL although an fsync or the growth of its index failed.
        return code.startswith(_HARMLESS_CODES)
    return bool(code) and not code.startswith(_UNCERTAIN_CLASSES)


@contextmanager
def _translated(file: Path | None) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error, has_file=file is not None and file.exists()) from _without_values(error)


def _without_values(error: SQLAlchemyError) -> SQLAlchemyError:
    """The error as the log may have it: PostgreSQL quotes the offending row."""
    origin = error.orig if isinstance(error, DBAPIError) else None
    if not isinstance(error, DBAPIError) or origin is None or not _code(error).startswith(_TELLING_CLASSES):
        return error
    told = getattr(origin, "diag", None)
    places = [getattr(told, name, None) for name in ("table_name", "column_name", "constraint_name")]
    text = " ".join([_code(error), *(place for place in places if place)])
    shown = DBAPIError(error.statement, None, type(origin)(text), hide_parameters=True)
    return shown.with_traceback(error.__traceback__)


def _give_back(session: Session, error: BaseException) -> None:
    """Roll back; after an error that may have broken the connection, drop that connection too."""
    try:
        session.rollback()
    except SQLAlchemyError:
        session.invalidate()
    if isinstance(error, DBAPIError) and not _code(error).startswith(_HARMLESS_CODES):
        session.invalidate()


def _commit(session: Session) -> None:
    connection = session.connection().connection
    if _is_over(connection.driver_connection):
        session.invalidate()
        raise StoreError("store_unavailable", "the database ended the transaction before its COMMIT")
    warnings = connection.info.setdefault(_WARNINGS, [])
    warnings.clear()
    try:
        session.commit()
    except SQLAlchemyError as error:
        _give_back(session, error)
        raise translate(error, at_commit=True) from _without_values(error)
    if warnings:
        # PostgreSQL answers so where the wait for a standby was cut short: it is stored here, and may be
        # gone after a failover.
        raise StoreUnknownError(f"the database warned at COMMIT ({warnings[0]})")


def _is_over(driver: Any) -> bool:
    """Whether a COMMIT would store nothing, and yet be answered, or could not even be sent.

    SQLite ends a transaction by itself on some errors. PostgreSQL answers ROLLBACK to the COMMIT of a
    transaction in which a statement failed, which drivers do not call an error.
    """
    if getattr(driver, "in_transaction", True) is False:
        return True
    status = getattr(getattr(driver, "info", None), "transaction_status", None)
    return getattr(status, "name", None) in {"INERROR", "UNKNOWN"}


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _parse(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise SetupError("database.url is not a URL: use sqlite:///FILE or postgresql://HOST/NAME") from error
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database and ":memory:" not in parsed.database:
        return parsed
    if parsed.drivername == "postgresql+psycopg":
        return parsed
    raise SetupError(
        f"database.url names {parsed.drivername!r}, or no file: use sqlite:///FILE or postgresql://HOST/NAME"
    )


def _sqlite_engine(url: URL, busy_ms: int, *, is_writer: bool) -> Engine:
    engine = create_engine(
        url,
        pool_size=1 if is_writer else READERS,
        max_overflow=0,
        pool_timeout=busy_ms / 1000,
        hide_parameters=True,
        connect_args={"timeout": busy_ms / 1000, "check_same_thread": False},
    )
    start = "BEGIN IMMEDIATE" if is_writer else "BEGIN"
    pragmas = ["journal_mode=WAL", "synchronous=FULL", "journal_size_limit=67108864", "trusted_schema=OFF"]
    pragmas += ["foreign_keys=ON"] if is_writer else ["query_only=ON"]

    def connected(connection: Any, _record: Any) -> None:
        # The driver must not open or close transactions by itself: ours begin and end where we say.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(start))
    return engine


_WARNINGS: Final = "warnings"


def _postgresql_engine(url: URL) -> Engine:
    try:
        engine = create_engine(
            url,
            pool_size=2 * READERS,
            max_overflow=2,
            pool_timeout=1,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={
                "connect_timeout": 2,
                "options": "-c lock_timeout=1500 -c statement_timeout=30000",
                **_KEEPALIVE,
            },
        )
    except (NoSuchModuleError, ImportError) as error:
        raise SetupError("PostgreSQL needs the psycopg driver: pip install 'psycopg[binary]'") from error

    def connected(connection: Any, record: Any) -> None:
        warnings = record.info.setdefault(_WARNINGS, [])

        def note(notice: Any) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.sqlstate)

        connection.add_notice_handler(note)

    event.listen(engine, "connect", connected)
    return engine


def sqlite_file(url: str) -> Path | None:
    """The file behind a `sqlite:///` URL; None for another database."""
    parsed = _parse(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None
