"""What only a real Kafka can show of its adapter: transactions, absence, settings, recovery."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from confluent_kafka import KafkaError, Producer

from gateway.broker import kafka_fetcher, kafka_pace
from gateway.broker.kafka import KafkaBroker
from gateway.broker.port import (
    BrokerError,
    Position,
    Read,
    Refused,
    Start,
    Stored,
    TooHigh,
    TopicSpec,
    Unknown,
)
from tests.contract.broker_stands import (
    at_last,
    fresh_name,
    make_topic,
    now,
    read_until,
    record,
    start,
    until,
    values,
)
from tests.kafka_server import KafkaServer

pytestmark = pytest.mark.kafka

NOBODY = "127.0.0.1:1"  # a port that no Kafka listens on


@pytest.fixture
async def broker(kafka_server: KafkaServer) -> AsyncIterator[KafkaBroker]:
    opened = open_broker(kafka_server.servers)
    yield opened
    kafka_server.resume()
    await opened.close()


def open_broker(servers: str, **properties: str) -> KafkaBroker:
    """One that waits for a Kafka that is there for as long as it may take."""
    patience_ms = 1_000 if servers == NOBODY else 60_000
    return KafkaBroker.open(
        servers, clock=now, properties=properties, replication=1, message_timeout_ms=patience_ms
    )


async def records_of(broker: KafkaBroker, partitions: list[tuple[str, int]]) -> int:
    """How many are there, once each partition's leader answers."""
    async with asyncio.timeout(60):
        while True:
            with suppress(BrokerError):
                return sum(end for _, end in await broker.bounds(partitions))
            await asyncio.sleep(0.1)


async def until_end(broker: KafkaBroker, topic: str, end: int) -> None:
    while await records_of(broker, [(topic, 0)]) != end:  # noqa: ASYNC110 - another process
        await asyncio.sleep(0.01)


async def test_transaction_markers_are_passed_over(kafka_server: KafkaServer, broker: KafkaBroker) -> None:
    name = fresh_name()
    topic = await make_topic(broker, name)
    producer = Producer({"bootstrap.servers": kafka_server.servers, "transactional.id": name})
    producer.init_transactions(30)
    for is_kept in (True, False):
        producer.begin_transaction()
        producer.produce(name, b"kept" if is_kept else b"aborted", partition=0)
        producer.flush(10)
        if is_kept:
            producer.commit_transaction(30)
        else:
            producer.abort_transaction(30)
    # Two records, and a marker behind each; the last marker is written after its transaction has ended.
    await until_end(broker, name, 4)
    reader = broker.reader()
    reader.assign([start(name, topic.id)])
    assert values(await read_until(reader, 1)) == [b"kept"]
    while reader.reached(name, 0) != 4:
        assert await reader.poll(10, 100) == []
    await reader.close()


async def test_a_stopped_broker_is_known_to_be_away_and_answers_again_when_resumed(
    kafka_server: KafkaServer, broker: KafkaBroker
) -> None:
    name = fresh_name()
    await make_topic(broker, name)
    assert broker.away_for_ms() == 0
    kafka_server.pause()
    await until(lambda: broker.away_for_ms() > 0)
    with pytest.raises(BrokerError) as away:
        await broker.bounds([(name, 0)])
    assert away.value.code == "broker_unavailable"
    kafka_server.resume()
    await until(lambda: broker.away_for_ms() == 0)
    assert await records_of(broker, [(name, 0)]) == 0


async def test_a_reader_outlives_a_killed_broker(kafka_server: KafkaServer, broker: KafkaBroker) -> None:
    name = fresh_name()
    topic = await make_topic(broker, name)
    reader = broker.reader()
    reader.assign([start(name, topic.id)])
    await broker.append([record(name, b"before")])
    assert values(await read_until(reader, 1)) == [b"before"]
    kafka_server.kill()
    assert await reader.poll(10, 500) == []
    kafka_server.start()
    answer: Stored | Refused | Unknown = Unknown("")
    while not isinstance(answer, Stored):
        (answer,) = await broker.append([record(name, b"after")])
    seen: list[bytes | None] = []
    while b"after" not in seen:
        seen += values(await reader.poll(10, 1_000))
    assert set(seen) == {b"after"}
    await reader.close()


async def test_without_any_broker_nothing_hangs_and_nothing_is_promised() -> None:
    broker = open_broker(NOBODY)
    reader = broker.reader()
    reader.assign([start("partners.acme.inbound", "id")])
    # Less than what its own waits may add up to is no bound on a busy machine.
    async with asyncio.timeout(90):
        (answer,) = await broker.append([record("partners.acme.inbound")])
        assert isinstance(answer, Refused)
        assert answer.code == "unavailable"
        with pytest.raises(BrokerError) as away:
            await broker.ensure([TopicSpec("partners.acme.inbound")])
        assert away.value.code == "broker_unavailable"
        assert await reader.poll(10, 100) == []
        assert broker.away_for_ms() > 0
        await broker.close()


async def test_a_property_that_librdkafka_does_not_know_is_named() -> None:
    with pytest.raises(BrokerError) as refused:
        open_broker(NOBODY, **{"no.such.key": "1"})
    assert refused.value.code == "broker_refused"
    assert "no.such.key" in str(refused.value)


