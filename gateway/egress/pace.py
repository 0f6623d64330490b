"""A rate limit as a value.

Source: the generic cell rate algorithm (ITU-T I.371), in whole microseconds so that it never drifts.
"""

from dataclasses import dataclass, replace

_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `per_second` a second in the long run, and one second's worth at once; None: no limit."""

    per_second: int | None = None
    arrival_us: int = 0

    def ready_at(self, now: int) -> int:
        """When the next one may go, Unix milliseconds; `now` where it may go at once."""
        if self.per_second is None:
            return now
        slack = _SECOND_US - _SECOND_US // self.per_second
        return max(now, -(-(self.arrival_us - slack) // 1000))

    def allowance(self, now: int) -> int:
        """How many may go at `now`, one after the other."""
        if self.per_second is None:
            return _SECOND_US
        step = _SECOND_US // self.per_second
        left = now * 1000 + _SECOND_US - step - max(self.arrival_us, now * 1000)
        return max(0, left // step + 1)

    def spend(self, now: int) -> "Pace":
        """After one went at `now`."""
        if self.per_second is None:
            return self
        return replace(self, arrival_us=max(self.arrival_us, now * 1000) + _SECOND_US // self.per_second)
