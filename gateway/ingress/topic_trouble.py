"""What appends find wrong with topics, for an operator: in words, until a record of the same kind passes.

One line of the log for each trouble of each topic, however many events meet it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.broker.port import Record, Refused, Stored, Unknown, record_bytes
from gateway.logs import logger

_WORDS: Final[Mapping[str, str]] = {
    "too_large": (
        "{topic}: Kafka refused a record of {size} bytes as too large, and the event got 413; the topic must "
        "take what the gateway takes: kafka-configs.sh --alter --entity-type topics --entity-name {topic} "
        "--add-config max.message.bytes={needed} (and message.max.bytes of the brokers, if it is lower)"
    ),
    "clock": (
        "{topic}: Kafka refused the time of a record: the clocks of this host and of Kafka's differ by more "
        "than the topic allows (message.timestamp.after.max.ms, by default an hour; "
        "message.timestamp.before.max.ms): set both by NTP"
    ),
    "unknown_topic": (
        "{topic}: the topic, or its partition {partition}, is not there; a missing topic is made again by "
        "itself. If it stays away: has somebody deleted it, may this gateway's user create topics, does it "
        "have fewer partitions than the partner was made with?"
    ),
}
"""Codes of refusals that an operator has to see to. `{...}`: of the record."""


_FRAME_BYTES: Final = 48_000
"""What Kafka's framing may add to the largest record, with some room."""


@dataclass(frozen=True, slots=True)
class _Trouble:
    words: str
    size: int


class TopicTrouble:
    """Remembers refusals by topic and code, and which topic a name stood for last."""

    def __init__(self, limit: int) -> None:
        """`limit`: the largest record that the gateway takes, bytes."""
        self._needed = limit + _FRAME_BYTES
        self._found: dict[tuple[str, str], _Trouble] = {}
        self._ids: dict[str, str] = {}

    def warnings(self) -> list[str]:
        """What holds now, one text for each."""
        return [trouble.words for _, trouble in sorted(self._found.items(), key=lambda item: item[0])]

    def is_other(self, topic: str, topic_id: str, known: Mapping[str, str]) -> bool:
        """Whether a record went to another topic than the last one of this name did (at first: than `known`).

        Compared with our own last one, since a reader may have told of the change before an append did.
        """
        before = self._ids.get(topic, known.get(topic))
        self._ids[topic] = topic_id
        return before != topic_id

    def note(self, records: Sequence[Record], results: Sequence[Stored | Refused | Unknown]) -> None:
        """Take the answers of one append."""
        for record, result in zip(records, results, strict=True):
            if isinstance(result, Stored):
                self._pass(record)
            elif isinstance(result, Refused) and result.code in _WORDS:
                self._fail(record, result)

    def _pass(self, record: Record) -> None:
        """A record was stored: topic and clock are good, and so is the size, if it was as large."""
        for code in _WORDS:
            found = self._found.get((record.topic, code))
            if found is not None and record_bytes(record) >= found.size:
                del self._found[record.topic, code]

    def _fail(self, record: Record, refused: Refused) -> None:
        key, size = (record.topic, refused.code), record_bytes(record)
        known = self._found.get(key)
        counted = size if refused.code == "too_large" else 0
        if known is not None and known.size >= counted:
            return
        words = _WORDS[refused.code].format(
            topic=record.topic, size=size, partition=record.partition, needed=self._needed
        )
        self._found[key] = _Trouble(words, counted)
        if known is None:
            logger("gateway.ingress").error("a topic refuses events", reason=words, broker=refused.reason)
