"""Which entries of an export stand without evidence, and which of those the log itself says to be erased.

A leaf alone cannot tell an entry whose evidence was erased from one whose evidence somebody left out. What
can is the log: an erasure is an entry of it, and names the entries that it was of. It counts as an honest log
has it: behind the entry that it is of, by that one's leaf hash, or once its time is over.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import pairwise
from typing import Any, Final

from audit.bare import hour_of
from audit.evidence import Evidence
from audit.merkle import hash_leaf

_MOST_MOVED: Final = 100_000
"""Of more entries without evidence it is not known whether they were erased before their epoch began."""

_ERASING: Final = frozenset({"evidence.erased", "evidence.expired"})
_KEPT: Final = 8
"""Bytes of a leaf hash that are kept of an entry without evidence: enough to tell another entry's."""

_EVER: Final = 1 << 63
"""In place of a time: of whatever hour the entry is."""


@dataclass(slots=True)
class _Missing:
    """Entries of one epoch without evidence: ranges, each of one hour, and how each leaf hash begins."""

    ranges: list[tuple[int, int, int]] = field(default_factory=list)
    """First, end, and hour in Unix milliseconds."""

    before: list[int] = field(default_factory=list)
    """How many entries stand without evidence before each range."""

    hashes: bytearray = field(default_factory=bytearray)

    def note(self, index: int, hour: int, leaf_hash: bytes) -> None:
        if self.ranges and self.ranges[-1][1:] == (index, hour):
            self.ranges[-1] = (self.ranges[-1][0], index + 1, hour)
        else:
            self.ranges.append((index, index + 1, hour))
            self.before.append(len(self.hashes) // _KEPT)
        self.hashes += leaf_hash[:_KEPT]

    def has(self, index: Any, leaf_hash: str) -> bool:
        """Whether this entry stands without evidence, and has this leaf hash (hex)."""
        place = bisect_right(self.ranges, index, key=lambda one: one[0]) - 1
        if place < 0 or not self.ranges[place][0] <= index < self.ranges[place][1]:
            return False
        at = (self.before[place] + index - self.ranges[place][0]) * _KEPT
        return self.hashes[at : at + _KEPT].hex() == leaf_hash[: 2 * _KEPT]


@dataclass(slots=True)
class Erasures:
    """By origin of a log. Ranges of indexes, so that a log of which much has expired takes little room.

    `declared`: first, end, and before when the entries were written down, Unix milliseconds.
    """

    missing: dict[str, _Missing] = field(default_factory=dict)
    declared: dict[str, list[tuple[int, int, int]]] = field(default_factory=dict)
    moved: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By leaf hash: where entries stand that may have been of an earlier epoch when they were erased."""

    def note(self, origin: str, index: int, leaf: str) -> None:
        """An entry stands without evidence; to be told in the order of indexes."""
        leaf_hash = hash_leaf(leaf.encode("utf-8", "replace"))
        if not origin.endswith("/1") and len(self.moved) < _MOST_MOVED:
            self.moved[leaf_hash.hex()] = origin, index
        self.missing.setdefault(origin, _Missing()).note(index, _hour_of(leaf), leaf_hash)

    def hear(self, origin: str, evidence: Evidence, index: int) -> None:
        """Take what the record at an index of the log `origin` says of its own log: what has no evidence."""
        spoken_of, members = evidence.text("origin") or origin, evidence.members
        if evidence.kind.value not in _ERASING or _log_of(spoken_of) != _log_of(origin):
            return
        leaf_hash = str(members.get("leaf_sha256"))
        if spoken_of != origin and (place := self.moved.get(leaf_hash)) is not None:
            # Both went into a new epoch after that, the entry and what is said of it: see `audit.epochs`.
            self.declared.setdefault(place[0], []).append((place[1], place[1] + 1, _EVER))
        ranges = self.declared.setdefault(spoken_of, [])
        # What was noted so far stands before this record; of a later epoch nothing was.
        if "index" in members and self.missing.get(spoken_of, _Missing()).has(members["index"], leaf_hash):
            ranges.append((members["index"], members["index"] + 1, _EVER))
        if members.get("before", _EVER) <= evidence.at:
            end = index if spoken_of == origin else _EVER if spoken_of in self.missing else 0
            told = ((one["from"], min(one["to"], end)) for one in members["ranges"])
            ranges += [(first, last, members["before"]) for first, last in told if first < last]

    def unsaid(self) -> int:
        """How many entries without evidence nothing that was heard says to be erased."""
        return sum(
            sum(end - first for first, end, _ in missing.ranges)
            - _overlap(missing.ranges, list(_outline(self.declared.get(origin, ()))))
            for origin, missing in self.missing.items()
        )


def _outline(declared: Sequence[tuple[int, int, int]]) -> Iterator[tuple[int, int, int]]:
    """Ranges in order and apart, each with the latest time of those declared that it lies in."""
    edges = sorted({edge for first, end, _ in declared for edge in (first, end)})
    waiting, place = sorted(declared), 0
    open_: list[tuple[int, int]] = []
    for first, end in pairwise(edges):
        while place < len(waiting) and waiting[place][0] <= first:
            heappush(open_, (-waiting[place][2], waiting[place][1]))
            place += 1
        while open_ and open_[0][1] <= first:
            heappop(open_)
        if open_:
            yield first, end, -open_[0][0]


def _overlap(missing: Sequence[tuple[int, int, int]], declared: Sequence[tuple[int, int, int]]) -> int:
    """How many indexes of ranges are in one that is declared of a later time; both in order and apart."""
    covered = place = 0
    for first, end, hour in missing:
        while place < len(declared) and declared[place][1] <= first:
            place += 1
        at = place
        while at < len(declared) and declared[at][0] < end:
            if hour < declared[at][2]:
                covered += min(end, declared[at][1]) - max(first, declared[at][0])
            at += 1
    return covered


def _hour_of(leaf: str) -> int:
    """The hour of a leaf; of what is none, which an export does not hold, one that is never over."""
    try:
        return hour_of(leaf)
    except (ValueError, IndexError):
        return _EVER


def _log_of(origin: str) -> str:
    """The log's name, of whatever epoch."""
    return origin.rpartition("/")[0]
