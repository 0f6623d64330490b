"""Two gateways, each with a database of its own, that were given the same topics of one Kafka."""

import asyncio
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import httpx
import pytest

from gateway.bootstrap.ground import clock, entropy
from gateway.broker.kafka import KafkaBroker
from gateway.broker.port import Read, TopicSpec
from gateway.database import Database
from gateway.ingress.outcome import Accepted
from gateway.sequencer.guard import Guard, NamesakeError
from gateway.sequencer.mark import Installation, read_mark
from tests.acceptance.running import Gateway, orders, take
from tests.contract.broker_stands import fresh_name, read_until, start
from tests.contract.broker_stands import until as until_so
from tests.fleet import waiting
from tests.kafka_server import KafkaServer
from tests.world import FIRST, World, running

pytestmark = pytest.mark.kafka

T = TypeVar("T")


@pytest.fixture
def started() -> Iterator[list[Gateway]]:
    made: list[Gateway] = []
    yield made
    for one in made:
        one.kill()


def settings(kafka: KafkaServer, prefix: str) -> dict[str, str | int]:
    return {
        "broker.url": f"kafka://{kafka.servers}",
        "broker.replication": 1,
        "broker.topic_prefix": f"{prefix}.",
        "broker.checkpoint_topic": f"{prefix}.checkpoints",
        "audit.tick": "50ms",
    }


def make(started: list[Gateway], folder: Path, flags: Mapping[str, str | int]) -> Gateway:
    one = Gateway(folder, dict(flags))
    started.append(one)
    return one


def open_kafka(kafka: KafkaServer) -> KafkaBroker:
    return KafkaBroker.open(kafka.servers, clock=clock, properties={}, replication=1)


async def records(kafka: KafkaServer, topic: str) -> list[Read]:
    """All that is on the first partition of a topic."""
    broker = open_kafka(kafka)
    try:
        topic_id = (await broker.describe([topic]))[topic].id
        ((_, end),) = await broker.bounds([(topic, 0)])
        reader = broker.reader()
        reader.assign([start(topic, topic_id)])
        found = await read_until(reader, end) if end else []
        await reader.close()
        return [one for one in found if isinstance(one, Read)]
    finally:
        await broker.close()


def missing(gateway: Gateway) -> str:
    """What stands in the way of events, once the doors are open."""
    assert gateway.process is not None
    assert gateway.process.poll() is None, gateway.said()
    try:
        with gateway.client() as client:
            return str(client.get("/readyz").json()["missing"])
    except httpx.TransportError:
        return ""


def until(look: Callable[[], T], said: Callable[[], str]) -> T:
    """The first answer that is not empty; `said` is told where none comes."""
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline, said()
        time.sleep(0.05)
    return found


def settled(gateway: Gateway) -> bool:
    with gateway.operator() as client:
        return not waiting(client)


async def test_a_second_gateway_is_refused_and_the_first_goes_on_undisturbed(
    kafka_server: KafkaServer, tmp_path: Path, started: list[Gateway]
) -> None:
    prefix = fresh_name()
    flags = settings(kafka_server, prefix)
    first = make(started, tmp_path / "first", flags).start()
    assert first.apply().status_code == 201
    second = make(started, tmp_path / "second", flags)
    said = second.refuses()
    assert f"the checkpoint topic {prefix}.checkpoints belongs to the gateway {first.url}" in said
    assert "broker.topic_prefix and broker.checkpoint_topic" in said
    assert "the same database.url" in said
    with first.client(first.partner_key()) as partner:
        for order in orders(0, 3):
            take(partner, "/v1/events/order.placed", order)
    until(lambda: settled(first), first.said)
    assert len(await records(kafka_server, f"{prefix}.acme.inbound")) == 3


async def test_of_two_gateways_that_start_at_once_exactly_one_goes_on(
    kafka_server: KafkaServer, tmp_path: Path, migrated_file: Path
) -> None:
    file = Path(shutil.copy(migrated_file, tmp_path))
    database = Database(f"sqlite:///{file}")
    brokers = [open_kafka(kafka_server) for _ in range(2)]
    for _ in range(3):
        topic = f"{fresh_name()}.checkpoints"
        # Both are there before either marks it, so that the race is one of marks.
        await brokers[0].ensure([TopicSpec(topic, compacted=True)])
        guards = [
            Guard(
                broker=broker,
                database=database,
                us=Installation(f"gw.example/log/{number}", f"https://{number}.example"),
                topic=topic,
                clock=clock,
                entropy=entropy,
            )
            for number, broker in enumerate(brokers)
        ]
        async with asyncio.TaskGroup() as group:
            for one in guards:
                group.create_task(settle(one))
        winners = [one for one in guards if one.has_passed]
        losers = [one for one in guards if isinstance(one.refusal, NamesakeError)]
        assert (len(winners), len(losers)) == (1, 1)
        assert f"belongs to the gateway {winners[0].us.origin}" in str(losers[0].refusal)
        marks = [read_mark(one.record) for one in await records(kafka_server, topic)]
        assert marks[0] == winners[0].us
    for broker in brokers:
        await broker.close()
    database.close()


async def settle(guard: Guard) -> None:
    """Until the guard knows; a busy machine may let a question time out."""
    while not (guard.has_passed or guard.refusal):
        await guard.settle()


async def send_surely(world: World, number: int) -> None:
    """One event, accepted once all topics are there."""
    for _ in range(600):
        (outcome,) = await world.send({"order_id": f"A-{number}", "qty": number})
        if isinstance(outcome, Accepted):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(outcome)


async def test_a_gateway_that_shares_the_prefix_alone_is_seen_in_the_topics(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    prefix = fresh_name()
    flags = settings(kafka_server, prefix)
    other_flags = {**flags, "broker.checkpoint_topic": f"{prefix}.else"}
    folders = [tmp_path / "first", tmp_path / "other"]
    for folder in folders:
        folder.mkdir()
    async with (
        running(folders[0], broker=open_kafka(kafka_server), flags=flags) as first,
        running(folders[1], broker=open_kafka(kafka_server), flags=other_flags) as other,
    ):
        await first.apply()
        await other.apply()
        await send_surely(other, 1)
        strangers = first.parts.sequencer.strangers
        await until_so(lambda: bool(strangers))
        said = strangers[f"{prefix}.acme.inbound"]
        assert "receipts of logs that this gateway does not have: another gateway writes to it" in said
        assert "another broker.topic_prefix and broker.checkpoint_topic" in said
        # The one that is read with the other's records goes on with its own.
        await send_surely(first, 2)
        await first.settled(FIRST + 1)


def test_doors_open_while_kafka_is_away_and_nothing_is_taken_before_its_topics_are_known_to_be_ours(
    kafka_server: KafkaServer, tmp_path: Path, started: list[Gateway]
) -> None:
    kafka_server.pause()
    try:
        one = make(started, tmp_path / "data", settings(kafka_server, fresh_name()))
        one.launch()
        said = until(lambda: missing(one), one.said)
        assert "the broker has been away" in said
        assert one.apply().status_code == 201
        with one.client(one.partner_key()) as partner:
            assert partner.post("/v1/events/order.placed", json=orders(1, 1)[0]).status_code == 503
    finally:
        kafka_server.resume()
    assert one.wait_ready(), one.said()
    with one.client(one.partner_key()) as partner:
        take(partner, "/v1/events/order.placed", orders(1, 1)[0])