async def test_properties_cannot_weaken_what_an_acknowledgement_means(kafka_server: KafkaServer) -> None:
    weak = {"acks": "0", "auto.offset.reset": "latest", "linger.ms": "0"}
    broker = open_broker(kafka_server.servers, **weak)
    name = fresh_name()
    topic = await make_topic(broker, name)
    (answer,) = await broker.append([record(name)])
    assert isinstance(answer, Stored)
    assert answer.position.offset == 0
    reader = broker.reader()
    reader.assign([start(name, topic.id, 7)])
    assert isinstance((await read_until(reader, 1))[0], TooHigh)
    await broker.close()


async def test_a_compacted_topic_is_made_as_one(broker: KafkaBroker) -> None:
    name = fresh_name()
    spec = TopicSpec(name, compacted=True)
    assert (await at_last(lambda: broker.ensure([spec])))[name].mismatches == ()
    other = (await at_last(lambda: broker.ensure([TopicSpec(name, retention_ms=1_000)])))[name]
    assert any("cleanup.policy=compact" in words for words in other.mismatches)


async def test_a_topic_that_takes_less_than_our_largest_record_is_a_mismatch(
    kafka_server: KafkaServer, broker: KafkaBroker
) -> None:
    name = fresh_name()
    await make_topic(broker, name)
    wide = KafkaBroker.open(
        kafka_server.servers, clock=now, properties={}, replication=1, max_record_bytes=2_000_000
    )
    (words,) = (await at_last(lambda: wide.ensure([TopicSpec(name)])))[name].mismatches
    assert "max.message.bytes" in words
    await wide.close()


async def test_more_replicas_than_brokers_are_refused_with_the_reason(kafka_server: KafkaServer) -> None:
    broker = KafkaBroker.open(kafka_server.servers, clock=now, properties={}, replication=3)
    with pytest.raises(BrokerError) as refused:
        await at_last(lambda: broker.ensure([TopicSpec(fresh_name())]))
    assert refused.value.code == "broker_refused"
    assert "eplication" in str(refused.value)
    await broker.close()


async def test_a_producer_that_can_never_send_again_is_replaced(broker: KafkaBroker) -> None:
    name = fresh_name()
    await make_topic(broker, name)
    broken = broker._producer
    broker._note_error(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, fatal=True))
    await until(lambda: broker._producer is not broken)
    (answer,) = await broker.append([record(name)])
    assert isinstance(answer, Stored)


async def test_headers_without_a_value_read_as_empty(kafka_server: KafkaServer, broker: KafkaBroker) -> None:
    name = fresh_name()
    topic = await make_topic(broker, name)
    producer = Producer({"bootstrap.servers": kafka_server.servers})
    producer.produce(name, b"v", partition=0, headers=[("a", None), ("b", b"")])
    producer.flush(10)
    reader = broker.reader()
    reader.assign([start(name, topic.id)])
    (read,) = await read_until(reader, 1)
    assert isinstance(read, Read)
    assert read.record.headers == (("a", b""), ("b", b""))
    await reader.close()


async def test_many_topics_are_made_and_read_at_once(broker: KafkaBroker) -> None:
    names = [fresh_name() for _ in range(60)]
    made = await at_last(lambda: broker.ensure([TopicSpec(name) for name in names]))
    reader = broker.reader()
    reader.assign([start(name, made[name].id) for name in names])
    answers = await broker.append([record(name, name.encode()) for name in names])
    assert [answer for answer in answers if not isinstance(answer, Stored)] == []
    assert set(values(await read_until(reader, 60))) == {name.encode() for name in names}
    await reader.close()


async def test_a_reader_that_comes_to_have_very_many_partitions_leaves_nothing_out(
    broker: KafkaBroker,
) -> None:
    name, count = fresh_name(), 450
    made = await make_topic(broker, name, count)
    late = replace(record(name, b"late"), partition=count - 1)
    async with asyncio.timeout(60):
        while not isinstance((await broker.append([late]))[0], Stored):
            """So many partitions have their leaders a little later, on a busy machine."""
    await broker.append(
        [replace(record(name, b"%d" % number), partition=number % 20) for number in range(100)]
    )
    reader = broker.reader()
    reader.assign([Start(name, Position(made.id, partition, 0)) for partition in range(20)])
    first = await reader.poll(30, 5_000)
    reader.assign([Start(name, Position(made.id, partition, 0)) for partition in range(20, count)])
    total = await records_of(broker, [(name, partition) for partition in (*range(20), count - 1)])
    rest = await read_until(reader, total - len(first))
    places = [
        (one.position.partition, one.position.offset) for one in (*first, *rest) if isinstance(one, Read)
    ]
    assert len(first) > 0
    assert len(places) == len(set(places)) == total
    await reader.close()


async def test_a_calm_reader_leaves_nothing_out_either(
    broker: KafkaBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def note(way: kafka_pace.Way, given: Mapping[str, Any]) -> dict[str, Any]:
        made.append(way.kind)
        return settings(way, given)

    settings = kafka_pace.Way.settings
    monkeypatch.setattr(kafka_pace.Way, "settings", note)
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
    monkeypatch.setattr(kafka_fetcher, "_BESIDE_SECONDS", 0.0)  # else it may be patient to the end
    reader = broker.reader(patience_ms=25)
    for kinds in (["patient", "calm"], ["patient", "calm", "patient", "calm"]):
        name = fresh_name()
        topic = await make_topic(broker, name)
        await broker.append([record(name, b"before")])
        reader.assign([start(name, topic.id)])
        assert values(await read_until(reader, 1)) == [b"before"]
        while made != kinds:
            assert await reader.poll(10, 100) == []
        for number in range(3):
            await broker.append([record(name, b"%d" % number)])
            assert values(await read_until(reader, 1)) == [b"%d" % number]
        assert reader.reached(name, 0) == 4
    await reader.close()
