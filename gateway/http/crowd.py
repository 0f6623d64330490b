"""Sheds load: takes what can be answered soon, and turns the rest away at once.

Where one loop computes, latency is what is under way divided by what is done a second (Little's law). So no
more is let in than can be answered within the target at the pace of the last second; but only while the loop
is late, that is, while computing is what everybody waits for. A slow broker or database is waited for as
ever. Nor is anybody under way whose body is still arriving: its sender is what it waits for.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import AwayError

TARGET_SECONDS: Final = 0.1
LEAST: Final = 32
"""Under way are let in whatever the pace: with fewer, a broker that takes its time would make the pace."""

BEGINNING: Final = 64
"""The same while nothing was answered yet, of which a pace could be told."""

LATE_SECONDS: Final = 0.01
_TICK_SECONDS: Final = 0.05
_MEMORY: Final = 0.9
"""Of pace and lateness, what a tick leaves of the one before: some half a second."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls back after so many seconds."""


@dataclass(slots=True, eq=False)
class Crowd:
    """Those under way in one loop. `ticks`: seconds of a clock that nobody sets; `later`: of that loop."""

    ticks: Callable[[], float] = field(default=lambda: asyncio.get_running_loop().time())
    later: Later = field(default=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call))
    _inside: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _pace: float = field(default=0.0, init=False)
    _late: float = field(default=0.0, init=False)
    _looked_at: float | None = field(default=None, init=False)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Be one of them until the block ends.

        Raises:
            AwayError: `overloaded`: it would have to wait for too long.
        """
        self.verify_room()
        self._inside += 1
        if self._looked_at is None:
            self._looked_at = self.ticks()
            self.later(_TICK_SECONDS, self._look)
        try:
            yield
            # What was refused cost little: it tells nothing of the pace.
            self._done += 1
        finally:
            self._inside -= 1

    def verify_room(self) -> None:
        """Refuse whoever would not get a place now. Raises as `place`."""
        if self.is_full():
            raise AwayError("overloaded", "more requests are under way than can be answered soon; try again")

    def is_full(self) -> bool:
        """Whether one more would have to wait for too long."""
        return self._late >= LATE_SECONDS and self._inside >= self.limit()

    def limit(self) -> float:
        """How many may be under way while the loop is late."""
        return max(LEAST, self._pace * TARGET_SECONDS) if self._pace else BEGINNING

    def _look(self) -> None:
        now = self.ticks()
        begun = now if self._looked_at is None else self._looked_at
        took = max(now - begun, _TICK_SECONDS)
        late = max(0.0, took - _TICK_SECONDS)
        self._late = max(late, self._late * _MEMORY)
        kept = _MEMORY ** (took / _TICK_SECONDS)
        self._pace = self._pace * kept + self._done / took * (1 - kept)
        self._done = 0
        is_quiet = not self._inside and self._late < LATE_SECONDS
        self._looked_at = None if is_quiet else now
        if not is_quiet:
            self.later(_TICK_SECONDS, self._look)
