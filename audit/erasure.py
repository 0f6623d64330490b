"""Erasure: the evidence of an entry goes, its leaf and its index stay; and what the log says of that.

Nothing of the tree changes: every proof, checkpoint and tile of before holds. What is erased is the record,
salt and all, and the identifiers that the entry is found by; the ref, the kind, the hour and the rest of the
row stay. That it was erased is an entry of the log itself, which the caller submits in the same transaction.
Nothing here commits, and nothing here asks whether it may: holds are the caller's matter.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, Select, and_, func, or_, select, update
from sqlmodel import Session, col

from audit.bulk import Change, insert_rows, update_rows
from audit.checkpoint import split_origin
from audit.entering import forget_content
from audit.entry import Entry, directions_of
from audit.evidence import Evidence, Kind
from audit.listing import Question, Span
from audit.merkle import hash_leaf
from audit.ref import format_ref
from audit.rows import EntryRow, ErasureRow, PendingRow

ABOUT_EVENTS: Final = frozenset(
    {
        Kind.ACCEPTED,
        Kind.REFUSED,
        Kind.UNROUTED,
        Kind.UNREADABLE,
        Kind.FORWARDED,
        Kind.ATTEMPTED,
        Kind.PARKED,
        Kind.ACKNOWLEDGED,
        Kind.CANCELLED,
        Kind.RETRIED,
    }
)
"""Kinds that are erased with their event. Who has looked at it stays told: that names it by its ref alone."""

MOST_PENDING: Final = 5_000
"""Evidence of one log on its way that is looked through; where there is more, nobody knows what it is of."""

_CHUNK: Final = 500
_LARGEST: Final = (1 << 63) - 1

Place = tuple[int, ...]
"""Time, epoch and index of an entry."""


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry whose evidence is there.

    `source`, `event_id`: as the row has them; with a partner they tell whose the event is.
    """

    log: str
    epoch: int
    index: int
    leaf: bytes = field(repr=False)
    kind: Kind
    at: int
    ref: bytes | None
    partner: str | None
    source: str | None = field(repr=False)
    event_id: str | None = field(repr=False)

    @property
    def origin(self) -> str:
        """Name and epoch of its log."""
        return f"{self.log}/{self.epoch}"

    def leaf_sha256(self) -> str:
        """Its leaf hash, in hex."""
        return hash_leaf(self.leaf).hex()


@dataclass(frozen=True, slots=True)
class Gone:
    """Entries of one log without evidence, from `first` up to, not with, `end`; and why, since when.

    `erasure` None: its time was over.
    """

    first: int
    end: int
    at: int
    erasure: str | None
    basis: str


def standing(session: Session, refs: Collection[bytes], *, locked: bool = True) -> list[Standing]:
    """Entries of these events, in whichever log, whose evidence is there, in the order of their logs.

    `locked`: nobody else erases them until the transaction ends.
    """
    found: list[Standing] = []
    wanted = sorted(set(refs))
    for start in range(0, len(wanted), _CHUNK):
        query = _evident().where(col(EntryRow.ref).in_(wanted[start : start + _CHUNK]))
        found += _load(session, query, locked=locked)
    return found


def known(session: Session, log: str, refs: Collection[bytes]) -> frozenset[bytes]:
    """Those of these events that this log has, or had, evidence of."""
    found: set[bytes] = set()
    wanted, kinds = sorted(set(refs)), sorted(kind.value for kind in ABOUT_EVENTS)
    for start in range(0, len(wanted), _CHUNK):
        some = wanted[start : start + _CHUNK]
        query = select(col(EntryRow.ref)).where(
            col(EntryRow.ref).in_(some), col(EntryRow.log) == log, col(EntryRow.kind).in_(kinds)
        )
        found |= {ref for ref in session.execute(query).scalars() if ref is not None}
    return frozenset(found)


def standing_at(session: Session, log: str, places: Sequence[tuple[int, int]]) -> list[Standing]:
    """Entries at these places (epoch and index) whose evidence is there, locked."""
    found: list[Standing] = []
    for epoch in sorted({one for one, _ in places}):
        indexes = sorted({index for one, index in places if one == epoch})
        for start in range(0, len(indexes), _CHUNK):
            some = indexes[start : start + _CHUNK]
            mine = _evident().where(col(EntryRow.log) == log, col(EntryRow.epoch) == epoch)
            found += _load(session, mine.where(col(EntryRow.index).in_(some)), locked=True)
    return found


