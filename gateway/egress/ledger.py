"""Which positions of one partition are settled: the watermark, and what is finished beyond it.

An offset is settled when everything that follows from its record is durable. The invariant: an offset below
the watermark was settled, or holds no record. Pure; offsets only.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence


class Ledger:
    """Starts at `start`, with the half-open ranges `finished` beyond it (as a restart finds them stored)."""

    def __init__(self, start: int, finished: Iterable[tuple[int, int]] = ()) -> None:
        self._reached = start
        self._owed: dict[int, int] = {}
        self._finished = [(first, end) for first, end in sorted(finished) if end > start]

    @property
    def owing(self) -> int:
        """How many offsets are read and not settled."""
        return len(self._owed)

    @property
    def reached(self) -> int:
        """How far the partition was read."""
        return self._reached

    def is_owed(self, offset: int) -> bool:
        """Whether something of this offset is still to be settled."""
        return offset in self._owed

    def is_known(self, offset: int) -> bool:
        """Whether this offset needs nothing more: below what was reached, or finished before the restart."""
        if offset < self._reached:
            return True
        at = bisect_right(self._finished, offset, key=lambda span: span[0]) - 1
        return at >= 0 and offset < self._finished[at][1]

    def open(self, offset: int, parts: int) -> None:
        """A record was read, and this many parts must settle before it is settled.

        Raises:
            ValueError: the offset is known already, or `parts` is below 1: our own bug.
        """
        if parts < 1 or self.is_known(offset):
            raise ValueError(f"offset {offset} with {parts} parts cannot be opened")
        self._owed[offset] = parts
        self._reached = offset + 1

    def settle(self, offset: int, parts: int = 1) -> None:
        """So many parts of an opened offset are durable.

        Raises:
            ValueError: it owes fewer: our own bug.
        """
        owed = self._owed.get(offset, 0) - parts
        if owed < 0:
            raise ValueError(f"offset {offset} does not owe {parts} parts")
        if owed:
            self._owed[offset] = owed
        else:
            self._owed.pop(offset)

    def pass_to(self, reached: int) -> None:
        """The reader has reached this offset: what it did not return before it holds no record."""
        self._reached = max(self._reached, reached)

    def go_back(self, start: int, known: int) -> None:
        """Read on at `start`; what was read from `known` on is read, and owes what it owed."""
        self._finished = _merge([*self._finished, (known, max(known, self._reached))])
        self._reached = start

    @property
    def watermark(self) -> int:
        """Where a restart begins: all before is settled."""
        start = self._reached
        for first, end in self._finished:
            if first <= start < end:
                start = end
        return min(start, min(self._owed, default=start))

    def finished(self) -> tuple[tuple[int, int], ...]:
        """What is settled beyond the watermark, as half-open ranges in order."""
        start = self.watermark
        owed = sorted(self._owed)
        read = [offset for offset in owed if offset < self._reached]
        spans = [*_between(read, self._reached), *_without(self._finished, owed)]
        return tuple((max(a, start), b) for a, b in _merge(spans) if b > start)


def flatten(spans: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Ranges as a position stores them: first, end, first, end; rising, since merged ranges never touch."""
    return tuple(offset for span in spans for offset in span)


def unflatten(bounds: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """The ranges that `flatten` made into this."""
    return tuple(zip(bounds[::2], bounds[1::2], strict=True))


def _between(owed: list[int], reached: int) -> list[tuple[int, int]]:
    """The ranges between neighbouring owed offsets, up to what was reached."""
    ends = [*owed[1:], reached][: len(owed)]
    return [(offset + 1, end) for offset, end in zip(owed, ends, strict=True) if offset + 1 < end]


def _without(spans: Iterable[tuple[int, int]], owed: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The ranges, without what is owed in them."""
    for first, end in spans:
        inside = owed[bisect_left(owed, first) : bisect_left(owed, end)]
        yield from zip((first, *(offset + 1 for offset in inside)), (*inside, end), strict=True)


def _merge(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if first == end:
            continue
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged
