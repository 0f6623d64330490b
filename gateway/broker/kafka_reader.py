"""Reading Kafka from explicit positions: no group, no commit, no reset.

librdkafka is called on one thread of the reader's own, in a job for each poll. The job's result is kept until
a poll takes it, so that a cancelled poll loses nothing. Each assignment has a generation: what was fetched
under an older one is dropped.

How it asks follows what comes (`kafka_pace`). Where that changes, another client goes on from where the
former one has come.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.broker.kafka_errors import Local, broker_error, error_of, grant, is_for_operator
from gateway.broker.kafka_pace import Pace
from gateway.broker.kafka_watch import KafkaWatch
from gateway.broker.port import (
    UNREADABLE_HEADERS,
    BrokerError,
    Position,
    Read,
    ReadEvent,
    Record,
    Start,
    TooHigh,
    TooLow,
    TopicChanged,
    place_in,
)

Key = tuple[str, int]

_SLICE_SECONDS: Final = 0.1  # a job looks this often whether it should stop waiting
_GO_ON_SECONDS: Final = 10.0  # before a client that could not be made is tried again
_BOUNDS_SECONDS: Final = 2.0  # behind what a calm client is waiting for on the same connection
_LATEST_MS: Final = 253_402_300_799_999
"""The last instant of the year 9999. A topic may take any time that producers give (as one that counts in
microseconds, `message.timestamp.after.max.ms`), and nobody could write it down."""
_REST_SECONDS: Final = 1.0
"""Before a partition is asked for again that our user may not read."""


@dataclass(slots=True)
class _Place:
    """An assigned partition. `generation` tells this assignment from earlier ones; `turn`: its caller's."""

    topic_id: str
    next: int
    generation: int
    turn: int


@dataclass(frozen=True, slots=True)
class _Fetched:
    """An event as a job found it, for the assignment `generation` of `key`."""

    key: Key
    generation: int
    event: ReadEvent


