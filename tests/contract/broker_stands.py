"""A broker under test and what can be done to it from outside, the same for every adapter."""

import asyncio
import os
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from gateway.broker.embedded import EmbeddedBroker, Fate
from gateway.broker.gated import GatedBroker
from gateway.broker.kafka import KafkaBroker
from gateway.broker.port import (
    Broker,
    BrokerError,
    Position,
    Read,
    Reader,
    ReadEvent,
    Record,
    Start,
    Topic,
    TopicSpec,
)
from tests import waiting
from tests.kafka_server import KafkaServer

MAX_RECORD_BYTES = 20_000

T = TypeVar("T")


class Stand(Protocol):
    """One adapter, opened, and the hands of an operator on its broker."""

    @property
    def broker(self) -> Broker:
        """The adapter under test."""
        ...

    @property
    def host(self) -> Broker:
        """Who makes the topics: the adapter, unless it is one that makes none."""
        ...

    async def reopen(self) -> None:
        """Close the adapter, end the broker in order, start both again."""
        ...

    async def hurry(self) -> None:
        """Open the adapter anew, as one that soon gives up what is not answered."""
        ...

    async def silence(self) -> None:
        """From now on the broker takes records, perhaps, and answers nothing."""
        ...

    async def restore(self) -> None:
        """End of `silence`."""
        ...

    async def expire(self, topic: str, before: int) -> None:
        """Let retention take what is below the offset `before` (which the caller made old enough)."""
        ...

    async def delete(self, topic: str) -> None:
        """Delete a topic."""
        ...

    async def close(self) -> None:
        """End of the test."""
        ...


class EmbeddedStand:
    """The embedded adapter on a file in a temporary folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "broker.db"
        self._fate: Fate = "store"
        self.broker = self._open()

    def _open(self) -> EmbeddedBroker:
        return EmbeddedBroker.open(
            self._path,
            clock=now,
            entropy=os.urandom,
            limit_bytes=50_000_000,
            max_record_bytes=MAX_RECORD_BYTES,
            fate=lambda _: self._fate,
        )

    @property
    def host(self) -> Broker:
        return self.broker

    async def reopen(self) -> None:
        await self.broker.close()
        self.broker = self._open()

    async def hurry(self) -> None:
        await self.reopen()

    async def silence(self) -> None:
        self._fate = "store_and_forget"

    async def restore(self) -> None:
        self._fate = "store"

    async def expire(self, topic: str, before: int) -> None:
        await self.broker.trim()
        assert (await self.broker.bounds([(topic, 0)]))[0][0] == before

    async def delete(self, topic: str) -> None:
        await self.broker.delete_topic(topic)

    async def close(self) -> None:
        await self.broker.close()


class WrappedStand:
    """The embedded adapter behind another: a gate that is open, or a guest's eyes."""

    def __init__(self, folder: Path, wrap: Callable[[Broker], Broker], *, makes_topics: bool = True) -> None:
        self._inner = EmbeddedStand(folder)
        self._wrap = wrap
        self._makes_topics = makes_topics

    @property
    def broker(self) -> Broker:
        return self._wrap(self._inner.broker)

    @property
    def host(self) -> Broker:
        return self.broker if self._makes_topics else self._inner.broker

    async def reopen(self) -> None:
        await self._inner.reopen()

    async def hurry(self) -> None:
        await self._inner.hurry()

    async def silence(self) -> None:
        await self._inner.silence()

    async def restore(self) -> None:
        await self._inner.restore()

    async def expire(self, topic: str, before: int) -> None:
        await self._inner.expire(topic, before)

    async def delete(self, topic: str) -> None:
        await self._inner.delete(topic)

    async def close(self) -> None:
        await self._inner.close()


