"""What waits in rows for its endpoint, and is in nobody's memory yet but for its ref and when it is due.

An endpoint that was away for a night has a thousand such rows, and a hundred endpoints have a hundred
thousand. To read all of them takes a relay seconds in which nothing else goes on well, and it can send only
a few at a time. So a lane knows which there are, and they are read when they are about to be sent. What fails
while it is at work, and is one of very many, is forgotten in the same way.
"""

from bisect import insort
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Final

_SPARE: Final = 64
"""So many that were taken out may stand in the order."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Of one endpoint of `owner`: refs, each with when it is due (Unix milliseconds), in that order."""

    owner: str
    due: dict[bytes, int]


class Resting:
    """One a lane. Those that are due first come first."""

    def __init__(self) -> None:
        self._due: dict[bytes, int] = {}
        self._order: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        """How many."""
        return len(self._due)

    def __contains__(self, ref: bytes) -> bool:
        """Whether it is among them."""
        return ref in self._due

    def add(self, due: Mapping[bytes, int], *, besides: Iterable[bytes]) -> None:
        """Take these in, once; none of `besides`, which the lane has."""
        self._due = dict(due)
        for ref in besides:
            self._due.pop(ref, None)
        self._sort()

    def put(self, ref: bytes, due_at: int) -> None:
        """Take in one more, which is not among them."""
        self._due[ref] = due_at
        insort(self._order, (due_at, ref))
        if len(self._order) > 2 * len(self._due) + _SPARE:
            self._sort()

    def take_out(self, ref: bytes) -> int | None:
        """It is among them no longer; when it was due, or None where it was not."""
        return self._due.pop(ref, None)

    def hurry(self) -> None:
        """All are due at once, in the order in which they were due."""
        self._due = {ref: 0 for _, ref in self._present()}
        self._order = [(0, ref) for ref in self._due]

    def first(self, count: int, *, by: int) -> tuple[bytes, ...]:
        """At most so many of those that are due by then."""
        return tuple(ref for _, ref in takewhile(lambda one: one[0] <= by, islice(self._present(), count)))

    @property
    def due_at(self) -> int | None:
        """When the first is due; None: there is none."""
        return next((due_at for due_at, _ in self._present()), None)

    def _present(self) -> Iterator[tuple[int, bytes]]:
        """In order; what was taken out, and lies before all others, is forgotten."""
        gone = next((at for at, one in enumerate(self._order) if self._is_here(one)), len(self._order))
        del self._order[:gone]
        return filter(self._is_here, self._order)

    def _is_here(self, one: tuple[int, bytes]) -> bool:
        return self._due.get(one[1]) == one[0]

    def _sort(self) -> None:
        self._order = sorted((due_at, ref) for ref, due_at in self._due.items())
