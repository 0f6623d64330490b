"""How a reader asks Kafka for records: for each at once, for many together, or calmly while hardly any come.

librdkafka names all of a reader's partitions in every request, which costs some 10 us a partition, most of it
at Kafka. A reader of very many lets records wait for each other, the longer the more there are. One for which
hardly anything comes needs no such rule: it is answered with the first record, and asks seldom otherwise.

What a request names stays as it is until its answer, so a calm client would begin late with partitions that
are new to it. The way a client asks is fixed: another client goes on in its place, once it names all. A calm
one knows under which leaders was written what it does not read again, and so that an unclean election has cut
a quiet partition; others know it of partitions of which they have read a record themselves.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

QUIET_SECONDS: Final = 10.0
"""Without a new partition, and with few answers, a reader becomes calm."""

CALM_MS: Final = 900
"""Between two questions of a calm reader while nothing comes. Whatever else is asked on its connection waits
for as long; librdkafka asks less there from a second on."""

_REFRESH: Final = "topic.metadata.refresh.interval.ms"
_SELDOM: Final = 3
_LONGEST_REFRESH_MS: Final = 3_600_000
"""What librdkafka takes; -1 asks never."""

_MANY_BYTES: Final = 262_144
"""Enough for a patient client not to wait longer."""

_MANY_PARTITIONS: Final = 400
_SOME_PARTITIONS: Final = 100
"""With fewer, an eager reader costs nothing that is worth another client."""

_WAIT_MS_EACH: Final = 0.1
"""Of so many, a record waits so long for each: asking takes a tenth of a core then."""
_LONGEST_WAIT_MS: Final = 500
_APART_SECONDS: Final = 0.01
"""What is handed out within this is one answer."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a client asks. `patient`: records wait for each other for `wait_ms`, unless many are there."""

    kind: Literal["eager", "patient", "calm"]
    wait_ms: int = 0

    def settings(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Those of librdkafka that a client takes: of every reader, and its own."""
        match self.kind:
            case "eager":
                return {**given}
            case "patient":
                return {**given, "fetch.min.bytes": _MANY_BYTES, "fetch.wait.max.ms": self.wait_ms}
            case "calm":
                # A leader that hangs is left behind when a request of ours times out, and no later than that.
                given_ms = int(given[_REFRESH])
                refresh_ms = min(_SELDOM * given_ms, _LONGEST_REFRESH_MS) if given_ms > 0 else given_ms
                return {
                    **given,
                    "fetch.min.bytes": 1,
                    "fetch.wait.max.ms": self.wait_ms,
                    _REFRESH: refresh_ms,
                }


class Pace:
    """One a reader. Instants are seconds of a clock that nobody sets."""

    def __init__(self, least_ms: int) -> None:
        """`least_ms`: how long records are to wait for each other in any case, while they come."""
        self._least_ms = self._patience_ms = least_ms
        self._answers: deque[float] = deque()
        self._moved_at = 0.0
        self._is_calm = False

    @property
    def way(self) -> Way:
        """How to ask from now on."""
        if self._is_calm:
            return Way("calm", CALM_MS)
        return Way("patient", self._patience_ms) if self._patience_ms else Way("eager")

    def move(self, now: float, partitions: int) -> None:
        """Some partition is new, or moved; `partitions`: how many there are now."""
        wanted = max(self._least_ms, wanted_patience(partitions))
        # Not another client for every partition more.
        if self._is_calm or wanted >= 2 * self._patience_ms:
            self._patience_ms = wanted
        self._moved_at, self._is_calm = now, False

    def answer(self, now: float) -> None:
        """Records have come."""
        if not self._patience_ms:
            return
        if not self._answers or now - self._answers[-1] >= _APART_SECONDS:
            self._answers.append(now)

    def look(self, now: float, partitions: int) -> None:
        """See whether it is time to ask in another way."""
        while self._answers and now - self._answers[0] > QUIET_SECONDS:
            self._answers.popleft()
        if self._is_calm:
            lately = sum(now - at <= 1 for at in self._answers)
            if lately > self._asks(1.0) / 2:
                # It rests for as long as any other before it is calm again: each change is another client.
                self._moved_at, self._is_calm = now, False
        elif now - self._moved_at >= QUIET_SECONDS and self._is_worth_it(partitions):
            self._is_calm = len(self._answers) <= self._asks(QUIET_SECONDS) / 4

    def _is_worth_it(self, partitions: int) -> bool:
        return partitions >= (1 if self._patience_ms else _SOME_PARTITIONS)

    def _asks(self, seconds: float) -> float:
        """How often a patient client would ask: a calm one that is answered as often costs as much."""
        return seconds * 1000 / self._patience_ms if self._patience_ms else float("inf")


def wanted_patience(partitions: int) -> int:
    """How long a record may wait for others, in milliseconds; 0 where asking costs little."""
    if partitions < _MANY_PARTITIONS:
        return 0
    return min(_LONGEST_WAIT_MS, int(partitions * _WAIT_MS_EACH))
