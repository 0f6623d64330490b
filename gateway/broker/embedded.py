"""The default broker: durable topics in a SQLite file of their own, owned by this process.

One thread writes, and commits together whatever arrived while it was committing; another reads, with its own
connection. An append is answered after the commit, or as unknown when the disk does not answer in time.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, TypeVar

from gateway.broker.embedded_file import EmbeddedFile
from gateway.broker.embedded_format import connect_reading
from gateway.broker.embedded_reader import EmbeddedReader, find_offset
from gateway.broker.embedded_writer import Answer, EmbeddedWriter
from gateway.broker.port import (
    MAX_AHEAD_MS,
    RECORD_BYTES,
    BrokerError,
    Record,
    Refused,
    Topic,
    TopicSpec,
    Unknown,
    record_bytes,
)
from gateway.broker.topics import verify_topic_name

Fate = Literal["store", "lose", "store_and_forget"]
"""What a test may do to a record: store it, lose it without an answer, or store it without an answer."""

T = TypeVar("T")


class EmbeddedBroker:
    """Durable topics in one file; see `gateway.broker.port.Broker`."""

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        limit_bytes: int,
        max_record_bytes: int = RECORD_BYTES,
        fate: Callable[[Record], Fate] = lambda _: "store",
    ) -> None:
        """As `open`."""
        self._clock = clock
        self._entropy = entropy
        self._max_record_bytes = max_record_bytes
        self._fate = fate
        self._readers: tuple[EmbeddedReader, ...] = ()
        self._file = EmbeddedFile(path, limit_bytes=limit_bytes)
        self._writer = EmbeddedWriter(self._file, clock=clock, notify=self._notify)
        self._reading = connect_reading(path)
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="embedded-read")
        self._is_closed = False

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Callable[[], int],
        entropy: Callable[[int], bytes],
        limit_bytes: int,
        max_record_bytes: int = RECORD_BYTES,
        fate: Callable[[Record], Fate] = lambda _: "store",
    ) -> "EmbeddedBroker":
        """Own the file at `path`, making it where it is missing.

        `clock`: Unix milliseconds, for retention. `entropy`: topic ids. `limit_bytes`: records and their
        overhead. `fate` is for tests that need an unknown outcome.

        Raises:
            BrokerError: the file is locked (`EmbeddedLockedError`), unusable or of a newer format.
        """
        return cls(
            path,
            clock=clock,
            entropy=entropy,
            limit_bytes=limit_bytes,
            max_record_bytes=max_record_bytes,
            fate=fate,
        )

    @property
    def max_record_bytes(self) -> int:
        """The largest record that an append may hold."""
        return self._max_record_bytes

    def away_for_ms(self) -> int:
        """Zero: the broker is this process."""
        return 0

    def is_taking(self) -> bool:
        """Always."""
        return True

    def warnings(self) -> Sequence[str]:
        """None: what is wrong here refuses to start, or refuses records."""
        return ()

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Make the topics that are missing."""
        for spec in topics:
            _verify_spec(spec)
        return await self._work(lambda file: file.ensure(topics, lambda: self._entropy(16).hex()))

    async def describe(self, names: Sequence[str]) -> Mapping[str, Topic]:
        """The topics among `names` that exist."""
        there = await self._work(EmbeddedFile.topics)
        return {name: Topic(there[name][0], (), there[name][1].partitions) for name in names if name in there}

    async def compare(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """How those of the topics differ that exist."""
        return await self._work(lambda file: file.compare(topics))

    async def append(self, records: Sequence[Record]) -> list[Answer]:
        """Append; answered after the commit."""
        if self._is_closed:
            return [Refused("unavailable", "the embedded broker is closed")] * len(records)
        answers: list[Answer | None] = [self._refuse(record) for record in records]
        fates = [self._fate(record) for record in records]
        kept = [n for n, answer in enumerate(answers) if answer is None and fates[n] != "lose"]
        if kept:
            cost = sum(record_bytes(records[n]) for n in kept)
            for n, answer in zip(
                kept, await self._writer.append([records[n] for n in kept], cost), strict=True
            ):
                answers[n] = answer
        return [
            answer if answer is not None and fates[n] == "store" else Unknown("a test said so")
            for n, answer in enumerate(answers)
        ]

    async def bounds(self, partitions: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        """First offset kept and next offset, of each."""
        there = self._file.partitions
        for key in partitions:
            if key not in there:
                raise _topic_unknown(key)
        return [(there[key].first, there[key].next) for key in partitions]

    async def offset_at(self, partition: tuple[str, int], at: int) -> int:
        """The first offset whose record time is `at` or later; the end where there is none."""
        found = self._file.partitions.get(partition)
        if found is None:
            raise _topic_unknown(partition)
        offset = await self._read(lambda sql: find_offset(sql, found.number, at))
        return found.next if offset is None else offset

    def reader(self, *, patience_ms: int = 0) -> EmbeddedReader:
        """A new reader with nothing assigned; patience would save nothing here."""
        del patience_ms
        reader = EmbeddedReader(self._read, self._forget)
        self._readers = (*self._readers, reader)
        return reader

    async def trim(self) -> None:
        """Delete what is beyond its retention now; it happens by itself every half minute."""
        await self._work(self._writer.trim)

    async def delete_topic(self, name: str) -> None:
        """Delete a topic and its records, as an operator of Kafka could; for tests."""
        self._notify(await self._work(lambda file: file.drop(name)))

    async def close(self) -> None:
        """Write what waits, then give up the file; readers see nothing more."""
        if self._is_closed:
            return
        self._is_closed = True
        await asyncio.get_running_loop().run_in_executor(self._read_thread, self._writer.join)
        self._read_thread.shutdown()
        self._reading.close()

    def _refuse(self, record: Record) -> Refused | None:
        if (record.topic, record.partition) not in self._file.partitions:
            return Refused("unknown_topic", f"there is no partition {record.partition} of {record.topic}")
        try:
            size = record_bytes(record)
        except UnicodeEncodeError:
            return Refused("invalid", "a header's name is not text that UTF-8 can hold")
        if size > self._max_record_bytes:
            return Refused(
                "too_large", f"the record has {size} bytes, the broker takes {self._max_record_bytes}"
            )
        if not 0 <= record.at <= self._clock() + MAX_AHEAD_MS:
            return Refused("invalid", f"the record's time, {record.at}, is negative or too far ahead")
        return None

    async def _work(self, run: Callable[[EmbeddedFile], T]) -> T:
        if self._is_closed:
            raise BrokerError("broker_unavailable", "the embedded broker is closed")
        return await self._writer.work(run)

    async def _read(self, run: Callable[[sqlite3.Connection], T]) -> T:
        if self._is_closed:
            raise BrokerError("broker_unavailable", "the embedded broker is closed")
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._read_thread, run, self._reading)
        except sqlite3.Error as error:
            raise BrokerError("broker_unavailable", f"the embedded broker's file failed: {error}") from error

    def _notify(self, keys: Iterable[tuple[str, int]]) -> None:
        for reader in self._readers:
            reader.notify(keys)

    def _forget(self, reader: EmbeddedReader) -> None:
        self._readers = tuple(other for other in self._readers if other is not reader)


def _verify_spec(spec: TopicSpec) -> None:
    try:
        verify_topic_name(spec.name)
    except ValueError as error:
        raise BrokerError("broker_refused", str(error)) from error
    if spec.partitions < 1:
        raise BrokerError("broker_refused", f"{spec.name}: a topic needs at least one partition")


def _topic_unknown(key: tuple[str, int]) -> BrokerError:
    return BrokerError("topic_unknown", f"there is no partition {key[1]} of the topic {key[0]}")
