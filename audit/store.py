"""Rows of the audit log to values and back. Never commits, never decides.

Every function takes the caller's session and works in its transaction, on SQLite and on PostgreSQL.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any, Final

from sqlalchemy import TextClause, delete, func, select, text
from sqlmodel import Session, col

from audit.bulk import Change, find_rows, insert_new_rows, insert_rows, update_rows
from audit.checkpoint import split_origin
from audit.entry import Entry
from audit.errors import NotInLogError
from audit.evidence import Evidence, Kind, parse_evidence
from audit.merkle import HASH_BYTES, hash_leaf, hash_node
from audit.pressing import expand
from audit.rows import EntryRow, HeadRow, NodeRow, PendingRow
from audit.tree import Head, Node, NodeKey

_CHUNK = 500
"""Values in one IN list; SQLite allows 32,766, PostgreSQL plans long ones slowly."""

_LARGEST_INDEX = (1 << 63) - 1
"""Of the column: neither database can be asked for more."""


@dataclass(frozen=True, slots=True)
class LogState:
    """A log's head, and the last checkpoint published of it (a signed note), with the size it speaks of."""

    head: Head
    checkpoint: str | None = field(default=None, repr=False)
    checkpoint_size: int = 0


@dataclass(frozen=True, slots=True)
class Pending:
    """Evidence that waits for its log, under the random id that it was submitted with.

    search: what its event is found by, as `audit.marks.join_search` has it.
    """

    id: bytes
    evidence: Evidence
    search: bytes | None = None


def insert_pending(session: Session, pending: Sequence[Pending]) -> None:
    """Keep evidence until the sequencer takes it."""
    rows = [
        {
            "id": each.id,
            "log": each.evidence.log,
            "at": each.evidence.at,
            "raw": each.evidence.raw,
            "search": each.search,
        }
        for each in pending
    ]
    insert_rows(session, PendingRow, rows)


def load_pending(session: Session, log: str, limit: int) -> tuple[Pending, ...]:
    """The oldest evidence that waits for a log."""
    query = (
        select(col(PendingRow.id), col(PendingRow.raw), col(PendingRow.search))
        .where(col(PendingRow.log) == log)
        .order_by(col(PendingRow.at), col(PendingRow.id))
        .limit(limit)
    )
    return tuple(
        Pending(row_id, parse_evidence(raw), search) for row_id, raw, search in session.execute(query)
    )


def has_pending_before(session: Session, log: str, before: int) -> bool:
    """Whether evidence that is older than `before` (Unix ms) waits for a log."""
    query = select(col(PendingRow.at)).where(col(PendingRow.log) == log).order_by(col(PendingRow.at)).limit(1)
    oldest = session.execute(query).scalar_one_or_none()
    return oldest is not None and oldest < before


def load_oldest_pending(session: Session) -> Mapping[str, int]:
    """By log: when the oldest evidence that waits for it was made, Unix milliseconds."""
    query = select(col(PendingRow.log), func.min(col(PendingRow.at))).group_by(col(PendingRow.log))
    return {log: int(at) for log, at in session.execute(query)}


def load_pending_logs(session: Session) -> tuple[str, ...]:
    """Names of the logs that evidence waits for."""
    query = select(col(PendingRow.log)).distinct().order_by(col(PendingRow.log))
    return tuple(session.execute(query).scalars())


def delete_pending(session: Session, ids: Sequence[bytes]) -> int:
    """Forget evidence that its log now holds; how many were there."""
    count = 0
    for start in range(0, len(ids), _CHUNK):
        chosen = delete(PendingRow).where(col(PendingRow.id).in_(ids[start : start + _CHUNK]))
        count += session.connection().execute(chosen).rowcount
    return count


def insert_heads(session: Session, origins: Collection[str]) -> None:
    """Make empty logs of those that do not exist."""
    rows = [
        {"log": log, "epoch": epoch, "size": 0, "edge": b"", "checkpoint_size": 0}
        for log, epoch in sorted(map(split_origin, origins))
    ]
    insert_new_rows(session, HeadRow, rows)


def load_states(session: Session) -> tuple[LogState, ...]:
    """All logs in all epochs, by name and epoch."""
    columns = [getattr(HeadRow, name) for name in _STATE]
    rows = session.execute(select(*columns).order_by(col(HeadRow.log), col(HeadRow.epoch)))
    return tuple(_state(*row) for row in rows)


def load_epochs(session: Session, log: str) -> tuple[LogState, ...]:
    """A log in all its epochs, the newest last."""
    columns = [getattr(HeadRow, name) for name in _STATE]
    query = select(*columns).where(col(HeadRow.log) == log).order_by(col(HeadRow.epoch))
    return tuple(_state(*row) for row in session.execute(query))


