"""Exchange history: one row per event, newest first, and the timeline of one event.

An answer is a hint; each entry carries its place in the log, so that it can be checked. The caller has made
sure whose log it asks for. Administrative entries (keys, contracts) are in the log and not in this list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, tuple_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col

from audit.entry import Entry
from audit.evidence import Kind
from audit.rows import EntryRow
from audit.store import entry_from

MOST_ROWS = 1000
PageKey = tuple[int, int, int]
"""Time, epoch and index of the last row of a page: where the next one begins."""

STATES = {
    "accepted": (Kind.ACCEPTED, None),
    "refused": (Kind.REFUSED, None),
    "unreadable": (Kind.UNREADABLE, None),
    "unrouted": (Kind.UNROUTED, None),
    "forwarded": (Kind.FORWARDED, None),
    "retry": (Kind.ATTEMPTED, "retry"),
    "held": (Kind.ATTEMPTED, "held"),
    "delivered": (Kind.ATTEMPTED, "delivered"),
    "parked": (Kind.PARKED, None),
    "acknowledged": (Kind.ACKNOWLEDGED, None),
    "cancelled": (Kind.CANCELLED, None),
    "streamed": (Kind.STREAM_ACKNOWLEDGED, None),
    "read": (Kind.CONTENT_READ, None),
}
"""What a state is called, and by which kind and code of entry an event reaches it.

`read`: our side has looked at its content; that is no state, and an event stays what it was. A look at many
events at once, as at a stream, has a row of its own. `streamed`: a reader of a stream has said how far it has
them; a row of its own, too.
"""


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which events; None does not restrict. `since` is included, `until` is not (Unix milliseconds).

    state: events that reached it at some time, a key of `STATES`. endpoint: events that concern it.
    credential: every use of it to send an event, accepted or refused, is a row of its own.
    """

    id: str | None = None
    source: str | None = None
    ref: bytes | None = None
    direction: str | None = None
    state: str | None = None
    kind: Kind | None = None
    type: str | None = None
    endpoint: str | None = None
    credential: str | None = None
    since: int | None = None
    until: int | None = None

    def is_void(self) -> bool:
        """Whether no event can fit: PostgreSQL keeps no NUL, and does not let itself be asked for one."""
        texts = (self.id, self.source, self.direction, self.type, self.endpoint, self.credential)
        return any("\x00" in text for text in texts if text is not None)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One event in a list: the entry that stands for it, and the newest of its states."""

    first: Entry
    state: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list. `next` None: it was the last."""

    rows: tuple[Exchange, ...]
    next: PageKey | None


def find(
    session: Session,
    log: str,
    wanted: HistoryFilter | None = None,
    *,
    after: PageKey | None = None,
    limit: int = 100,
) -> Page:
    """One page of a log's events, newest first, over all its epochs.

    Args:
        session: The caller's transaction.
        log: The log's name, without an epoch.
        wanted: Which events.
        after: `next` of the page before.
        limit: Rows on a page, 1 to 1,000.

    Raises:
        ValueError: A limit or state that does not exist; the caller has checked both.
    """
    if not 1 <= limit <= MOST_ROWS:
        raise ValueError(f"a page has 1 to {MOST_ROWS} rows")
    if wanted is not None and wanted.is_void():
        return Page((), None)
    place = (col(EntryRow.at), col(EntryRow.epoch), col(EntryRow.index))
    chosen = wanted or HistoryFilter()
    query = select(EntryRow).where(col(EntryRow.log) == log, _stands(chosen), *_conditions(chosen))
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    query = query.order_by(*(column.desc() for column in place)).limit(limit + 1)
    entries = [entry_from(row) for row in session.execute(query).scalars()]
    shown = entries[:limit]
    # A use that was refused is told as such, whatever became of the event whose id it bore.
    states = _states(session, log, [entry.ref for entry in shown if entry.ref is not None])
    return Page(
        rows=tuple(Exchange(entry, _newest(entry, states, chosen)) for entry in shown),
        next=_place(shown[-1]) if len(entries) > limit else None,
    )


