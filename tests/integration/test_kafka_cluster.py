"""Three brokers, RF 3, min.insync.replicas 2: one dies under load, then two; what was acknowledged stays."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import confluent_kafka.admin
import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from audit.ref import format_ref
from gateway.broker import kafka_pace
from gateway.broker.kafka import KafkaBroker
from gateway.broker.port import Position, ReadEvent, Stored, TooHigh
from gateway.event import Direction
from gateway.ingress.outcome import Accepted, Failed
from tests.contract.broker_stands import fresh_name, now, read_until, record, start, values
from tests.faults.receiver import Receiver, receiving
from tests.kafka_cluster import KafkaCluster
from tests.troubled import HELD_UP, Troubled, troubled

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]  # nodes start slowly on a busy machine

AWAY = {"broker_unavailable", "outcome_unknown", *HELD_UP}
PAUSE_SECONDS = 0.05
PATIENCE_SECONDS = 60.0
RECOVERY_SECONDS = 15.0
"""What the gateway may take after Kafka; 5 s are promised, on a machine that does nothing else."""


@dataclass
class Sender:
    """Repeats each event until it is accepted, then goes on to the next."""

    world: Troubled
    direction: Direction
    name: str
    sent: int = 0
    receipts: dict[bytes, str] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)

    def ids(self) -> list[str]:
        return [f"{self.name}-{number}" for number in range(self.sent)]

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            body = {"order_id": f"{self.name}-{self.sent}", "qty": self.sent}
            self.sent += 1
            await self.deliver(body)
            await asyncio.sleep(PAUSE_SECONDS)

    async def deliver(self, body: dict[str, object]) -> None:
        while True:
            (one,) = await self.world.send(body, direction=self.direction)
            if isinstance(one, Accepted):
                self.receipts[one.ref] = one.receipt
                return
            assert isinstance(one, Failed), one
            self.codes[one.code] += 1
            await asyncio.sleep(PAUSE_SECONDS)


@dataclass
class Load:
    """A sender each way, and the partner's receiver."""

    world: Troubled
    receiver: Receiver
    senders: list[Sender]

    def count(self) -> int:
        return sum(len(sender.receipts) for sender in self.senders)

    def codes(self) -> Counter[str]:
        return sum((sender.codes for sender in self.senders), Counter())

    async def more(self, count: int = 20) -> None:
        """Wait until so many more events were accepted."""
        wanted = self.count() + count
        while self.count() < wanted:  # noqa: ASYNC110 (a condition of other tasks)
            await asyncio.sleep(0.02)

    async def verify(self, servers: str) -> None:
        """Nothing is lost, nothing is doubled: topics, log and receiver agree with what was acknowledged."""
        ways: dict[Direction, dict[bytes, str]] = {"inbound": {}, "outbound": {}}
        for sender in self.senders:
            ways[sender.direction].update(sender.receipts)
        for topic, receipts in (
            (self.world.inbound, ways["inbound"]),
            (self.world.outbound, ways["outbound"]),
        ):
            # A publish whose outcome was unknown can be there twice: the same record, receipt and all.
            assert await asyncio.to_thread(receipts_on, servers, topic) == set(receipts.values())
        await self.world.logged_as(*(event_id for sender in self.senders for event_id in sender.ids()))
        wanted = {format_ref(ref) for ref in ways["outbound"]}
        while not self.receiver.taken >= wanted:  # noqa: ASYNC110 (the relay retries)
            await asyncio.sleep(0.05)
        assert self.receiver.taken == wanted
        assert not self.receiver.torn | self.receiver.split


