"""What all generators at half load share: due times fixed beforehand, and percentiles of what was waited.

An event says in its id when it was due, on the clock that all processes of a Linux machine share
(CLOCK_MONOTONIC): who receives it knows how long it took, whatever it went through.
"""

import asyncio
import math
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

_AHEAD_SECONDS: Final = 0.05


async def evenly(rate: float, seconds: float, each: Callable[[float], None]) -> int:
    """Call `each` with the time when it was due, so many times a second for so long; the number of calls.

    One that comes late is called with the time when it was due, too.
    """
    began, total, made = time.monotonic() + _AHEAD_SECONDS, int(rate * seconds), 0
    while made < total:
        now = time.monotonic()
        while made < total and began + made / rate <= now:
            each(began + made / rate)
            made += 1
        await asyncio.sleep(max(0.0, began + made / rate - time.monotonic()))
    return total


def due_name(due: float) -> str:
    """The word of an order id by which a receiver knows when the event was due."""
    return f"due@{int(due * 1e6)}"


def summary(latencies: Sequence[float]) -> dict[str, float]:
    """Percentiles in milliseconds, of seconds; infinite where there are none."""
    ordered = sorted(latencies)
    return {
        "p50_ms": percentile(ordered, 50) * 1000,
        "p99_ms": percentile(ordered, 99) * 1000,
        "max_ms": percentile(ordered, 100) * 1000,
    }


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The smallest value that so many percent do not exceed; infinite where there is none."""
    at = max(0, math.ceil(len(ordered) * percent / 100) - 1)
    return ordered[at] if ordered else math.inf


def waits(answered: Sequence[float], sightings: Sequence[tuple[float, int]]) -> Iterator[float]:
    """From the answer to each event until so many events were seen.

    `sightings`: times, and how many events were seen then. None waits less than nothing; what was never seen
    waits for ever.
    """
    place = 0
    for number, at in enumerate(answered, 1):
        while place < len(sightings) and sightings[place][1] < number:
            place += 1
        yield max(0.0, sightings[place][0] - at) if place < len(sightings) else math.inf


def cpu_used() -> float:
    """CPU seconds of this process so far."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@dataclass(slots=True)
class Busy:
    """The share of one core that this process uses since this was made."""

    _cpu: float = field(default_factory=cpu_used, init=False)
    _begun: float = field(default_factory=time.monotonic, init=False)

    def share(self) -> float:
        """So far."""
        return (cpu_used() - self._cpu) / (time.monotonic() - self._begun)
