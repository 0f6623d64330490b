from contextlib import suppress
from pathlib import Path

import pytest

from gateway.administration import newest
from gateway.administration.newest import Shelf, read_newest
from gateway.broker.embedded_reader import EmbeddedReader
from gateway.broker.port import BrokerError, Read, Record, TopicSpec
from tests.unit.gateway.ingress.brokers import WilfulBroker

TOPIC = "t"


async def shelf(broker: WilfulBroker, partitions: int = 1) -> Shelf:
    made = await broker.ensure([TopicSpec(TOPIC, partitions)])
    return Shelf(TOPIC, made[TOPIC].id, tuple(range(partitions)))


async def fill(broker: WilfulBroker, count: int, partition: int = 0, size: int = 1) -> None:
    await broker.append(
        [Record(TOPIC, partition, str(n).encode(), b"x" * size, (), n + 1) for n in range(count)]
    )


async def test_the_newest_of_each_partition_are_read_in_their_order(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    where = await shelf(broker, 2)
    await fill(broker, 150)
    await fill(broker, 30, partition=1)
    found = await read_newest(broker, where, seconds=20)
    keys = [[one.record.key for one in found if one.position.partition == number] for number in (0, 1)]
    assert keys[0] == [str(n).encode() for n in range(50, 150)]
    assert keys[1] == [str(n).encode() for n in range(30)]
    await broker.close()


class Unread(WilfulBroker):
    """A broker that nobody may read."""

    def reader(self, *, patience_ms: int = 0) -> EmbeddedReader:
        """Refuse."""
        raise AssertionError(patience_ms)


async def test_a_topic_without_records_gives_none_at_once_and_no_reader_is_opened(tmp_path: Path) -> None:
    broker = Unread(tmp_path)
    assert await read_newest(broker, await shelf(broker), seconds=20) == ()
    await broker.close()


async def test_no_more_bytes_are_read_than_it_takes(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    where = await shelf(broker)
    for _ in range(15):
        await fill(broker, 1, size=900_000)
    found = await read_newest(broker, where, seconds=20)
    assert sum(len(one.record.value or b"") for one in found) >= newest.BYTES
    assert len(found) <= 15
    await broker.close()


async def test_a_broker_that_gives_nothing_in_time_is_no_empty_topic(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    where = await shelf(broker)
    broker.end_ahead = 1
    with pytest.raises(BrokerError, match="gave nothing in time"):
        await read_newest(broker, where, seconds=0.05)
    broker.away_ms = 10
    with pytest.raises(BrokerError, match="away"):
        await read_newest(broker, where, seconds=20)
    await broker.close()


async def test_what_came_before_the_time_was_over_is_not_thrown_away(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    where = await shelf(broker)
    await fill(broker, 3)
    broker.end_ahead = 1
    found: tuple[Read, ...] = ()
    seconds = 1.0
    while not found:
        # Of a machine that stood still for all of the time there is nothing.
        with suppress(BrokerError):
            found = await read_newest(broker, where, seconds=seconds)
        seconds *= 2
    assert len(found) == 3
    await broker.close()
