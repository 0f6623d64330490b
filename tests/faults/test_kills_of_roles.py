"""SIGKILL at every step of the protocols, each role a process of its own, on one Kafka and one PostgreSQL."""

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random

import pytest

from gateway.leases import shard_of
from tests.crowd import SHARDS, SLUGS
from tests.faults.forked_fleet import (
    ForkedFleet,
    Watcher,
    come_to_rest,
    doors_of,
    forked_fleet_on,
    onboard,
    stop_all,
    verify_whole,
)
from tests.faults.meddling import Meddler
from tests.faults.receiver import Receiver, receiving
from tests.faults.workload import Sender
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(400)]

STEPS = {
    "serve": ("inbound.1.signed", "inbound.2.claimed", "inbound.3.produced", "inbound.4.confirmed"),
    "relay": (
        "outbound.1.leased",
        "outbound.2.matched",
        "outbound.2.posted",
        "outbound.3.before",
        "outbound.3.committed",
        "outbound.4.retried",
    ),
    "sequence": (
        "proof.1.leased",
        "proof.2.checked",
        "proof.3.committed",
        "proof.4.published",
        "proof.4.served",
    ),
}
SELDOM = {"outbound.4.retried"}
"""Only what an endpoint refused comes there, and only with whoever has that partner's shard at that time."""

ONCE = {"outbound.1.leased", "proof.1.leased"}
"""What one process does only when it begins: always killed at the first time."""

TAKEN_OVER = "inbound.3.taken_over"
"""Needs a claim without a record, hence the kill after a claim just before it, and no other `serve`."""

WAVE_SECONDS = 0.25
"""Each step comes often enough, and members that start anew find a processor."""

PARTNERS = dict.fromkeys(SLUGS, "none") | {"bolt": "key", "cork": "endpoint"}

Plan = Mapping[str, Sequence[tuple[str, int]]]


def plan(seed: int, count: int) -> Plan:
    """Every step once for each of `count` members of a role, in an order of the seed's; 0: first times."""
    chance = Random(seed)  # noqa: S311 - a plan that is the same in every run
    kills: dict[str, list[tuple[str, int]]] = {}
    for role, steps in STEPS.items():
        for number in range(1, count + 1):
            mine = kills.setdefault(f"{role}-{number}", [])
            for step in chance.sample(steps, len(steps)):
                at = chance.randint(2, 2 if step in SELDOM else 6)
                mine.append((step, 1 if seed == 0 or step in ONCE else at))
                if step == "inbound.2.claimed" and count == 1:
                    mine.append((TAKEN_OVER, 1))
    return kills


PLANS = {"first-times": plan(0, 1), "one-of-each": plan(1, 1), "two-of-each": plan(2, 2)}


@pytest.fixture
def fleet(
    tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> Iterator[ForkedFleet]:
    flags = {"lease.shards": SHARDS}
    with forked_fleet_on(tmp_path, kafka_server, postgres_server, flags) as made:
        yield made


async def load_while_killing(
    fleet: ForkedFleet, sender: Sender, watcher: Watcher, meddler: Meddler, kills: Plan
) -> None:
    """All members at once, each through its own kills, while operators are at work."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(meddler.work(stop))
        killing = [tasks.create_task(fleet.kill_in_turn(name, mine)) for name, mine in kills.items()]
        while not all(task.done() for task in killing):
            await sender.send_new()
            await watcher.look(fleet.first)
        stop.set()


async def run_kills(fleet: ForkedFleet, receiver: Receiver, kills: Plan) -> None:
    """One installation through all of it, then everything that must be true of it."""
    fleet.start()
    keys = onboard(fleet, receiver, PARTNERS)
    sender = Sender([fleet.first], keys, fleet.first.operator_key(), wave_seconds=WAVE_SECONDS)
    watcher = Watcher()
    await sender.send_new()
    await watcher.look(fleet.first)
    fleet.kill()
    for name in kills.keys() - fleet.members.keys():
        fleet.add(name.split("-")[0])
    sender.doors = doors_of(fleet)
    meddler = Meddler(partial(doors_of, fleet), fleet.first.operator_key(), receiver, tuple(PARTNERS))
    async with sender.connected():
        await load_while_killing(fleet, sender, watcher, meddler, kills)
        for door in doors_of(fleet):
            assert await asyncio.to_thread(door.wait_ready), fleet.said()
        await sender.finish(60)
        await sender.send_all_again()
    await come_to_rest(fleet, receiver, sender.told)
    await watcher.look(fleet.first)
    await stop_all(fleet)
    found = verify_whole(fleet, receiver, sender, watcher, PARTNERS)
    told = f"answers {dict(sender.answers)}, {dict(found.counts)}, operators {dict(meddler.done)}"
    sys.stdout.write(f"kills {fleet.kills.total()}, {told}\n")


@pytest.mark.parametrize("name", PLANS)
async def test_kills_at_every_step_lose_nothing_and_double_nothing(fleet: ForkedFleet, name: str) -> None:
    kills = PLANS[name]
    with receiving() as receiver:
        await run_kills(fleet, receiver, kills)
    assert fleet.kills.total() == sum(map(len, kills.values()))


def test_every_shard_has_a_partner() -> None:
    assert sorted(shard_of(slug, SHARDS) for slug in PARTNERS) == list(range(SHARDS))


def test_the_plans_hold_every_step_and_fifty_kills() -> None:
    kills = [kill for one in PLANS.values() for mine in one.values() for kill in mine]
    assert len(kills) >= 50
    assert {step for step, _ in kills} == {TAKEN_OVER, *(step for each in STEPS.values() for step in each)}
