"""Reading Kafka from explicit positions: no group, no commit, no reset.

librdkafka is called on one thread of the reader's own (`kafka_fetcher`), in a job for each poll. The job's
result is kept until a poll takes it, so that a cancelled poll loses nothing. Each assignment has a
generation: what was fetched under an older one is dropped.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from confluent_kafka import Consumer

from gateway.broker.kafka_fetcher import Fetched, KafkaFetcher, Key, Place
from gateway.broker.kafka_watch import KafkaWatch
from gateway.broker.port import Read, ReadEvent, Start, TopicChanged, place_in


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
        self._fetcher = KafkaFetcher(settings, watch, patience_ms=patience_ms, make=make)
        self._watch = watch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-read")
        self._places: dict[Key, Place] = {}
        self._turns: dict[Key, int] = {}
        self._orders: dict[Key, Place | None] = {}
        self._job: asyncio.Future[list[Fetched]] | None = None
        self._fetched: deque[Fetched] = deque()
        self._changes: deque[TopicChanged] = deque()
        self._generation = 0
        self._is_hurried = False
        self._is_closed = False
        watch.join(self)

    def assign(self, starts: Sequence[Start]) -> None:
        """Add or move partitions, with the next poll; one that waits ends soon."""
        self._is_hurried = self._is_hurried or bool(starts)
        for start in starts:
            self._generation += 1
            key = (start.topic, start.position.partition)
            at, turn = start.position, self._generation
            self._turns[key] = turn
            self._places[key] = Place(at.topic_id, at.offset, self._generation, turn)
            self._orders[key] = Place(at.topic_id, at.offset, self._generation, turn)

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
            place.next = max(place.next, self._fetcher.reached(key))
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
            gather = partial(self._fetcher.gather, orders, limit, wait_ms / 1000, self._is_awaited)
            self._job = loop.run_in_executor(self._thread, gather)
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
        refusal = self._fetcher.refusal
        if refusal is not None and not events:
            self._fetcher.refusal = None
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
        await loop.run_in_executor(self._thread, self._fetcher.close)
        self._thread.shutdown()

    def topics(self) -> set[tuple[str, str]]:
        """Names and ids of the topics that are assigned. Called on the watch's thread, too."""
        return {(topic, place.topic_id) for (topic, _), place in list(self._places.items())}

    def compare(self, changed: Mapping[tuple[str, str], str | None]) -> None:
        """Note topics that are another one now, or gone. Called on the watch's thread."""
        for topic, topic_id in self.topics() & changed.keys():
            self._changes.append(TopicChanged(topic, topic_id, changed[topic, topic_id]))

    def _is_awaited(self) -> bool:
        """Whether a poll would rather have what there is. Called on the reader's thread."""
        return self._is_hurried or bool(self._changes)

    def _start_over(self) -> None:
        """After a failed job, whose events are lost: assign all again, where they were to go on."""
        for key, place in self._places.items():
            self._generation += 1
            place.generation = self._generation
            self._orders[key] = Place(place.topic_id, place.next, place.generation, place.turn)

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
            changed = self._changes.popleft()
            # Else it was noted twice, or is read no longer, or another one is read in its place by now.
            if (changed.topic, changed.old_id) in self.topics():
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
