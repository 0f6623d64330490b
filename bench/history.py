"""A database in which much has happened already: rows of the usual size, made by SQL from one real event.

The claims, entries and nodes of so many events, in the log of one partner, with the indexes that they have in
use. Their hashes are filler and prove nothing; size and order of the rows are what matters here. A million
events through the front door would take an hour.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session, SQLModel, col, select

from audit.arrays import table_of
from audit.evidence import Kind
from audit.rows import EntryRow, HeadRow
from audit.store import LOWEST_LEVEL
from gateway.database import Database, take_time
from gateway.rows import ClaimRow

_CHUNK: Final = 20_000
"""Rows of a transaction."""
_NUMBERS: Final = (
    "WITH RECURSIVE g(n) AS (SELECT CAST(:low AS BIGINT) UNION ALL SELECT n + 1 FROM g WHERE n < :high)"
)
_AT: Final = "t.at + g.n"
"""A thousand events a second."""
_HASH: Final = b"\x5a" * 32
_SHA256: Final = {
    "sqlite": "sha256('old-' || g.n)",
    "postgresql": "sha256(convert_to('old-' || g.n, 'UTF8'))",
}


def fill(database: Database, events: int) -> None:
    """Put so many events behind what is there: at least one event, sequenced.

    Nothing else may use the database meanwhile.
    """
    with database.begin() as session:
        entry = session.exec(select(EntryRow).where(col(EntryRow.kind) == Kind.ACCEPTED.value).limit(1)).one()
        head = session.exec(select(HeadRow).where(col(HeadRow.log) == entry.log)).one()
        known = {"ref": entry.ref, "log": entry.log, "at": entry.index, "hash": _HASH}
        first = head.size
    for start in range(0, events, _CHUNK):
        span = {"low": first + start, "high": first + min(start + _CHUNK, events)}
        with database.begin() as session:
            take_time(session)
            _ready_sqlite(session)
            _claims(session, known | span)
            _entries(session, known | span)
            _nodes(session, known | span)
            _marks(session, known | span)
    with database.begin() as session:
        _head(session, entry.log, first + events)


def _claims(session: Session, values: Mapping[str, Any]) -> None:
    changed = {"ref": _sha256(session), "event_id": "'old-' || g.n", "leaf_index": "g.n", "at": _AT}
    _copy(session, ClaimRow, changed, "t.ref = :ref", values)


def _entries(session: Session, values: Mapping[str, Any]) -> None:
    changed = {"ref": _sha256(session), "event_id": "'old-' || g.n", "index": "g.n", "at": _AT}
    _copy(session, EntryRow, changed, 't.log = :log AND t.epoch = 1 AND t."index" = :at', values)


def _nodes(session: Session, values: Mapping[str, Any]) -> None:
    """Every node to be stored that is complete with `high` leaves, and was not with `low`."""
    statement = (
        f'{_NUMBERS} INSERT INTO audit_node (log, epoch, level, "index", hash) '  # noqa: S608 - fixed text
        "SELECT :log, 1, :level, g.n, :hash FROM g WHERE g.n < :high"
    )
    for level in range(LOWEST_LEVEL, values["high"].bit_length()):
        span = {"level": level, "low": values["low"] >> level, "high": values["high"] >> level}
        session.execute(text(statement), {**_only(statement, values), **span})


def _marks(session: Session, values: Mapping[str, Any]) -> None:
    """One of each event, as its digest has."""
    cut = {"sqlite": "substr({0}, 1, 16)", "postgresql": "substring({0} FROM 1 FOR 16)"}
    mark = cut[session.get_bind().dialect.name].format(_sha256(session))
    statement = (
        f'{_NUMBERS} INSERT INTO audit_mark (mark, at, epoch, "index") '  # noqa: S608 - fixed text
        f"SELECT {mark}, {_AT}, 1, g.n FROM audit_entry AS t CROSS JOIN g "
        'WHERE t.log = :log AND t.epoch = 1 AND t."index" = :at AND g.n < :high'
    )
    session.execute(text(statement), _only(statement, values))


def _head(session: Session, log: str, size: int) -> None:
    row = session.exec(select(HeadRow).where(col(HeadRow.log) == log)).one()
    row.size, row.edge = size, _HASH * size.bit_count()
    session.add(row)


def _copy(
    session: Session, row: type[SQLModel], changed: Mapping[str, str], where: str, values: Mapping[str, Any]
) -> None:
    """Copy one row again and again, with other values in some columns; it is looked up once (CROSS JOIN)."""
    table = table_of(row)
    names = [column.name for column in table.columns]
    listed = ", ".join(f'"{name}"' for name in names)
    taken = ", ".join(changed.get(name, f't."{name}"') for name in names)
    statement = (
        f"{_NUMBERS} INSERT INTO {table.name} ({listed}) "  # noqa: S608 - names of our own tables
        f"SELECT {taken} FROM {table.name} AS t CROSS JOIN g WHERE {where} AND g.n < :high"
    )
    session.execute(text(statement), _only(statement, values))


def _only(statement: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if f":{name}" in statement}


def _sha256(session: Session) -> str:
    return _SHA256[session.get_bind().dialect.name]


def _ready_sqlite(session: Session) -> None:
    """SQLite has no such function of its own, and a cache too small for rows in random places."""
    if session.get_bind().dialect.name == "sqlite":
        driver: Any = session.connection().connection.driver_connection
        driver.execute("PRAGMA cache_size = -500000")
        driver.create_function("sha256", 1, lambda name: hashlib.sha256(name.encode()).digest())
