import asyncio
from dataclasses import dataclass, field

from gateway.egress.turnstile import RETRIES_A_SECOND, Turnstile

NOW = 50_000


@dataclass(eq=False)
class Shard:
    granted: int = 0
    turns: int = 0
    wake: asyncio.Event = field(default_factory=asyncio.Event)


async def granted(turnstile: Turnstile, *shards: Shard, times: int) -> list[int]:
    """What each got of so many grants, when all of them always want more; `now` stands still."""
    totals = [0 for _ in shards]
    running = asyncio.create_task(turnstile.run())
    try:
        for shard in shards:
            turnstile.join(shard, NOW)
        for _ in range(times):
            waits = [asyncio.create_task(shard.wake.wait()) for shard in shards]
            async with asyncio.timeout(30):
                await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            for number, shard in enumerate(shards):
                if shard.wake.is_set():
                    shard.wake.clear()
                    totals[number] += shard.granted
                    shard.turns += 1
                    shard.granted = 0
                    turnstile.join(shard, NOW)
    finally:
        running.cancel()
    return totals


async def test_while_something_new_is_sent_retries_begin_at_a_steady_rate() -> None:
    turnstile = Turnstile()
    turnstile.note_new(NOW)
    began = asyncio.get_running_loop().time()
    (total,) = await granted(turnstile, Shard(), times=30)
    seconds = asyncio.get_running_loop().time() - began
    # The first come at once, and one pause may be caught up with.
    assert total <= RETRIES_A_SECOND * (seconds + 0.05)


async def test_all_shards_have_their_turn() -> None:
    turnstile = Turnstile()
    turnstile.note_new(NOW)
    shards = Shard(), Shard(), Shard()
    assert min(await granted(turnstile, *shards, times=12)) > 0
    # How many are granted in a turn, time tells: a pause that was slept over is caught up with.
    turns = sorted(shard.turns for shard in shards)
    assert turns[0] >= 3
    assert turns[-1] - turns[0] <= 1


async def test_where_nothing_new_is_sent_twice_as_many_begin() -> None:
    busy, quiet = Turnstile(), Turnstile()
    busy.note_new(NOW)
    quiet.note_new(NOW - 1_000)
    (few,) = await granted(busy, Shard(), times=1)
    (many,) = await granted(quiet, Shard(), times=1)
    assert many == 2 * few > 0


async def test_what_had_its_turn_elsewhere_counts_but_for_no_more_than_half() -> None:
    turnstile, shard = Turnstile(), Shard()
    began = asyncio.get_running_loop().time()
    running = asyncio.create_task(turnstile.run())
    for _ in range(10):
        turnstile.note_ahead(1_000)
        turnstile.join(shard, NOW)
        async with asyncio.timeout(30):
            await shard.wake.wait()
        shard.wake.clear()
    seconds = asyncio.get_running_loop().time() - began
    running.cancel()
    # The first comes at once, and one pause may be caught up with.
    assert seconds >= 9 * 12 / RETRIES_A_SECOND - 0.02


async def test_who_says_twice_that_it_waits_is_asked_once() -> None:
    turnstile, shard = Turnstile(), Shard()
    turnstile.join(shard, NOW)
    turnstile.join(shard, NOW)
    running = asyncio.create_task(turnstile.run())
    async with asyncio.timeout(30):
        await shard.wake.wait()
    shard.wake.clear()
    shard.granted = 0
    for _ in range(20):
        await asyncio.sleep(0)
    assert not shard.wake.is_set()
    running.cancel()
