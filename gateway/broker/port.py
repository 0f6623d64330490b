"""The broker as the gateway sees it: durable topics, explicit positions, no consumer groups.

An event is true when the broker has it. An adapter must never turn an unknown outcome into a certain one,
never reset a position by itself, and never acknowledge what would not survive a power loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

RECORD_BYTES: Final = 1_000_000
"""What a record may have, encoded, with its headers: a cluster that nobody tuned takes as much."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """What a topic should be like.

    `retention_ms` None: keep for ever. `compacted`: the newest record of each key is kept, whatever its age.
    `least_ms`: what was promised to keep; a topic that keeps less is lengthened to `retention_ms`, which is
    no less. 0: nothing was.
    """

    name: str
    partitions: int = 1
    retention_ms: int | None = None
    compacted: bool = False
    least_ms: int = 0

    def is_short(self, keeps_ms: int | None) -> bool:
        """Whether a topic that keeps its records so long (None: for ever) keeps less than was promised."""
        return not self.compacted and keeps_ms is not None and keeps_ms < self.least_ms


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic that exists. `mismatches`: how it differs from its specification, in words for an operator.

    `keeps_ms`: for how long it keeps its records, where that was compared; None: for ever, or not known.
    `longer`: those of `mismatches` that say that it keeps them longer than wanted, which loses nothing.
    """

    id: str
    mismatches: tuple[str, ...] = ()
    partitions: int = 1
    keeps_ms: int | None = None
    longer: tuple[str, ...] = ()

    def is_to_mend(self) -> bool:
        """Whether it differs otherwise than by keeping its records longer than wanted."""
        return not set(self.mismatches) <= set(self.longer)


@dataclass(frozen=True, slots=True)
class Record:
    """A record to append. Header names may repeat; values may be empty.

    `at` is its time, Unix milliseconds; more than `MAX_AHEAD_MS` ahead of the clock, it is refused.
    """

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None = field(repr=False)
    headers: tuple[tuple[str, bytes], ...]
    at: int


UNREADABLE_HEADERS = (("\ufffd", b""),)
"""The headers of a record that was read, where a name among them is not UTF-8: the broker's client then shows
none of them. Whoever decodes the record treats it as unreadable."""

MAX_AHEAD_MS = 3_300_000
"""How far ahead a record's time may be. Kafka takes an hour, and refuses a whole batch, other records
included, for one beyond it; the five minutes are for clocks that differ."""


