"""How much is yet to be read, measured when somebody asks for `/metrics`, and not often."""

import asyncio
from collections.abc import Callable
from typing import Final

from gateway.metrics import Metrics
from gateway.status import Status

_EVERY_MS: Final = 10_000
_MOST_SECONDS: Final = 2.0
"""Metrics are answered by then, whatever broker or database does."""


class Measuring:
    """Keeps the gauge; one a process. `clock`: Unix milliseconds."""

    def __init__(self, status: Status, metrics: Metrics, clock: Callable[[], int]) -> None:
        self._status = status
        self._metrics = metrics
        self._clock = clock
        self._next = 0

    async def measure(self) -> None:
        """Look, if the last look is ten seconds old; what takes too long is not known."""
        now = self._clock()
        if 0 < self._next - now <= _EVERY_MS:
            return
        self._next = now + _EVERY_MS
        counts = None
        try:
            async with asyncio.timeout(_MOST_SECONDS):
                counts = await self._status.measure()
        except TimeoutError:
            pass
        self._metrics.unread(counts)
