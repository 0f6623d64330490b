"""Each event is accepted by one entry of a log, and exactly one entry stands for it in lists.

Events that several entries of a log are of are found in the index of events, in its order: a tenth of what it
costs to ask of each entry how many others there are. What is alone with its event is judged range by range.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from sqlmodel import Session

from audit.bulk import find_rows, read_slices
from audit.checkpoint import split_origin
from audit.evidence import Kind
from audit.rows import EntryRow

Wrong = tuple[int, str, str]
"""An index, the word of a fault, and more of it for people."""

_FIRST_BEFORE: Final = 1
_ACCEPTED_BEFORE: Final = 2
_ACCEPTED: Final = Kind.ACCEPTED.value
_LOOKED: Final = Kind.CONTENT_READ.value
_SOME: Final = 500
"""Places that one question names."""

_PART: Final = 1 << 15
"""Entries, about, whose events one question looks through, or whose others it asks for one by one."""

_SHARE: Final = 8
"""Of entries of fewer than one in so many, others are asked for one by one."""


@dataclass(slots=True)
class Firsts:
    """What was seen of a range: events that an entry stands for, and by event the other entries."""

    standing: set[bytes | None] = field(default_factory=set)
    others: dict[bytes, list[tuple[int, str]]] = field(default_factory=dict)

    def note(self, entries: Iterable[tuple[int, str, bytes | None, bool]]) -> None:
        """Take entries: index, kind, ref, and whether it stands for its event."""
        for index, kind, ref, is_first in entries:
            if is_first:
                self.standing.add(ref)
            elif ref is not None:
                self.others.setdefault(ref, []).append((index, kind))

    def alone(self, session: Session, origin: str) -> list[Wrong]:
        """Entries that no other is of the same event as, and that do not stand for it; by rising index."""
        left = self.others.keys() - self.standing
        single = [self.others[ref][0] for ref in left if len(self.others[ref]) == 1]
        asked = sorted(index for index, kind in single if kind != _LOOKED)
        found: list[Wrong] = []
        log, epoch = split_origin(origin)
        for start in range(0, len(asked), _SOME):
            some = asked[start : start + _SOME]
            query = _ALONE.replace(":some", ", ".join("?" * len(some)))
            for rows in read_slices(session, query, (log, epoch, *some)):
                found += [word for row in rows for word in _judge(row[0], "", is_first=False, earlier=0)]
        return found


def several(session: Session, sizes: Mapping[str, int], total: int) -> Iterator[tuple[str, list[Wrong]]]:
    """What is wrong with events that several entries are of, some at a time; with the log that they are in.

    `sizes`: of the logs that are looked at, by origin; entries of others count, and are not judged. `total`:
    entries of all logs that there are.
    """
    is_all = sum(sizes.values()) * _SHARE >= total
    for refs in _in_order(session, total) if is_all else _of(session, sizes):
        yield from _judged(session, sizes, refs)


def _in_order(session: Session, total: int) -> Iterator[list[bytes]]:
    """All of them, in the order of the index; refs are digests: parts of them are of about one size."""
    count = -(-total // _PART) or 1
    bounds = [b"", *[((part << 32) // count).to_bytes(4) for part in range(1, count)]]
    ends = [*bounds[1:], b"\xff" * 64]
    for place in zip(bounds, ends, strict=True):
        yield [row[0] for rows in read_slices(session, _SEVERAL, place) for row in rows]


def _of(session: Session, sizes: Mapping[str, int]) -> Iterator[list[bytes]]:
    """Those of these logs."""
    for origin, size in sizes.items():
        for first in range(0, size, _PART):
            place = (*split_origin(origin), first, min(first + _PART, size))
            yield [row[0] for rows in read_slices(session, _SEVERAL_OF, place) for row in rows]


def _judged(
    session: Session, sizes: Mapping[str, int], refs: Collection[bytes]
) -> Iterator[tuple[str, list[Wrong]]]:
    names = ("log", "ref", "epoch", "index", "kind", "is_first")
    found: dict[str, list[Wrong]] = {}
    rows = sorted(find_rows(session, EntryRow, names, key="ref", among=refs))
    for (log, _), event in groupby(rows, lambda row: row[:2]):
        entries = [(f"{log}/{epoch}", index, kind, is_first) for _, _, epoch, index, kind, is_first in event]
        if len(entries) > 1:
            for origin, wrong in _among(entries):
                if wrong[0] < sizes.get(origin, 0):
                    found.setdefault(origin, []).append(wrong)
    yield from ((origin, sorted(wrong)) for origin, wrong in found.items())


def _among(entries: Sequence[tuple[str, int, str, bool]]) -> Iterator[tuple[str, Wrong]]:
    """Of all entries of one event, in their order."""
    earlier = 0
    for origin, index, kind, is_first in entries:
        if kind != _LOOKED:
            for word in _judge(index, kind, is_first=bool(is_first), earlier=earlier):
                yield origin, word
        earlier |= _FIRST_BEFORE if is_first else 0
        earlier |= _ACCEPTED_BEFORE if kind == _ACCEPTED else 0


def _judge(index: int, kind: str, *, is_first: bool, earlier: int) -> Iterator[Wrong]:
    if kind == _ACCEPTED and earlier & _ACCEPTED_BEFORE:
        yield index, "event_twice", "its event was accepted by an earlier entry"
    if is_first == bool(earlier & _FIRST_BEFORE):
        words = "an earlier entry stands for its event" if is_first else "no entry stands for its event"
        yield index, "first_wrong", words


_ALIKE: Final = (
    # Without the log's name where an index could begin with it: SQLite would read the whole log each time.
    "(SELECT count(*) FROM audit_entry o WHERE o.ref = audit_entry.ref AND (o.log || '') = audit_entry.log)"
)
"""How many entries of the log are of the event that a row of `audit_entry` is of."""

_ALONE: Final = (
    f'SELECT "index" FROM audit_entry WHERE log = ? AND epoch = ? AND "index" IN (:some) AND {_ALIKE} = 1 '  # noqa: S608 - fixed text
    'ORDER BY "index"'
)
_SEVERAL: Final = (
    "SELECT ref FROM audit_entry WHERE ref >= ? AND ref < ? GROUP BY ref, log HAVING count(*) > 1"
)
_SEVERAL_OF: Final = (
    'SELECT ref FROM audit_entry WHERE log = ? AND epoch = ? AND "index" >= ? AND "index" < ? '  # noqa: S608 - fixed text
    f"AND {_ALIKE} > 1"
)
