"""The SQL engine: transactions for the whole gateway, run on SQL threads, errors translated at one boundary.

SQLite gets one writer thread and connection (BEGIN IMMEDIATE, WAL, synchronous=FULL) and a few read-only
ones; PostgreSQL gets a pool. The engine is synchronous; the event loop awaits functions of a session.
Never runs SQL on the event loop, never commits half of a unit of work, never calls an unknown COMMIT a
failed one.

Cancelling the task that awaits a write does not undo the write: once begun, it runs to its end.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from gateway.errors import OverloadedError, StoreError, StoreUnknownError
from gateway.sql_engines import (
    READERS,
    SILENT_SECONDS,
    WARNINGS,
    postgresql_engine,
    sqlite_engine,
    sqlite_file,
)
from gateway.sql_errors import is_silence, spoils, translate, translated, without_values

if TYPE_CHECKING:
    from gateway.postgresql import Cluster, Server

T = TypeVar("T")

WAITING: Final = 2_000
"""Functions that may wait for a SQL thread before new ones are refused."""

BUSY_MS: Final = 1_000
"""How long SQLite waits for another program's lock: a caller is to hear 503 within two seconds."""

_UNVETTED: Final = "the database was restarted or replaced: it is being compared with our published logs"

_SQLITE_CLOCK: Final = "CAST(ROUND((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)"
_POSTGRESQL_CLOCK: Final = "CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000) AS BIGINT)"

_NAMED: Final = 0x67617465
"""The kind of our advisory locks by name; the one of migrations has no kind."""


class _UndoneError(Exception):
    """Rolls a rehearsal back."""


