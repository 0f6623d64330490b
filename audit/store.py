"""Rows of the audit log to values and back. Never commits, never decides.

Every function takes the caller's session and works in its transaction, on SQLite and on PostgreSQL.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from sqlalchemy import CursorResult, and_, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from audit.bulk import find_rows, insert_rows
from audit.checkpoint import split_origin
from audit.entry import Entry, code_of, direction_of, is_listed
from audit.errors import NotInLogError
from audit.evidence import Evidence, Kind, parse_evidence
from audit.merkle import HASH_BYTES
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
    """Evidence that waits for its log, under the random id that it was submitted with."""

    id: bytes
    evidence: Evidence


def insert_pending(session: Session, pending: Sequence[Pending]) -> None:
    """Keep evidence until the sequencer takes it."""
    rows = [
        {"id": each.id, "log": each.evidence.log, "at": each.evidence.at, "raw": each.evidence.raw}
        for each in pending
    ]
    insert_rows(session, PendingRow, rows)


def load_pending(session: Session, log: str, limit: int) -> tuple[Pending, ...]:
    """The oldest evidence that waits for a log."""
    query = (
        select(col(PendingRow.id), col(PendingRow.raw))
        .where(col(PendingRow.log) == log)
        .order_by(col(PendingRow.at), col(PendingRow.id))
        .limit(limit)
    )
    return tuple(Pending(row_id, parse_evidence(raw)) for row_id, raw in session.execute(query))


def load_pending_logs(session: Session) -> tuple[str, ...]:
    """Names of the logs that evidence waits for."""
    query = select(col(PendingRow.log)).distinct().order_by(col(PendingRow.log))
    return tuple(session.execute(query).scalars())


def delete_pending(session: Session, ids: Sequence[bytes]) -> None:
    """Forget evidence that its log now holds."""
    for start in range(0, len(ids), _CHUNK):
        session.execute(delete(PendingRow).where(col(PendingRow.id).in_(ids[start : start + _CHUNK])))


def insert_head(session: Session, origin: str) -> None:
    """Make an empty log, unless it exists."""
    log, epoch = split_origin(origin)
    values = {"log": log, "epoch": epoch, "size": 0, "edge": b"", "checkpoint_size": 0}
    if session.get_bind().dialect.name == "postgresql":
        session.execute(postgresql.insert(HeadRow).values(values).on_conflict_do_nothing())
    else:
        session.execute(sqlite.insert(HeadRow).values(values).on_conflict_do_nothing())


def load_states(session: Session, *, origin: str | None = None) -> tuple[LogState, ...]:
    """All logs in all epochs, or the one asked for."""
    query = select(
        col(HeadRow.log),
        col(HeadRow.epoch),
        col(HeadRow.size),
        col(HeadRow.edge),
        col(HeadRow.checkpoint),
        col(HeadRow.checkpoint_size),
    ).order_by(col(HeadRow.log), col(HeadRow.epoch))
    if origin is not None:
        log, epoch = split_origin(origin)
        query = query.where(col(HeadRow.log) == log, col(HeadRow.epoch) == epoch)
    return tuple(
        LogState(Head(f"{log}/{epoch}", size, _split_edge(edge)), checkpoint, checkpoint_size)
        for log, epoch, size, edge, checkpoint, checkpoint_size in session.execute(query)
    )


def replace_head(session: Session, old: Head, new: Head) -> bool:
    """Compare and set: False, and nothing is changed, if the log no longer stands where `old` says."""
    log, epoch = split_origin(old.origin)
    result = session.execute(
        update(HeadRow)
        .where(col(HeadRow.log) == log, col(HeadRow.epoch) == epoch, col(HeadRow.size) == old.size)
        .values(size=new.size, edge=b"".join(new.edge))
        .execution_options(synchronize_session=False)
    )
    return cast("CursorResult[Any]", result).rowcount == 1


def save_checkpoint(session: Session, origin: str, checkpoint: str, size: int) -> None:
    """Keep the text of the last published checkpoint."""
    log, epoch = split_origin(origin)
    session.execute(
        update(HeadRow)
        .where(col(HeadRow.log) == log, col(HeadRow.epoch) == epoch)
        .values(checkpoint=checkpoint, checkpoint_size=size)
        .execution_options(synchronize_session=False)
    )


def insert_nodes(session: Session, origin: str, nodes: Sequence[Node]) -> None:
    """Write nodes; they never change."""
    log, epoch = split_origin(origin)
    rows = [
        {"log": log, "epoch": epoch, "level": node.level, "index": node.index, "hash": node.hash}
        for node in nodes
    ]
    insert_rows(session, NodeRow, rows)


def load_nodes(session: Session, origin: str, keys: Sequence[NodeKey]) -> Mapping[NodeKey, bytes]:
    """Hashes of nodes, in one query.

    Raises:
        NotInLogError: One of them does not exist: the log is smaller, or damaged.
    """
    if not keys:
        return {}
    log, epoch = split_origin(origin)
    # The whole key in every arm: with a list of (level, index) pairs SQLite reads all nodes of the log.
    wanted = [
        and_(
            col(NodeRow.log) == log,
            col(NodeRow.epoch) == epoch,
            col(NodeRow.level) == level,
            col(NodeRow.index) == index,
        )
        for level, index in sorted(set(keys))
    ]
    query = select(col(NodeRow.level), col(NodeRow.index), col(NodeRow.hash)).where(or_(*wanted))
    found = {(level, index): value for level, index, value in session.execute(query)}
    missing = set(keys) - found.keys()
    if missing:
        raise NotInLogError(f"{origin}: no node at level and index {min(missing)}")
    return found


def load_node_range(session: Session, origin: str, level: int, *, first: int, count: int) -> list[bytes]:
    """Hashes of `count` nodes of one level from index `first` on, or fewer where the log ends."""
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


def insert_entries(
    session: Session, origin: str, batch: Sequence[Evidence], leaves: Sequence[bytes], *, first: int
) -> None:
    """Write entries and leaves from index `first` on. The first entry of an event stands for it in lists."""
    log, epoch = split_origin(origin)
    seen = load_known_refs(session, log, {each.ref for each in batch if each.ref is not None})
    rows: list[dict[str, Any]] = []
    for index, (evidence, leaf) in enumerate(zip(batch, leaves, strict=True), first):
        is_first = is_listed(evidence) if evidence.ref is None else evidence.ref not in seen
        place = {"log": log, "epoch": epoch, "index": index, "leaf": leaf, "is_first": is_first}
        rows.append(place | _columns(evidence))
        if evidence.ref is not None:
            seen.add(evidence.ref)
    insert_rows(session, EntryRow, rows)


def load_known_refs(session: Session, log: str, refs: Collection[bytes]) -> set[bytes]:
    """Those of `refs` that the log already has an entry of, in any epoch."""
    found = find_rows(session, EntryRow, ["ref"], key="ref", among=sorted(refs), only=(("log", log),))
    return {ref for (ref,) in found}


def load_entry(session: Session, origin: str, index: int) -> Entry | None:
    """One entry."""
    log, epoch = split_origin(origin)
    if index > _LARGEST_INDEX:
        return None
    row = session.get(EntryRow, (log, epoch, index))
    return None if row is None else entry_from(row)


def entry_from(row: EntryRow) -> Entry:
    """The value of a row."""
    return Entry(
        origin=f"{row.log}/{row.epoch}",
        index=row.index,
        leaf=row.leaf,
        raw=row.evidence,
        kind=Kind(row.kind),
        at=row.at,
        ref=row.ref,
        partner=row.partner,
        direction=row.direction,
        source=row.source,
        event_id=row.event_id,
        event_type=row.event_type,
        endpoint=row.endpoint,
        code=row.code,
    )


def _columns(evidence: Evidence) -> dict[str, Any]:
    return {
        "evidence": evidence.raw,
        "kind": evidence.kind.value,
        "at": evidence.at,
        "ref": evidence.ref,
        "partner": evidence.text("partner"),
        "direction": direction_of(evidence),
        "source": evidence.text("source"),
        "event_id": evidence.text("id"),
        "event_type": evidence.text("type"),
        "endpoint": evidence.text("endpoint"),
        "code": code_of(evidence),
    }


def _split_edge(edge: bytes) -> tuple[bytes, ...]:
    return tuple(edge[start : start + HASH_BYTES] for start in range(0, len(edge), HASH_BYTES))
