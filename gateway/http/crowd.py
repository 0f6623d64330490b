"""Sheds load: takes what can be answered soon, and turns the rest away at once.

Where one loop computes, latency is what is under way divided by what is done a second (Little's law). So no
more is let in than can be answered within the target at the pace of the last second; but only while the loop
is late, that is, while computing is what everybody waits for. A slow broker or database is waited for as
ever. Nor is anybody under way whose body is still arriving: its sender is what it waits for.

Many who come at once make one turn of the loop as long as all of them take, and how late it is shows only
after that. So whoever asks for a place in a turn that lasts already is asked for room, too.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import AwayError

TARGET_SECONDS: Final = 0.12
LEAST: Final = 32
"""Under way are let in whatever the pace: with fewer, a broker that takes its time would make the pace."""

BEGINNING: Final = 64
"""The same while nothing was answered yet, of which a pace could be told."""

LATE_SECONDS: Final = 0.01
GROWTH: Final = 1.25
"""Of what is let in once the loop is on time again, with each tick: it is on time because it turns others
away, who would all come in at once, and wait for each other."""

_TICK_SECONDS: Final = 0.05
_BEAT_SECONDS: Final = 0.01
"""The loop shows so often that it goes on; a turn that lasts shows by the beat that is missing."""

_MEMORY: Final = 0.9
"""Of pace and lateness, what a tick leaves of the one before: some half a second."""

Later = Callable[[float, Callable[[], None]], object]
"""Calls back after so many seconds."""


@dataclass(slots=True, eq=False)
class Crowd:
    """Those under way in one loop. `ticks`: seconds of a clock that nobody sets; `later`: of that loop."""

    ticks: Callable[[], float] = field(default=time.monotonic)
    later: Later = field(default=lambda seconds, call: asyncio.get_running_loop().call_later(seconds, call))
    _inside: int = field(default=0, init=False)
    _done: int = field(default=0, init=False)
    _pace: float = field(default=0.0, init=False)
    _late: float = field(default=0.0, init=False)
    _looked_at: float | None = field(default=None, init=False)
    _beat_at: float | None = field(default=None, init=False)
    _slack: float = field(default=math.inf, init=False)
    _usual: float = field(default=0.0, init=False)

    def place(self) -> "Place":
        """Be one of them from the beginning of the block until its end.

        Raises:
            AwayError: `overloaded`: it would have to wait for too long.
        """
        self.verify_room()
        return Place(self)

    def verify_room(self) -> None:
        """Refuse whoever would not get a place now. Raises as `place`."""
        if self.is_full():
            raise AwayError("overloaded", "more requests are under way than can be answered soon; try again")

    def is_full(self) -> bool:
        """Whether one more would have to wait for too long."""
        limit = self.limit()
        is_late = self._late >= LATE_SECONDS
        # As many as there were while it was on time are none that wait for each other.
        if self._inside >= (limit if is_late else max(limit * self._slack, self._usual)):
            return True
        # Of those who come at once at first nothing tells the pace yet.
        return self._inside >= max(BEGINNING, limit) and self._is_held_up()

    def limit(self) -> float:
        """How many may be under way while the loop is late; afterwards it is more with each tick."""
        return max(LEAST, self._pace * TARGET_SECONDS) if self._pace else BEGINNING

    def enter(self) -> None:
        """One more is under way."""
        self._inside += 1
        if self._looked_at is None:
            self._looked_at = self.ticks()
            self.later(_TICK_SECONDS, self._look)
        if self._beat_at is None:
            self._beat_at = self.ticks()
            self.later(_BEAT_SECONDS, self._beat)

    def leave(self, *, is_done: bool) -> None:
        """One less is. What was refused cost little: it tells nothing of the pace."""
        self._inside -= 1
        self._done += is_done

    def _is_held_up(self) -> bool:
        """Whether this turn of the loop is a long one already."""
        beat = self._beat_at
        return beat is not None and self.ticks() - beat >= _BEAT_SECONDS + LATE_SECONDS

    def _beat(self) -> None:
        """Go on while anybody is under way."""
        self._beat_at = self.ticks() if self._inside else None
        if self._inside:
            self.later(_BEAT_SECONDS, self._beat)

    def _look(self) -> None:
        now = self.ticks()
        begun = now if self._looked_at is None else self._looked_at
        took = max(now - begun, _TICK_SECONDS)
        late = max(0.0, took - _TICK_SECONDS)
        self._late = max(late, self._late * _MEMORY)
        is_late = self._late >= LATE_SECONDS
        kept = _MEMORY ** (took / _TICK_SECONDS)
        self._pace = self._pace * kept + self._done / took * (1 - kept)
        self._done = 0
        if not is_late:
            self._usual = self._usual * kept + self._inside * (1 - kept)
        is_quiet = not self._inside and not is_late
        self._slack = 1.0 if is_late else math.inf if is_quiet else self._slack * GROWTH
        self._looked_at = None if is_quiet else now
        if not is_quiet:
            self.later(_TICK_SECONDS, self._look)


class Place:
    """One of those under way. A class, since a generator costs an event thrice as much."""

    __slots__ = ("_crowd",)

    def __init__(self, crowd: Crowd) -> None:
        """`crowd`: has room for it."""
        self._crowd = crowd

    def __enter__(self) -> None:
        """It begins."""
        self._crowd.enter()

    def __exit__(self, kind: object, *_: object) -> None:
        """It is answered, or refused."""
        self._crowd.leave(is_done=kind is None)
