"""The way of an event on a real Kafka: claim, record, entry, a broker that stops and comes back."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from audit import log as audit_log
from gateway.bootstrap.ground import clock
from gateway.broker.kafka import KafkaBroker
from gateway.ingress.outcome import Accepted, Failed
from tests.contract.broker_stands import fresh_name
from tests.kafka_server import KafkaServer
from tests.world import FIRST, World, running

pytestmark = pytest.mark.kafka

WAIT_SECONDS = 60.0


def body(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": number}


@asynccontextmanager
async def on_kafka(server: KafkaServer, folder: Path, prefix: str) -> AsyncIterator[World]:
    broker = KafkaBroker.open(
        server.servers, clock=clock, properties={}, replication=1, message_timeout_ms=2_000
    )
    flags = {
        "broker.topic_prefix": f"{prefix}.",
        "broker.checkpoint_topic": f"{prefix}.checkpoints",
        "claims.lease": "1s",
    }
    async with running(folder, broker=broker, flags=flags) as world:
        yield world


async def accepted_in_time(world: World, number: int) -> Accepted:
    (one,) = await all_accepted(world, number)
    return one


async def all_accepted(world: World, *numbers: int) -> list[Accepted]:
    """Send a batch until all of it is taken; what is not asks for that."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        outcomes = await world.send(*map(body, numbers))
        taken = [one for one in outcomes if isinstance(one, Accepted)]
        if len(taken) == len(outcomes):
            return taken
        assert all(isinstance(one, Accepted | Failed) for one in outcomes), outcomes
        assert time.monotonic() < deadline, outcomes
        await asyncio.sleep(0.1)


async def test_events_are_accepted_sequenced_and_repeated(kafka_server: KafkaServer, tmp_path: Path) -> None:
    async with on_kafka(kafka_server, tmp_path, fresh_name()) as world:
        await world.apply()
        first = await accepted_in_time(world, 0)
        await all_accepted(world, *range(100))
        await world.settled(FIRST + 100)
        assert (await accepted_in_time(world, 0)).receipt == first.receipt


async def test_a_paused_broker_makes_no_second_entry(kafka_server: KafkaServer, tmp_path: Path) -> None:
    async with on_kafka(kafka_server, tmp_path, fresh_name()) as world:
        await world.apply()
        await accepted_in_time(world, 1)
        kafka_server.pause()
        try:
            (lost,) = await world.send(body(2))
            assert isinstance(lost, Failed)
        finally:
            kafka_server.resume()
        found = await accepted_in_time(world, 2)
        await world.settled(FIRST + 2)
        await asyncio.sleep(1)
        assert (await accepted_in_time(world, 2)).receipt == found.receipt
        with world.parts.ground.database.begin() as session:
            sizes = [one.head.size for one in audit_log.heads(session)]
        assert sum(sizes) == FIRST + 2
