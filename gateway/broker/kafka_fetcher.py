"""What a reader of Kafka does on its thread: a client of librdkafka fetches, from explicit positions.

How it asks follows what comes (`kafka_pace`). Where that changes, another client goes on from where the
former one has come: the first request of one names but the partitions that it has found by then, and a calm
one waits for its answer for long, so that the former reads on beside it until that is over. A position that
Kafka refuses is looked into, and what was found is an event like others.
"""

import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from gateway.broker.kafka_errors import Local, broker_error, error_of, grant, is_for_operator
from gateway.broker.kafka_pace import Pace, Way
from gateway.broker.kafka_watch import KafkaWatch
from gateway.broker.port import (
    UNREADABLE_HEADERS,
    BrokerError,
    Position,
    Read,
    ReadEvent,
    Record,
    TooHigh,
    TooLow,
    TopicChanged,
)

Key = tuple[str, int]
"""Topic and partition."""

_SLICE_SECONDS: Final = 0.2  # a job looks this often whether it should stop waiting
_GO_ON_SECONDS: Final = 10.0  # before a client that could not be made is tried again
_BOUNDS_SECONDS: Final = 2.0  # behind what a calm client is waiting for on the same connection
_DOUBT_SECONDS: Final = 60.0  # once one position was refused, those of others are looked at for as long
_BESIDE_SECONDS: Final = 2.0  # two requests of a calm client: the second names all that it was told to read
_REST_SECONDS: Final = 1.0  # before a partition is asked for again that our user may not read
_CUT: Final = KafkaError(Local.LOG_TRUNCATION).str()
"""Among what librdkafka 2.x says of a partition that was cut; the code is that of any bad place."""
_CUT_AT: Final = re.compile(r"broker end offset is (\d+) ")
_LATEST_OFFSET: Final = 2**63 - 1
_LATEST_MS: Final = 253_402_300_799_999
"""The last instant of the year 9999. A topic may take any time that producers give (as one that counts in
microseconds, `message.timestamp.after.max.ms`), and nobody could write it down."""


@dataclass(slots=True)
class Place:
    """An assigned partition. `generation` tells this assignment from earlier ones; `turn`: its caller's.

    `epoch`: of the leader that had written what lies before `next`; -1: not known.
    """

    topic_id: str
    next: int
    generation: int
    turn: int
    epoch: int = -1

    def pass_to(self, offset: int, epoch: int | None) -> None:
        """All before `offset` was read, or holds no record; under that leader."""
        self.next, self.epoch = offset, -1 if epoch is None else epoch


@dataclass(frozen=True, slots=True)
class Fetched:
    """An event as a job found it, for the assignment `generation` of `key`."""

    key: Key
    generation: int
    event: ReadEvent


@dataclass(frozen=True, slots=True)
class _Heir:
    """A client that is to read in place of another, from `at` on."""

    consumer: Consumer
    way: Way
    at: float