def find_states(session: Session, origins: Collection[str]) -> Mapping[str, LogState]:
    """Those of these logs that exist, by origin."""
    names = sorted({split_origin(origin)[0] for origin in origins})
    found = [_state(*row) for row in find_rows(session, HeadRow, _STATE, key="log", among=names)]
    return {one.head.origin: one for one in found if one.head.origin in origins}


_STATE: Final = ("log", "epoch", "size", "edge", "checkpoint", "checkpoint_size")


def _state(
    log: str, epoch: int, size: int, edge: bytes, checkpoint: str | None, checkpoint_size: int
) -> LogState:
    return LogState(Head(f"{log}/{epoch}", size, _split_edge(edge)), checkpoint, checkpoint_size)


def replace_heads(session: Session, pairs: Sequence[tuple[Head, Head]]) -> bool:
    """Compare and set, each as (old, new); False, to be rolled back, if a log no longer stands at `old`."""
    rows = [
        {**key_of(old.origin), "old_size": old.size, "size": new.size, "edge": b"".join(new.edge)}
        for old, new in pairs
    ]
    return update_rows(session, HeadRow, rows, _GROWTH) == len(pairs)


def save_checkpoints(session: Session, shown: Sequence[tuple[str, str, int, int]]) -> bool:
    """Keep the texts of the last published checkpoints, each as (origin, text, size, size of the one before).

    False, to be rolled back, if another one is kept of a log by now.
    """
    rows = [
        {**key_of(origin), "checkpoint": checkpoint, "checkpoint_size": size, "size_before": before}
        for origin, checkpoint, size, before in shown
    ]
    return update_rows(session, HeadRow, rows, _PUBLICATION) == len(rows)


# Rows of the one owner of the log's lease.
_GROWTH: Final = Change(match=("log", "epoch"), was=(("old_size", "size"),), is_shared=False)
_PUBLICATION: Final = Change(
    match=("log", "epoch"), was=(("size_before", "checkpoint_size"),), is_shared=False
)


LOWEST_LEVEL: Final = 3
"""Of the nodes that are stored: those below, seven of eight, are a hash or two away from their leaves.

Logs of before have them; nobody reads them, but for `audit.fsck`, which compares them.
"""


def insert_nodes(session: Session, nodes: Mapping[str, Sequence[Node]]) -> None:
    """Write those nodes that are stored, by origin; they never change."""
    rows = [
        {**key, "level": node.level, "index": node.index, "hash": node.hash}
        for key, some in ((key_of(origin), some) for origin, some in nodes.items())
        # Level by level, as the key has them: PostgreSQL fills pages of the index that grow at their ends.
        for node in sorted(some, key=_level_of)
        if node.level >= LOWEST_LEVEL
    ]
    insert_rows(session, NodeRow, rows)


_level_of: Final = attrgetter("level")


def load_nodes(session: Session, origin: str, keys: Sequence[NodeKey]) -> Mapping[NodeKey, bytes]:
    """Hashes of nodes, in one query: those that are not stored are made of their leaves.

    Raises:
        NotInLogError: One of them does not exist: the log is smaller, or damaged.
    """
    if not keys:
        return {}
    log, epoch = split_origin(origin)
    low = {key: range(key[1] << key[0], (key[1] + 1) << key[0]) for key in keys if key[0] < LOWEST_LEVEL}
    leaves = sorted({(_LEAF_LEVEL, index) for indexes in low.values() for index in indexes})
    wanted = sorted(set(keys) - low.keys())
    values: dict[str, Any] = {"log": log, "epoch": epoch}
    for number, (level, index) in enumerate((*wanted, *leaves)):
        values |= {f"i{number}": index} | ({f"l{number}": level} if level >= 0 else {})
    rows = session.execute(_nodes(len(wanted), len(leaves)), values)
    read = {(level, index): value for level, index, value in rows}
    found = {key: read[key] for key in wanted if key in read}
    for key, indexes in low.items():
        some = [read[_LEAF_LEVEL, index] for index in indexes if (_LEAF_LEVEL, index) in read]
        if len(some) == len(indexes):
            (found[key],) = _folded(some, key[0])
    missing = set(keys) - found.keys()
    if missing:
        raise NotInLogError(f"{origin}: no node at level and index {min(missing)}")
    return found


_LEAF_LEVEL: Final = -1
"""In what is read: a leaf as such, which is not hashed yet."""


