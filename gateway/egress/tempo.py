"""How fast deliveries that are tried again begin, while something new is sent: as fast as the loop can bear.

What is new goes first. It cannot wait in a queue of its own, since all of a relay shares one loop: each retry
that begins stands before whatever comes next. So retries begin one by one and evenly, and how late the loop
comes to each tells how long something new waits, too. Where that is long they become fewer, down to a rate
that never ends; where it is short, more. While nothing new is sent, nothing holds them back.

No clock is read here; all times are seconds of one clock.
"""

from dataclasses import dataclass
from typing import Final

MOST: Final = 600.0
"""Retries a second of one relay, while it sends what is new."""

LEAST: Final = 100.0
"""The same, however late the loop is."""

QUIET_SECONDS: Final = 1.0
"""Nothing new for so long: nothing is held back."""

_LATE_SECONDS: Final = 0.004
_FINE_SECONDS: Final = 0.002
_LOOK: Final = 32
_CAUGHT_UP_SECONDS: Final = 0.005
"""So much of what the loop was late by is caught up with."""

_STOCK_SECONDS: Final = 0.04
_QUIET_STOCK: Final = 64
_LEAST_STOCK: Final = 16
"""Their bodies are read together: a question to the database costs as much as ten of them."""

_MOST_AHEAD: Final = 6


@dataclass(slots=True)
class Tempo:
    """One a relay. `rate`: retries a second now, while something new is sent."""

    rate: float = MOST
    _new_at: float | None = None
    _free_at: float = 0.0
    _begun_at: float = 0.0
    _ahead: int = 0
    _late: float = 0.0
    _count: int = 0

    def note_new(self, now: float) -> None:
        """Something new is sent."""
        self._new_at = now

    def note_ahead(self, count: int) -> None:
        """So many retries have begun that were not held back: at most half the rate is theirs."""
        self._ahead = min(self._ahead + max(0, count), _MOST_AHEAD)

    def is_quiet(self, now: float) -> bool:
        """Whether nothing new is sent."""
        return self._new_at is None or now - self._new_at >= QUIET_SECONDS

    def stock(self, now: float) -> int:
        """How many are to be kept ready, so that none that may begin is waited for.

        Few: each takes a place in its lane meanwhile.
        """
        return _QUIET_STOCK if self.is_quiet(now) else max(_LEAST_STOCK, round(self.rate * _STOCK_SECONDS))

    def wait(self, now: float) -> float:
        """How long the next is to wait; 0: it may begin."""
        return 0.0 if self.is_quiet(now) else max(0.0, self._free_at - now)

    def begin(self, now: float, *, ready_at: float) -> None:
        """One begins now, which could have from `ready_at` on; how late it is tells how late the loop is."""
        if self.is_quiet(now):
            self._free_at = now
            return
        could_at = max(self._free_at, ready_at)
        late, is_behind = now - max(could_at, self._begun_at), could_at < self._begun_at
        # Who catches up says no more of the loop than the one before it.
        if not is_behind or late > _FINE_SECONDS:
            self._learn(late)
        self._begun_at = now
        share = 1 + min(self._ahead, 1)
        self._ahead -= share - 1
        self._free_at = max(self._free_at, now - _CAUGHT_UP_SECONDS) + share / self.rate

    def _learn(self, late: float) -> None:
        self._late += late
        self._count += 1
        if self._count < _LOOK:
            return
        mean, self._late, self._count = self._late / self._count, 0.0, 0
        if mean > _LATE_SECONDS:
            self.rate = max(LEAST, self.rate * 0.8)
        elif mean < _FINE_SECONDS:
            self.rate = min(MOST, self.rate * 1.1)
