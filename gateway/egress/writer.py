"""Writes the ticks of all shards, together, until they are written or their shards are dropped."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Literal

from sqlmodel import Session

from gateway.database import Database
from gateway.egress.courier import Work
from gateway.egress.lane import NEVER
from gateway.egress.ticks import Tick, write_ticks
from gateway.errors import AwayError, LeaseLostError, PositionMovedError, StoreUnknownError
from gateway.logs import logger
from gateway.waits import rest
from partners import store

_AGAIN_SECONDS: Final = 0.2
_IDLE_SECONDS: Final = 10.0
"""Between two looks while nothing stirs; looking through all lanes costs more than it finds then."""


_log = logger(__name__)

_Ticks = Sequence[tuple[Work, Tick]]

_Done = Literal["written", "older", "away"]
"""What became of ticks. `written`, or given up with their shards; `older`: contracts have changed; nothing of
them is stored, as where the database is `away`."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """Who has the shards.

    `drop`: stop one, and begin again with what is stored. `renew`: give all of them the contracts of now;
    AwayError: the database is away. `doubt`: why our clock is not to be trusted, empty where it is: ticks
    wait until then.
    """

    drop: Callable[[Work], None] = field(repr=False)
    renew: Callable[[], Awaitable[None]] = field(repr=False)
    doubt: Callable[[], str] = field(default=lambda: "", repr=False)


class Writer:
    """A tick that was taken from a shard is written before the next one of that shard, or the shard goes.

    Hence it must not be cancelled while others go on: `stop` lets it write once more and end.

    Nothing is settled by contracts of a partner that have changed since its topic was read: a tick finds that
    out in its own transaction, and is written once its shard has those of now, with what follows for new
    endpoints. One question a tick; changes of others cost it a second one until the relay has heard of them.
    """

    def __init__(
        self,
        database: Database,
        clock: Callable[[], int],
        step: Callable[[str], None],
        keeper: Keeper,
        *,
        tick_ms: int,
        also: Callable[[], None] = lambda: None,
    ) -> None:
        """`also` hears of each `stir`."""
        self._database = database
        self._clock = clock
        self._step = step
        self._tick_ms = tick_ms
        self._keeper = keeper
        self._also = also
        self._is_stopping = asyncio.Event()
        self._stirred = asyncio.Event()
        self._late_at = NEVER

    async def run(self, works: Mapping[int, Work]) -> None:
        """Until `stop`, and then once more: what was decided while the last tick was written is one, too."""
        self._is_stopping.clear()
        while not self._is_stopping.is_set():
            await rest(self._is_stopping, self._tick_ms / 1000)
            self._stirred.clear()
            if not await self.write(list(works.values())):
                await rest(self._stirred, self._rest_seconds())
        await self.write(list(works.values()))

    def stir(self) -> None:
        """Something may have been decided: look with the next tick."""
        self._stirred.set()
        self._also()

    def stop(self) -> None:
        """End after one more round."""
        self._is_stopping.set()
        self._stirred.set()

    def _rest_seconds(self) -> float:
        """How long to wait for a stir: time stirs nobody, nor does a clock that is to be trusted again."""
        if self._keeper.doubt():
            return _AGAIN_SECONDS  # what was decided waits for that
        return max(0.0, min((self._late_at - self._clock()) / 1000, _IDLE_SECONDS))

    async def write(self, works: Sequence[Work]) -> bool:
        """Write what these shards decided, and what follows for endpoints that are gone; whether any did.

        What waits for too long gets its row with that.
        """
        if self._keeper.doubt():
            return False
        now = self._clock()
        for work in works:
            work.shard.dismiss(now)
        self._late_at = min((work.shard.keep_late(now) for work in works), default=NEVER)
        ticks = [(work, tick) for work in works if (tick := work.shard.make_tick()) is not None]
        if ticks:
            self._step("outbound.3.before")
            await self._insist(ticks, dict(each for work, _ in ticks for each in work.shard.read_by()))
            self._step("outbound.3.committed")
        return bool(ticks)

    async def _insist(self, ticks: _Ticks, contracts: Mapping[str, int]) -> None:
        """`contracts`: of which revision they were when partners' topics were read, at least."""
        while True:
            done = await self._commit(ticks, contracts)
            if done == "written":
                return
            if done == "older":
                with suppress(AwayError):
                    await self._keeper.renew()
                    ticks = [(work, work.shard.amend(tick)) for work, tick in ticks]
                    contracts = {}  # newer than all that was read
                    continue
            await asyncio.sleep(_AGAIN_SECONDS)

    async def _commit(self, ticks: _Ticks, contracts: Mapping[str, int]) -> _Done:
        now = self._clock()

        def work_on(session: Session) -> bool:
            if contracts and _has_changed(session, contracts):
                return False
            write_ticks(session, [tick for _, tick in ticks], now=now)
            return True

        try:
            if not await self._database.write(work_on):
                return "older"
        except StoreUnknownError as error:
            self._give_up(ticks, error.code)
        except AwayError as error:
            _log.warning("relay.tick_not_written", code=error.code)
            return "away"
        except (LeaseLostError, PositionMovedError) as error:
            if len(ticks) > 1:  # one of them; nothing was written
                for each in ticks:
                    await self._insist([each], contracts)
            else:
                self._give_up(ticks, error.code)
        else:
            for work, tick in ticks:
                work.shard.committed(tick)
                work.stir()
        return "written"

    def _give_up(self, ticks: _Ticks, code: str) -> None:
        """As after a crash: what is stored is the truth, and the shard begins again from it."""
        for work, _ in ticks:
            _log.warning("relay.shard_dropped", shard=work.shard.lease.shard, code=code)
            self._keeper.drop(work)


def _has_changed(session: Session, contracts: Mapping[str, int]) -> bool:
    """Whether any of these partners has other contracts by now."""
    least = min(contracts.values())
    if store.revision(session) == least:
        return False
    changed = store.changed_since(session, least)
    return any(changed.get(partner, 0) > number for partner, number in contracts.items())
