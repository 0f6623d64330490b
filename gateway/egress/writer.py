"""Writes the ticks of all shards, together, until they are written or their shards are dropped."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog
from sqlmodel import Session

from gateway.database import Database
from gateway.egress.courier import Work
from gateway.egress.deliveries import Tick, write_tick
from gateway.errors import AwayError, LeaseLostError, PositionMovedError, StoreUnknownError
from gateway.waits import rest

_AGAIN_SECONDS: Final = 0.2
_IDLE_SECONDS: Final = 1.0
"""Between two looks while nothing stirs; looking through all lanes costs more than it finds then."""


_log = structlog.get_logger(__name__)

_Ticks = Sequence[tuple[Work, Tick]]


class Writer:
    """A tick that was taken from a shard is written before the next one of that shard, or the shard goes.

    Hence it must not be cancelled while others go on: `stop` lets it write once more and end.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        step: Callable[[str], None],
        *,
        tick_ms: int,
        drop: Callable[[Work], None],
        doubt: Callable[[], str] = lambda: "",
    ) -> None:
        """`doubt`: why our clock is not to be trusted, empty where it is: ticks wait until then."""
        self._database = database
        self._clock = clock
        self._step = step
        self._tick_ms = tick_ms
        self._drop = drop
        self._doubt = doubt
        self._is_stopping = asyncio.Event()
        self._stirred = asyncio.Event()

    async def run(self, works: Mapping[int, Work]) -> None:
        """Until `stop`, and then once more: what was decided while the last tick was written is one, too."""
        self._is_stopping.clear()
        while not self._is_stopping.is_set():
            await rest(self._is_stopping, self._tick_ms / 1000)
            self._stirred.clear()
            if not await self.write(list(works.values())):
                await rest(self._stirred, _IDLE_SECONDS)
        await self.write(list(works.values()))

    def stir(self) -> None:
        """Something may have been decided: look with the next tick."""
        self._stirred.set()

    def stop(self) -> None:
        """End after one more round."""
        self._is_stopping.set()
        self._stirred.set()

    async def write(self, works: Sequence[Work]) -> bool:
        """Write what these shards decided, and what follows for endpoints that are gone; whether any did."""
        if self._doubt():
            return False
        now = self._clock()
        for work in works:
            work.shard.dismiss(now)
        ticks = [(work, tick) for work in works if (tick := work.shard.make_tick()) is not None]
        if ticks:
            self._step("outbound.3.before")
            await self._insist(ticks)
            self._step("outbound.3.committed")
        return bool(ticks)

    async def _insist(self, ticks: _Ticks) -> None:
        while True:
            if await self._commit(ticks):
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _commit(self, ticks: _Ticks) -> bool:
        """Whether it is settled: written, or given up with its shards. False: the database is away."""
        now = self._clock()

        def work_on(session: Session) -> None:
            for _, tick in ticks:
                write_tick(session, tick, now=now)

        try:
            await self._database.write(work_on)
        except StoreUnknownError as error:
            self._give_up(ticks, error.code)
        except AwayError as error:
            _log.warning("relay.tick_not_written", code=error.code)
            return False
        except (LeaseLostError, PositionMovedError) as error:
            if len(ticks) > 1:  # one of them; nothing was written
                for each in ticks:
                    await self._insist([each])
            else:
                self._give_up(ticks, error.code)
        else:
            for work, tick in ticks:
                work.shard.committed(tick)
                work.stir()
        return True

    def _give_up(self, ticks: _Ticks, code: str) -> None:
        """As after a crash: what is stored is the truth, and the shard begins again from it."""
        for work, _ in ticks:
            _log.warning("relay.shard_dropped", shard=work.shard.lease.shard, code=code)
            self._drop(work)
