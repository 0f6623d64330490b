import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.egress import tempo
from gateway.egress.turnstile import Turnstile


@dataclass(eq=False)
class Shard:
    """Has so many retries, and takes what it may; `begun` goes up as each begins."""

    turnstile: Turnstile
    left: int
    order: list["Shard"] = field(default_factory=list)
    granted: int = 0
    begun: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while self.left:
                self.turnstile.join(self)
                await self.wake.wait()
                self.wake.clear()
                granted, self.granted = min(self.granted, self.left), 0
                self.left -= granted
                for _ in range(granted):
                    group.create_task(self._begin())

    async def _begin(self) -> None:
        await self.turnstile.pass_through()
        self.begun += 1
        self.order.append(self)


@asynccontextmanager
async def running(turnstile: Turnstile) -> AsyncIterator[asyncio.TaskGroup]:
    """Ended with the block, and all that was begun in it."""
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        letting = group.create_task(turnstile.run())
        try:
            await asyncio.sleep(0)
            async with asyncio.TaskGroup() as own:
                yield own
        finally:
            letting.cancel()


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110 - what it waits for tells nobody
        await asyncio.sleep(0.001)


async def test_all_of_it_begins_at_the_least_rate_while_something_new_is_sent_all_the_time() -> None:
    turnstile = Turnstile()
    shards = [Shard(turnstile, count) for count in (1, 7, 0, 30)]
    async with running(turnstile) as group:
        for shard in shards:
            group.create_task(shard.run())
        while any(shard.left for shard in shards):
            turnstile.note_new()
            turnstile._tempo.rate = tempo.LEAST
            await asyncio.sleep(0.001)
    assert [shard.begun for shard in shards] == [1, 7, 0, 30]


async def test_all_shards_have_their_turn() -> None:
    turnstile, order = Turnstile(), list[Shard]()
    turnstile.note_new()
    shards = [Shard(turnstile, 20, order) for _ in range(3)]
    async with running(turnstile) as group:
        for shard in shards:
            group.create_task(shard.run())
        while len(order) < 60:
            turnstile.note_new()
            await asyncio.sleep(0.001)
    for some in (order[:30], order[30:]):
        counts = [some.count(shard) for shard in shards]
        assert max(counts) - min(counts) <= 12


async def test_a_shard_that_takes_nothing_holds_up_no_other() -> None:
    turnstile = Turnstile()
    lazy = [Shard(turnstile, 0) for _ in range(200)]
    shard = Shard(turnstile, 5)
    async with running(turnstile) as group:
        for one in lazy:
            turnstile.join(one)
        group.create_task(shard.run())
    assert shard.begun == 5


async def test_what_is_given_up_while_it_waits_holds_up_nothing() -> None:
    turnstile = Turnstile()
    async with running(turnstile) as group:
        turnstile.note_new()
        gone = [group.create_task(turnstile.pass_through()) for _ in range(50)]
        await asyncio.sleep(0)
        for one in gone[1:]:
            one.cancel()
        shard = Shard(turnstile, 3)
        group.create_task(shard.run())
    assert shard.begun == 3


async def test_what_is_loading_counts_as_ready() -> None:
    turnstile = Turnstile()
    shard = Shard(turnstile, 0)
    async with running(turnstile):
        with turnstile.loading(1_000):
            turnstile.join(shard)
            for _ in range(20):
                await asyncio.sleep(0)
            assert not shard.wake.is_set()
        await shard.wake.wait()
    assert shard.granted > 0


async def test_at_its_end_whatever_waits_goes_and_nothing_waits_any_more() -> None:
    turnstile = Turnstile()
    turnstile.note_new()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        letting = group.create_task(turnstile.run())
        await asyncio.sleep(0)
        turnstile.note_new()
        for _ in range(500):
            group.create_task(turnstile.pass_through())
        await asyncio.sleep(0)
        letting.cancel()
    await turnstile.pass_through()


async def test_who_says_twice_that_it_waits_is_asked_once() -> None:
    turnstile = Turnstile()
    shard = Shard(turnstile, 0)
    turnstile.join(shard)
    turnstile.join(shard)
    async with running(turnstile):
        await until(shard.wake.is_set)
        shard.wake.clear()
        for _ in range(20):
            await asyncio.sleep(0)
        assert not shard.wake.is_set()