def spots(
    session: Session, log: str, since: int, until: int, *, after: Place | None, limit: int
) -> list[tuple[bytes | None, Place]]:
    """Events whose first entry is of a time, by ref, and entries of that time that belong to none.

    In the order of their places, from behind `after` on; erased ones too. `until` is excluded.
    """
    question = Question(session.get_bind().dialect.name, {"log": log}, is_ascending=True)
    for kind in sorted(ABOUT_EVENTS, key=lambda one: one.value):
        question.along_kind(kind, directions_of(kind), first=True)
    low = None if after is None else (after[0], after[1], after[2])
    span = Span(before=(until, -1, -1), since=since if low is None else None, after=low)
    places = [place for place, _ in question.ask(session, span, limit)]
    refs = _refs(session, log, places)
    return [(refs[epoch, index], (at, epoch, index)) for at, epoch, index in places]


def _refs(
    session: Session, log: str, places: Sequence[tuple[int, int, int]]
) -> dict[tuple[int, int], bytes | None]:
    found: dict[tuple[int, int], bytes | None] = {}
    columns = (col(EntryRow.epoch), col(EntryRow.index), col(EntryRow.ref))
    for epoch in sorted({one for _, one, _ in places}):
        mine = select(*columns).where(col(EntryRow.log) == log, col(EntryRow.epoch) == epoch)
        indexes = [index for _, one, index in places if one == epoch]
        for start in range(0, len(indexes), _CHUNK):
            rows = session.execute(mine.where(col(EntryRow.index).in_(indexes[start : start + _CHUNK])))
            found |= {(one, index): ref for one, index, ref in rows}
    return found


def count_spots(session: Session, log: str, since: int, until: int) -> int:
    """How many there are. One walk over an index, as long as the time has events: asked once for each job."""
    query = select(func.count()).select_from(EntryRow).where(*_of_time(log, since, until))
    return int(session.execute(query).scalar_one())


def waiting(session: Session, logs: Collection[str], refs: Collection[bytes]) -> frozenset[bytes]:
    """Those of these events of which evidence is on its way into one of these logs.

    To be asked before `standing`: what is on its way is then either found here, or an entry already.
    """
    texts = {format_ref(ref).encode(): ref for ref in refs}
    found: set[bytes] = set()
    for log in sorted(set(logs)):
        query = select(col(PendingRow.raw)).where(col(PendingRow.log) == log)
        query = query.order_by(col(PendingRow.at), col(PendingRow.id)).limit(MOST_PENDING)
        raws = session.execute(query).scalars().all()
        if len(raws) == MOST_PENDING:
            return frozenset(refs)
        found |= {ref for text, ref in texts.items() for raw in raws if text in raw and not _stays(raw)}
    return frozenset(found)


def erase(session: Session, entries: Sequence[Standing], *, at: int, erasure: str, basis: str) -> None:
    """Take the evidence of these entries away."""
    stretches: dict[tuple[str, int], list[tuple[int, int]]] = {}
    for one in entries:
        stretches.setdefault((one.log, one.epoch), []).append((one.index, one.index + 1))
    for (log, epoch), ranges in sorted(stretches.items()):
        take_away(session, f"{log}/{epoch}", ranges, Gone(0, 0, at, erasure, basis))


def take_away(session: Session, origin: str, ranges: Sequence[tuple[int, int]], why: Gone) -> None:
    """Take the evidence of these ranges of indexes away; each has its evidence now."""
    log, epoch = split_origin(origin)
    indexes = [index for first, end in sorted(ranges) for index in range(first, end)]
    if not indexes:
        return
    forget_content(session, log, [(epoch, index) for index in indexes])
    update_rows(
        session, EntryRow, [{"log": log, "epoch": epoch, "index": index} for index in indexes], _WITHOUT
    )
    rows = [
        {
            "log": log,
            "epoch": epoch,
            "first": first,
            "end": end,
            "at": why.at,
            "erasure": why.erasure,
            "basis": why.basis,
        }
        for first, end in sorted(ranges)
    ]
    insert_rows(session, ErasureRow, rows)


_WITHOUT: Final = Change(
    match=("log", "epoch", "index"),
    same=(("evidence", None), ("source", None), ("event_id", None), ("search", None)),
    # The caller has locked them.
    is_shared=False,
)


def reasons(session: Session, entries: Sequence[Entry]) -> Mapping[tuple[str, int], Gone]:
    """Why those of these entries have no evidence that have none, by origin and index; one query each log."""
    found: dict[tuple[str, int], Gone] = {}
    wanted: dict[str, list[int]] = {}
    for one in entries:
        if one.raw is None:
            wanted.setdefault(one.origin, []).append(one.index)
    for origin, indexes in wanted.items():
        for index in indexes:
            gone = _reason(session, origin, index)
            if gone is not None:
                found[origin, index] = gone
    return found


def has_expired(session: Session, entry: Entry) -> bool:
    """Whether an entry has no evidence any more since its time was over, and nobody had it erased."""
    why = reasons(session, [entry]).get((entry.origin, entry.index))
    return why is not None and why.erasure is None


