"""Each event is accepted by one entry of a log, and exactly one entry stands for it in lists.

Looked at range by range: events all of whose entries are in the range are judged by what was read of it, the
others in SQL.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session

from audit.bulk import read_slices
from audit.checkpoint import split_origin
from audit.evidence import Kind

ALIKE: Final = (
    # Without the log's name where an index could begin with it: SQLite would read the whole log each time.
    "(SELECT count(*) FROM audit_entry o WHERE o.ref = audit_entry.ref AND (o.log || '') = audit_entry.log)"
)
"""A column in SQL: how many entries of the log are of the event that a row of `audit_entry` is of."""

Wrong = tuple[int, str, str]
"""An index, the word of a fault, and more of it for people."""

_FIRST_BEFORE: Final = 1
_ACCEPTED_BEFORE: Final = 2
_ACCEPTED: Final = Kind.ACCEPTED.value
_LOOKED: Final = Kind.CONTENT_READ.value
_SOME: Final = 500
"""Places that one question names."""


@dataclass(slots=True)
class Firsts:
    """What was seen of the events of a range. `seen`: by ref, entries of events that have several."""

    session: Session
    origin: str
    alone: list[int] = field(default_factory=list)
    seen: dict[bytes, list[tuple[int, str, bool, int]]] = field(default_factory=dict)

    def note(self, index: int, kind: str, ref: bytes | None, *, is_first: bool, alike: int) -> None:
        """Take an entry, in the order of indexes. `alike`: as `ALIKE` tells.

        One that is alone with its event and stands for it needs not be told.
        """
        if ref is None:
            return
        if alike > 1:
            self.seen.setdefault(ref, []).append((index, kind, is_first, alike))
        elif not is_first and kind != _LOOKED:
            self.alone.append(index)

    def wrong(self) -> list[Wrong]:
        """What is not as it must be, by rising index."""
        found = [word for index in self.alone for word in _judge(index, "", is_first=False, earlier=0)]
        asked: list[int] = []
        for entries in self.seen.values():
            if len(entries) == entries[0][3]:
                found += _among(entries)
            else:
                asked += [index for index, *_ in entries]
        found += _in_sql(self.session, self.origin, sorted(asked))
        return sorted(found)


def _among(entries: Sequence[tuple[int, str, bool, int]]) -> Iterator[Wrong]:
    """Of all entries of one event."""
    earlier = 0
    for index, kind, is_first, _ in entries:
        if kind != _LOOKED:
            yield from _judge(index, kind, is_first=is_first, earlier=earlier)
        earlier |= _FIRST_BEFORE if is_first else 0
        earlier |= _ACCEPTED_BEFORE if kind == _ACCEPTED else 0


def _judge(index: int, kind: str, *, is_first: bool, earlier: int) -> Iterator[Wrong]:
    if kind == _ACCEPTED and earlier & _ACCEPTED_BEFORE:
        yield index, "event_twice", "its event was accepted by an earlier entry"
    if is_first == bool(earlier & _FIRST_BEFORE):
        words = "an earlier entry stands for its event" if is_first else "no entry stands for its event"
        yield index, "first_wrong", words


def _in_sql(session: Session, origin: str, indexes: Sequence[int]) -> Iterator[Wrong]:
    log, epoch = split_origin(origin)
    for start in range(0, len(indexes), _SOME):
        some = indexes[start : start + _SOME]
        query = _EVENTS.replace(":some", ", ".join("?" * len(some)))
        values = (_ACCEPTED, _LOOKED, log, epoch, *some, _ACCEPTED)
        for rows in read_slices(session, query, values):
            for index, kind, is_first, earlier in rows:
                yield from _judge(index, kind, is_first=bool(is_first), earlier=earlier)


_EARLIER: Final = (
    "o.ref = e.ref AND (o.log || '') = e.log "
    'AND (o.epoch < e.epoch OR (o.epoch = e.epoch AND o."index" < e."index"))'
)
_EVENTS: Final = (
    'SELECT "index", kind, is_first, earlier FROM ('  # noqa: S608 - fixed text
    'SELECT e."index", e.kind, e.is_first, COALESCE(('
    "SELECT max(CASE WHEN o.is_first THEN 1 ELSE 0 END) + max(CASE WHEN o.kind = ? THEN 2 ELSE 0 END) "
    f"FROM audit_entry o WHERE {_EARLIER}), 0) AS earlier FROM audit_entry e "
    'WHERE e.kind <> ? AND e.log = ? AND e.epoch = ? AND e."index" IN (:some) AND e.ref IS NOT NULL'
    ') AS found WHERE is_first = (earlier IN (1, 3)) OR (kind = ? AND earlier >= 2) ORDER BY "index"'
)
"""Entries of events that have another place among those of their event than they should."""
