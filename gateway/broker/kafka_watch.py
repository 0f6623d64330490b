"""Watches Kafka from one thread: does it answer, and are the topics still the ones that we know?

A topic that is deleted and made again under a reader goes on without an error, so that ids are asked for all
the time. A change counts once it was seen twice: a broker that has not heard of a new topic yet must not make
a reader lose its place. A thousand topics take some hundredths of a second of one core, here and at Kafka: of
very many a round asks for a third, or for as many as fit its share of the time, and the next goes on from
there.
"""

import logging
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Protocol

from confluent_kafka import KafkaException, TopicCollection

from gateway.broker.kafka_admin import RENEW_SECONDS, KafkaAdmin
from gateway.broker.kafka_errors import UNKNOWN_TOPIC, error_of

ROUND_SECONDS: Final = 0.9
"""From the start of a round to the start of the next: a slow answer shortens the pause."""

CONFIRM_SECONDS: Final = 0.3
"""Between the two sightings of a change."""

PROMPT_SECONDS: Final = 0.3
"""While each question is answered within this, a change is told in less than the two seconds of the port:
ROUND_SECONDS + PROMPT_SECONDS + CONFIRM_SECONDS + PROMPT_SECONDS. A slower Kafka is waited for, and told of
later; it is not called away before `_ANSWER_SECONDS`. Of more topics than a round asks for, changes are told
as many rounds later as it takes to come to them."""

SHARE_SECONDS: Final = 0.025
"""Of a round; no question is begun later."""

EACH_ROUND: Final = 240
"""Topics that a round asks for in any case, as far as its share goes: so many are all asked for each time."""

TURNS: Final = 3
"""Of more topics, each has its turn within so many rounds, as far as their share goes."""

NOBODYS: Final = "gateway.nobodys-topic"
"""Asked for to hear whether Kafka answers; what it says of it is no matter."""

_REST_SECONDS: Final = 0.1  # between rounds in any case, so that a slow Kafka is not asked without end
_CHUNK: Final = 40  # topics in one request: its answer is turned into objects while nothing else can run
_ANSWER_SECONDS: Final = 2.0

_log = logging.getLogger(__name__)


class Watcher(Protocol):
    """What is told of topics; a reader."""

    def topics(self) -> set[tuple[str, str]]:
        """Names and ids that it relies on. Called on the watch's thread."""
        ...

    def compare(self, changed: Mapping[tuple[str, str], str | None]) -> None:
        """What stands for these names now, of which the ids beside them are not there any more.

        None: no topic does. Who relies on another id by now is not concerned. Called on the watch's thread.
        """
        ...


