"""The examples for consumers on a real Kafka: what the gateway wrote is proved, and lands once."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from examples.data_lake.feed import Lake, read_topic
from gateway.bootstrap.ground import clock
from gateway.broker.kafka import KafkaBroker
from gateway.ingress.outcome import Accepted
from tests.contract.broker_stands import fresh_name
from tests.kafka_server import KafkaServer
from tests.world import CONTRACT, FIRST, ORDER, World, draft, running

pytestmark = pytest.mark.kafka

ROOT = Path(__file__).parents[2]
HEADER_FRAMED = f"{CONTRACT}topics: {{framing: header}}\n"


async def send(world: World, first: int, count: int) -> None:
    orders = ({"order_id": f"A-{n}", "qty": n} for n in range(first, first + count))
    # An attribute may be empty; on Kafka it is still one.
    outcomes = await world.submit([draft(order, note="", subject="côte") for order in orders])
    assert all(isinstance(one, Accepted) for one in outcomes), outcomes


def proved(servers: str, topic: str, keys: Path, count: int) -> list[str]:
    """The first lines of the example consumer."""
    command = [sys.executable, "examples/consumer/check_receipts.py", servers, topic, str(keys)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={"PYTHONUNBUFFERED": "1"}
    ) as program:
        assert program.stdout is not None
        try:
            return [program.stdout.readline() for _ in range(count)]
        finally:
            program.kill()


async def test_records_of_either_framing_are_proved_and_land_once(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    prefix, servers = fresh_name(), kafka_server.servers
    broker = KafkaBroker.open(servers, clock=clock, properties={}, replication=1, message_timeout_ms=30_000)
    flags = {"broker.topic_prefix": f"{prefix}.", "broker.checkpoint_topic": f"{prefix}.checkpoints"}
    topic, lake = f"{prefix}.acme.inbound", tmp_path / "lake"

    def run() -> int:
        feed = Lake(lake, topic, "order.placed", lambda _: ORDER)
        return feed.take(read_topic(servers, topic, feed.starts()))

    async with running(tmp_path, broker=broker, flags=flags) as world:
        await world.apply()
        await send(world, 0, 20)
        assert await asyncio.to_thread(run) == 20
        await world.settled(FIRST + 20)
        await world.apply(HEADER_FRAMED)
        await send(world, 20, 15)
        assert [await asyncio.to_thread(run) for _ in range(2)] == [15, 0]
        (tmp_path / "keys.json").write_text(json.dumps(world.parts.keys.current.jwks()))
        lines = await asyncio.to_thread(proved, servers, topic, tmp_path / "keys.json", 35)
        assert [line.split(":")[0] for line in lines] == [str(offset) for offset in range(35)]
    question = 'SELECT count(*), count(DISTINCT "offset"), sum(data.qty) FROM read_parquet(?)'
    with duckdb.connect() as connection:
        total = connection.execute(question, [f"{lake}/order.placed/*/*.parquet"]).fetchall()
    assert total == [(35, 35, sum(range(35)))]