class Database:
    """One database, opened lazily: making this object connects to nothing."""

    def __init__(
        self,
        url: str,
        *,
        waiting: int = WAITING,
        busy_ms: int = BUSY_MS,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """Take a `sqlite:///file` or `postgresql://...` URL; the latter as libpq reads it.

        `silent_seconds`: how long PostgreSQL may go without an answer.

        Raises:
            SetupError: the URL is none of these, or the driver for it is not installed.
        """
        self._file = sqlite_file(url)
        self.is_sqlite = self._file is not None
        self._cluster: Cluster | None = None
        if self.is_sqlite:
            self._writer = sqlite_engine(url, busy_ms, is_writer=True)
            self._reader = sqlite_engine(url, busy_ms, is_writer=False)
        else:
            self._writer, self._cluster = postgresql_engine(url, silent_seconds)
            self._reader = self._writer.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        writers = 1 if self.is_sqlite else READERS
        self._write_threads = ThreadPoolExecutor(writers, thread_name_prefix="sql-write")
        self._read_threads = ThreadPoolExecutor(READERS, thread_name_prefix="sql-read")
        self._places = threading.BoundedSemaphore(waiting)
        self._silent_at = 0.0
        self._vetted: Server | None = None

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
        with translated(self._file), Session(self._writer, expire_on_commit=False) as session:
            try:
                self._verify_vetted(session)
                yield session
                session.flush()
            except BaseException as error:
                _give_back(session, error)
                raise
            _commit(session)

    @contextmanager
    def looking(self) -> Iterator[Session]:
        """A read-only snapshot on the calling thread, held until the block ends: for the CLI.

        Errors as `begin`.
        """
        with translated(self._file), Session(self._reader, expire_on_commit=False) as session:
            try:
                yield session
            except BaseException as error:
                _give_back(session, error)
                raise

    async def read(self, work: Callable[[Session], T]) -> T:
        """Run a function on a read-only snapshot; what it raises is raised here. Errors as `begin`."""
        return await self.ask(work)

    def ask(self, work: Callable[[Session], T]) -> "asyncio.Future[T]":
        """As `read`, but queued before it returns: for what is waited for later."""
        return asyncio.wrap_future(self._queue(self._read_threads, lambda: self._look(work)))

    async def read_unvetted(self, work: Callable[[Session], T]) -> T:
        """As `read`, also on a server that nobody has vetted: what is found judges nothing of it."""
        look = self._queue(self._read_threads, lambda: self._look(work, is_gated=False))
        return await asyncio.wrap_future(look)

    async def write(self, work: Callable[[Session], T]) -> T:
        """Run a function in one transaction of its own. Errors as `begin`, and OverloadedError."""
        return await self.submit(work)

    async def rehearse(self, work: Callable[[Session], T]) -> T:
        """As `write`, and undone at its end: what it would return, or raise. Errors as `write`."""
        found: list[T] = []

        def undone(session: Session) -> T:
            found.append(work(session))
            raise _UndoneError

        with suppress(_UndoneError):
            await self.submit(undone)
        return found[0]

    def submit(self, work: Callable[[Session], T]) -> "asyncio.Future[T]":
        """As `write`, but queued before it returns: writes run in the order of these calls on SQLite."""
        return asyncio.wrap_future(self._queue(self._write_threads, lambda: self._change(work)))

    def begin_write(self, work: Callable[[Session], T], told: "Callable[[Future[T]], None]") -> None:
        """As `submit`; once it is over, `told` hears of it on the running loop, in its next turn."""
        loop = asyncio.get_running_loop()

        def tell(done: "Future[T]") -> None:
            with suppress(RuntimeError):  # a loop that is closed has nobody left to tell
                loop.call_soon_threadsafe(told, done)

        self._queue(self._write_threads, lambda: self._change(work)).add_done_callback(tell)

    @property
    def is_unvetted(self) -> bool:
        """Whether connections reach a PostgreSQL that `vet` has not seen: restarted, or another one."""
        return self._cluster is not None and self._cluster.newest != self._vetted

    @property
    def life(self) -> "Server | None":
        """The life of the PostgreSQL that was vetted last; what an earlier one has stored it may not have."""
        return self._vetted

    async def vet(self, work: Callable[[Session], T]) -> T:
        """Let `work` judge the server that connections reach now, on a read-only snapshot.

        Where it returns, that life of that server is vetted: from then on, transactions on any other are
        refused, until that one is vetted. Before the first call, nothing is refused. Errors as `read`.
        """

        def judge(session: Session) -> tuple[T, "Server | None"]:
            return work(session), self.server(session)

        result, server = await asyncio.wrap_future(
            self._queue(self._read_threads, lambda: self._look(judge, is_gated=False))
        )
        self._vetted = server
        return result

    def server(self, session: Session) -> "Server | None":
        """The life of the PostgreSQL that this transaction is on: what another one told may not be so there.

        None on SQLite.

        Raises:
            StoreError: a newer one was met meanwhile; the connection is given up.
        """
        if self._cluster is None:
            return None
        server: Server = _driver(session).server
        if server != self._cluster.newest:
            session.invalidate()
            raise StoreError("store_unavailable", _UNVETTED)
        return server

    def close(self) -> None:
        """Wait for running and queued work, then let every connection go. Idempotent."""
        self._write_threads.shutdown(wait=True)
        self._read_threads.shutdown(wait=True)
        self._writer.dispose()
        self._reader.dispose()

    def _change(self, work: Callable[[Session], T]) -> T:
        with self.begin() as session:
            return work(session)

    def _look(self, work: Callable[[Session], T], *, is_gated: bool = True) -> T:
        with translated(self._file), Session(self._reader, expire_on_commit=False) as session:
            try:
                if is_gated:
                    self._verify_vetted(session)
                return work(session)
            except BaseException as error:
                _give_back(session, error)
                raise

    def _verify_vetted(self, session: Session) -> None:
        """Refuse a server that was not vetted, once one was."""
        if self._vetted is not None and self.server(session) != self._vetted:
            raise StoreError("store_unavailable", _UNVETTED)

    def _queue(self, threads: ThreadPoolExecutor, work: Callable[[], T]) -> "Future[T]":
        if not self._places.acquire(blocking=False):
            raise OverloadedError("too much work is waiting for the database; try again")
        queued_at = time.monotonic()
        try:
            future = threads.submit(lambda: self._run(work, queued_at))
        except RuntimeError as error:
            self._places.release()
            raise StoreError("store_unavailable", "the database is closed: we are stopping") from error
        future.add_done_callback(lambda _: self._places.release())
        return future

    def _run(self, work: Callable[[], T], queued_at: float) -> T:
        if queued_at < self._silent_at:
            # Each by itself would wait as long as those before it did, and the last for minutes.
            raise StoreError("store_unavailable", "the database does not answer")
        try:
            return work()
        except StoreError as error:
            if is_silence(error):
                self._silent_at = time.monotonic()
            raise


def clock_words(session: Session) -> str | None:
    """What `clock` asks, in SQL, for a statement that can date its rows itself; None on SQLite."""
    return None if _dialect(session) == "sqlite" else _POSTGRESQL_CLOCK


def clock(session: Session) -> int:
    """The database's clock, Unix milliseconds: the one clock that all instances share."""
    words = clock_words(session) or _SQLITE_CLOCK
    # As text: by way of the session it cost twice the question itself.
    return int(session.connection().exec_driver_sql(f"SELECT {words}").scalar_one())


def lock(session: Session, *names: str) -> None:
    """Let nobody else who names the same go on before this transaction has ended. SQLite has one writer.

    For what no row stands for yet. It is taken before rows are locked, and one of them in a transaction, so
    that nobody waits in a circle.
    """
    if _dialect(session) == "postgresql":
        words = text("SELECT pg_advisory_xact_lock(:kind, hashtext(:name))")
        session.execute(words, {"kind": _NAMED, "name": "\n".join(names)})


def take_time(session: Session) -> None:
    """Let this transaction take any time: a migration of large tables takes minutes.

    Locks are still waited for briefly only, so that nobody queues behind us meanwhile.
    """
    if _dialect(session) == "postgresql":
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        _driver(session).patience = None


def _give_back(session: Session, error: BaseException) -> None:
    """Roll back; after an error that may have broken the connection, drop that connection too."""
    try:
        session.rollback()
    except SQLAlchemyError:
        session.invalidate()
    if spoils(error):
        session.invalidate()


def _commit(session: Session) -> None:
    connection = session.connection().connection
    if _is_over(connection.driver_connection):
        session.invalidate()
        raise StoreError("store_unavailable", "the database ended the transaction before its COMMIT")
    warnings = connection.info.setdefault(WARNINGS, [])
    warnings.clear()
    try:
        session.commit()
    except SQLAlchemyError as error:
        _give_back(session, error)
        raise translate(error, at_commit=True) from without_values(error)
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


def _driver(session: Session) -> Any:
    return session.connection().connection.driver_connection


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name
