"""The way of an event on a real Kafka: claim, record, entry, a broker that stops and comes back."""

import asyncio
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
    for _ in range(100):
        (one,) = await world.send(body(number))
        if isinstance(one, Accepted):
            return one
        assert isinstance(one, Failed)
        await asyncio.sleep(0.1)
    raise AssertionError(one)


async def test_events_are_accepted_sequenced_and_repeated(kafka_server: KafkaServer, tmp_path: Path) -> None:
    async with on_kafka(kafka_server, tmp_path, fresh_name()) as world:
        await world.apply()
        first = await accepted_in_time(world, 0)
        outcomes = await world.send(*map(body, range(100)))
        assert all(isinstance(one, Accepted) for one in outcomes)
        await world.settled(FIRST + 100)
        (again,) = await world.send(body(0))
        assert isinstance(again, Accepted)
        assert again.receipt == first.receipt


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
        (again,) = await world.send(body(2))
        assert isinstance(again, Accepted)
        assert again.receipt == found.receipt
        with world.parts.ground.database.begin() as session:
            sizes = [one.head.size for one in audit_log.heads(session)]
        assert sum(sizes) == FIRST + 2