def gone(session: Session, origin: str, *, first: int = 0, last: int = _LARGEST) -> list[Gone]:
    """All ranges of a log without evidence that touch these indexes, in order: for whoever checks the log."""
    log, epoch = split_origin(origin)
    row = ErasureRow
    mine = col(row.log) == log, col(row.epoch) == epoch, col(row.end) > first, col(row.first) <= last
    return [Gone(*found) for found in session.execute(select(*_GONE).where(*mine).order_by(col(row.first)))]


def unexplained(session: Session, origin: str, indexes: Sequence[int]) -> list[int]:
    """Those of these entries without evidence, by rising index, that nothing accounts for."""
    if not indexes:
        return []
    left, ranges = list[int](), iter(gone(session, origin, first=indexes[0], last=indexes[-1]))
    now = next(ranges, None)
    for index in indexes:
        while now is not None and now.end <= index:
            now = next(ranges, None)
        if now is None or index < now.first:
            left.append(index)
    return left


def shift(session: Session, log: str, old: tuple[int, int], new: tuple[int, int]) -> None:
    """Entries from a place on (epoch and index) have gone to another: what says why they are bare goes along.

    A range that begins before the place stays.
    """
    row = ErasureRow
    mine = col(row.log) == log, col(row.epoch) == old[0], col(row.first) >= old[1]
    by = new[1] - old[1]
    values = {"epoch": new[0], "first": col(row.first) + by, "end": col(row.end) + by}
    session.execute(update(row).where(*mine).values(values).execution_options(synchronize_session=False))


def declared(evidence: Evidence) -> tuple[str, tuple[tuple[int, int], ...]] | None:
    """Which entries a record says to be without evidence: their log with its epoch, and ranges of indexes.

    None: it says nothing of the kind. A log's own entries are the proof; the ranges in SQL are their index.
    """
    members: Mapping[str, Any] = evidence.members
    if evidence.kind is Kind.ERASED and "origin" in members:
        return members["origin"], ((members["index"], members["index"] + 1),)
    if evidence.kind is Kind.EXPIRED:
        return members["origin"], tuple((one["from"], one["to"]) for one in members["ranges"])
    return None


_GONE: Final = (
    col(ErasureRow.first),
    col(ErasureRow.end),
    col(ErasureRow.at),
    col(ErasureRow.erasure),
    col(ErasureRow.basis),
)
_STANDING: Final = (
    col(EntryRow.log),
    col(EntryRow.epoch),
    col(EntryRow.index),
    col(EntryRow.leaf),
    col(EntryRow.kind),
    col(EntryRow.at),
    col(EntryRow.ref),
    col(EntryRow.partner),
    col(EntryRow.source),
    col(EntryRow.event_id),
)


def _reason(session: Session, origin: str, index: int) -> Gone | None:
    log, epoch = split_origin(origin)
    query = (
        select(*_GONE)
        .where(col(ErasureRow.log) == log, col(ErasureRow.epoch) == epoch, col(ErasureRow.first) <= index)
        .order_by(col(ErasureRow.first).desc())
        .limit(1)
    )
    row = session.execute(query).first()
    return None if row is None or row[1] <= index else Gone(*row)


def _of_time(log: str, since: int, until: int) -> tuple[ColumnElement[bool], ...]:
    kinds = sorted(kind.value for kind in ABOUT_EVENTS)
    at = col(EntryRow.at)
    is_first = and_(col(EntryRow.is_first))
    # By the index of pages, which has the direction before the time.
    ways = col(EntryRow.direction).in_(("inbound", "outbound"))
    return col(EntryRow.log) == log, is_first, at >= since, at < until, col(EntryRow.kind).in_(kinds), ways


def _evident() -> Any:
    kinds = sorted(kind.value for kind in ABOUT_EVENTS)
    # What was said of an event after it was erased names it by its ref alone, and stays.
    is_named = or_(col(EntryRow.source).is_(None), col(EntryRow.source) != "")
    query: Any = select(*_STANDING)
    return query.where(col(EntryRow.evidence).is_not(None), col(EntryRow.kind).in_(kinds), is_named)


def _load(session: Session, query: Select[Any], *, locked: bool) -> list[Standing]:
    query = query.order_by(col(EntryRow.log), col(EntryRow.epoch), col(EntryRow.index))
    rows = session.execute(query.with_for_update() if locked else query)
    return [_standing(row) for row in rows]


def _standing(row: Row[Any]) -> Standing:
    log, epoch, index, leaf, kind, *rest = tuple(row)
    return Standing(log, epoch, index, leaf, Kind(kind), *rest)


def _stays(raw: bytes) -> bool:
    """Whether a record is of a kind that stays: it stands where every record has it."""
    return any(b'{"v":1,"kind":"%b",' % kind.encode() in raw[:64] for kind in _STAYING)


_STAYING: Final = (Kind.CONTENT_READ.value, Kind.HOLD_SET.value, Kind.HOLD_LIFTED.value)
