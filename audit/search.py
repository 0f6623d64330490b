"""Exchange history: one row per event, newest first; the entries of some kinds; the timeline of one event.

An answer is a hint; each entry carries its place in the log, so that it can be checked. The caller has made
sure whose log it asks for. Administrative entries (keys, contracts) are listed by their kinds.

A page costs the same in a log of any size. Every filter alone is read along an index, in the order of the
list. With several, one of them leads, and the rows that it gives are tested by the others, at most
`MOST_LOOKED` of them for one page: such a page may be short, or empty, and still have one behind it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlmodel import Session, col

from audit.entry import Entry, asked_by, can_be_first, directions_of
from audit.kinds import Kind
from audit.listing import Place, Question, Span
from audit.marks import mark_of, search_hash
from audit.rows import EntryRow
from audit.states import STATES, newer_state, state_of
from audit.store import entry_from

MOST_ROWS: Final = 1000
MOST_LOOKED: Final = 5_000
"""Rows that one page looks at where no index fits all that is asked for."""

PageKey = Place
"""Time, epoch and index of the last row that a page looked at: where the next one begins."""

_FIRST_LOOK: Final = 250
_WIDER: Final = 4
_COMMON: Final = frozenset({"accepted", "delivered"})
"""States that most events of a direction reach: types and sources tell events apart better."""

_DELIVERING: Final = frozenset({Kind.ATTEMPTED, Kind.PARKED, Kind.CANCELLED})
_COLUMNS: Final = {
    "ref": "ref",
    "id": "event_id",
    "type": "event_type",
    "source": "source",
    "direction": "direction",
}


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which events; None does not restrict. `since` is included, `until` is not (Unix milliseconds).

    state: events that reached it at some time, a key of `STATES`. endpoint: events that concern it. key:
    events with this value at one of the contract's `search:` pointers. digest: events of whose content this
    is the SHA-256, as received or as sent. credential: every use of it to send an event, accepted or refused,
    is a row of its own. kinds: every entry of these kinds is one, of an `endpoint` if it names it, and by a
    `credential` if that sent the event, or asked for what the entry tells of.
    """

    id: str | None = None
    source: str | None = None
    ref: bytes | None = None
    direction: str | None = None
    state: str | None = None
    kinds: frozenset[Kind] | None = None
    type: str | None = None
    endpoint: str | None = None
    credential: str | None = None
    key: str | None = None
    digest: bytes | None = None
    since: int | None = None
    until: int | None = None

    def is_void(self) -> bool:
        """Whether no event can fit: PostgreSQL keeps no NUL, and does not let itself be asked for one."""
        texts = (self.id, self.source, self.direction, self.type, self.endpoint, self.credential)
        return any("\x00" in text for text in texts if text is not None)

    @property
    def is_of_entries(self) -> bool:
        """Whether a row stands for an entry, and not for an event."""
        return self.kinds is not None or self.credential is not None


