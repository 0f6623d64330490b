"""Wait for a condition, however slow the machine is."""

import time
from collections.abc import Callable
from typing import TypeVar

WAIT_SECONDS = 60.0

T = TypeVar("T")


def until(look: Callable[[], T], said: Callable[[], str], seconds: float = WAIT_SECONDS) -> T:
    """The first answer that is not empty; `said` is told where none comes."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)
    return found
