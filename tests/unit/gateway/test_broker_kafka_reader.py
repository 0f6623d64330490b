"""What the reader makes of records and failures that a test broker does not produce at will."""

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.broker import kafka_fetcher, kafka_pace
from gateway.broker.kafka_errors import Local
from gateway.broker.kafka_fetcher import Place, _headers
from gateway.broker.kafka_reader import KafkaReader
from gateway.broker.kafka_settings import reader_settings
from gateway.broker.kafka_watch import KafkaWatch
from gateway.broker.port import UNREADABLE_HEADERS, BrokerError, Position, Read, Start, TooHigh, TopicChanged
from gateway.instants import format_instant

TOPIC = "partners.acme.outbound"


class FakeWatch:
    """Knows the ids that it was given."""

    def __init__(self) -> None:
        self.ids: dict[str, str | None] = {}
        self.is_denied = False
        self.is_away = False

    def away_for_ms(self) -> int:
        return int(self.is_away)

    def join(self, watcher: object) -> None: ...

    def leave(self, watcher: object) -> None: ...

    def ask(self, topics: list[str]) -> Mapping[str, str | None]:
        return {} if self.is_denied else {topic: self.ids.get(topic) for topic in topics}


class FakeMessage:
    """As much of a message as the reader looks at."""

    def __init__(self, offset: int, error: KafkaError | None = None) -> None:
        self._offset = offset
        self._error = error

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return 0

    def offset(self) -> int:
        return self._offset

    def error(self) -> KafkaError | None:
        return self._error

    def leader_epoch(self) -> int:
        return 4

    def key(self) -> None:
        return None

    def value(self) -> bytes:
        return b"%d" % self._offset

    def timestamp(self) -> tuple[int, int]:
        return (1, 1_000)

    def headers(self) -> None:
        return None


class FakeConsumer:
    """Hands out messages from where it was assigned; an offset may be an error."""

    def __init__(self, log: list[KafkaError | None]) -> None:
        self.log = log
        self.next: int | None = None

    def incremental_assign(self, partitions: list[object]) -> None:
        assert self.next is None
        (self.next,) = (getattr(one, "offset") for one in partitions)  # noqa: B009  (a foreign type)

    def incremental_unassign(self, partitions: list[object]) -> None:
        assert len(partitions) == 1
        self.next = None

    def poll(self, timeout: float) -> FakeMessage | None:
        assert timeout >= 0
        return next(iter(self.consume(1, 0)), None)

    def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
        assert timeout == 0
        if self.next is None:
            return []
        first, self.next = self.next, min(self.next + limit, len(self.log))
        return [FakeMessage(n, self.log[n]) for n in range(first, self.next)]

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        return [TopicPartition(one.topic, one.partition, self.next or -1_001) for one in partitions]

    def close(self) -> None: ...


def open_reader(log: list[KafkaError | None], watch: FakeWatch | None = None) -> KafkaReader:
    reader = KafkaReader(reader_settings("127.0.0.1:1", {}), cast("KafkaWatch", watch or FakeWatch()))
    reader._fetcher.close()
    reader._fetcher._consumer = cast("Consumer", FakeConsumer(log))
    return reader


def offsets(events: list[object]) -> list[int]:
    return [event.position.offset for event in events if isinstance(event, Read)]


def test_a_header_name_that_is_not_utf8_is_reported_not_raised() -> None:
    class Broken:
        def headers(self) -> None:
            raise SystemError("returned a result with an exception set")

    assert _headers(cast("Message", Broken())) == UNREADABLE_HEADERS


async def test_a_record_of_a_time_that_no_calendar_has_gets_the_nearest_that_one_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = open_reader([None] * 2)
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    monkeypatch.setattr(FakeMessage, "timestamp", lambda one: (1, -1 if one.offset() else 1 << 62))
    events = await reader.poll(10, 0)
    told = [format_instant(one.at) for one in events if isinstance(one, Read)]
    assert told == ["9999-12-31T23:59:59.999Z", "1970-01-01T00:00:00.000Z"]
    await reader.close()


