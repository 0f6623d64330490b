"""What became of deliveries, by the entries of a log and by the evidence that is on its way to it.

The caller has made sure whose log it asks for. Both are read in one snapshot: what moves from one to the
other meanwhile is neither missed nor told twice.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import select
from sqlmodel import Session, col

from audit.entry import Entry
from audit.errors import MalformedError
from audit.evidence import Evidence, Kind, parse_evidence
from audit.log import pending
from audit.ref import format_ref
from audit.rows import EntryRow
from audit.store import entry_from

MOST_PENDING = 5_000
"""Evidence of one log on its way that is read; where there is more, nothing is said for certain."""

ABOUT_DELIVERIES = (Kind.ATTEMPTED, Kind.PARKED, Kind.CANCELLED, Kind.RETRIED, Kind.ACKNOWLEDGED)
_FATES = (Kind.ATTEMPTED, Kind.PARKED, Kind.CANCELLED, Kind.RETRIED)
_WORDS = {Kind.PARKED: "parked", Kind.CANCELLED: "cancelled", Kind.RETRIED: "retried"}
_FEW_REFS = 500


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that evidence tells of a delivery. `log`: origin and index; None: on its way to the log."""

    evidence: Evidence
    log: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Fate:
    """What evidence says of one event and one endpoint.

    `last`: the newest outcome of an attempt, or `parked`, `cancelled` or `retried` (somebody asked for it).
    `at`: when that was; `words`: what else was so within the same millisecond, in which a log has no order.
    `attempts`: how many are told. `is_done`: it was delivered since it was parked last, if ever.
    """

    last: str
    words: frozenset[str] = frozenset()
    at: int = 0
    attempts: int = 0
    was_delivered: bool = False
    was_parked: bool = False
    was_cancelled: bool = False
    is_done: bool = False


_UNKNOWN = Fate("")

Pair = tuple[str, bytes]
"""An endpoint and a ref."""


def tell(session: Session, log: str, endpoint: str, ref: bytes) -> tuple[Told, ...]:
    """All that is known of one delivery, oldest first."""
    query = (
        select(EntryRow)
        .where(
            col(EntryRow.log) == log,
            col(EntryRow.ref) == ref,
            col(EntryRow.kind).in_([kind.value for kind in ABOUT_DELIVERIES]),
        )
        .order_by(col(EntryRow.epoch), col(EntryRow.index))
    )
    found = [entry_from(row) for row in session.execute(query).scalars()]
    told = [
        Told(evidence, (one.origin, one.index))
        for one in found
        if one.endpoint == endpoint and (evidence := _read(one)) is not None
    ]
    text = format_ref(ref).encode()
    for each in pending(session, log, MOST_PENDING):
        evidence = each.evidence
        is_ours = text in evidence.raw and evidence.kind in ABOUT_DELIVERIES and evidence.ref == ref
        if is_ours and evidence.text("endpoint") == endpoint:
            told.append(Told(evidence, None))
    return tuple(told)


def fates(session: Session, log: str, refs: Collection[bytes]) -> Mapping[Pair, Fate] | None:
    """The fate of each delivery of these events that evidence knows; None: it cannot be told now."""
    waiting = pending(session, log, MOST_PENDING)
    if len(waiting) >= MOST_PENDING:
        return None
    found: dict[Pair, Fate] = {}
    wanted, kinds = set(refs), [kind.value for kind in _FATES]
    columns = [col(getattr(EntryRow, name)) for name in ("ref", "endpoint", "kind", "code", "at")]
    for some in _parts(sorted(wanted)):
        query = (
            select(*columns)
            .where(col(EntryRow.log) == log, col(EntryRow.ref).in_(some), col(EntryRow.kind).in_(kinds))
            .order_by(col(EntryRow.epoch), col(EntryRow.index))
        )
        for ref, endpoint, kind, code, at in session.execute(query):
            _add(found, (endpoint, ref), Kind(kind), code, at)
    for each in waiting:
        evidence = each.evidence
        if evidence.kind in _FATES and evidence.ref in wanted:
            pair = (evidence.text("endpoint") or "", evidence.ref or b"")
            _add(found, pair, evidence.kind, evidence.text("outcome"), evidence.at)
    return found


