"""A producer of librdkafka that can never send again, or answers at once: what no Kafka does at will."""

import asyncio
import logging
import os
import shutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer

from gateway.broker.kafka import KafkaBroker
from gateway.broker.port import Position, Stored
from gateway.http.tls import make_dev_certificate
from tests.contract.broker_stands import record

TOPIC = "partners.acme.inbound"


def move(file: Path, to: Path) -> None:
    file.rename(to)


def now() -> int:
    return time.time_ns() // 1_000_000


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    made, _ = make_dev_certificate(tmp_path / "kept", now=now(), entropy=os.urandom)
    return Path(shutil.copy(made, tmp_path / "ca.pem"))


@pytest.fixture
async def broker(authority: Path) -> AsyncIterator[KafkaBroker]:
    properties = {"security.protocol": "SSL", "ssl.ca.location": str(authority)}
    opened = KafkaBroker.open("127.0.0.1:1", clock=now, properties=properties, replication=1)
    yield opened
    await opened.close()


async def test_a_file_that_moved_keeps_the_serving_thread_alive_and_is_used_once_it_is_back(
    broker: KafkaBroker, authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = broker._producer
    move(authority, tmp_path / "away.pem")
    broker._is_fatal = True
    while not caplog.records:
        assert broker._thread.is_alive()
        await asyncio.sleep(0.02)
    move(tmp_path / "away.pem", authority)
    while broker._producer is broken:
        assert broker._thread.is_alive()
        await asyncio.sleep(0.02)
    assert not broker._is_fatal


async def test_that_no_producer_can_be_made_is_told_once_for_the_same_words(
    broker: KafkaBroker, authority: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await broker.close()
    caplog.clear()
    broken = broker._producer
    move(authority, tmp_path / "away.pem")
    broker._renew()
    broker._renew()
    assert broker._producer is broken
    (told,) = caplog.records
    assert told.levelno == logging.ERROR
    assert "ssl.ca.location" in told.getMessage()
    move(tmp_path / "kept" / "dev-key.pem", authority)
    broker._renew()
    assert len(caplog.records) == 2


class Taking:
    """Takes every record and acknowledges it at once; `taking` runs before the first."""

    def __init__(self, taking: Callable[[], None]) -> None:
        self._taking = taking
        self._taken = 0

    def produce(self, topic: str, value: bytes, key: bytes, partition: int, **more: Any) -> None:
        assert (topic, value, key) == (TOPIC, b"v", b"k")
        if not self._taken:
            self._taking()
        more["on_delivery"](None, Acknowledged(partition, self._taken))
        self._taken += 1

    def poll(self, seconds: float) -> None:
        time.sleep(seconds)

    def flush(self, seconds: float) -> None: ...

    def purge(self) -> None: ...


class Raising(Taking):
    """Can never send again."""

    def __init__(self) -> None:
        super().__init__(lambda: None)

    def poll(self, seconds: float) -> None:
        raise KafkaException(KafkaError(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, str(seconds), fatal=True))


class Acknowledged:
    """As much of a message as the broker looks at."""

    def __init__(self, partition: int, offset: int) -> None:
        self._place = (partition, offset)

    def partition(self) -> int:
        return self._place[0]

    def offset(self) -> int:
        return self._place[1]


async def test_a_producer_that_says_by_raising_that_it_can_never_send_again_is_replaced(
    broker: KafkaBroker,
) -> None:
    """So confluent-kafka tells of a fatal error; the callback for errors is not asked."""
    broken = cast("Producer", Raising())
    broker._producer = broken
    while broker._producer is broken:
        assert broker._thread.is_alive()
        await asyncio.sleep(0.02)
    assert not broker._is_fatal


async def test_that_a_topic_is_found_to_be_gone_while_records_are_sent_leaves_no_answer_without_an_id(
    broker: KafkaBroker,
) -> None:
    broker._watch.remember({TOPIC: "id"})
    broker._producer = cast("Producer", Taking(lambda: broker._watch._tell({(TOPIC, "id"): None})))
    answers = await broker.append([record(TOPIC), record(TOPIC)])
    assert answers == [Stored(Position("id", 0, number)) for number in range(2)]
    assert broker._watch.id_of(TOPIC) is None