async def test_a_failure_in_mid_page_loses_none_of_the_page() -> None:
    log: list[KafkaError | None] = [None, None, KafkaError(KafkaError.SASL_AUTHENTICATION_FAILED), None]
    reader = open_reader(log)
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    with pytest.raises(BrokerError) as refused:
        await reader.poll(10, 0)
    assert refused.value.code == "broker_refused"
    assert reader._places[TOPIC, 0].next == 0
    log[2] = None
    assert offsets([*await reader.poll(10, 0)]) == [0, 1, 2, 3]
    await reader.close()


async def test_what_may_not_be_read_is_told_once_idle_and_read_from_there_once_it_may(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_fetcher, "_REST_SECONDS", 3_600.0)
    log: list[KafkaError | None] = [None, None, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED), None]
    reader = open_reader(log)
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert offsets([*await reader.poll(10, 0)]) == [0, 1]
    with pytest.raises(BrokerError, match=f"--operation Read --topic {TOPIC}") as refused:
        await reader.poll(10, 0)
    assert (refused.value.code, refused.value.topic) == ("broker_refused", TOPIC)
    assert await reader.poll(10, 0) == []
    log[2] = None
    denied = reader._fetcher._denied
    denied.update({key: (place, 0.0) for key, (place, _) in denied.items()})
    assert offsets([*await reader.poll(10, 0)]) == [2, 3]
    await reader.close()


async def test_passing_trouble_is_passed_over() -> None:
    log: list[KafkaError | None] = [None, KafkaError(Local.ALL_BROKERS_DOWN), None]
    reader = open_reader(log)
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert offsets([*await reader.poll(10, 0)]) == [0, 2]
    await reader.close()


async def test_a_changed_topic_is_told_once_and_read_no_more() -> None:
    reader = open_reader([None] * 5)
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert offsets([*await reader.poll(2, 0)]) == [0, 1]
    for _ in range(3):
        reader.compare({(TOPIC, "id"): "new", ("another", "id"): None})
    assert await reader.poll(2, 0) == [TopicChanged(TOPIC, "id", "new")]
    assert await reader.poll(2, 0) == []
    assert reader.reached(TOPIC, 0) is None
    await reader.close()


async def test_that_a_topic_is_gone_is_not_told_of_the_one_that_is_read_in_its_place_by_then() -> None:
    reader = open_reader([None] * 5)
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert offsets([*await reader.poll(2, 0)]) == [0, 1]
    reader.compare({(TOPIC, "id"): None})
    reader.assign([Start(TOPIC, Position("new", 0, 3))])
    assert offsets([*await reader.poll(9, 0)]) == [3, 4]
    reader.compare({(TOPIC, "id"): None})
    assert await reader.poll(2, 0) == []
    assert reader.reached(TOPIC, 0) == 5
    await reader.close()


async def test_why_a_position_is_refused_is_asked_again_while_kafka_does_not_show_the_topic() -> None:
    watch = FakeWatch()
    watch.ids[TOPIC] = "new"
    watch.is_denied = True
    reader = open_reader([KafkaError(Local.AUTO_OFFSET_RESET)], watch)
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert await reader.poll(10, 0) == []
    assert await reader.poll(10, 0) == []
    watch.is_denied = False
    events: list[object] = []
    while not events:
        events += await reader.poll(10, 200)
    assert events == [TopicChanged(TOPIC, "id", "new")]
    await reader.close()


async def test_bounds_of_a_topic_that_was_made_again_meanwhile_are_no_hole_in_the_former_one() -> None:
    watch = FakeWatch()
    watch.ids[TOPIC] = "id"

    class Again(FakeConsumer):
        def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
            assert (partition.topic, timeout > 0) == (TOPIC, True)
            watch.ids[TOPIC] = "new"
            return 7, 9

    reader = open_reader([KafkaError(Local.AUTO_OFFSET_RESET)], watch)
    reader._fetcher._consumer = cast("Consumer", Again([KafkaError(Local.AUTO_OFFSET_RESET)]))
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert await reader.poll(10, 0) == [TopicChanged(TOPIC, "id", "new")]
    await reader.close()


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("Partition log truncation detected at offset 5 (leader epoch 0): broker end offset is 3 (offset", 3),
        ("No epoch found less or equal to offset 5: broker end offset is -1 (offset leader epoch -1", 9),
    ],
)
async def test_of_a_partition_that_was_cut_and_has_grown_again_it_is_told_where_it_was_cut(
    words: str, end: int
) -> None:
    """As librdkafka 2.16 says it: the code is that of any place that is no good."""

    class Grown(FakeConsumer):
        def get_watermark_offsets(self, partition: TopicPartition, timeout: float) -> tuple[int, int]:
            assert (partition.topic, timeout > 0) == (TOPIC, True)
            return 0, 9

    watch = FakeWatch()
    watch.ids[TOPIC] = "id"
    said = f"{words}): Local: Partition log truncation detected (broker 2)"
    reader = open_reader([], watch)
    log: list[KafkaError | None] = [*[None] * 5, KafkaError(Local.AUTO_OFFSET_RESET, said)]
    reader._fetcher._consumer = cast("Consumer", Grown(log))
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert offsets([*await reader.poll(5, 0)]) == [0, 1, 2, 3, 4]
    assert await reader.poll(5, 0) == [TooHigh(TOPIC, Position("id", 0, 5), end)]
    await reader.close()