class KafkaStand:
    """The Kafka adapter on the run's server."""

    def __init__(self, server: KafkaServer) -> None:
        self._server = server
        self.broker = self._open()

    def _open(self, message_timeout_ms: int = 60_000) -> KafkaBroker:
        return KafkaBroker.open(
            self._server.servers,
            clock=now,
            properties={},
            replication=1,
            message_timeout_ms=message_timeout_ms,
            max_record_bytes=MAX_RECORD_BYTES,
        )

    @property
    def host(self) -> Broker:
        return self.broker

    async def reopen(self) -> None:
        await self.broker.close()
        self._server.stop()
        self._server.start()
        no_leader = "Kafka does not answer, or a partition has no leader"
        await waiting.until(lambda: asyncio.to_thread(self._is_led), lambda: no_leader)
        self.broker = self._open()

    def _is_led(self) -> bool:
        """Whether Kafka answers, and every partition of every topic has its leader again."""
        with suppress(KafkaException):
            topics = AdminClient({"bootstrap.servers": self._server.servers}).list_topics(timeout=5).topics
            return all(one.leader > 0 for topic in topics.values() for one in topic.partitions.values())
        return False

    async def hurry(self) -> None:
        await self.broker.close()
        self.broker = self._open(message_timeout_ms=5_000)

    async def silence(self) -> None:
        self._server.pause()

    async def restore(self) -> None:
        self._server.resume()

    async def expire(self, topic: str, before: int) -> None:
        admin = AdminClient({"bootstrap.servers": self._server.servers})
        for future in admin.delete_records([TopicPartition(topic, 0, before)]).values():
            await asyncio.wrap_future(future)

    async def delete(self, topic: str) -> None:
        await self.broker.delete_topic(topic)

    async def close(self) -> None:
        self._server.resume()
        await self.broker.close()


def gated(inner: Broker) -> Broker:
    """Behind a gate that is open."""
    return GatedBroker(inner, closed_for_ms=lambda: 0)


def now() -> int:
    """The clock, Unix milliseconds."""
    return time.time_ns() // 1_000_000


def fresh_name() -> str:
    """A topic name that no other test uses."""
    return f"partners.t-{uuid.uuid4().hex[:12]}.inbound"


async def at_last(ask: Callable[[], Awaitable[T]]) -> T:
    """What a broker answers once it does: one that is busy may be given up, and is asked again."""
    while True:
        try:
            return await ask()
        except BrokerError as error:
            if error.code != "broker_unavailable":
                raise
        await asyncio.sleep(0.05)


async def make_topic(broker: Broker, name: str, partitions: int = 1, **settings: int | bool) -> Topic:
    """Make one topic."""
    retention = settings.get("retention_ms")
    spec = TopicSpec(name, partitions, None if retention is None else int(retention))
    return (await at_last(lambda: broker.ensure([spec])))[name]


def record(topic: str, value: bytes | None = b"v", partition: int = 0, **more: object) -> Record:
    """A record with little in it; `more`: key, headers, at."""
    key, headers, at = more.get("key", b"k"), more.get("headers", ()), more.get("at", now())
    assert key is None or isinstance(key, bytes)
    assert isinstance(headers, tuple)
    assert isinstance(at, int)
    return Record(topic, partition, key, value, headers, at)


def start(topic: str, topic_id: str, offset: int = 0, partition: int = 0) -> Start:
    """Where to read on."""
    return Start(topic, Position(topic_id, partition, offset))


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for something outside."""
    await waiting.until(is_so, lambda: "what was waited for did not come", pause=0.05)


async def read_until(reader: Reader, count: int) -> list[ReadEvent]:
    """Poll until so many events came."""
    events: list[ReadEvent] = []

    async def are_there() -> bool:
        events.extend(await reader.poll(100, 1_000))
        return len(events) >= count

    await waiting.until(are_there, lambda: f"{count} events: {events}", pause=0)
    return events


def values(events: Sequence[ReadEvent]) -> list[bytes | None]:
    """The values of the records read; anything but records fails."""
    read = [event for event in events if isinstance(event, Read)]
    assert len(read) == len(events), events
    return [event.record.value for event in read]