class KafkaFetcher:
    """One a reader. One thread at a time calls it: the reader's, or whoever knows that this one rests.

    `refusal`: what our user may not read, to be told once there is no event to tell; the reader unsets it.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        watch: KafkaWatch,
        *,
        patience_ms: int,
        make: Callable[[dict[str, Any]], Consumer],
    ) -> None:
        """As `KafkaReader`.

        Raises:
            KafkaException: librdkafka refuses the settings.
        """
        self._settings = dict(settings)
        self._pace = Pace(patience_ms)
        self._way = self._pace.way
        self._make = make
        self._consumer = make(self._way.settings(self._settings))
        self._watch = watch
        self._heir: _Heir | None = None
        self._go_on_at = 0.0
        self._doubt_until = 0.0
        self._denied: dict[Key, tuple[Place, float]] = {}
        self._applied: dict[Key, Place] = {}
        self._puzzling: dict[Key, KafkaError] = {}
        self.refusal: BrokerError | None = None

    def reached(self, key: Key) -> int:
        """The next offset to come, also behind markers; below 0 where that is where it was assigned."""
        (position,) = self._consumer.position([TopicPartition(*key)])
        # A client that has consumed nothing knows not what the former one had passed.
        place = self._applied.get(key)
        return max(int(position.offset), -1 if place is None else place.next)

    def gather(
        self, orders: Mapping[Key, Place | None], limit: int, wait: float, is_over: Callable[[], bool]
    ) -> list[Fetched]:
        """Take the orders, then fetch up to `limit` events; wait so many seconds, or until `is_over`.

        `orders`: where to begin, by partition; None: read it no more.

        Raises:
            BrokerError: `broker_refused`: an operator must act. What was fetched by then is lost.
        """
        until = time.monotonic() + wait
        try:
            self._apply(orders)
            while True:
                self._try_again()
                self._keep_pace()
                fetched = [*self._fetch(limit, until), *self._solve()]
                if fetched or self.refusal or is_over() or time.monotonic() >= until:
                    return fetched
        except KafkaException as error:
            raise broker_error(error_of(error), "reading") from error

    def close(self) -> None:
        """Let the client go, whichever it is by then."""
        self._disinherit()
        self._consumer.close()

    def _apply(self, orders: Mapping[Key, Place | None]) -> None:
        for key in orders:
            self._denied.pop(key, None)
        self._unassign(key for key in orders if key in self._applied)
        added = {key: place for key, place in orders.items() if place is not None}
        if not added:
            return
        self._disinherit()
        applied = {**self._applied, **added}
        self._pace.move(time.monotonic(), len(applied))
        if self._pace.way != self._way and self._goes_on(applied):
            return
        self._consumer.incremental_assign([_start(key, place) for key, place in added.items()])
        self._applied = applied

    def _keep_pace(self) -> None:
        """Ask in another way where it is time to; not of a Kafka that is away."""
        now = time.monotonic()
        self._pace.look(now, len(self._applied))
        if self._heir is not None and self._heir.way != self._pace.way:
            self._disinherit()
        if self._heir is None and self._pace.way != self._way and now >= self._go_on_at:
            if self._watch.away_for_ms() or (made := self._another(self._applied)) is None:
                return
            self._heir = _Heir(made, self._pace.way, now + _BESIDE_SECONDS)
        if self._heir is not None and now >= self._heir.at:
            self._note_passed()
            self._follow(self._heir.consumer, self._heir.way)

    def _goes_on(self, applied: dict[Key, Place]) -> bool:
        """Go on at once with another client, which asks in today's way; False: there is none."""
        if (made := self._another(applied)) is None:
            return False
        self._applied = applied
        self._follow(made, self._pace.way)
        return True

    def _another(self, applied: dict[Key, Place]) -> Consumer | None:
        """A client that asks in today's way, from where this one is: behind markers that it has passed, too.

        None: there is none (a file that the settings name has moved); this one reads on.
        """
        way, made = self._pace.way, None
        try:
            made = self._make(way.settings(self._settings))
            self._note_passed()
            # What a calm client was about to say of partitions that were cut, the next one finds.
            is_checked = "calm" in {way.kind, self._way.kind} or time.monotonic() < self._doubt_until
            made.incremental_assign([_start(*one, is_checked=is_checked) for one in applied.items()])
        except KafkaException:
            self._go_on_at = time.monotonic() + _GO_ON_SECONDS
            if made is not None:
                made.close()
            return None
        return made

    def _follow(self, made: Consumer, way: Way) -> None:
        """Read on with this client; what it has of what was handed out already is passed over."""
        old, self._consumer, self._way, self._heir = self._consumer, made, way, None
        old.close()

    def _disinherit(self) -> None:
        """Let the other client go: another is made where it is still wanted."""
        heir, self._heir = self._heir, None
        if heir is not None:
            heir.consumer.close()

    def _note_passed(self) -> None:
        """Note which markers the client has passed."""
        for at in self._consumer.position([TopicPartition(*key) for key in self._applied]):
            place = self._applied[at.topic, at.partition]
            if at.offset > place.next:
                place.pass_to(at.offset, at.leader_epoch)

    def _unassign(self, keys: Iterable[Key]) -> None:
        gone = list(keys)
        if gone:
            self._disinherit()
            self._consumer.incremental_unassign([TopicPartition(*key) for key in gone])
        for key in gone:
            del self._applied[key]
            self._puzzling.pop(key, None)

    def _fetch(self, limit: int, until: float) -> list[Fetched]:
        left = max(0.0, min(until - time.monotonic(), _SLICE_SECONDS))
        first = self._consumer.poll(left)
        if first is None:
            return []
        self._pace.answer(time.monotonic())
        more = self._consumer.consume(limit - 1, 0) if limit > 1 else []
        return [fetched for message in (first, *more) if (fetched := self._translate(message)) is not None]

    def _translate(self, message: Message) -> Fetched | None:
        topic, partition, offset = message.topic(), message.partition(), message.offset()
        error = message.error()
        key = (topic or "", -1 if partition is None else partition)
        place = self._applied.get(key)
        if error is not None:
            self._note_error(key, error)
            return None
        # Another client may have what the former one has handed out.
        if place is None or offset is None or offset < place.next:
            return None
        place.pass_to(offset + 1, message.leader_epoch())
        at = min(max(message.timestamp()[1], 0), _LATEST_MS)
        record = Record(key[0], key[1], message.key(), message.value(), _headers(message), at)
        read = Read(Position(place.topic_id, key[1], offset), record, at, place.turn)
        return Fetched(key, place.generation, read)

    def _note_error(self, key: Key, error: KafkaError) -> None:
        if key in self._applied and error.code() in {Local.AUTO_OFFSET_RESET, Local.LOG_TRUNCATION}:
            self._puzzling[key] = error
            self._doubt_until = time.monotonic() + _DOUBT_SECONDS
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
            self.refusal = broker_error(error, f"reading the topic {key[0]}", needs=grant("Read", key[0]))
            self.refusal.topic = key[0]

    def _try_again(self) -> None:
        """Ask once more for what our user was not allowed to read."""
        now = time.monotonic()
        for key, (place, at) in list(self._denied.items()):
            if now >= at:
                self._apply({key: place})

    def _solve(self) -> list[Fetched]:
        """Find out why a position was refused, and stop there; where Kafka is away, try again later."""
        solved = []
        for key, error in list(self._puzzling.items()):
            place = self._applied[key]
            try:
                event = self._why_refused(key, place, cut=_cut_at(error))
            except KafkaException:
                # The others next time: each may take seconds, and whoever closes the reader waits for all.
                self._puzzling[key] = self._puzzling.pop(key)
                break
            self._unassign([key])
            if event is None:
                self._apply({key: place})
            else:
                solved.append(Fetched(key, place.generation, event))
        return solved

    def _why_refused(self, key: Key, place: Place, *, cut: int | None) -> ReadEvent | None:
        """Ask for the bounds; None where the position is good after all.

        `cut`: from where on the partition is known to have lost records, whatever was appended since.
        """
        if (changed := self._changed(key[0], place.topic_id)) is not None:
            return changed
        first, end = self._consumer.get_watermark_offsets(TopicPartition(*key), timeout=_BOUNDS_SECONDS)
        # Bounds come by name: they are another topic's, where it was made again meanwhile.
        if (changed := self._changed(key[0], place.topic_id)) is not None:
            return changed
        wanted = Position(place.topic_id, key[1], place.next)
        if place.next < first:
            return TooLow(key[0], wanted, first, place.turn)
        # What was cut behind it were no records: markers, or what was given up.
        if place.next <= end and (cut is None or place.next <= cut < _LATEST_OFFSET):
            return None
        return TooHigh(key[0], wanted, end if cut is None else min(end, cut), place.turn)

    def _changed(self, topic: str, topic_id: str) -> TopicChanged | None:
        """Whether the name stands for another topic now, or none.

        Raises:
            KafkaException: nobody says.
        """
        ids = self._watch.ask([topic])
        if ids is None or topic not in ids:
            raise KafkaException(KafkaError(Local.TIMED_OUT))
        return None if ids[topic] == topic_id else TopicChanged(topic, topic_id, ids[topic])


def _start(key: Key, place: Place, *, is_checked: bool = True) -> TopicPartition:
    """Where a client begins. `is_checked`: it asks first whether the partition was cut under another leader.

    That is a question for each partition: of a thousand it takes a third of a second. A calm client has the
    time, and is the one that stays; who goes on in its place asks for what it may not have heard yet.
    """
    return TopicPartition(*key, place.next, leader_epoch=place.epoch if is_checked else -1)


def _cut_at(error: KafkaError) -> int | None:
    """From where on a partition was cut; at the latest, where Kafka does not say. None: it was not."""
    if error.code() != Local.LOG_TRUNCATION and _CUT not in error.str():
        return None
    found = _CUT_AT.search(error.str())
    return _LATEST_OFFSET if found is None else int(found[1])


def _headers(message: Message) -> tuple[tuple[str, bytes], ...]:
    try:
        headers: Any = message.headers() or ()
    except (SystemError, UnicodeDecodeError):
        # confluent-kafka 2.16 fails so on a name that is not UTF-8. What it returns if asked again holds a
        # null pointer: do not ask.
        return UNREADABLE_HEADERS
    return tuple((name, content or b"") for name, content in headers)