def receipts_on(servers: str, topic: str) -> set[str]:
    """What a stock consumer finds on a topic."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": topic, "log_level": 2})
    spot = TopicPartition(topic, 0, 0)
    consumer.assign([spot])
    _, end = consumer.get_watermark_offsets(spot, timeout=PATIENCE_SECONDS)
    found: set[str] = set()
    offset = 0
    while offset < end:
        message = consumer.poll(PATIENCE_SECONDS)
        assert message is not None, f"{topic}: nothing came after offset {offset}, and it has {end}"
        assert message.error() is None, message.error()
        offset = (message.offset() or 0) + 1
        headers: Any = message.headers() or []
        found.update(text.decode() for name, text in headers if name == "gateway_receipt")
    consumer.close()
    return found


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    made = KafkaCluster(tmp_path_factory.mktemp("cluster"))
    try:
        made.start()
        yield made
    finally:
        made.kill()


@asynccontextmanager
async def loaded(cluster: KafkaCluster, folder: Path) -> AsyncIterator[Load]:
    flags = {"broker.replication": "3", "broker.message_timeout": "5s", "lease.duration": "10s"}
    with receiving() as receiver:
        async with troubled(folder, cluster.servers, fresh_name(), flags=flags) as world:
            await world.contract(receiver.url)
            ways: list[Direction] = ["inbound", "outbound"]
            senders = [Sender(world, way, f"S{number}") for number, way in enumerate(ways)]
            load = Load(world, receiver, senders)
            stop = asyncio.Event()
            async with asyncio.TaskGroup() as tasks:
                sending = [tasks.create_task(sender.run(stop)) for sender in senders]
                await load.more()
                yield load
                stop.set()
                await asyncio.wait(sending)
            await load.verify(cluster.servers)


def send_alone(servers: str, topic: str) -> float:
    """When Kafka itself takes records again: an independent producer, acks=all; seconds of the clock."""
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "message.timeout.ms": 2_000,
            "log_level": 2,
            "reconnect.backoff.max.ms": 500,
        }
    )
    answers: list[KafkaError | None] = []

    def note(error: KafkaError | None, _: Message) -> None:
        answers.append(error)

    while not answers or answers[-1] is not None:
        producer.produce(topic, b"no event", partition=0, on_delivery=note)
        producer.flush(5)
    return time.monotonic()


async def test_one_broker_dies_and_comes_back(cluster: KafkaCluster, tmp_path: Path) -> None:
    async with loaded(cluster, tmp_path) as load:
        victims: list[Callable[[], int]] = [partial(cluster.leader, load.world.inbound), cluster.controller]
        for victim in victims:
            number = victim()
            cluster.nodes[number].kill()
            try:
                await load.more()
            finally:
                await asyncio.to_thread(cluster.nodes[number].start)
            await asyncio.to_thread(cluster.wait_in_sync, load.world.inbound)
        assert set(load.codes()) <= AWAY


async def test_two_brokers_die_and_the_gateway_goes_on_soon_after_kafka(
    cluster: KafkaCluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with loaded(cluster, tmp_path) as load:
        leader = cluster.leader(load.world.inbound)
        gone = [leader, next(number for number in cluster.nodes if number != leader)]
        for number in gone:
            cluster.nodes[number].kill()
        status = load.world.status
        while not (reasons := await status.ready()):  # noqa: ASYNC110 (a condition of other processes)
            await asyncio.sleep(0.05)
        assert "the broker has been away" in reasons[0]
        while not {"broker_unavailable"} <= set(load.codes()):  # noqa: ASYNC110 (a condition of other tasks)
            await asyncio.sleep(0.05)
        alone = asyncio.create_task(asyncio.to_thread(send_alone, cluster.servers, load.world.inbound))
        fresh = asyncio.create_task(first_accepted(load))
        await asyncio.gather(*(asyncio.to_thread(cluster.nodes[number].start) for number in gone))
        seconds = await fresh - await alone
        with capsys.disabled():
            sys.stdout.write(f"\n{seconds:.1f} s after Kafka the gateway accepts again\n")
        assert seconds < RECOVERY_SECONDS
        await load.more()
        assert set(load.codes()) <= AWAY
        await load.world.ready()


async def first_accepted(load: Load) -> float:
    """When an event that nobody has tried before is accepted at its first try; seconds of the clock."""
    sender = Sender(load.world, "inbound", "fresh")
    load.senders.append(sender)
    at = 0.0
    while not at:
        body: dict[str, object] = {"order_id": f"fresh-{sender.sent}", "qty": sender.sent}
        sender.sent += 1
        (one,) = await load.world.send(body)
        at = time.monotonic() if isinstance(one, Accepted) else 0.0
        await asyncio.sleep(PAUSE_SECONDS)
    for number, event_id in enumerate(sender.ids()):
        await sender.deliver({"order_id": event_id, "qty": number})
    return at


async def test_that_an_unclean_election_has_cut_a_quiet_partition_is_noticed_by_another_client_too(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was cut is written over up to behind the reader's place, so that the place itself looks good."""
    name, (first, second) = fresh_name(), sorted(cluster.nodes)[:2]
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 3_600.0)
    make_weak_topic(cluster.servers, name, [first, second])
    await asyncio.to_thread(cluster.wait_in_sync, name, 2)
    broker = KafkaBroker.open(cluster.servers, clock=now, properties={}, replication=2)
    topic_id = (await broker.describe([name]))[name].id
    leader = cluster.leader(name)
    other = first + second - leader
    reader = broker.reader(patience_ms=25)
    reader.assign([start(name, topic_id)])
    seen: list[ReadEvent] = []
    try:
        await stored(broker, name, b"kept", 3)
        ((_, cut),) = await broker.bounds([(name, 0)])
        cluster.nodes[other].kill()
        await stored(broker, name, b"lost", 4)
        while len(seen) < cut + 4:
            seen += await reader.poll(10, 100)
        monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
        while reader._fetcher._way.kind != "calm":
            seen += await reader.poll(10, 100)
        cluster.nodes[leader].kill()
        await asyncio.to_thread(cluster.nodes[other].start)
        await stored(broker, name, b"new", len(seen))
        while not isinstance(seen[-1], TooHigh):
            seen += await reader.poll(1, 1_000)
        # An append whose answer got lost may have been one more.
        assert set(values(seen[cut:-1])) == {b"lost"}
        assert seen[-1] == TooHigh(name, Position(topic_id, 0, len(seen) - 1), cut)
        reader.assign([start(name, topic_id, cut)])
        assert set(values(await read_until(reader, len(seen) - 1))) == {b"new"}
    finally:
        await broker.close()  # the last test of these: one node is away


def make_weak_topic(servers: str, name: str, nodes: list[int]) -> None:
    """One that takes records of its leader alone, and whose leader may have missed some."""
    weak = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}
    module: Any = confluent_kafka.admin  # whose types say nothing of what it re-exports
    made = module.NewTopic(name, 1, replica_assignment=[nodes], config=weak)
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.create_topics([made]).values():
        future.result()


async def stored(broker: KafkaBroker, topic: str, value: bytes, count: int) -> None:
    """Append so many, each once Kafka takes one."""
    while count:
        (answer,) = await broker.append([record(topic, value)])
        count -= isinstance(answer, Stored)
        await asyncio.sleep(0 if isinstance(answer, Stored) else PAUSE_SECONDS)