@lru_cache(256)
def _nodes(count: int, leaves: int) -> TextClause:
    """The nodes and leaves of so many places, each found by its whole key.

    SQLite reads all of the log's otherwise.
    """
    parts: list[str] = []
    if count:
        places = ", ".join(f"(CAST(:l{one} AS INTEGER), CAST(:i{one} AS BIGINT))" for one in range(count))
        parts.append(
            f'SELECT n.level, n."index", n.hash FROM (WITH x(level, place) AS (VALUES {places}) '  # noqa: S608 - fixed text
            "SELECT level, place FROM x) AS p CROSS JOIN audit_node n "
            'WHERE n.log = :log AND n.epoch = :epoch AND n.level = p.level AND n."index" = p.place'
        )
    if leaves:
        places = ", ".join(f"(CAST(:i{count + one} AS BIGINT))" for one in range(leaves))
        parts.append(
            f'SELECT {_LEAF_LEVEL}, e."index", e.leaf FROM (WITH x(place) AS (VALUES {places}) '  # noqa: S608 - fixed text
            "SELECT place FROM x) AS p CROSS JOIN audit_entry e "
            'WHERE e.log = :log AND e.epoch = :epoch AND e."index" = p.place'
        )
    return text(" UNION ALL ".join(parts))


def _folded(leaves: Sequence[bytes], level: int) -> list[bytes]:
    """Hashes of the nodes of a level over leaves, of which there are as many as whole ones have."""
    hashes = [hash_leaf(leaf) for leaf in leaves]
    for _ in range(level):
        hashes = [hash_node(*pair) for pair in zip(hashes[::2], hashes[1::2], strict=False)]
    return hashes


def load_node_range(session: Session, origin: str, level: int, *, first: int, count: int) -> list[bytes]:
    """Hashes of `count` nodes of one level from index `first` on, or fewer where the log ends."""
    if level < LOWEST_LEVEL:
        return _folded(load_leaves(session, origin, first=first << level, count=count << level), level)
    log, epoch = split_origin(origin)
    query = (
        select(col(NodeRow.hash))
        .where(
            col(NodeRow.log) == log,
            col(NodeRow.epoch) == epoch,
            col(NodeRow.level) == level,
            col(NodeRow.index).between(first, first + count - 1),
        )
        .order_by(col(NodeRow.index))
    )
    return list(session.execute(query).scalars())


def load_leaves(session: Session, origin: str, *, first: int, count: int) -> list[bytes]:
    """Leaves from index `first` on, or fewer where the log ends."""
    log, epoch = split_origin(origin)
    query = (
        select(col(EntryRow.leaf))
        .where(
            col(EntryRow.log) == log,
            col(EntryRow.epoch) == epoch,
            col(EntryRow.index).between(first, first + count - 1),
        )
        .order_by(col(EntryRow.index))
    )
    return list(session.execute(query).scalars())


def load_entry(session: Session, origin: str, index: int) -> Entry | None:
    """One entry."""
    log, epoch = split_origin(origin)
    if index > _LARGEST_INDEX:
        return None
    row = session.get(EntryRow, (log, epoch, index))
    return None if row is None else entry_from(row)


def load_entry_named(session: Session, log: str, event_id: str) -> Entry | None:
    """The entry of a log, in its newest epoch that has it, whose evidence has this `id`."""
    query = (
        select(EntryRow)
        .where(col(EntryRow.log) == log, col(EntryRow.event_id) == event_id)
        .order_by(col(EntryRow.epoch).desc(), col(EntryRow.index))
        .limit(1)
    )
    row = session.execute(query).scalar_one_or_none()
    return None if row is None else entry_from(row)


def find_accepted(session: Session, refs: Collection[bytes]) -> list[tuple[str, bytes, int]]:
    """Log (without an epoch), ref and index of the entries by which these events were accepted."""
    only = (("kind", Kind.ACCEPTED.value),)
    found = find_rows(session, EntryRow, ["log", "ref", "index"], key="ref", among=refs, only=only)
    return [(log, ref, index) for log, ref, index in found]


def entry_from(row: EntryRow) -> Entry:
    """The value of a row."""
    return Entry(
        origin=f"{row.log}/{row.epoch}",
        index=row.index,
        leaf=row.leaf,
        raw=None if row.evidence is None else expand(row.evidence),
        kind=Kind(row.kind),
        at=row.at,
        ref=row.ref,
        partner=row.partner,
        direction=row.direction or None,
        source=row.source,
        event_id=row.event_id,
        event_type=row.event_type,
        endpoint=row.endpoint,
        code=row.code,
        credential=row.credential,
    )


def key_of(origin: str) -> dict[str, Any]:
    """The columns that name a log."""
    log, epoch = split_origin(origin)
    return {"log": log, "epoch": epoch}


def _split_edge(edge: bytes) -> tuple[bytes, ...]:
    return tuple(edge[start : start + HASH_BYTES] for start in range(0, len(edge), HASH_BYTES))
