"""Our clock, as long as the database's agrees with it: whatever signs or makes evidence asks this one.

The clock of the database is read now and then; in between, a clock that nobody sets tells how much time has
passed, so that ours is found out at once where somebody sets it. Never reads a clock of its own.
"""

from collections.abc import Callable
from typing import Final

from gateway.errors import AwayError

MAX_DIFFERENCE_MS: Final = 5_000
"""Nothing is signed while our clock is further from the database's."""

_MEND: Final = "an operator must set it right (NTP: timedatectl set-ntp true, or chrony)"


class HonestClock:
    """Unix milliseconds, or a refusal to say them. Untrusted until the first `compare`."""

    def __init__(self, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        """`clock`: this host's, Unix milliseconds. `ticks`: milliseconds of a clock that nobody sets."""
        self._clock = clock
        self._ticks = ticks
        self._known: tuple[int, int] | None = None

    def compare(self, before: int, there: int) -> None:
        """Take in what the database's clock was, read between `before` of our clock and this moment."""
        after = self._clock()
        self._known = (difference(before, there, after), after - self._ticks())

    @property
    def problem(self) -> str:
        """Why our clock is not to be trusted now, in words; empty: it is."""
        if self._known is None:
            return "this host's clock was not compared with the database's yet"
        ahead, offset = self._known
        ahead += self._clock() - self._ticks() - offset
        return words_of_difference(ahead) if abs(ahead) > MAX_DIFFERENCE_MS else ""

    def __call__(self) -> int:
        """The time of this moment.

        Raises:
            AwayError: `clock_untrusted`: our clock and the database's differ by more than 5 s.
        """
        problem = self.problem
        if problem:
            raise AwayError("clock_untrusted", problem)
        return self._clock()


def difference(before: int, there: int, after: int) -> int:
    """The least by which our clock is ahead of another that was read between `before` and `after`; in ms."""
    if before > there:
        return before - there
    return min(0, after - there)


def words_of_difference(ahead_ms: int) -> str:
    """By how much this host's clock is ahead of the database's (behind: negative), and how to mend it."""
    side = "ahead of" if ahead_ms > 0 else "behind"
    most = MAX_DIFFERENCE_MS // 1_000
    return (
        f"this host's clock is {abs(ahead_ms) / 1_000:.1f} s {side} the database's, "
        f"and {most} s is the most: {_MEND}"
    )
