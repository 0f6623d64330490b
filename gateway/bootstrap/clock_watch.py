"""Compares this host's clock with the database's: readiness, status and log say when they do not agree."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from gateway.database import Database
from gateway.database import clock as database_clock
from gateway.errors import AwayError
from gateway.honest_clock import HonestClock
from gateway.logs import logger
from gateway.waits import rest

PAUSE_SECONDS: Final = 2.0


class ClockWatch:
    """A role. `honest`: what it keeps informed. Events are checked on their own way in, too."""

    def __init__(self, database: Database, clock: Callable[[], int], honest: HonestClock) -> None:
        """`clock`: this host's, Unix milliseconds."""
        self._database = database
        self._clock = clock
        self._honest = honest
        self._is_off = False

    @property
    def problem(self) -> str:
        """In words, empty while the clocks agree."""
        return self._honest.problem

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
        self._honest.compare(before, await self._database.read(database_clock))
        problem = self._honest.problem
        if problem and not self._is_off:
            logger("gateway").error("clock untrusted", reason=problem)
        elif self._is_off and not problem:
            logger("gateway").info("clock trusted again")
        self._is_off = bool(problem)