def timeline(session: Session, log: str, ref: bytes) -> tuple[Entry, ...]:
    """Every entry of one event, in the order of the log; none if the log does not know it."""
    query = (
        select(EntryRow)
        .where(col(EntryRow.log) == log, col(EntryRow.ref) == ref)
        .order_by(col(EntryRow.epoch), col(EntryRow.index))
    )
    return tuple(entry_from(row) for row in session.execute(query).scalars())


def _stands(wanted: HistoryFilter) -> ColumnElement[bool]:
    """Which rows stand in the list: of each event its first, of a credential each of its uses."""
    if wanted.credential is None:
        return and_(col(EntryRow.is_first))
    return col(EntryRow.credential) == wanted.credential


def _newest(entry: Entry, states: Mapping[bytes | None, str], wanted: HistoryFilter) -> str:
    own = _state_of(entry.kind, entry.code)
    if wanted.credential is not None and entry.kind is Kind.REFUSED:
        return own
    return states.get(entry.ref) or own


def _conditions(wanted: HistoryFilter) -> list[ColumnElement[bool]]:
    """What the first entry of an event shows by itself, and what any entry of it may show."""
    columns = {
        "event_id": wanted.id,
        "source": wanted.source,
        "ref": wanted.ref,
        "direction": wanted.direction,
        "event_type": wanted.type,
    }
    conditions = [getattr(EntryRow, name) == value for name, value in columns.items() if value is not None]
    if wanted.since is not None:
        conditions.append(col(EntryRow.at) >= wanted.since)
    if wanted.until is not None:
        conditions.append(col(EntryRow.at) < wanted.until)
    if wanted.state is not None and wanted.state not in STATES:
        raise ValueError(f"no state {wanted.state!r}; there are {', '.join(STATES)}")
    kind, code = STATES[wanted.state] if wanted.state is not None else (None, None)
    for some in ({"kind": kind, "code": code}, {"kind": wanted.kind}, {"endpoint": wanted.endpoint}):
        restricted = {name: value for name, value in some.items() if value is not None}
        if restricted:
            conditions.append(_any_entry(restricted))
    return conditions


def _any_entry(restricted: dict[str, Any]) -> ColumnElement[bool]:
    """Whether the event has an entry like this; a row without an event is asked itself."""
    values = {name: value.value if isinstance(value, Kind) else value for name, value in restricted.items()}
    other = aliased(EntryRow)
    same_event = and_(col(other.log) == col(EntryRow.log), col(other.ref) == col(EntryRow.ref))
    return or_(
        and_(*(getattr(EntryRow, name) == value for name, value in values.items())),
        exists().where(same_event, *(getattr(other, name) == value for name, value in values.items())),
    )


def _states(session: Session, log: str, refs: Sequence[bytes]) -> dict[bytes | None, str]:
    """The newest state of each event."""
    query = (
        select(col(EntryRow.ref), col(EntryRow.kind), col(EntryRow.code))
        .where(col(EntryRow.log) == log, col(EntryRow.ref).in_(refs))
        .order_by(col(EntryRow.at), col(EntryRow.epoch), col(EntryRow.index))
    )
    found: dict[bytes | None, str] = {}
    for ref, kind, code in session.execute(query) if refs else ():
        state = _state_of(Kind(kind), code)
        # A refused request with the id of an event that was accepted changes nothing about that event.
        if state not in {"", "read"} and (state != "refused" or ref not in found):
            found[ref] = state
    return found


def _state_of(kind: Kind, code: str | None) -> str:
    """The state that an entry brings its event to; empty where it brings none."""
    for state, (state_kind, state_code) in STATES.items():
        if kind is state_kind and state_code in {None, code}:
            return state
    return ""


def _place(entry: Entry) -> PageKey:
    return entry.at, int(entry.origin.rpartition("/")[2]), entry.index
