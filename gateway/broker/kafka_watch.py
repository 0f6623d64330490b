"""Watches Kafka from one thread: does it answer, and are the topics still the ones that we know?

A topic that is deleted and made again under a reader goes on without an error, so that ids are asked for all
the time. An id counts once two rounds in a row saw it: a broker that has not heard of a new topic yet must
not make a reader lose its place.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from gateway.broker.kafka_errors import UNKNOWN_TOPIC, error_of

ROUND_SECONDS: Final = 0.6
"""Between two rounds: two of them, and a wait, stay below the two seconds that the port allows."""

_ANSWER_SECONDS: Final = 2.0


class Watcher(Protocol):
    """What is told of topics; a reader."""

    def topics(self) -> set[str]:
        """The names it cares for. Called on the watch's thread."""
        ...

    def compare(self, ids: Mapping[str, str | None]) -> None:
        """Ids as they are now; None: there is no such topic. Called on the watch's thread."""
        ...


class KafkaWatch:
    """The thread, what it knows, and the breaker."""

    def __init__(self, admin: AdminClient) -> None:
        """Start watching; `admin` is shared with the broker."""
        self._admin = admin
        self._ids: dict[str, str] = {}
        self._seen: Mapping[str, str | None] = {}
        self._watchers: tuple[Watcher, ...] = ()
        self._silent_since: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(  # noqa: TID251  (the adapter owns its threads)
            target=self._run, name="kafka-watch", daemon=True
        )
        self._thread.start()

    def away_for_ms(self) -> int:
        """How long Kafka has not answered; 0 while it does."""
        since = self._silent_since
        return 0 if since is None else max(1, int((time.monotonic() - since) * 1000))

    def note_answer(self) -> None:
        """Kafka has answered something."""
        self._silent_since = None

    def note_silence(self) -> None:
        """Kafka has let something time out."""
        if self._silent_since is None:
            self._silent_since = time.monotonic()

    def id_of(self, topic: str) -> str | None:
        """The id last known; None for a topic that was never remembered, or is gone."""
        return self._ids.get(topic)

    def remember(self, ids: Mapping[str, str]) -> None:
        """Keep watching these topics."""
        self._ids = {**self._ids, **ids}

    def join(self, watcher: Watcher) -> None:
        """Tell `watcher` from now on."""
        self._watchers = (*self._watchers, watcher)

    def leave(self, watcher: Watcher) -> None:
        """Tell it no more."""
        self._watchers = tuple(other for other in self._watchers if other is not watcher)

    def ask(self, topics: Sequence[str]) -> Mapping[str, str | None] | None:
        """Ask for these ids now; None where Kafka does not answer. Blocks for two seconds at most."""
        if not topics:
            return {} if self._is_answering() else None
        found: dict[str, str | None] = {}
        try:
            futures = self._admin.describe_topics(
                TopicCollection(list(topics)), request_timeout=_ANSWER_SECONDS
            )
        except KafkaException:
            return None
        for name, future in futures.items():
            try:
                found[name] = str(future.result().topic_id)
            except KafkaException as error:
                if error_of(error).code() in UNKNOWN_TOPIC:
                    found[name] = None
        return found or None

    def close(self) -> None:
        """Stop the thread; blocks for a round at most."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(ROUND_SECONDS):
            names = set(self._ids).union(*(watcher.topics() for watcher in self._watchers))
            found = self.ask(sorted(names))
            if found is None:
                self.note_silence()
                continue
            self.note_answer()
            self._tell(found)

    def _tell(self, found: Mapping[str, str | None]) -> None:
        sure = {name: seen for name, seen in found.items() if self._seen.get(name, "") == seen}
        self._seen = found
        kept = {name: sure.get(name, old) for name, old in self._ids.items()}
        self._ids = {name: seen for name, seen in kept.items() if seen is not None}
        for watcher in self._watchers:
            watcher.compare(sure)

    def _is_answering(self) -> bool:
        try:
            self._admin.describe_cluster(request_timeout=_ANSWER_SECONDS).result()
        except KafkaException:
            return False
        return True
