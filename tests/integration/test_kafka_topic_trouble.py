"""Topics that go, come back as others, or lose records to retention, under a gateway on a real Kafka."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import KafkaError

from gateway.broker.kafka import KafkaBroker
from gateway.broker.port import BrokerError, Position, TooHigh
from gateway.sequencer.published import read_shown
from tests.contract.broker_stands import fresh_name, make_topic, now, read_until, record, start, values
from tests.faults.receiver import Receiver, receiving
from tests.kafka_server import KafkaServer
from tests.troubled import Hands, Troubled, troubled, until

pytestmark = pytest.mark.kafka

NEVER = 1 << 40
OUTBOUND = 10_000
"""Added to the numbers of events that go the other way."""


@pytest.fixture
def hands(kafka_server: KafkaServer) -> Hands:
    return Hands(kafka_server.servers)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving(Receiver(refuses=NEVER)) as opened:
        yield opened


async def delivered(receiver: Receiver, *ids: str) -> None:
    """Wait until exactly these events have arrived, each under one webhook-id."""

    async def arrived() -> bool:
        return {event for _, event in receiver.events} >= set(ids)

    await until(arrived, lambda: receiver.events)
    assert {event for _, event in receiver.events} == set(ids)
    assert (receiver.torn, receiver.split) == (set(), set())


async def test_a_deleted_topic_is_made_again_and_nothing_is_acknowledged_into_the_void(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path, receiver: Receiver
) -> None:
    async with troubled(tmp_path, kafka_server.servers, fresh_name()) as world:
        await world.contract(receiver.url)
        first = await world.accepted(0)
        await world.accepted(100, "outbound")
        await world.logged_as("A-0", "A-100")
        # What the relay has not read by then goes with the topic.
        await delivered(receiver, "A-100")
        old, old_outbound = await hands.id_of(world.inbound), await hands.id_of(world.outbound)
        await hands.delete(world.inbound)
        await hands.delete(world.outbound)
        # For some milliseconds Kafka still takes what it is about to delete: A-1 may be such an event.
        later = [await world.accepted(number) for number in (1, 2)]
        await hands.until_made_again(world.inbound, old)
        await hands.until_made_again(world.outbound, old_outbound)
        await world.accepted(101, "outbound")
        await world.logged_as("A-0", "A-1", "A-2", "A-100", "A-101")
        await delivered(receiver, "A-100", "A-101")
        assert (await world.accepted(0)).receipt == first.receipt
        assert {one.topic for one in later} == {world.inbound}
        await world.warned(world.inbound, "was deleted and made again, and the records of the former topic")


async def test_a_topic_deleted_and_made_again_under_load_loses_nothing_that_was_taken_after_it(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path, receiver: Receiver
) -> None:
    async with troubled(tmp_path, kafka_server.servers, fresh_name()) as world:
        await world.contract(receiver.url)
        await world.accepted(0)
        taken: list[int] = []
        is_over = asyncio.Event()

        async def load() -> None:
            while not is_over.is_set():
                number = len(taken) + 1
                await world.accepted(number)
                await world.accepted(number + OUTBOUND, "outbound")
                taken.append(number)

        async def has_taken(count: int) -> bool:
            return len(taken) >= count

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(load())
            await until(lambda: has_taken(20))
            for topic in (world.inbound, world.outbound):
                await hands.delete(topic)
                await hands.make(topic)
            begun = len(taken) + 1
            await until(lambda: has_taken(begun + 40))
            is_over.set()
        await world.logged_as("A-0", *(f"A-{each + way}" for each in taken for way in (0, OUTBOUND)))
        await until(
            lambda: _all_arrived(receiver, {f"A-{each + OUTBOUND}" for each in taken if each > begun})
        )
        assert (receiver.torn, receiver.split) == (set(), set())


async def _all_arrived(receiver: Receiver, ids: set[str]) -> bool:
    return {event for _, event in receiver.events} >= ids


async def test_events_whose_topic_went_before_they_were_logged_are_logged_from_their_claims(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path
) -> None:
    prefix = fresh_name()
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        await world.contract()
        await world.accepted(0)
        await world.logged_as("A-0")
    async with troubled(tmp_path, kafka_server.servers, prefix, roles=("serve",)) as world:
        for number in (1, 2, 3):
            await world.accepted(number)
    await hands.delete(world.inbound)
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        await world.accepted(4)
        await world.logged_as("A-0", "A-1", "A-2", "A-3", "A-4")
        told = await world.warned(world.inbound, "was deleted and made again")
        assert "3 accepted events among them had no log entry yet and have it now" in told
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        await world.accepted(5)
        await world.logged_as("A-0", "A-1", "A-2", "A-3", "A-4", "A-5")
        assert (await world.status.look())["warnings"] == []


async def test_what_retention_took_before_it_was_logged_is_a_hole_in_evidence_and_the_events_are_kept(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path
) -> None:
    prefix = fresh_name()
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        await world.contract()
        await world.accepted(0)
        await world.logged_as("A-0")
    async with troubled(tmp_path, kafka_server.servers, prefix, roles=("serve",)) as world:
        for number in (1, 2, 3):
            await world.accepted(number)
        await hands.trim(world.inbound, 3)
        ahead = await world.warned(world.inbound, "retention took 2 records", "from offset 1 to 3")
        assert "sequence" in ahead
        assert "Raise broker.retention" in ahead
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        await world.logged_as("A-0", "A-1", "A-2", "A-3")
        (hole,) = await world.holes()
        assert (hole["topic"], hole["from"], hole["to"]) == (world.inbound, 1, 3)
        told = await world.warned(world.inbound, "offset 1 to 3 before they were logged")
        assert "2 accepted events among them had no log entry yet and have it now" in told


async def test_what_retention_took_before_it_was_delivered_is_a_hole_in_evidence_and_an_alarm(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path, receiver: Receiver
) -> None:
    prefix = fresh_name()
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        await world.contract(receiver.url)
        await world.accepted(0, "outbound")
        await delivered(receiver, "A-0")
        await until(lambda: _read_up_to(world, 1))
    async with troubled(tmp_path, kafka_server.servers, prefix, roles=("serve", "sequence")) as world:
        for number in (1, 2, 3):
            await world.accepted(number, "outbound")
        await world.logged_as("A-0", "A-1", "A-2", "A-3")
        await hands.trim(world.outbound, 3)
        await world.warned(world.outbound, "retention took 2 records", "before relay read them")
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        await delivered(receiver, "A-0", "A-3")
        (hole,) = await until(world.holes)
        assert (hole["topic"], hole["from"], hole["to"]) == (world.outbound, 1, 3)
        await world.calm()


async def _read_up_to(world: Troubled, offset: int) -> bool:
    """Whether the relay's position is stored there."""
    lag = (await world.status.look())["lag"]
    return any(one["topic"] == world.outbound and one["end"] - one["relay"] >= offset for one in lag)


