"""Exchange history over many logs at once, of events that something exact names: whose event is this?

Newest first, as each log has it; of one moment by the name of the log. A ref is looked up once for all logs;
an id, a value or a digest once in each, along the index that finds it there: so a page costs the same in logs
of any size, and logs that have no such event cost that one look.

The caller has made sure whose logs it asks for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlmodel import Session, col

from audit import search
from audit.listing import Place
from audit.rows import EntryRow
from audit.search import Exchange, HistoryFilter, PageKey

MOST_LOOKED: Final = 250
"""Rows of one log that one page looks at where more is asked for than what is exact, or as many as it has."""

Key = tuple[int, str, int, int]
"""Time, log, epoch and index: where a row stands among those of all logs."""


@dataclass(frozen=True, slots=True)
class Found:
    """One row, and where it stands."""

    key: Key
    exchange: Exchange

    @property
    def log(self) -> str:
        """The name of its log, without an epoch."""
        return self.key[1]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the list. `next`: all rows down to there are on this page, or before it; None: no more."""

    rows: tuple[Found, ...]
    next: Key | None


def is_exact(wanted: HistoryFilter) -> bool:
    """Whether events can be looked for in many logs: each is led along an index by what is exact."""
    exact = (wanted.ref, wanted.id, wanted.key, wanted.digest)
    return not wanted.is_of_entries and any(one is not None for one in exact)


def find(
    session: Session, logs: Iterable[str], wanted: HistoryFilter, *, after: Key | None, limit: int
) -> Page:
    """One page of the events of many logs (names without an epoch).

    Args:
        session: The caller's transaction.
        logs: Whose events are looked for.
        wanted: Which events; something exact (`is_exact`) among it.
        after: `next` of the page before.
        limit: Rows on a page, 1 to 1,000.

    Raises:
        ValueError: Nothing exact is asked for; the caller has checked that.
    """
    if not is_exact(wanted):
        raise ValueError("events of many logs are found by a ref, an id, a value or a digest")
    if wanted.is_void():
        return Page((), None)
    keys, ends = list[Key](), list[Key]()
    for log in _holders(session, sorted(set(logs)), wanted):
        begin = None if after is None else _begin(log, after)
        places, following = search.look(
            session, log, wanted, after=begin, limit=limit, most=max(MOST_LOOKED, limit + 1)
        )
        keys += [_key(log, place) for place in places]
        if following is not None:
            ends.append(_key(log, following))
    # Below where one log was left nothing is certain: it may have what belongs above another's.
    end = max(ends, default=None)
    newest = sorted((key for key in keys if end is None or key >= end), reverse=True)
    shown = newest[:limit]
    return Page(_load(session, wanted, shown), shown[-1] if len(newest) > limit else end)


def _holders(session: Session, logs: Sequence[str], wanted: HistoryFilter) -> Sequence[str]:
    """The logs that are worth a look."""
    if wanted.ref is None:
        return logs
    query = select(col(EntryRow.log)).where(col(EntryRow.ref) == wanted.ref).distinct()
    known = set(session.execute(query).scalars())
    return [log for log in logs if log in known]


def _begin(log: str, after: Key) -> PageKey:
    """Where a log goes on behind a place among those of all."""
    at, name, epoch, index = after
    if log == name:
        return at, epoch, index
    return (at + 1, -1, -1) if log < name else (at, -1, -1)


def _key(log: str, place: Place) -> Key:
    at, epoch, index = place
    return at, log, epoch, index


def _load(session: Session, wanted: HistoryFilter, keys: Sequence[Key]) -> tuple[Found, ...]:
    by_log: dict[str, list[Key]] = {}
    for key in keys:
        by_log.setdefault(key[1], []).append(key)
    found: dict[Key, Found] = {}
    for log, some in by_log.items():
        places = [(at, epoch, index) for at, _, epoch, index in some]
        for key, exchange in zip(some, search.load(session, log, wanted, places), strict=True):
            found[key] = Found(key, exchange)
    return tuple(found[key] for key in keys)
