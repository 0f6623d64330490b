"""What waits in rows for its endpoint, and is in nobody's memory yet but for its ref and when it is due.

An endpoint that was away for a night has a thousand such rows, and a hundred endpoints have a hundred
thousand. To read all of them takes a relay seconds in which nothing else goes on well, and it can send only
a few at a time. So a lane knows which there are, and they are read when they are about to be sent.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile


@dataclass(frozen=True, slots=True)
class Rows:
    """Of one endpoint of `owner`: refs, each with when it is due (Unix milliseconds), in that order."""

    owner: str
    due: dict[bytes, int]


class Resting:
    """One a lane. Those that are due first come first."""

    def __init__(self) -> None:
        self._due: dict[bytes, int] = {}

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

    def take_out(self, ref: bytes) -> int | None:
        """It is among them no longer; when it was due, or None where it was not."""
        return self._due.pop(ref, None)

    def hurry(self) -> None:
        """All are due at once."""
        self._due = dict.fromkeys(self._due, 0)

    def first(self, count: int, *, by: int) -> tuple[bytes, ...]:
        """At most so many of those that are due by then."""
        return tuple(takewhile(lambda ref: self._due[ref] <= by, islice(self._due, count)))

    @property
    def due_at(self) -> int | None:
        """When the first is due; None: there is none."""
        return next(iter(self._due.values()), None)