async def test_a_deleted_checkpoint_topic_is_made_again_and_shows_every_log(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path
) -> None:
    async with troubled(tmp_path, kafka_server.servers, fresh_name()) as world:
        await world.contract()
        await world.accepted(0)
        await world.logged_as("A-0")

        seen: list[set[str]] = []

        async def shows_both() -> bool:
            # Kafka may be busy, or still about to make the topic.
            with suppress(BrokerError):
                seen.append(set((await read_shown(world.parts.broker, world.checkpoints)).checkpoints))
            return len(seen[-1] if seen else ()) == 2

        await until(shows_both, lambda: seen)
        before = seen[-1]
        old = await hands.id_of(world.checkpoints)
        await hands.delete(world.checkpoints)
        await hands.until_made_again(world.checkpoints, old)
        seen.clear()
        await until(shows_both, lambda: seen)
        assert seen[-1] == before
        await world.accepted(1)
        await world.logged_as("A-0", "A-1")
        await world.calm()
        sizes = [(one["size"], one["published"]) for one in (await world.status.look())["logs"]]
        assert [one for one in sizes if one[0] != one[1]] == []


async def test_records_that_were_lost_are_told_though_others_took_their_places(
    kafka_server: KafkaServer,
) -> None:
    broker = KafkaBroker.open(kafka_server.servers, clock=now, properties={}, replication=1)
    name = fresh_name()
    topic = await make_topic(broker, name)
    await broker.append([record(name, value) for value in (b"a", b"b", b"c")])
    reader = broker.reader()
    reader.assign([start(name, topic.id, 2)])
    assert values(await read_until(reader, 1)) == [b"c"]
    # What librdkafka says when a new leader's log was cut before our place and has grown past it since.
    words = "broker end offset is 1 (offset leader epoch 0): Local: Partition log truncation detected"
    reader._fetcher._note_error((name, 0), KafkaError(KafkaError._AUTO_OFFSET_RESET, words))
    assert await read_until(reader, 1) == [TooHigh(name, Position(topic.id, 0, 3), 1)]
    assert reader.reached(name, 0) is None
    reader.assign([start(name, topic.id, 3)])
    await broker.append([record(name, b"d")])
    assert values(await read_until(reader, 1)) == [b"d"]
    await reader.close()
    await broker.close()