def newest(
    session: Session,
    log: str,
    kinds: Sequence[tuple[Kind, str | None]],
    *,
    before: tuple[int, int],
    most: int,
) -> tuple[tuple[Entry, ...], tuple[int, int] | None]:
    """Entries of these kinds (each with the code it has, None: any), newest first, of a window of the log.

    `before`: epoch and index that they stand before. `most`: how many entries are looked at, so that a page
    costs the same however seldom such entries are. Returns them, and where to look on; None: at the start.
    """
    epoch, index = before
    place = (col(EntryRow.epoch), col(EntryRow.index))
    top = (
        select(*place)
        .where(col(EntryRow.log) == log, (place[0] < epoch) | ((place[0] == epoch) & (place[1] < index)))
        .order_by(place[0].desc(), place[1].desc())
        .limit(1)
    )
    last = session.execute(top).first()
    if last is None:
        return (), None
    at, end = int(last[0]), int(last[1]) + 1
    first = max(0, end - most)
    names = sorted({kind.value for kind, _ in kinds})
    window = select(EntryRow).where(
        col(EntryRow.log) == log,
        place[0] == at,
        place[1] >= first,
        place[1] < end,
        col(EntryRow.kind).in_(names),
    )
    rows = session.execute(window.order_by(place[1].desc())).scalars()
    wanted = {(kind.value, code) for kind, code in kinds}
    found = [entry_from(row) for row in rows if (row.kind, row.code) in wanted or (row.kind, None) in wanted]
    return tuple(found), (at, first)


@dataclass(frozen=True, slots=True)
class Census:
    """The fates of all deliveries that a log's newest entries tell of. `is_whole`: these are all entries."""

    fates: Mapping[Pair, Fate]
    is_whole: bool


def census(session: Session, log: str, *, most: int) -> Census | None:
    """The fates of all deliveries in a log's newest `most` entries; None: they cannot be told now.

    For a checker: memory grows with what it reads.
    """
    waiting = pending(session, log, MOST_PENDING)
    if len(waiting) >= MOST_PENDING:
        return None
    place = (col(EntryRow.epoch), col(EntryRow.index))
    mine = col(EntryRow.log) == log
    top = select(*place).where(mine).order_by(place[0].desc(), place[1].desc()).limit(1)
    last = session.execute(top).first()
    epoch, end = (1, 0) if last is None else (int(last[0]), int(last[1]) + 1)
    first = max(0, end - most)
    columns = [col(getattr(EntryRow, name)) for name in ("ref", "endpoint", "kind", "code", "at")]
    kinds = [kind.value for kind in _FATES]
    query = select(*columns).where(
        mine, place[0] == epoch, place[1] >= first, place[1] < end, col(EntryRow.kind).in_(kinds)
    )
    found: dict[Pair, Fate] = {}
    for ref, endpoint, kind, code, at in session.execute(query.order_by(place[1])):
        _add(found, (endpoint, ref), Kind(kind), code, at)
    for each in waiting:
        evidence = each.evidence
        if evidence.kind in _FATES and evidence.ref is not None:
            pair = (evidence.text("endpoint") or "", evidence.ref)
            _add(found, pair, evidence.kind, evidence.text("outcome"), evidence.at)
    return Census(found, epoch == 1 and first == 0)


def _add(found: dict[Pair, Fate], pair: Pair, kind: Kind, code: str | None, at: int) -> None:
    before = found.get(pair, _UNKNOWN)
    last = _WORDS.get(kind, code or "")
    words = before.words | {last} if at == before.at else frozenset({last})
    found[pair] = Fate(
        last,
        words,
        at,
        before.attempts + (kind is Kind.ATTEMPTED),
        before.was_delivered or last == "delivered",
        before.was_parked or last == "parked",
        before.was_cancelled or last == "cancelled",
        last == "delivered" or (before.is_done and last != "parked"),
    )


def _read(entry: Entry) -> Evidence | None:
    try:
        return None if entry.raw is None else parse_evidence(entry.raw)
    except MalformedError:
        return None


def _parts(refs: Sequence[bytes]) -> Iterator[list[bytes]]:
    rest = iter(refs)
    while some := list(islice(rest, _FEW_REFS)):
        yield some
