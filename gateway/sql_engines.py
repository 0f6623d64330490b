"""The two engines: SQLite's writer and readers, PostgreSQL's pool. Making one connects to nothing."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from gateway.errors import SetupError

if TYPE_CHECKING:
    from gateway.postgresql import Cluster

READERS: Final = 4
"""Threads and connections for reads; on PostgreSQL as many again for writes."""

POOL: Final = 2 * READERS
"""Connections to PostgreSQL that one process may have: one for each SQL thread."""

SILENT_SECONDS: Final = 8.0
"""How long PostgreSQL may go without an answer, to a COMMIT too. It ends statements itself before that."""

WARNINGS: Final = "warnings"
"""Key of the PostgreSQL warnings in a connection's `info`: a list of their codes."""

_FORMS: Final = "use sqlite:///FILE or postgresql://HOST/NAME"
_POSTGRESQL: Final = ("postgresql", "postgresql+psycopg", "postgres")


def sqlite_file(url: str) -> Path | None:
    """The file behind a `sqlite:///` URL; None for PostgreSQL, whatever else its URL says.

    Raises:
        SetupError: it is a URL of neither.
    """
    kind = url.partition("://")[0]
    if kind in _POSTGRESQL:
        return None
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SetupError(f"database.url is not a URL: {_FORMS}") from error
    if parsed.drivername != "sqlite" or not parsed.database or ":memory:" in parsed.database:
        raise SetupError(f"database.url names {parsed.drivername!r}, or no file: {_FORMS}")
    return Path(parsed.database)


def sqlite_engine(url: str, busy_ms: int, *, is_writer: bool) -> Engine:
    """One writing connection, or a few that only read. `busy_ms`: how long to wait for others' locks."""
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
    # What is erased is written over, and what rows leave behind that grow and move: 7 us of CPU an event.
    pragmas += ["foreign_keys=ON", "secure_delete=ON"] if is_writer else ["query_only=ON"]

    def connected(connection: Any, _record: Any) -> None:
        # The driver must not open or close transactions by itself: ours begin and end where we say.
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(start))
    return engine


def postgresql_engine(url: str, silent_seconds: float) -> "tuple[Engine, Cluster]":
    """The pool, and the servers behind it. `silent_seconds`: how long a statement may go without an answer.

    Raises:
        SetupError: libpq cannot read the URL, or the driver is missing.
    """
    try:
        from gateway.postgresql import Cluster  # noqa: PLC0415 - SQLite needs none
    except ImportError as error:
        raise SetupError("PostgreSQL needs the psycopg driver: pip install 'psycopg[binary]'") from error
    cluster = Cluster(f"postgresql://{url.partition('://')[2]}", pool=POOL)
    # What the URL says is for libpq alone, which knows several hosts; SQLAlchemy does not.
    engine = create_engine(
        "postgresql+psycopg://",
        pool_size=POOL,
        max_overflow=0,
        pool_timeout=1,
        pool_pre_ping=True,
        hide_parameters=True,
    )

    def connect(_dialect: Any, _record: Any, _arguments: Any, parameters: dict[str, Any]) -> Any:
        return cluster.connect(parameters.get("context"))

    def connected(connection: Any, record: Any) -> None:
        warnings = record.info.setdefault(WARNINGS, [])

        def note(notice: Any) -> None:
            if notice.severity_nonlocalized == "WARNING":
                warnings.append(notice.sqlstate)

        connection.add_notice_handler(note)

    def taken(connection: Any, _record: Any, _proxy: Any) -> None:
        connection.patience = silent_seconds
        connection.is_at_work = True

    def given_back(connection: Any, _record: Any) -> None:
        if connection is not None:
            connection.rest()

    dialect: Any = engine.dialect
    ask = dialect.do_ping
    dialect.do_ping = lambda connection: connection.is_surely_there() or ask(connection)
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", connected)
    event.listen(engine, "checkout", taken)
    event.listen(engine, "checkin", given_back)
    return engine, cluster
