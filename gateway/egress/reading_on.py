"""Reads on in what rests in rows, for lanes that are about to send it: some at a time, whichever shard asks.

Nothing is read for a lane that has some in memory, so that a hundred thousand rows cost little memory, and
hold up nothing new: one read is a few milliseconds of a thread.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from gateway.database import Database
from gateway.egress.deliveries import load_places
from gateway.egress.locking import Place
from gateway.egress.shard import Shard
from gateway.errors import AwayError

_MOMENT_SECONDS: Final = 0.01
"""Others may ask meanwhile: a question to the database costs as much as many rows of its answer."""

_AGAIN_SECONDS: Final = 0.2
_MOST: Final = 128
"""Rows of one read."""


class Lacking(Protocol):
    """A shard at work; `stir` makes it look at its lanes."""

    @property
    def shard(self) -> Shard:
        """The shard."""
        ...

    def stir(self) -> None:
        """Something is different."""
        ...


class ReadingOn:
    """One a relay."""

    def __init__(self, database: Database, clock: Callable[[], int]) -> None:
        self._database = database
        self._clock = clock
        self._lacking: dict[Lacking, None] = {}
        self._stirred = asyncio.Event()

    def join(self, work: Lacking) -> None:
        """It has lanes that lack what rests; once, however often it says so."""
        self._lacking[work] = None
        self._stirred.set()

    async def run(self) -> None:
        """Read on until cancelled; what nobody got in time is asked for again by whoever lacks it."""
        while True:
            await self._stirred.wait()
            await asyncio.sleep(_MOMENT_SECONDS)
            wanted = self._next()
            if not self._lacking:
                self._stirred.clear()
            if not wanted:
                continue  # what they lacked was heard of, or given up, meanwhile
            places = [place for some in wanted.values() for place in some]
            try:
                found = await self._database.read(partial(load_places, places=places))
            except AwayError:
                self._lacking |= dict.fromkeys(wanted)
                self._stirred.set()
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            for work, some in wanted.items():
                work.shard.read_on(some, [found[place] for place in some if place in found], self._clock())
                work.stir()

    def _next(self) -> dict[Lacking, list[Place]]:
        """Whose turn it is, and for which rows; who joins later comes later."""
        wanted: dict[Lacking, list[Place]] = {}
        left, now = _MOST, self._clock()
        for work in list(self._lacking):
            if left <= 0:
                break
            del self._lacking[work]
            if some := work.shard.lacking(now, left):
                wanted[work] = some
                left -= len(some)
        return wanted
