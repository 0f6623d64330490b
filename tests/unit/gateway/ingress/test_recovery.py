import asyncio
from pathlib import Path

from gateway.bootstrap.ground import prepare
from gateway.broker.port import Refused
from gateway.ingress.claims import expire_leases
from gateway.ingress.outcome import Accepted
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.world import World, make_settings, running

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}
B = {**A, "order_id": "B-1"}


async def leave_behind(folder: Path, database_url: str, *bodies: object) -> None:
    """Claims of a process that was killed before its records were on the topic."""
    broker = WilfulBroker(folder)
    async with running(folder, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"] * len(bodies)
        await world.send(*bodies)
    ground = prepare(make_settings(folder, url=database_url), "up")
    with ground.database.begin() as session:
        expire_leases(session)
    ground.database.close()


async def published(world: World, count: int) -> bool:
    for _ in range(200):
        if await world.parts.broker.bounds([(TOPIC, 0)]) == [(0, count)]:
            return True
        await asyncio.sleep(0.05)
    return False


async def test_claims_of_a_killed_process_are_published_without_a_repeat(
    tmp_path: Path, database_url: str
) -> None:
    await leave_behind(tmp_path, database_url, A, B)
    async with running(tmp_path, url=database_url) as world:
        assert await published(world, 2)
        await world.settled(2)
        (again,) = await world.send(A)
        assert isinstance(again, Accepted)
        assert again.duplicate


async def test_a_first_round_that_fails_is_not_the_last(tmp_path: Path, database_url: str) -> None:
    await leave_behind(tmp_path, database_url, A)
    broker = WilfulBroker(tmp_path)
    broker.refusal = Refused("storage_full", "a test said so")
    async with running(tmp_path, url=database_url, broker=broker, flags={"claims.lease": "1s"}) as world:
        await asyncio.sleep(1)
        broker.refusal = None
        assert await published(world, 1)