async def test_while_kafka_is_silent_a_poll_asks_for_one_refused_position_and_the_next_for_another() -> None:
    asked: list[str] = []

    class Silent(FakeWatch):
        def ask(self, topics: list[str]) -> Mapping[str, str | None]:
            asked.extend(topics)
            return {}  # after seconds

    reader = open_reader([], Silent())
    for number in range(3):
        reader._fetcher._applied[f"t-{number}", 0] = Place("id", 5, number, number)
        reader._fetcher._puzzling[f"t-{number}", 0] = KafkaError(Local.AUTO_OFFSET_RESET)
    for number in range(4):
        assert await reader.poll(10, 0) == []
        assert asked[number:] == [f"t-{number % 3}"]


async def test_what_was_fetched_before_a_move_is_dropped() -> None:
    reader = open_reader([None] * 5)
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert await reader.poll(0, 0) == []
    reader.assign([Start(TOPIC, Position("id", 0, 3))])
    assert offsets([*await reader.poll(9, 0)]) == [3, 4]
    await reader.close()


class ManyPartitions(FakeConsumer):
    """Notes how it asks, and where it was told to begin."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__([])
        self.wait_ms = settings["fetch.wait.max.ms"] if "fetch.min.bytes" in settings else 0
        self.begun: list[tuple[int, int]] = []
        self.epochs: list[int | None] = []
        self.is_closed = False

    def incremental_assign(self, partitions: list[Any]) -> None:
        self.begun += [(one.partition, one.offset) for one in partitions]
        self.epochs += [one.leader_epoch for one in partitions]

    def close(self) -> None:
        self.is_closed = True


async def test_a_reader_becomes_patient_with_many_partitions_and_goes_on_where_it_was() -> None:
    made: list[ManyPartitions] = []

    def make(settings: dict[str, Any]) -> Consumer:
        made.append(ManyPartitions(settings))
        return cast("Consumer", made[-1])

    watch = cast("KafkaWatch", FakeWatch())
    reader = KafkaReader(reader_settings("127.0.0.1:1", {}), watch, make=make)
    begins = [(number, 10 + number) for number in range(1_000)]
    starts = [Start(TOPIC, Position("id", partition, offset)) for partition, offset in begins]
    for count in (399, 400, 799, 1_000):
        reader.assign(starts[len(made[-1].begun) : count])
        await reader.poll(1, 0)
        assert made[-1].begun == begins[:count]
    assert [one.wait_ms for one in made] == [0, 40, 100]
    assert [one.is_closed for one in made] == [True, True, False]
    await reader.close()


async def test_a_reader_that_is_closed_while_it_becomes_patient_leaves_no_client_open() -> None:
    made: list[ManyPartitions] = []
    begun, go = threading.Event(), threading.Event()

    def make(settings: dict[str, Any]) -> Consumer:
        if made:
            begun.set()
            assert go.wait(30)
        made.append(ManyPartitions(settings))
        return cast("Consumer", made[-1])

    watch = cast("KafkaWatch", FakeWatch())
    reader = KafkaReader(reader_settings("127.0.0.1:1", {}), watch, make=make)
    reader.assign([Start(TOPIC, Position("id", number, 0)) for number in range(400)])
    polling = asyncio.create_task(reader.poll(1, 0))
    assert await asyncio.to_thread(begun.wait, 30)
    closing = asyncio.create_task(reader.close())
    await asyncio.sleep(0.01)
    go.set()
    await asyncio.gather(polling, closing)
    assert [one.is_closed for one in made] == [True, True]


async def test_a_calm_reader_goes_on_where_it_was_and_begins_at_once_with_what_is_new(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_fetcher, "_BESIDE_SECONDS", 0.0)
    made: list[ManyPartitions] = []

    def make(settings: dict[str, Any]) -> Consumer:
        made.append(ManyPartitions(settings))
        return cast("Consumer", made[-1])

    watch = FakeWatch()
    settings = reader_settings("127.0.0.1:1", {})
    reader = KafkaReader(settings, cast("KafkaWatch", watch), patience_ms=25, make=make)
    reader.assign([Start(TOPIC, Position("id", 0, 7))])
    await reader.poll(1, 0)
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
    watch.is_away = True
    await reader.poll(1, 0)
    assert [one.wait_ms for one in made] == [25]
    watch.is_away = False
    await reader.poll(1, 0)
    assert [(one.wait_ms, one.begun) for one in made[1:]] == [(kafka_pace.CALM_MS, [(0, 7)])]
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 3600.0)
    reader.assign([Start(TOPIC, Position("id", 1, 3))])
    await reader.poll(1, 0)
    assert [(one.wait_ms, one.begun) for one in made[2:]] == [(25, [(0, 7), (1, 3)])]
    assert [one.is_closed for one in made] == [True, True, False]
    await reader.close()


class Growing(FakeConsumer):
    """Its log grows with each poll."""

    def __init__(self) -> None:
        super().__init__([])
        self.is_closed = False

    def poll(self, timeout: float) -> FakeMessage | None:
        self.log.append(None)
        return super().poll(timeout)

    def close(self) -> None:
        self.is_closed = True


async def test_the_former_client_reads_on_until_a_calm_one_has_asked_for_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first request of a calm one names but what it has found by then, and is answered late."""
    made: list[Growing] = []

    def make(_: dict[str, Any]) -> Consumer:
        made.append(Growing())
        return cast("Consumer", made[-1])

    watch = cast("KafkaWatch", FakeWatch())
    reader = KafkaReader(reader_settings("127.0.0.1:1", {}), watch, patience_ms=25, make=make)
    fetcher = reader._fetcher
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    assert offsets([*await reader.poll(1, 0)]) == [0]
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
    assert offsets([*await reader.poll(1, 0), *await reader.poll(1, 0)]) == [1, 2]
    assert [(one.next, one.is_closed) for one in made] == [(3, False), (1, False)]

    # What is assigned meanwhile is read at once, by the client of before; the other one begins anew.
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 3_600.0)
    reader.assign([Start(TOPIC, Position("id", 0, 2))])
    assert offsets([*await reader.poll(1, 0)]) == [2]
    assert [one.is_closed for one in made] == [False, True]
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
    assert offsets([*await reader.poll(1, 0)]) == [3]

    # What both of them have is handed out once.
    assert fetcher._heir is not None
    fetcher._heir = replace(fetcher._heir, at=0.0)
    made[2].log = [None] * 5
    assert offsets([*await reader.poll(9, 0)]) == [4, 5]
    assert [one.is_closed for one in made] == [True, True, False]
    assert fetcher._way.kind == "calm"
    await reader.close()


