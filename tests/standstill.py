"""How long this machine itself stood still: a promise in seconds is one of a machine that runs."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_LOOK_SECONDS = 0.01
_MOST_LOST_SECONDS = 0.2
_LATE_SECONDS = 0.05
"""A thread that slept and is woken later than that was kept from running, as was everybody else."""


@dataclass
class Stopwatch:
    """Seconds since it was made, but for those in which nobody could do anything."""

    begun: float = field(default_factory=time.monotonic)
    lost: float = 0.0

    @property
    def is_disturbed(self) -> bool:
        """Whether the machine stood still for so long that what was measured says little."""
        return self.lost > _MOST_LOST_SECONDS

    def seconds(self) -> float:
        return time.monotonic() - self.begun - self.lost

    def look(self, over: threading.Event) -> None:
        """Add up what is lost, until it is over."""
        last = time.monotonic()
        while not over.wait(_LOOK_SECONDS):
            now = time.monotonic()
            late = now - last - _LOOK_SECONDS
            self.lost += late if late > _LATE_SECONDS else 0.0
            last = now


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """One that watches the machine until the block ends; what it says is to be asked within."""
    made, over = Stopwatch(), threading.Event()
    watching = threading.Thread(target=made.look, args=(over,), daemon=True)
    watching.start()
    try:
        yield made
    finally:
        over.set()
        watching.join()
