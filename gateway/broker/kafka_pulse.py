"""Does Kafka acknowledge records, partition by partition? What does not is not fed further.

A cluster that has lost two of three brokers still answers every question and stores nothing. Each record that
is sent there ends as unknown, and its event waits for its claim's lease; so once a partition is known to
hang, all appends but one at a time are refused at once, and for certain. librdkafka tries that one again
until its timeout: it is the probe that finds the partition well.
"""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from gateway.broker.port import AWAY_MS

Place = tuple[str, int]
"""Topic and partition."""

PATIENCE_SECONDS: Final = 1.5
"""Without any acknowledgement for so long, a partition hangs. Less than `ingress.publish_timeout`."""

REST_SECONDS: Final = 1.0
"""After a failure: before the next record is tried."""

MANY_AWAY: Final = (
    "are enough of its brokers up? kafka-topics.sh --describe --under-min-isr-partitions lists what cannot "
    "be written to; it goes on by itself once min.insync.replicas are in sync"
)
"""What to look at where no broker has said why."""

_FORGET_SECONDS: Final = 600.0


@dataclass(slots=True)
class _Partition:
    """`waiting`: records sent and not answered. `since`: when the oldest of them was sent, or one answered.

    `bad_since`: of failures without a success in between; 0: the last answer was a success. `words`: of the
    last failure; `tried_at`: when it came; `is_mute`: there was not a word of Kafka's in it.
    """

    waiting: int = 0
    since: float = 0.0
    bad_since: float = 0.0
    tried_at: float = 0.0
    words: str = ""
    is_mute: bool = True


class KafkaPulse:
    """See the module. Sending is told on the event loop, answers on the serving thread."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic`: seconds."""
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._partitions: dict[Place, _Partition] = {}
        self._stored_at = monotonic()
        self._probed_at = self._stored_at

    def sent(self, place: Place) -> None:
        """A record is on its way."""
        with self._lock:
            partition = self._partitions.setdefault(place, _Partition())
            if not partition.waiting:
                partition.since = self._monotonic()
            partition.waiting += 1

    def stored(self, place: Place) -> None:
        """Kafka has acknowledged one."""
        with self._lock:
            partition = self._partitions[place]
            partition.waiting -= 1
            partition.since = self._stored_at = self._monotonic()
            partition.bad_since, partition.is_mute = 0.0, True

    def failed(self, place: Place, words: str, *, counts: bool, is_mute: bool = False) -> None:
        """One was not acknowledged; `words` for an operator.

        `counts`: for a reason that its next records would meet too. `is_mute`: Kafka said nothing.
        """
        with self._lock:
            partition = self._partitions[place]
            partition.waiting -= 1
            if counts:
                partition.bad_since = partition.bad_since or partition.since
                partition.tried_at, partition.words = self._monotonic(), words
                partition.is_mute = is_mute
            else:
                partition.since = self._monotonic()

    def closed(self, places: Iterable[Place]) -> dict[Place, str]:
        """Those of `places` that take no further record now, with the reason."""
        now = self._monotonic()
        with self._lock:
            found = {place: self._why_closed(self._partitions.get(place), now) for place in places}
        return {place: words for place, words in found.items() if words}

    def silent_for_ms(self) -> int:
        """How long Kafka has acknowledged nothing though records of several topics wait; 0 while it does.

        A single topic that takes no record, or one that Kafka answers for with a refusal, says nothing of the
        others: it is closed, and all else goes on.
        """
        now = self._monotonic()
        with self._lock:
            waits = [
                (partition.bad_since or partition.since, topic)
                for (topic, _), partition in self._partitions.items()
                if partition.is_mute
                and (partition.waiting or (partition.bad_since and now - partition.tried_at < REST_SECONDS))
            ]
            late = [(begun, topic) for begun, topic in waits if now - begun > PATIENCE_SECONDS]
            begun = min((begun for begun, _ in late), default=now)
            is_silent = len({topic for _, topic in late}) > 1 and begun >= self._stored_at
        return int((now - begun) * 1000) if is_silent else 0

    def is_taking(self) -> bool:
        """Whether one more record may be tried: always, but for once in a while where Kafka is silent.

        Topics without a leader beside a quiet one that is well look just like it: somebody has to try.
        """
        if self.silent_for_ms() <= AWAY_MS:
            return True
        now = self._monotonic()
        with self._lock:
            is_due = now - self._probed_at >= REST_SECONDS
            if is_due:
                self._probed_at = now
        return is_due

    def warnings(self) -> list[str]:
        """Partitions that do not acknowledge, each with how long, what was said and what to look at."""
        now = self._monotonic()
        words = []
        with self._lock:
            for (topic, number), partition in sorted(self._partitions.items()):
                begun = partition.bad_since or (partition.since if partition.waiting else now)
                is_old = not partition.waiting and now - partition.tried_at > _FORGET_SECONDS
                if now - begun > PATIENCE_SECONDS and not is_old:
                    why = partition.words if partition.bad_since else MANY_AWAY
                    seconds = int(now - begun)
                    words.append(
                        f"{topic} [{number}]: Kafka has acknowledged no record for {seconds} s: {why}"
                    )
        return words

    def _why_closed(self, partition: _Partition | None, now: float) -> str:
        if partition is None:
            return ""
        is_bad = partition.bad_since > 0
        if partition.waiting and (is_bad or now - partition.since > PATIENCE_SECONDS):
            return "Kafka does not acknowledge records now"
        if is_bad and now - partition.tried_at < REST_SECONDS:
            return "Kafka has just failed to take a record"
        return ""