class KafkaReader:
    """A reader of Kafka; see `gateway.broker.port.Reader`."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        watch: KafkaWatch,
        *,
        patience_ms: int = 0,
        make: Callable[[dict[str, Any]], Consumer] = Consumer,
    ) -> None:
        """`watch` tells when a topic is no longer the one assigned. `patience_ms`: the least.

        Raises:
            KafkaException: librdkafka refuses the settings.
        """
        self._settings = dict(settings)
        self._pace = Pace(patience_ms)
        self._way = self._pace.way
        self._make = make
        self._consumer = make(self._way.settings(self._settings))
        self._watch = watch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-read")
        self._places: dict[Key, _Place] = {}
        self._turns: dict[Key, int] = {}
        self._orders: dict[Key, _Place | None] = {}
        self._job: asyncio.Future[list[_Fetched]] | None = None
        self._fetched: deque[_Fetched] = deque()
        self._changes: deque[tuple[str, str | None]] = deque()
        self._generation = 0
        self._is_hurried = False
        self._is_closed = False
        # Of the reader's thread alone:
        self._go_on_at = 0.0
        self._denied: dict[Key, tuple[_Place, float]] = {}
        self._refusal: BrokerError | None = None
        self._applied: dict[Key, _Place] = {}
        self._puzzling: dict[Key, int] = {}
        watch.join(self)

    def assign(self, starts: Sequence[Start]) -> None:
        """Add or move partitions, with the next poll."""
        for start in starts:
            self._generation += 1
            key = (start.topic, start.position.partition)
            at, turn = start.position, self._generation
            self._turns[key] = turn
            self._places[key] = _Place(at.topic_id, at.offset, self._generation, turn)
            self._orders[key] = _Place(at.topic_id, at.offset, self._generation, turn)

    def release(self, partitions: Sequence[Key]) -> None:
        """Stop reading these, with the next poll."""
        for key in partitions:
            self._turns.pop(key, None)
        self._leave(partitions)

    def reached(self, topic: str, partition: int) -> int | None:
        """The next offset to come; passes over transaction markers, which are never returned."""
        key = (topic, partition)
        place = self._places.get(key)
        if place is None:
            return None
        if self._job is None and not self._fetched and not self._orders and not self._is_closed:
            (position,) = self._consumer.position([TopicPartition(topic, partition)])
            place.next = max(place.next, position.offset)
        return place.next

    def is_current(self, event: ReadEvent) -> bool:
        """Whether its partition was neither assigned nor released since."""
        return isinstance(event, TopicChanged) or self._turns.get(place_in(event)) == event.turn

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        """Return what is there, or wait for it."""
        events = self._take(limit)
        if events or self._is_closed:
            return events
        loop = asyncio.get_running_loop()
        if self._job is None:
            orders, self._orders = self._orders, {}
            self._is_hurried = False
            self._job = loop.run_in_executor(self._thread, self._gather, orders, limit, wait_ms / 1000)
        else:
            # Left behind by a poll that was cancelled.
            self._is_hurried = True
        await asyncio.wait({self._job})
        job, self._job = self._job, None
        try:
            self._fetched += job.result()
        except Exception:
            self._start_over()
            raise
        events = self._take(limit)
        if self._refusal is not None and not events:
            refusal, self._refusal = self._refusal, None
            raise refusal
        return events

    async def close(self) -> None:
        """Release everything."""
        if self._is_closed:
            return
        self._is_closed = True
        self._is_hurried = True
        self._watch.leave(self)
        self._places.clear()
        self._turns.clear()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    def topics(self) -> set[tuple[str, str]]:
        """Names and ids of the topics that are assigned. Called on the watch's thread."""
        return {(topic, place.topic_id) for (topic, _), place in list(self._places.items())}

    def compare(self, ids: Mapping[str, str | None]) -> None:
        """Note topics that are another one now, or gone. Called on the watch's thread."""
        for (topic, _), place in list(self._places.items()):
            if topic in ids and ids[topic] != place.topic_id:
                self._changes.append((topic, ids[topic]))

    def _start_over(self) -> None:
        """After a failed job, whose events are lost: assign all again, where they were to go on."""
        for key, place in self._places.items():
            self._generation += 1
            place.generation = self._generation
            self._orders[key] = _Place(place.topic_id, place.next, place.generation, place.turn)

    def _take(self, limit: int) -> list[ReadEvent]:
        events = self._take_changes()
        while self._fetched and len(events) < limit:
            fetched = self._fetched.popleft()
            place = self._places.get(fetched.key)
            if place is None or place.generation != fetched.generation:
                continue
            events.append(fetched.event)
            if isinstance(fetched.event, Read):
                place.next = fetched.event.position.offset + 1
            elif isinstance(fetched.event, TopicChanged):
                self._drop(fetched.event)
            else:
                del self._places[fetched.key]
        return events

    def _take_changes(self) -> list[ReadEvent]:
        events: list[ReadEvent] = []
        while self._changes:
            topic, new_id = self._changes.popleft()
            old = {place.topic_id for (name, _), place in self._places.items() if name == topic}
            for old_id in sorted(old - {new_id}):
                changed = TopicChanged(topic, old_id, new_id)
                self._drop(changed)
                events.append(changed)
        return events

    def _drop(self, changed: TopicChanged) -> None:
        """Read no partition of a topic that is not there any more."""
        gone = [
            key
            for key, place in self._places.items()
            if key[0] == changed.topic and place.topic_id == changed.old_id
        ]
        self._leave(gone)

    def _leave(self, keys: Iterable[Key]) -> None:
        for key in keys:
            if self._places.pop(key, None) is not None:
                self._orders[key] = None

    # From here on everything runs on the reader's thread.

    def _close(self) -> None:
        """Close whichever client it is by then: the last job may have gone on with another."""
        self._consumer.close()

    def _gather(self, orders: Mapping[Key, _Place | None], limit: int, wait: float) -> list[_Fetched]:
        until = time.monotonic() + wait
        try:
            self._apply(orders)
            while True:
                self._try_again()
                self._keep_pace()
                fetched = [*self._fetch(limit, until), *self._solve()]
                if fetched or self._refusal or self._changes or self._is_hurried or time.monotonic() >= until:
                    return fetched
        except KafkaException as error:
            raise broker_error(error_of(error), "reading") from error

    def _apply(self, orders: Mapping[Key, _Place | None]) -> None:
        for key in orders:
            self._denied.pop(key, None)
        self._unassign(key for key in orders if key in self._applied)
        added = {key: place for key, place in orders.items() if place is not None}
        if not added:
            return
        applied = {**self._applied, **added}
        self._pace.move(time.monotonic(), len(applied))
        if self._pace.way != self._way and self._goes_on(applied):
            return
        self._consumer.incremental_assign([TopicPartition(*key, place.next) for key, place in added.items()])
        self._applied = applied

    def _keep_pace(self) -> None:
        """Ask in another way where it is time to; not of a Kafka that is away."""
        now = time.monotonic()
        self._pace.look(now, len(self._applied))
        if self._pace.way != self._way and now >= self._go_on_at and not self._watch.away_for_ms():
            self._goes_on(self._applied)

    def _goes_on(self, applied: dict[Key, _Place]) -> bool:
        """Go on with another client, which asks in today's way: behind markers that this one has passed, too.

        False: there is none (a file that the settings name has moved); this one reads on.
        """
        way, made = self._pace.way, None
        try:
            made = self._make(way.settings(self._settings))
            for at in self._consumer.position([TopicPartition(*key) for key in self._applied]):
                place = self._applied[at.topic, at.partition]
                place.next = max(place.next, at.offset)
            made.incremental_assign([TopicPartition(*key, place.next) for key, place in applied.items()])
        except KafkaException:
            self._go_on_at = time.monotonic() + _GO_ON_SECONDS
            if made is not None:
                made.close()
            return False
        old, self._consumer, self._way, self._applied = self._consumer, made, way, applied
        old.close()
        return True

    def _unassign(self, keys: Iterable[Key]) -> None:
        gone = list(keys)
        if gone:
            self._consumer.incremental_unassign([TopicPartition(*key) for key in gone])
        for key in gone:
            del self._applied[key]
            self._puzzling.pop(key, None)

    def _fetch(self, limit: int, until: float) -> list[_Fetched]:
        left = max(0.0, min(until - time.monotonic(), _SLICE_SECONDS))
        first = self._consumer.poll(left)
        if first is None:
            return []
        self._pace.answer(time.monotonic())
        more = self._consumer.consume(limit - 1, 0) if limit > 1 else []
        return [fetched for message in (first, *more) if (fetched := self._translate(message)) is not None]

    def _translate(self, message: Message) -> _Fetched | None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        error = message.error()
        key = (topic or "", -1 if partition is None else partition)
        place = self._applied.get(key)
        if error is not None:
            self._note_error(key, error)
            return None
        if place is None or offset is None:
            return None
        place.next = offset + 1
        at = min(max(message.timestamp()[1], 0), _LATEST_MS)
        record = Record(key[0], key[1], message.key(), message.value(), _headers(message), at)
        read = Read(Position(place.topic_id, key[1], offset), record, at, place.turn)
        return _Fetched(key, place.generation, read)

    def _note_error(self, key: Key, error: KafkaError) -> None:
        if key in self._applied and error.code() in {
            Local.AUTO_OFFSET_RESET,
            Local.LOG_TRUNCATION,
        }:
            self._puzzling[key] = error.code()
        elif error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED:
            self._deny(key, error)
        elif is_for_operator(error) and error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED:
            raise KafkaException(error)
        # All else passes: librdkafka tries again by itself, and the watch sees topics that are gone.

    def _deny(self, key: Key, error: KafkaError) -> None:
        """Rest from what our user may not read, and read the others on; a poll without events says so."""
        for other in [each for each in self._applied if each[0] == key[0] and key[1] in {-1, each[1]}]:
            self._denied[other] = (self._applied[other], time.monotonic() + _REST_SECONDS)
            self._unassign([other])
            self._refusal = broker_error(error, f"reading the topic {key[0]}", needs=grant("Read", key[0]))
            self._refusal.topic = key[0]

    def _try_again(self) -> None:
        """Ask once more for what our user was not allowed to read."""
        now = time.monotonic()
        for key, (place, at) in list(self._denied.items()):
            if now >= at:
                self._apply({key: place})

    def _solve(self) -> list[_Fetched]:
        """Find out why a position was refused, and stop there; where Kafka is away, try again later."""
        solved = []
        for key, code in list(self._puzzling.items()):
            place = self._applied[key]
            try:
                event = self._why_refused(key, place, is_cut=code == Local.LOG_TRUNCATION)
            except KafkaException:
                # The others next time: each may take seconds, and whoever closes the reader waits for all.
                self._puzzling[key] = self._puzzling.pop(key)
                break
            self._unassign([key])
            if event is None:
                self._apply({key: place})
            else:
                solved.append(_Fetched(key, place.generation, event))
        return solved

    def _why_refused(self, key: Key, place: _Place, *, is_cut: bool) -> ReadEvent | None:
        """Ask for the bounds; None where the position is good after all.

        `is_cut`: the partition is known to have lost records, whatever was appended since.
        """
        ids = self._watch.ask([key[0]])
        if ids is None or key[0] not in ids:  # nobody answers, or refuses to
            raise KafkaException(KafkaError(Local.TIMED_OUT))
        if ids[key[0]] != place.topic_id:
            return TopicChanged(key[0], place.topic_id, ids[key[0]])
        first, end = self._consumer.get_watermark_offsets(TopicPartition(*key), timeout=_BOUNDS_SECONDS)
        wanted = Position(place.topic_id, key[1], place.next)
        if place.next < first:
            return TooLow(key[0], wanted, first, place.turn)
        return TooHigh(key[0], wanted, end, place.turn) if is_cut or place.next > end else None


def _headers(message: Message) -> tuple[tuple[str, bytes], ...]:
    try:
        headers: Any = message.headers() or ()
    except (SystemError, UnicodeDecodeError):
        # confluent-kafka 2.16 fails so on a name that is not UTF-8. What it returns if asked again holds a
        # null pointer: do not ask.
        return UNREADABLE_HEADERS
    return tuple((name, content or b"") for name, content in headers)
