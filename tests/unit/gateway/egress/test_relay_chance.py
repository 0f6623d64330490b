"""A relay through bursts, refusals and deaths, by chance: what an endpoint is owed comes, in its order."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from gateway.dialler import Answer, Outgoing
from tests.unit.gateway.egress.stage import Stage, answer, endpoint, stage

EVENTS = 600
"""More than lanes hold at once, so that ranges are begun, drained and joined."""

ENDPOINTS = (
    endpoint("ep_none", order="none", concurrency=7, delays=(0,) * 40),
    endpoint("ep_key", order="key", concurrency=5, delays=(0,) * 40),
    endpoint("ep_all", order="endpoint", concurrency=1, delays=(0,) * 40),
)


@dataclass
class Taken:
    """What each URL has taken by a 2xx, in order; some of it is refused first."""

    chance: Random
    by_url: dict[str, list[str]] = field(default_factory=dict)

    def reply(self, outgoing: Outgoing, _number: int) -> Answer:
        if self.chance.random() < 0.1:
            return answer(400, "client_error")
        self.by_url.setdefault(outgoing.url, []).append(json.loads(outgoing.body)["id"])
        return answer()


def first_seen(ids: list[str]) -> list[str]:
    return list(Counter(ids))


async def produce(on: Stage, chance: Random) -> None:
    """In bursts, with pauses; the key is the last digit."""
    at = 0
    while at < EVENTS:
        some = range(at, min(EVENTS, at + chance.randint(1, 150)))
        for number in some:
            await on.produce(f"{number}", key=b"%d" % (number % 10))
        at = some.stop
        await asyncio.sleep(chance.random() * 0.05)


async def live_and_die(on: Stage, chance: Random, owner: str) -> None:
    """A relay that is killed after a while, with all that it had in memory; the next waits for its leases."""
    task = asyncio.create_task(on.relay(owner=owner, duration_ms=300).run(asyncio.Event()))
    await asyncio.sleep(0.4 + chance.random())
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("seed", range(2))
async def test_nothing_is_lost_and_orders_hold(tmp_path: Path, database_url: str, seed: int) -> None:
    chance = Random(seed)  # noqa: S311 - a plan that is the same in every run
    async with stage(tmp_path, database_url, *ENDPOINTS) as on:
        taken = Taken(chance)
        on.receiver.reply = taken.reply
        async with asyncio.TaskGroup() as tasks:
            producing = tasks.create_task(produce(on, chance))
            for owner in ("one", "two", "three"):
                await live_and_die(on, chance, owner)
            await producing
        async with on.relaying(owner="four"):
            await on.until(
                lambda: on.position() == EVENTS and not (on.spans() or on.rows()), "settled", seconds=90
            )
        everything = {str(number) for number in range(EVENTS)}
        for one in ENDPOINTS:
            assert set(taken.by_url[one.url]) == everything, one.order
        _, by_key, whole = (first_seen(taken.by_url[one.url]) for one in ENDPOINTS)
        assert whole == sorted(whole, key=int)
        for key in range(10):
            mine = [int(one) for one in by_key if int(one) % 10 == key]
            assert mine == sorted(mine)
