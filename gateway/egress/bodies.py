"""Bodies of deliveries that have rows: read together, whoever asks for them within a moment.

A question to the database costs as much as ten rows of its answer, and each shard asks for a few.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from gateway.database import Database
from gateway.egress.deliveries import load_bodies
from gateway.egress.locking import Place
from gateway.errors import AwayError, StoreError

_MOMENT_SECONDS: Final = 0.002
_MOST: Final = 256
"""Bodies of one answer, or as many as one shard asks for: each may be large."""

_STOPPED: Final = "nothing is read any more: we are stopping"

_Asked = tuple[Sequence[Place], asyncio.Future[Mapping[Place, bytes]]]


class Bodies:
    """One a relay. Whoever asks is answered while `run` runs, and refused once it has ended."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._asked: list[_Asked] = []
        self._stirred = asyncio.Event()
        self._is_over = False

    async def of(self, places: Sequence[Place]) -> Mapping[Place, bytes]:
        """The bodies of these, and perhaps of others; without those whose rows wait no more.

        Raises:
            AwayError: the database is away, or nothing is read any more.
        """
        if self._is_over:
            raise StoreError("store_unavailable", _STOPPED)
        answer: asyncio.Future[Mapping[Place, bytes]] = asyncio.get_running_loop().create_future()
        self._asked.append((places, answer))
        self._stirred.set()
        return await answer

    async def run(self) -> None:
        """Answer until cancelled."""
        self._is_over = False
        asked: list[_Asked] = []
        try:
            while True:
                await self._stirred.wait()
                await asyncio.sleep(_MOMENT_SECONDS)
                asked = self._next()
                if not self._asked:
                    self._stirred.clear()
                await self._answer(asked)
        finally:
            self._is_over = True
            _refuse([*asked, *self._asked], StoreError("store_unavailable", _STOPPED))
            self._asked = []

    def _next(self) -> list[_Asked]:
        """Whoever has left meanwhile is not read for."""
        waiting = [one for one in self._asked if not one[1].done()]
        some, count = list[_Asked](), 0
        for one in waiting:
            count += len(one[0])
            if some and count > _MOST:
                break
            some.append(one)
        self._asked = waiting[len(some) :]
        return some

    async def _answer(self, asked: Sequence[_Asked]) -> None:
        wanted = [place for places, _ in asked for place in places]
        try:
            found = await self._database.read(lambda session: load_bodies(session, wanted))
        except AwayError as error:
            _refuse(asked, error)
            return
        for _, answer in asked:
            if not answer.done():
                answer.set_result(found)


def _refuse(asked: Sequence[_Asked], error: AwayError) -> None:
    for _, answer in asked:
        if not answer.done():
            answer.set_exception(error)
