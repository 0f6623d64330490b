"""What the doctor sees of the database. Reads only; see `open_untouched` for SQLite's files."""

import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool
from sqlmodel import Session

from gateway import facts, keys
from gateway.bootstrap.ground import HOUSE_LOG, ORIGIN, clock
from gateway.broker.embedded_inspection import journal_of, open_untouched
from gateway.database import Database
from gateway.database import clock as database_clock
from gateway.doctor.database import POSTGRES_SETTINGS, PostgresSeen, RevisionSeen
from gateway.doctor.deliveries import DeliveriesSeen
from gateway.egress.reconciliation import compare
from gateway.errors import KeysMissingError, RevisionError, SealError, StoreDamagedError
from gateway.migrations import history
from gateway.positions import Reached, load_reached
from gateway.sql_errors import translate
from gateway.vault import Vault
from partners import store
from partners.holding import held_seconds
from partners.partner import Partner

CHECK_SECONDS: Final = 3.0
_STEPS: Final = 20_000
"""Instructions of SQLite between two looks at the time."""

_CLIENTS: Final = (
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    # What others' connections are is hidden from most users; background processes are in no database.
    " OR (backend_type IS NULL AND datid IS NOT NULL)"
)
"""Connections that count against max_connections."""

_PARTNERS: Final = 200
_ENTRIES: Final = 2_000
"""How many partners' deliveries are compared with how many of the newest entries of their logs."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Inside:
    """What the tables say. `clocks`: ours, the database's, ours. `keys`: why signing keys cannot be used.

    `held`: for how many seconds topics must keep records at least, by topic.
    """

    revision: RevisionSeen
    clocks: tuple[int, int, int]
    origin: str | None = None
    house_log: str | None = None
    keys: str = ""
    partners: tuple[Partner, ...] = ()
    held: Mapping[str, int] = field(default_factory=dict)
    reached: tuple[Reached, ...] = ()
    postgres: PostgresSeen | None = None
    deliveries: DeliveriesSeen | None = None


def look_inside(session: Session, vault: Vault | None) -> Inside:
    """Read everything that the doctor wants, in one transaction. `vault` None: no keys are tried."""
    before = clock()
    theirs = database_clock(session)
    clocks = (before, theirs, clock())
    postgres = _look_server(session) if session.get_bind().dialect.name == "postgresql" else None
    program, found, why_not = history.head(), None, ""
    try:
        found = history.current(session)
        if found is not None:
            history.verify_revision(session)
    except RevisionError as error:
        why_not = error.text
    revision = RevisionSeen(found, program, why_not)
    if found is None or why_not:
        return Inside(revision, clocks, postgres=postgres)
    directory = store.load(session)
    return Inside(
        revision,
        clocks,
        origin=facts.load(session, ORIGIN),
        house_log=facts.load(session, HOUSE_LOG),
        keys=_try_keys(session, vault),
        partners=tuple(one for one in directory.partners() if one.state != "closed"),
        held=held_seconds(directory),
        reached=load_reached(session),
        postgres=postgres,
        deliveries=look_at_deliveries(session, host_of(facts.load(session, ORIGIN))),
    )


def host_of(origin: str | None) -> str:
    """What names of logs begin with."""
    return "" if origin is None else origin.partition("://")[2]


def look_at_deliveries(session: Session, host: str) -> DeliveriesSeen:
    """Compare deliveries with their entries, of the house and some partners, by the newest entries."""
    directory = store.load(session)
    some = [one for one in directory.partners() if directory.endpoints(one.slug)]
    looked = some[:_PARTNERS]
    logs = {one.slug: f"{host}/log/{one.log}" for one in looked}
    house = facts.load(session, HOUSE_LOG)
    found = compare(session, logs, house=house and f"{host}/log/{house}", most=_ENTRIES)
    words = None if found is None else tuple(map(str, found))
    return DeliveriesSeen(words, len(looked), len(some))


def read_sqlite(path: Path, work: Callable[[Session], T]) -> T:
    """Run `work` on SQLite's file as it stands.

    Raises:
        StoreError: the file cannot be opened or read.
    """
    try:
        connection = open_untouched(path)
        engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
        with Session(engine) as session:
            return work(session)
    except sqlite3.Error as error:
        raise StoreDamagedError(f"{path} cannot be opened ({error})") from error
    except SQLAlchemyError as error:
        raise translate(error, has_file=True) from error


def check_sqlite(path: Path) -> tuple[str | None, str]:
    """What `quick_check` says (None: it took too long) and the journal's mode."""
    connection = open_untouched(path)
    until = time.monotonic() + CHECK_SECONDS
    journal = journal_of(path)
    try:
        connection.set_progress_handler(lambda: int(time.monotonic() > until), _STEPS)
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0]), journal
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorname == "SQLITE_INTERRUPT":
            return None, journal
        return str(error), "unknown"
    finally:
        connection.close()


def read_server(url: str, work: Callable[[Session], T]) -> T:
    """Run `work` in a read-only transaction, on this thread. Raises StoreError, SetupError."""
    database = Database(url)
    try:
        with database.begin() as session:
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            return work(session)
    finally:
        database.close()


def _try_keys(session: Session, vault: Vault | None) -> str:
    if vault is None:
        return ""
    try:
        keys.load(session, keys.Opener(vault))
    except (KeysMissingError, SealError) as error:
        return error.text
    return ""


def _look_server(session: Session) -> PostgresSeen:
    names = ", ".join(f"'{name}'" for name in POSTGRES_SETTINGS)
    settings = session.execute(text(f"SELECT name, setting FROM pg_settings WHERE name IN ({names})")).all()  # noqa: S608 - names of ours
    is_standby, connections, may_see = session.execute(
        text(f"SELECT pg_is_in_recovery(), ({_CLIENTS}), pg_has_role('pg_monitor', 'USAGE')")
    ).one()
    counted = text("SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum')")
    standbys = int(session.execute(counted).scalar_one()) if may_see else None
    return PostgresSeen(
        {str(name): str(value) for name, value in settings}, is_standby, connections, standbys
    )