@dataclass(frozen=True, slots=True)
class Sent:
    """What the log has of an event's delivery to an endpoint: attempts so far, its newest state, and when."""

    endpoint: str
    attempts: int
    state: str
    at: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One row of a list: the entry that stands there, and the newest state of its event; empty: none.

    `sent`: its deliveries, the one that was tried first first.
    """

    first: Entry
    state: str
    sent: tuple[Sent, ...] = ()


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
    chosen = wanted or HistoryFilter()
    if chosen.state is not None and chosen.state not in STATES:
        raise ValueError(f"no state {chosen.state!r}; there are {', '.join(STATES)}")
    if chosen.is_void():
        return Page((), None)
    places, following = look(session, log, chosen, after=after, limit=limit)
    return Page(load(session, log, chosen, places), following)


def look(
    session: Session,
    log: str,
    wanted: HistoryFilter,
    *,
    after: PageKey | None,
    limit: int,
    most: int = MOST_LOOKED,
) -> tuple[list[Place], PageKey | None]:
    """The places of a page, and where the next one begins; `most`: rows that are looked at."""
    return _walk(session, _question(session, log, wanted), _span(wanted, after), (limit, most))


def load(session: Session, log: str, wanted: HistoryFilter, places: Sequence[Place]) -> tuple[Exchange, ...]:
    """What stands at these places."""
    entries = _load(session, log, places)
    # A use that was refused is told as such, whatever became of the event whose id it bore.
    states, sent = _fates(session, log, [entry.ref for entry in entries if entry.ref is not None])
    return tuple(
        Exchange(entry, _newest(entry, states, wanted), tuple(sent.get(entry.ref, {}).values()))
        for entry in entries
    )


def timeline(session: Session, log: str, ref: bytes) -> tuple[Entry, ...]:
    """Every entry of one event, in the order of the log; none if the log does not know it."""
    query = (
        select(EntryRow)
        .where(col(EntryRow.log) == log, col(EntryRow.ref) == ref)
        .order_by(col(EntryRow.epoch), col(EntryRow.index))
    )
    return tuple(entry_from(row) for row in session.execute(query).scalars())


def _span(wanted: HistoryFilter, after: PageKey | None) -> Span:
    until = None if wanted.until is None else (wanted.until, -1, -1)
    ends = [one for one in (after, until) if one is not None]
    return Span(min(ends, default=None), wanted.since)


def _walk(
    session: Session, question: Question, span: Span, bounds: tuple[int, int]
) -> tuple[list[Place], PageKey | None]:
    """As `look`. `bounds`: places on a page, and rows that are looked at."""
    limit, most = bounds
    if not question.ranges:
        return [], None
    size = max(_FIRST_LOOK, limit + 1) if question.tests else limit + 1
    found: dict[Place, None] = {}
    looked = 0
    while True:
        some = question.ask(session, span, size)
        found |= dict.fromkeys(place for place, fits in some if fits)
        looked += len(some)
        if len(found) > limit:
            shown = list(found)[:limit]
            return shown, shown[-1]
        if len(some) < size:
            return list(found), None
        span = Span(some[-1][0], span.since)
        if looked >= most:
            return list(found), span.before
        size = min(size * _WIDER, most - looked)


def _question(session: Session, log: str, wanted: HistoryFilter) -> Question:
    """What the list is read along, and by what the rows are tested."""
    question = Question(session.get_bind().dialect.name, {"log": log})
    lead = _lead(wanted)
    _drive(question, log, wanted, lead)
    led = {lead, "direction"} if lead in {"all", "kinds"} else {lead}
    tested = {name: getattr(wanted, name) for name in _COLUMNS if name not in led}
    for name, value in tested.items():
        if value is not None:
            question.tests.append(f"e.{_COLUMNS[name]} = {question.value(name, value)}")
    if wanted.kinds is not None and lead != "kinds":
        names = ", ".join(sorted(f"'{kind.value}'" for kind in wanted.kinds))
        question.tests.append(f"e.kind IN ({names})" if names else "1 = 0")
    if not wanted.is_of_entries and lead in {"ref", "id"}:
        question.tests.append(question.first("e"))
    if wanted.credential is not None and lead != "credential":
        question.tests.append(f"({' OR '.join(_uses(question, wanted))})")
    question.tests += _mark_tests(question, log, wanted, lead)
    return question


def _lead(wanted: HistoryFilter) -> str:
    """The filter that leaves the fewest rows, as far as can be told without asking."""
    if wanted.is_of_entries:
        names: Sequence[str] = ("ref", "id", "credential", "kinds")
    else:
        rare = [] if wanted.state in _COMMON else ["state"]
        names = ("ref", "id", "key", "digest", *rare, "endpoint", "type", "source", "state")
    return next((name for name in names if getattr(wanted, name) is not None), "all")


def _drive(question: Question, log: str, wanted: HistoryFilter, lead: str) -> None:
    match lead:
        case "ref" | "id" | "credential":
            for condition in _exact(question, wanted, lead):
                question.along(condition)
        case "type" | "source":
            condition = f"e.{_COLUMNS[lead]} = {question.value(lead, getattr(wanted, lead))}"
            question.along(f"{condition} AND {question.first('e')}")
        case "kinds":
            for kind in sorted(wanted.kinds or (), key=lambda one: one.value):
                for is_first in (False, True) if can_be_first(kind) else (False,):
                    question.along_kind(kind, _ways(kind, wanted), first=is_first)
        case "state":
            state = wanted.state or ""
            kind, code = STATES[state]
            if code is None and can_be_first(kind):
                question.along_kind(kind, _ways(kind, wanted), first=True)
            question.along_mark("state", mark_of(log, "state", state))
        case "all":
            for kind in Kind:
                if can_be_first(kind):
                    question.along_kind(kind, _ways(kind, wanted), first=True)
        case _:
            question.along_mark(lead, dict(_marks(log, wanted))[lead])


def _exact(question: Question, wanted: HistoryFilter, lead: str) -> Iterator[str]:
    if lead == "credential":
        return _uses(question, wanted)
    return iter([f"e.{_COLUMNS[lead]} = {question.value(lead, getattr(wanted, lead))}"])


def _uses(question: Question, wanted: HistoryFilter) -> Iterator[str]:
    """Which entries are of a credential: what it sent; where kinds are named, what it asked for too."""
    sent = wanted.credential or ""
    yield f"e.credential = {question.value('credential', sent)}"
    if wanted.kinds is not None:
        yield f"e.credential = {question.value('asked', asked_by(sent))}"


def _ways(kind: Kind, wanted: HistoryFilter) -> Sequence[str]:
    return [one for one in directions_of(kind) if wanted.direction in {None, one}]


def _marks(log: str, wanted: HistoryFilter) -> Iterator[tuple[str, bytes]]:
    if wanted.key is not None:
        yield "key", mark_of(log, "search", search_hash(wanted.key))
    if wanted.digest is not None:
        yield "digest", mark_of(log, "digest", wanted.digest)
    if wanted.endpoint is not None:
        yield "endpoint", mark_of(log, "endpoint", wanted.endpoint)


def _mark_tests(question: Question, log: str, wanted: HistoryFilter, lead: str) -> Iterator[str]:
    by_event = wanted.is_of_entries
    for name, mark in _marks(log, wanted):
        if name == "endpoint" and wanted.kinds is not None:
            yield f"e.endpoint = {question.value(name, wanted.endpoint)}"
        elif name != lead:
            yield question.has_mark(name, mark, by_event=by_event)
    if wanted.state is not None and lead != "state":
        kind, code = STATES[wanted.state]
        tests = [
            f"(e.kind = '{kind.value}'" + ("" if code is None else f" AND e.code = '{code}'") + ")",
            question.has_mark("state", mark_of(log, "state", wanted.state), by_event=by_event),
        ]
        if by_event and code is None:
            tests.append(question.began_as(kind))
        yield f"({' OR '.join(tests)})"


def _load(session: Session, log: str, places: Sequence[Place]) -> list[Entry]:
    """The entries at these places, in their order."""
    by_epoch: dict[int, list[int]] = {}
    for _, epoch, index in places:
        by_epoch.setdefault(epoch, []).append(index)
    found: dict[tuple[int, int], Entry] = {}
    for epoch, indexes in by_epoch.items():
        query = select(EntryRow).where(
            col(EntryRow.log) == log, col(EntryRow.epoch) == epoch, col(EntryRow.index).in_(indexes)
        )
        found |= {(row.epoch, row.index): entry_from(row) for row in session.execute(query).scalars()}
    return [found[place[1:]] for place in places if place[1:] in found]


def _newest(entry: Entry, states: Mapping[bytes | None, str], wanted: HistoryFilter) -> str:
    own = state_of(entry.kind, entry.code)
    if wanted.credential is not None and entry.kind is Kind.REFUSED:
        return own
    return states.get(entry.ref) or own


def _fates(
    session: Session, log: str, refs: Sequence[bytes]
) -> tuple[dict[bytes | None, str], dict[bytes | None, dict[str, Sent]]]:
    """The newest state of each event, and its deliveries by endpoint: one statement for a page."""
    row = EntryRow
    query = (
        select(col(row.ref), col(row.kind), col(row.code), col(row.endpoint), col(row.at))
        .where(col(EntryRow.log) == log, col(EntryRow.ref).in_(refs))
        .order_by(col(EntryRow.at), col(EntryRow.epoch), col(EntryRow.index))
    )
    found: dict[bytes | None, str] = {}
    sent: dict[bytes | None, dict[str, Sent]] = {}
    for ref, name, code, endpoint, at in session.execute(query) if refs else ():
        kind = Kind(name)
        state = state_of(kind, code)
        if endpoint is not None and kind in _DELIVERING:
            to = sent.setdefault(ref, {})
            before = to[endpoint].attempts if endpoint in to else 0
            to[endpoint] = Sent(endpoint, before + (kind is Kind.ATTEMPTED), state or code or "", at)
        if newer := newer_state(found.get(ref, ""), kind, code):
            found[ref] = newer
    return found, sent