class KafkaWatch:
    """The thread, what it knows, and the breaker."""

    def __init__(
        self,
        admin: KafkaAdmin,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        pause: Callable[[float], bool] | None = None,
    ) -> None:
        """Start watching; `admin` is shared with the broker.

        `monotonic`: seconds. `pause`: waits so many seconds, or until the end; whether it is the end.
        """
        self._admin = admin
        self._monotonic = monotonic
        self._changing = threading.Lock()
        """Who makes `_ids` or `_watchers` anew: several threads do, and each reads them without it."""
        self._ids: dict[str, str] = {}
        self._watchers: tuple[Watcher, ...] = ()
        self._silent_since: float | None = None
        self._renewed_at = monotonic()
        self._last_asked = ""
        self._known: set[tuple[str, str]] = set()
        self._ids_by_name: dict[str, list[str]] = {}
        self._names: list[str] = []
        self._stop = threading.Event()
        self._pause = self._stop.wait if pause is None else pause
        self._thread = threading.Thread(  # noqa: TID251  (the adapter owns its threads)
            target=self._run, name="kafka-watch", daemon=True
        )
        self._thread.start()

    def away_for_ms(self) -> int:
        """How long Kafka has not answered; 0 while it does."""
        since = self._silent_since
        return 0 if since is None else max(1, int((self._monotonic() - since) * 1000))

    def note_answer(self) -> None:
        """Kafka has answered something."""
        self._silent_since = None

    def note_silence(self) -> None:
        """Kafka has let something time out."""
        if self._silent_since is None:
            self._silent_since = self._monotonic()

    def id_of(self, topic: str) -> str | None:
        """The id last known; None for a topic that was never remembered, or is gone."""
        return self._ids.get(topic)

    def remember(self, ids: Mapping[str, str]) -> None:
        """Keep watching these topics."""
        with self._changing:
            self._ids = {**self._ids, **ids}

    def join(self, watcher: Watcher) -> None:
        """Tell `watcher` from now on."""
        with self._changing:
            self._watchers = (*self._watchers, watcher)

    def leave(self, watcher: Watcher) -> None:
        """Tell it no more."""
        with self._changing:
            self._watchers = tuple(other for other in self._watchers if other is not watcher)

    def ask(self, topics: Sequence[str]) -> Mapping[str, str | None] | None:
        """Ask for these ids now; None where Kafka lets a request wait for two seconds. Blocks.

        A topic that Kafka says nothing of, as one that we may not see, is left out.
        """
        if not topics:
            return {} if self._is_answering() else None
        found: dict[str, str | None] = {}
        for at in range(0, len(topics), _CHUNK):
            part = self._describe(topics[at : at + _CHUNK])
            if part is None:
                return None
            found |= part
        return found

    def close(self) -> None:
        """Stop the thread; blocks for a round at most."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        left = ROUND_SECONDS
        while not self._pause(max(left, _REST_SECONDS)):
            next_at = self._monotonic() + ROUND_SECONDS
            try:
                self._look()
            except Exception:  # noqa: BLE001 - a thread that ended would leave changes unseen for good
                _log.exception("a round of watching topics failed")
            left = next_at - self._monotonic()

    def _look(self) -> None:
        """One round: ask for what it is the turn of, and again for what has changed."""
        known = set(self._ids.items()).union(*(watcher.topics() for watcher in self._watchers))
        if known != self._known:
            self._known, self._ids_by_name = known, {}
            for name, topic_id in known:
                self._ids_by_name.setdefault(name, []).append(topic_id)
            self._names = sorted(self._ids_by_name)
        found = self._ask_some(self._names)
        if found is None:
            self.note_silence()
            self._renew()
            return
        self.note_answer()
        odd = {
            (name, old)
            for name, seen in found.items()
            for old in self._ids_by_name.get(name, ())
            if old != seen
        }
        if odd and not self._pause(CONFIRM_SECONDS):
            again = self.ask(sorted({name for name, _ in odd})) or {}
            same = {name: seen for name, seen in again.items() if seen == found[name]}
            self._tell({one: same[one[0]] for one in odd if one[0] in same})

    def _ask_some(self, topics: Sequence[str]) -> Mapping[str, str | None] | None:
        """As `ask`, of as many as fit the round's share, behind those of the last round."""
        until = self._monotonic() + SHARE_SECONDS
        at = bisect_right(topics, self._last_asked)
        left = [*topics[at:], *topics[:at]][: max(EACH_ROUND, -(-len(topics) // TURNS))]
        found: dict[str, str | None] = {}
        while True:
            some, left = left[:_CHUNK], left[_CHUNK:]
            part = self.ask(some)
            if part is None:
                return None
            found |= part
            self._last_asked = some[-1] if some else ""
            if not left or self._monotonic() >= until:
                return found

    def _renew(self) -> None:
        """Try another client where this one has heard nothing for long."""
        now = self._monotonic()
        begun = max(self._renewed_at, now if self._silent_since is None else self._silent_since)
        if now - begun >= RENEW_SECONDS:
            self._renewed_at = now
            self._admin.renew()

    def _tell(self, changed: Mapping[tuple[str, str], str | None]) -> None:
        with self._changing:
            ids = {name: changed.get((name, old), old) for name, old in self._ids.items()}
            self._ids = {name: seen for name, seen in ids.items() if seen is not None}
        for watcher in self._watchers:
            watcher.compare(changed)

    def _describe(self, topics: Sequence[str]) -> dict[str, str | None] | None:
        """Ids of those that have one; None where Kafka answered nothing at all, not even with a refusal."""
        found: dict[str, str | None] = {}
        is_silent = True
        try:
            futures = self._admin.client.describe_topics(
                TopicCollection(list(topics)), request_timeout=_ANSWER_SECONDS
            )
        except KafkaException:
            return None
        if (last := next(reversed(futures.values()), None)) is not None:
            # All are answered together, this one last: waited for one by one, each would wake this thread.
            last.exception()
        for name, future in futures.items():
            try:
                found[name] = str(future.result().topic_id)
            except KafkaException as error:
                if error_of(error).code() in UNKNOWN_TOPIC:
                    found[name] = None
                is_silent = is_silent and not _is_answer(error)
        return None if is_silent and not found else found

    def _is_answering(self) -> bool:
        """Whether Kafka answers anything at all; what is asked for need not be there.

        Not by `describe_cluster`: where a broker that has just come back names neither brokers nor topics,
        librdkafka 2.x ends the process ("Assertion `rko_result' failed"). A topic that was asked for is
        always in the answer.
        """
        try:
            for future in self._admin.client.describe_topics(
                TopicCollection([NOBODYS]), request_timeout=_ANSWER_SECONDS
            ).values():
                future.result()
        except KafkaException as error:
            return _is_answer(error)
        return True


def _is_answer(error: KafkaException) -> bool:
    """Whether Kafka has said so; librdkafka's own codes are below, and mean that nobody has answered."""
    return error_of(error).code() > 0
