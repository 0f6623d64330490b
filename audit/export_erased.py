"""Which entries of an export stand without evidence, and which of those the log itself says to be erased.

A leaf alone cannot tell an entry whose evidence was erased from one whose evidence somebody left out. What
can is the log: an erasure is an entry of it, and names the entries that it was of.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from audit.evidence import Evidence
from audit.merkle import hash_leaf

_MOST_MOVED: Final = 100_000
"""Of more entries without evidence it is not known whether they were erased before their epoch began."""

_ERASING: Final = frozenset({"evidence.erased", "evidence.expired"})


@dataclass(slots=True)
class Erasures:
    """By origin of a log. Ranges of indexes, so that a log of which much has expired takes little room."""

    missing: dict[str, list[list[int]]] = field(default_factory=dict)
    declared: dict[str, list[list[int]]] = field(default_factory=dict)
    moved: dict[str, tuple[str, int]] = field(default_factory=dict)
    """By leaf hash: where entries stand that may have been of an earlier epoch when they were erased."""

    def note(self, origin: str, index: int, leaf: str = "") -> None:
        """An entry stands without evidence; to be told in the order of indexes."""
        if not origin.endswith("/1") and len(self.moved) < _MOST_MOVED:
            self.moved[hash_leaf(leaf.encode("utf-8", "replace")).hex()] = origin, index
        ranges = self.missing.setdefault(origin, [])
        if ranges and ranges[-1][1] == index:
            ranges[-1][1] += 1
        else:
            ranges.append([index, index + 1])

    def hear(self, origin: str, evidence: Evidence) -> None:
        """Take what a record of the log `origin` says of its own log: which entries are without evidence."""
        spoken_of = evidence.text("origin") or origin
        if evidence.kind.value not in _ERASING or _log_of(spoken_of) != _log_of(origin):
            return
        members = evidence.members
        if spoken_of != origin and (place := self.moved.get(str(members.get("leaf_sha256")))) is not None:
            # Both went into a new epoch after that, the entry and what is said of it: see `audit.epochs`.
            self.declared.setdefault(place[0], []).append([place[1], place[1] + 1])
        ranges = self.declared.setdefault(spoken_of, [])
        if "index" in members:
            ranges.append([members["index"], members["index"] + 1])
        ranges += [[one["from"], one["to"]] for one in members.get("ranges", ())]

    def unsaid(self) -> int:
        """How many entries without evidence nothing that was heard says to be erased."""
        return sum(
            sum(end - first for first, end in ranges) - _overlap(ranges, self.declared.get(origin, ()))
            for origin, ranges in self.missing.items()
        )


def _overlap(ranges: Sequence[Sequence[int]], declared: Sequence[Sequence[int]]) -> int:
    """How many indexes of the ranges, which are in order and apart, are in one of those declared."""
    merged: list[list[int]] = []
    for first, end in sorted(map(tuple, declared)):
        if merged and first <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([first, end])
    covered = place = 0
    for first, end in ranges:
        while place < len(merged) and merged[place][1] <= first:
            place += 1
        for low, high in islice(merged, place, None):
            if low >= end:
                break
            covered += min(end, high) - max(first, low)
    return covered


def _log_of(origin: str) -> str:
    """The log's name, of whatever epoch."""
    return origin.rpartition("/")[0]
