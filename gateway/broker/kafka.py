"""Apache Kafka, and whatever speaks its protocol, behind the broker port.

One thread serves librdkafka's delivery reports; an `append` has one future for all of its records. Nothing
here waits for Kafka on the event loop.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from weakref import WeakSet

from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import AdminClient

from gateway.broker.kafka_admin import KafkaAdmin
from gateway.broker.kafka_batch import Answer, Batch
from gateway.broker.kafka_errors import (
    DENIED,
    Local,
    broker_error,
    delivery_outcome,
    error_of,
    grant,
    local_refusal,
)
from gateway.broker.kafka_pulse import MANY_AWAY, KafkaPulse, Place
from gateway.broker.kafka_reader import KafkaReader
from gateway.broker.kafka_settings import admin_settings, producer_settings, reader_settings
from gateway.broker.kafka_topics import KafkaTopics
from gateway.broker.kafka_trouble import KafkaTrouble
from gateway.broker.kafka_watch import KafkaWatch
from gateway.broker.port import (
    AWAY_MS,
    MAX_AHEAD_MS,
    RECORD_BYTES,
    BrokerError,
    Position,
    Record,
    Refused,
    Stored,
    Topic,
    TopicSpec,
    Unknown,
    record_bytes,
)
from gateway.broker.topics import verify_topic_name

_SLICE: Final = 200  # records queued before the event loop gets a turn: about a millisecond
_GRACE_SECONDS: Final = 2.0  # after librdkafka's own timeout, which it looks at once a second
_RENEW_SECONDS: Final = 1.0  # before a producer that could not be made is tried again

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sent:
    """Where a record was sent, and the id of that topic at the time."""

    topic_id: str
    place: Place


class KafkaBroker:
    """Topics of a Kafka cluster; see `gateway.broker.port.Broker`."""

    def __init__(
        self,
        servers: str,
        *,
        clock: Callable[[], int],
        properties: Mapping[str, str],
        replication: int,
        message_timeout_ms: int = 5_000,
        max_record_bytes: int = RECORD_BYTES,
    ) -> None:
        """As `open`."""
        self._clock = clock
        self._max_record_bytes = max_record_bytes
        self._answer_seconds = message_timeout_ms / 1000 + _GRACE_SECONDS
        self._trouble = KafkaTrouble()
        self._producing: dict[str, Any] = producer_settings(
            servers, properties, message_timeout_ms=message_timeout_ms, max_record_bytes=max_record_bytes
        )
        self._reading = reader_settings(servers, properties)
        try:
            self._producer = self._make_producer()
            admin = KafkaAdmin(lambda: AdminClient(admin_settings(servers, properties)))
        except KafkaException as error:
            raise broker_error(error_of(error), "reading the settings of Kafka") from error
        self._topics = KafkaTopics(admin, replication=replication, max_record_bytes=max_record_bytes)
        self._watch = KafkaWatch(admin)
        self._pulse = KafkaPulse()
        self._readers: WeakSet[KafkaReader] = WeakSet()
        self._compacted: set[str] = set()
        self._is_fatal = False
        self._renew_at = 0.0
        self._not_renewed = ""
        self._stop = threading.Event()
        # A daemon: a program that ends without close() must not hang.
        self._thread = threading.Thread(  # noqa: TID251  (the adapter owns its threads)
            target=self._serve, name="kafka-produce", daemon=True
        )
        self._thread.start()

    @classmethod
    def open(
        cls,
        servers: str,
        *,
        clock: Callable[[], int],
        properties: Mapping[str, str],
        replication: int,
        message_timeout_ms: int = 5_000,
        max_record_bytes: int = RECORD_BYTES,
    ) -> "KafkaBroker":
        """Start the clients. Returns at once, whether or not Kafka answers.

        `servers`: host:port, separated by commas. `clock`: Unix milliseconds. `properties`: further keys of
        librdkafka, but for those that the gateway's promises hang on (acks, offsets, isolation).
        `replication`: of new topics.

        Raises:
            BrokerError: librdkafka refuses a property; names it.
        """
        return cls(
            servers,
            clock=clock,
            properties=properties,
            replication=replication,
            message_timeout_ms=message_timeout_ms,
            max_record_bytes=max_record_bytes,
        )

    @property
    def max_record_bytes(self) -> int:
        """The largest record that an append may hold."""
        return self._max_record_bytes

    def away_for_ms(self) -> int:
        """How long Kafka has not answered, or has acknowledged nothing that was sent; 0 while it does."""
        return max(self._watch.away_for_ms(), self._pulse.silent_for_ms())

    def is_taking(self) -> bool:
        """Whether Kafka answers and acknowledges, or it is time to see if it acknowledges again."""
        return self._watch.away_for_ms() <= AWAY_MS and self._pulse.is_taking()

    def warnings(self) -> Sequence[str]:
        """Partitions that acknowledge nothing."""
        return self._pulse.warnings()

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Make the topics that are missing."""
        for spec in topics:
            try:
                verify_topic_name(spec.name)
            except ValueError as error:
                raise BrokerError("broker_refused", str(error)) from error
        with self._explained():
            made = await self._topics.ensure(topics)
        self._watch.remember({name: topic.id for name, topic in made.items()})
        self._compacted.update(spec.name for spec in topics if spec.compacted)
        return made

    async def describe(self, names: Sequence[str]) -> Mapping[str, Topic]:
        """The topics among `names` that exist."""
        with self._explained():
            found = await self._topics.describe(names)
        return {name: Topic(topic.id, (), topic.partitions) for name, topic in found.items()}

    async def compare(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """How those of the topics differ that exist."""
        with self._explained():
            return await self._topics.compare(topics)

    async def append(self, records: Sequence[Record]) -> list[Answer]:
        """Append; answered by the broker's acknowledgements, or after the message timeout."""
        if self._stop.is_set():
            return [Refused("unavailable", "the broker is closed")] * len(records)
        if not records:
            return []
        ids, gone = await self._learn({record.topic for record in records})
        closed = self._pulse.closed({(record.topic, record.partition) for record in records})
        batch = Batch(len(records))
        for index, record in enumerate(records):
            refused = gone.get(record.topic) or self._refuse(record)
            if refused is None and (words := closed.get((record.topic, record.partition))):
                refused = Refused("unavailable", words)
            if refused is None:
                refused = self._produce(batch, index, record, ids[record.topic])
            if refused is not None:
                batch.settle(index, refused)
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        return await batch.answers(self._answer_seconds)

    async def bounds(self, partitions: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        """First offset kept and next offset, of each."""
        with self._explained():
            first = await self._topics.first_offsets(partitions)
            after = await self._topics.end_offsets(partitions)
        return list(zip(first, after, strict=True))

    async def offset_at(self, partition: tuple[str, int], at: int) -> int:
        """The first offset whose record time is `at` or later, or the end, as it was before the search."""
        with self._explained():
            (end,) = await self._topics.end_offsets([partition])
            found = await self._topics.offset_at(partition, max(at, 0))
            return end if found is None else found

    def reader(self, *, patience_ms: int = 0) -> KafkaReader:
        """A new reader with nothing assigned."""
        try:
            reader = KafkaReader(self._reading, self._watch, patience_ms=patience_ms)
        except KafkaException as error:
            raise broker_error(error_of(error), "opening a reader") from error
        self._readers.add(reader)
        return reader

    async def delete_topic(self, name: str) -> None:
        """Delete a topic, as an operator could; for tests."""
        await self._topics.delete([name])

    async def close(self) -> None:
        """Send what waits, for a message timeout at most, and let go of everything."""
        for reader in list(self._readers):
            await reader.close()
        self._stop.set()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._thread.join)
        await loop.run_in_executor(None, self._watch.close)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Say why Kafka is away, where that is known."""
        try:
            yield
        except BrokerError as error:
            explained = self._trouble.explain(error, now=self._clock())
            if explained is error:
                raise
            raise explained from error
        self._trouble.clear()

    async def _learn(self, topics: set[str]) -> tuple[dict[str, str], dict[str, Refused]]:
        """The ids that answers will name, whatever the watch finds; why nothing is sent to the others."""
        ids = {topic: known for topic in topics if (known := self._watch.id_of(topic)) is not None}
        strange = [topic for topic in topics if topic not in ids]
        if not strange:
            return ids, {}
        # This answer may reach a partner: names of hosts and files are for the operator.
        away = {topic: Refused("unavailable", "Kafka does not answer") for topic in strange}
        if self._watch.away_for_ms():
            return ids, away
        try:
            found = {name: topic.id for name, topic in (await self.describe(strange)).items()}
        except BrokerError:
            return ids, away
        self._watch.remember(found)
        missing = [topic for topic in strange if topic not in found]
        return ids | found, {one: Refused("unknown_topic", f"there is no topic {one}") for one in missing}

    def _refuse(self, record: Record) -> Refused | None:
        try:
            size = record_bytes(record)
        except UnicodeEncodeError:
            return Refused("invalid", "a header's name is not text that UTF-8 can hold")
        if size > self._max_record_bytes:
            return Refused(
                "too_large", f"the record has {size} bytes, the broker takes {self._max_record_bytes}"
            )
        # One bad record would make Kafka refuse its whole batch: judge here what can be judged here.
        if not 0 <= record.at <= self._clock() + MAX_AHEAD_MS:
            return Refused("invalid", f"the record's time, {record.at}, is negative or too far ahead")
        if record.key is None and record.topic in self._compacted:
            return Refused("invalid", f"{record.topic} is compacted: a record needs a key")
        if record.partition < 0:
            return Refused("unknown_topic", "there is no partition with a negative number")
        return None

    def _produce(self, batch: Batch, index: int, record: Record, topic_id: str) -> Refused | None:
        sent = _Sent(topic_id, (record.topic, record.partition))
        # Before: the answer comes on another thread.
        self._pulse.sent(sent.place)
        try:
            self._producer.produce(
                record.topic,
                record.value,
                record.key,
                record.partition,
                on_delivery=partial(self._settle, batch, index, sent),
                timestamp=record.at,
                headers=list(record.headers),
            )
        except BufferError:
            refused = Refused("unavailable", "too many records wait for Kafka")
        except KafkaException as error:
            refused = local_refusal(error_of(error))
        else:
            return None
        self._pulse.failed(sent.place, refused.reason, counts=False)
        return refused

    def _settle(
        self, batch: Batch, index: int, sent: _Sent, error: KafkaError | None, message: Message
    ) -> None:
        """Take a delivery report, on the serving thread."""
        if error is not None:
            is_mute = error.code() == Local.MSG_TIMED_OUT
            if is_mute:
                self._watch.note_silence()
            outcome = delivery_outcome(error)
            mend = grant("Write", sent.place[0]) if error.code() in DENIED else MANY_AWAY
            words, counts = f"{outcome.reason}; {mend}", isinstance(outcome, Unknown)
            self._pulse.failed(sent.place, words, counts=counts, is_mute=is_mute)
            batch.settle(index, outcome)
            return
        self._watch.note_answer()
        self._pulse.stored(sent.place)
        partition, offset = message.partition(), message.offset()
        if partition is None or offset is None or offset < 0:
            batch.settle(index, Unknown("Kafka acknowledged without an offset"))
            return
        batch.settle(index, Stored(Position(sent.topic_id, partition, offset)))

    def _make_producer(self) -> Producer:
        return Producer({**self._producing, "error_cb": self._note_error})

    def _note_error(self, error: KafkaError) -> None:
        self._trouble.note(error.code(), f"{error.name()}: {error.str()}", now=self._clock())
        if error.fatal():
            self._is_fatal = True
        elif error.code() == Local.ALL_BROKERS_DOWN:
            self._watch.note_silence()

    def _serve(self) -> None:
        """Serve delivery reports; make a new producer where the old one can never send again."""
        while not self._stop.is_set():
            try:
                self._producer.poll(0.1)
            except KafkaException as error:  # of what is fatal the callback for errors hears nothing
                self._note_error(error_of(error))
            if self._is_fatal and time.monotonic() >= self._renew_at:
                self._renew()
        with contextlib.suppress(KafkaException):  # what is fatal, once more
            self._producer.flush(self._answer_seconds)
        self._producer.purge()
        self._producer.poll(0)

    def _renew(self) -> None:
        """Make a new producer, or try again later: a file that the settings name may have moved."""
        try:
            made = self._make_producer()
        except (KafkaException, BrokerError, OSError) as error:
            self._renew_at = time.monotonic() + _RENEW_SECONDS
            if str(error) != self._not_renewed:
                self._not_renewed = str(error)
                _log.error("no new producer can be made, and nothing is sent to Kafka: %s", error)
            return
        broken, self._producer, self._is_fatal, self._not_renewed = self._producer, made, False, ""
        broken.purge()
        broken.flush(1.0)