def record_bytes(record: Record) -> int:
    """What counts against `Broker.max_record_bytes`: key, value, header names and header values."""
    headers = sum(len(name.encode()) + len(content) for name, content in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


@dataclass(frozen=True, slots=True)
class Position:
    """A place in a topic. Keyed by the topic's id, since a topic deleted and made again keeps its name."""

    topic_id: str
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Start:
    """Where a reader is to begin: `offset` is the next offset wanted."""

    topic: str
    position: Position


@dataclass(frozen=True, slots=True)
class Stored:
    """The record is durable at this position."""

    position: Position


@dataclass(frozen=True, slots=True)
class Refused:
    """Certain: the record is not in the topic and will not appear.

    `code`: `too_large`, `unknown_topic`, `storage_full`, `unavailable`, `invalid`, `clock` (the broker's own
    differs too much from the record's time).
    """

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The record may be in the topic, or may still appear."""

    reason: str


@dataclass(frozen=True, slots=True)
class Read:
    """A record that was read. `at` is the broker's time of the record, Unix milliseconds.

    `turn`: of the assignment that it was read under, as the reader counts them; here and below.
    """

    position: Position
    record: Record
    at: int
    turn: int = field(default=0, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TooLow:
    """The wanted offset is gone (retention): the hole is [wanted, first).

    The partition is no longer read until assigned again.
    """

    topic: str
    wanted: Position
    first: int
    turn: int = field(default=0, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TooHigh:
    """The wanted offset is beyond the end, or was: the topic has lost records that we have seen.

    `end`: where it was cut; where nobody knows that, its end, which may have passed `wanted` again by records
    that nobody has read yet. No longer read until assigned again.
    """

    topic: str
    wanted: Position
    end: int
    turn: int = field(default=0, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class TopicChanged:
    """The topic was deleted, or deleted and made again (`new_id`). Reported within two seconds.

    Of many hundred topics, a few rounds of asking later. No longer read until assigned again.

    What was read between the change and this report may repeat after the new assignment.
    """

    topic: str
    old_id: str
    new_id: str | None


ReadEvent = Read | TooLow | TooHigh | TopicChanged


def place_in(event: Read | TooLow | TooHigh) -> tuple[str, int]:
    """Topic and partition in which it was found."""
    if isinstance(event, Read):
        return event.record.topic, event.position.partition
    return event.topic, event.wanted.partition


class BrokerError(Exception):
    """The broker could not be asked, or would not answer; says why and how to mend it.

    `code`: `broker_unavailable` (try again), `broker_refused` (authorisation, settings: an operator
    must act), `topic_unknown`. `topic`: the only one that a reader cannot read; None: it may be all.
    """

    def __init__(self, code: str, reason: str, *, topic: str | None = None) -> None:
        """Keep the code apart from the words."""
        super().__init__(reason)
        self.code = code
        self.topic = topic


class Reader(Protocol):
    """Reads explicitly assigned partitions, each in offset order; gaps are normal.

    One task uses a reader at a time.
    """

    def assign(self, starts: Sequence[Start]) -> None:
        """Add partitions, or move those already assigned. Takes effect with the next poll.

        Returns at once.
        """
        ...

    def release(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Stop reading these (topic, partition); unknown ones are passed over.

        Nothing of them is returned by later polls.
        """
        ...

    def reached(self, topic: str, partition: int) -> int | None:
        """The next offset to come: all before it were returned by `poll`, or hold no record.

        None: not assigned.
        """
        ...

    def is_current(self, event: ReadEvent) -> bool:
        """Whether an event that `poll` returned is still of the assignment that it was read under.

        Not if its partition was assigned anew since, where it comes again if it is wanted, or released. A
        change of topic always is.
        """
        ...

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        """Up to `limit` events; returns as soon as there is one, or empty after `wait_ms`.

        A broker that is away yields empty lists, and reading goes on by itself once it is back.
        A poll that is cancelled loses nothing: its events come with the next one.

        Raises:
            BrokerError: `broker_refused`: reading is not allowed, or impossible until an operator acts.
        """
        ...

    async def close(self) -> None:
        """Release everything; idempotent."""
        ...


AWAY_MS: Final = 1_000
"""A broker that is away for no longer than this is waited for, not refused."""


class Broker(Protocol):
    """Durable topics."""

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Make the topics that are missing; by name, what is there now.

        Idempotent. Of a topic that is there it changes one thing: one that keeps its records for less than
        `least_ms` keeps them for `retention_ms` from then on. It shortens none. Where a broker does not let
        our user do that, it is among the mismatches.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        ...

    async def describe(self, names: Sequence[str]) -> Mapping[str, Topic]:
        """The topics among `names` that exist.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        ...

    async def compare(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Of the topics that exist, by name, what is there and how it differs, as `ensure`; makes none.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        ...

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """Append, in order for each partition; one answer a record.

        Never raises for the broker's state, and answers within a bounded time.
        """
        ...

    async def bounds(self, partitions: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        """First offset kept, and the offset that the next record will get, of each (topic, partition).

        Raises:
            BrokerError: the broker is away or refuses, or a topic is unknown.
        """
        ...

    async def offset_at(self, partition: tuple[str, int], at: int) -> int:
        """The first offset whose record time is `at` or later; the end where there is none.

        No record of that time lies before it, none that is appended meanwhile either.

        Raises:
            BrokerError: as `bounds`.
        """
        ...

    def reader(self, *, patience_ms: int = 0) -> Reader:
        """A new reader with nothing assigned.

        `patience_ms`: how long a record may wait at the broker for others, so that they come together. A
        reader that wants each at once asks the broker once a record, and over all its partitions every time.
        """
        ...

    def away_for_ms(self) -> int:
        """How long the broker has been known to be away; 0 while it answers. Never blocks."""
        ...

    def is_taking(self) -> bool:
        """Whether an append is worth a try: the broker answers, or it is time to see if it does again.

        Admission asks it on every request. Never blocks.
        """
        ...

    def warnings(self) -> Sequence[str]:
        """What an operator has to see to though the broker answers, and how to mend it. Never blocks."""
        ...

    @property
    def max_record_bytes(self) -> int:
        """The largest record (key, value and headers together) that an append may hold."""
        ...

    async def close(self) -> None:
        """Flush and let go; idempotent."""
        ...