async def test_another_client_goes_on_behind_markers_that_the_former_one_has_passed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A marker is no record; once retention took it, it would seem that something is lost."""
    monkeypatch.setattr(kafka_fetcher, "_BESIDE_SECONDS", 0.0)
    made: list[ManyPartitions] = []

    class Passing(ManyPartitions):
        def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
            if self is not made[0]:
                return [TopicPartition(one.topic, one.partition, -1_001) for one in partitions]
            offsets = [(one, 9 - one.partition * 8) for one in partitions]
            return [TopicPartition(one.topic, one.partition, at, leader_epoch=6) for one, at in offsets]

    def make(settings: dict[str, Any]) -> Consumer:
        made.append(Passing(settings))
        return cast("Consumer", made[-1])

    watch = cast("KafkaWatch", FakeWatch())
    reader = KafkaReader(reader_settings("127.0.0.1:1", {}), watch, patience_ms=25, make=make)
    reader.assign([Start(TOPIC, Position("id", number, 7)) for number in range(2)])
    await reader.poll(1, 0)
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
    await reader.poll(1, 0)
    assert made[1].begun == [(0, 9), (1, 7)]
    assert made[1].epochs == [6, None], "of the second, nothing was passed under any leader"
    # Who waits until all of a topic is read would wait for ever, where its end is a marker.
    assert [reader.reached(TOPIC, number) for number in range(2)] == [9, 7]
    await reader.close()


async def test_another_client_knows_under_which_leader_the_former_one_has_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_fetcher, "_BESIDE_SECONDS", 0.0)
    made: list[ManyPartitions] = []

    class Reading(ManyPartitions):
        def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
            del limit, timeout
            return [FakeMessage(7)] if self is made[0] else []

    def make(settings: dict[str, Any]) -> Consumer:
        made.append(Reading(settings))
        return cast("Consumer", made[-1])

    watch = cast("KafkaWatch", FakeWatch())
    reader = KafkaReader(reader_settings("127.0.0.1:1", {}), watch, patience_ms=25, make=make)
    reader.assign([Start(TOPIC, Position("id", number, 7)) for number in range(2)])
    assert offsets([*await reader.poll(1, 0)]) == [7]
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
    await reader.poll(1, 0)
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 3600.0)
    reader.assign([Start(TOPIC, Position("id", 2, 3))])
    await reader.poll(1, 0)
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
    await reader.poll(1, 0)
    # Calm are the second and the last. The third tells what the second may not have come to say of a cut.
    assert [(one.begun, one.epochs) for one in made] == [
        ([(0, 7), (1, 7)], [None, None]),
        ([(0, 8), (1, 7)], [4, None]),
        ([(0, 8), (1, 7), (2, 3)], [4, None, None]),
        ([(0, 8), (1, 7), (2, 3)], [4, None, None]),
    ]
    await reader.close()


async def test_where_no_other_client_can_be_made_the_former_one_reads_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(kafka_fetcher, "_BESIDE_SECONDS", 0.0)
    made: list[Any] = []

    class Failing(ManyPartitions):
        def incremental_assign(self, partitions: list[Any]) -> None:
            if made.index(self) in {1, 2}:
                raise KafkaException(KafkaError(Local.TIMED_OUT))
            super().incremental_assign(partitions)

    def make(settings: dict[str, Any]) -> Consumer:
        made.append(Failing(settings))
        return cast("Consumer", made[-1])

    watch = cast("KafkaWatch", FakeWatch())
    reader = KafkaReader(reader_settings("127.0.0.1:1", {}), watch, patience_ms=25, make=make)
    reader.assign([Start(TOPIC, Position("id", 0, 7))])
    await reader.poll(1, 0)
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 0.0)
    await reader.poll(1, 0)
    assert [one.is_closed for one in made] == [False, True]
    await reader.poll(1, 0)
    assert len(made) == 2, "it is not tried all the time"
    monkeypatch.setattr(kafka_pace, "QUIET_SECONDS", 3_600.0)
    starts = [Start(TOPIC, Position("id", partition, 1)) for partition in range(1, 1_000)]
    reader.assign(starts)
    await reader.poll(1, 0)
    assert [one.is_closed for one in made] == [False, True, True]
    assert made[0].begun == [(0, 7), *((partition, 1) for partition in range(1, 1_000))]
    reader._fetcher._go_on_at = 0.0
    await reader.poll(1, 0)
    assert [one.is_closed for one in made] == [True, True, True, False]
    assert made[3].begun == made[0].begun
    await reader.close()


class EmptyConsumer(FakeConsumer):
    """Has nothing, and waits for it as long as it is let."""

    def poll(self, timeout: float) -> FakeMessage | None:
        threading.Event().wait(timeout)
        return super().poll(timeout)


async def test_a_poll_that_waits_ends_for_what_is_assigned_meanwhile() -> None:
    reader = open_reader([])
    reader._fetcher._consumer = cast("Consumer", EmptyConsumer([None]))
    waiting = asyncio.create_task(reader.poll(10, 600_000))
    await asyncio.sleep(0)
    assert reader._job is not None
    reader.assign([Start(TOPIC, Position("id", 0, 0))])
    async with asyncio.timeout(60):
        assert await waiting == []
        assert offsets([*await reader.poll(10, 600_000)]) == [0]
        await reader.close()
