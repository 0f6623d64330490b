"""What a partner may send, as values that take the time: a rate of events, and bytes a day.

A bucket holds one second's worth. Whoever finds anything in it may send, a whole batch too: it is then
overdrawn, and filled up again before the next. So a batch may be larger than a second's worth, and the rate
holds all the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

DAY_MS: Final = 86_400_000
_SECOND_MS: Final = 1_000
_SURE: Final = 10
"""So many events in a second say of themselves how many are wanted."""
_LEAST_WEIGHT: Final = 0.2
"""Of the last second, where there are few."""
_PRESENCE: Final = 0.001
"""Events a second that a process counts as which is asked for none: parts of nothing at all are equal."""
_MOVING_SECONDS: Final = 2
"""In which the parts follow a demand that has moved."""


@dataclass(slots=True)
class Bucket:
    """Events that may be sent now; below zero it is overdrawn.

    `at`: of the last look, milliseconds of a clock that nobody sets: one that is set back fills nothing until
    it has come that far again.
    """

    level: float
    at: int

    def fill(self, rate: float, now: int, *, most: float | None = None) -> None:
        """Add what came in since the last look. `rate`: events a second; `most`: one second's worth."""
        gained = rate * max(0, now - self.at) / _SECOND_MS
        self.level = min(rate if most is None else most, self.level + gained)
        self.at = max(self.at, now)

    def wait_seconds(self, rate: float) -> int:
        """Whole seconds until there is one event in it; 0: there is."""
        return 0 if self.level >= 1 else max(1, ceil((1 - self.level) / rate))


def pace_after(pace: float, seen: int) -> float:
    """Events wanted a second, by those seen in the last one. `pace`: as it was before.

    Many tell at once what is wanted now. Few do not: one event every eight seconds is none in seven of them,
    so the past counts too; it is forgotten evenly, and so each event weighs the same in the end.
    """
    weight = min(1.0, max(_LEAST_WEIGHT, max(pace, seen) / _SURE))
    return pace + (seen - pace) * weight


def demand_of(pace: float, level: float, most: float) -> float:
    """Events a second for which a process needs a part of the rate. `most`: the rate that was agreed.

    What was overdrawn is to be filled up, though nobody asks meanwhile. It counts for no more than the whole
    rate: a huge batch is no reason to keep other connections waiting.
    """
    return pace + min(most, max(0.0, -level))


def share_of(demand: float, others: float, count: int) -> float:
    """The part of the rate that a process has. `demand`: its own; `others`: of the `count` others, together.

    One that nobody asks keeps enough for a beginning: a batch that comes there is not paid for with nothing.
    The parts of all that have heard of each other are so a quarter more than the rate at most.
    """
    least = 1 / (count + 1) ** 2
    return max(least, (demand + _PRESENCE) / (demand + others + _PRESENCE * (count + 1)))


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit and how it stands: `most` in `window` seconds, `left` of it, `reset` seconds until more."""

    name: str
    most: int
    window: int
    left: int
    reset: int

    @property
    def is_used_up(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0


def event_limit(bucket: Bucket, most: int, rate: float) -> Limit:
    """The limit of events a second. `rate`: this process's part of `most`.

    That part grows with what is waited for: nobody is told to wait much longer than the whole rate needs.
    """
    wait = min(bucket.wait_seconds(rate), bucket.wait_seconds(most) + _MOVING_SECONDS)
    return Limit("events", most, 1, 0 if wait else int(bucket.level), wait or 1)


def nearest(limits: Sequence[Limit]) -> Limit:
    """The one of several limits of the same that is met first, or that has to be waited for longest."""
    return min(limits, key=lambda one: (one.left, -one.reset))


def byte_limit(most: int, used: int, now: int) -> Limit:
    """The limit of bytes a day of UTC."""
    return Limit(
        "bytes", most, DAY_MS // _SECOND_MS, max(0, most - used), ceil((DAY_MS - now % DAY_MS) / 1_000)
    )


def rate_headers(limits: tuple[Limit, ...]) -> dict[str, str]:
    """The header fields that tell a sender; none where there is no limit.

    Source: draft-ietf-httpapi-ratelimit-headers, sections 3 and 4.
    """
    if not limits:
        return {}
    return {
        "RateLimit-Policy": ", ".join(f'"{one.name}";q={one.most};w={one.window}' for one in limits),
        "RateLimit": ", ".join(f'"{one.name}";r={one.left};t={one.reset}' for one in limits),
    }
