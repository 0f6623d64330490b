"""Compares this host's clock with the database's: readiness, status and log say when they do not agree."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gateway.database import Database
from gateway.database import clock as database_clock
from gateway.errors import AwayError
from gateway.ingress.claims import MAX_CLOCK_DIFFERENCE_MS
from gateway.ingress.clocks import words_of_difference
from gateway.logs import logger
from gateway.waits import rest

PAUSE_SECONDS: Final = 2.0


class ClockWatch:
    """A role. `problem`: in words, empty while the clocks agree. Events are checked on their own way in."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self.problem = ""

    async def run(self, stop: asyncio.Event) -> None:
        """Look now and then, until `stop`."""
        while not stop.is_set():
            with suppress(AwayError):
                await self.look()
            await rest(stop, PAUSE_SECONDS)

    async def look(self) -> None:
        """Compare once.

        Raises:
            AwayError: the database is away; what was known stays.
        """
        before = self._clock()
        there = await self._database.read(database_clock)
        ahead = difference(before, there, self._clock())
        problem = words_of_difference(ahead) if abs(ahead) > MAX_CLOCK_DIFFERENCE_MS else ""
        if problem and not self.problem:
            logger("gateway").error("clock untrusted", reason=problem)
        elif self.problem and not problem:
            logger("gateway").info("clock trusted again")
        self.problem = problem


def difference(before: int, there: int, after: int) -> int:
    """The least by which our clock is ahead of another that was read between `before` and `after`; in ms."""
    if before > there:
        return before - there
    return min(0, after - there)
