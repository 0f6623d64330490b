"""The writing side of the embedded broker: topics and records in one SQLite file, synchronous, on one thread.

What must stay true:

- Memory (`partitions`) changes only after the COMMIT that made it true; offsets are given out from memory.
- A record within its retention is never deleted to make room; a new one is refused instead.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gateway.broker.embedded_format import (
    encode_headers,
    offset_of,
    open_owned,
    place_of,
    places_of,
    record_cost,
)
from gateway.broker.port import Position, Record, Refused, Stored, Topic, TopicSpec
from gateway.units import format_duration


@dataclass(frozen=True, slots=True)
class Partition:
    """A partition as the last commit left it. `latest_at`: the highest record time so far, milliseconds."""

    number: int
    topic_id: str
    retention_ms: int | None
    compacted: bool
    first: int
    next: int
    bytes: int
    latest_at: int


class EmbeddedFile:
    """The writing side of the file. Not thread-safe: one thread calls it.

    `is_committing`: whether the last transaction got as far as its COMMIT.
    """

    def __init__(self, path: Path, *, limit_bytes: int) -> None:
        """Open or make the file, and own it.

        Raises:
            BrokerError: it is locked, not writable, no database, or of a newer format.
        """
        self._limit_bytes = limit_bytes
        self._lock, self._sql = open_owned(path)
        self.partitions: dict[tuple[str, int], Partition] = {}
        self._used = 0
        self.is_committing = False
        self._load()

    def close(self) -> None:
        """Close the file and give up its ownership; idempotent."""
        if self._lock >= 0:
            self._sql.close()
            os.close(self._lock)
            self._lock = -1

    def topics(self) -> dict[str, tuple[str, TopicSpec]]:
        """Every topic by name: its id, and how it was made."""
        counts: dict[str, int] = {}
        for name, _ in self.partitions:
            counts[name] = counts.get(name, 0) + 1
        rows = self._sql.execute("SELECT name, id, retention_ms, compacted FROM topic")
        return {
            name: (topic_id, TopicSpec(name, counts[name], retention_ms, bool(compacted)))
            for name, topic_id, retention_ms, compacted in rows
        }

    def ensure(self, specs: Sequence[TopicSpec], make_id: Callable[[], str]) -> dict[str, Topic]:
        """Make what is missing and lengthen what is too short, in one transaction; how the rest differs."""
        there = self.topics()
        with self._transaction():
            for spec in specs:
                if spec.name not in there:
                    there[spec.name] = (self._create(spec, make_id()), spec)
                    continue
                topic_id, found = there[spec.name]
                if spec.is_short(found.retention_ms):
                    there[spec.name] = (topic_id, self._lengthen(found, spec.retention_ms))
        self._load()
        return _compared(specs, there)

    def compare(self, specs: Sequence[TopicSpec]) -> dict[str, Topic]:
        """Say how those differ that are there."""
        return _compared(specs, self.topics())

    def drop(self, name: str) -> list[tuple[str, int]]:
        """Delete a topic with its records; the partitions that it had."""
        gone = [(found, place) for found, place in self.partitions if found == name]
        with self._transaction():
            for key in gone:
                number = self.partitions[key].number
                self._sql.execute("DELETE FROM record WHERE place BETWEEN ? AND ?", places_of(number))
                self._sql.execute("DELETE FROM newest WHERE number = ?", (number,))
                self._sql.execute("DELETE FROM topic_partition WHERE number = ?", (number,))
            self._sql.execute("DELETE FROM topic WHERE name = ?", (name,))
        self._load()
        return gone

    def append(self, records: Sequence[Record], *, now: int) -> list[Stored | Refused]:
        """Append in one durable transaction; an answer for each record.

        Raises:
            sqlite3.Error: nothing was stored, unless COMMIT itself failed with an I/O error.
        """
        draft: dict[tuple[str, int], Partition] = {}
        used = self._used
        with self._transaction():
            if used + sum(map(record_cost, records)) > self._limit_bytes:
                used -= self._trim(draft, now, most=5_000)
            answers: list[Stored | Refused] = []
            for record in records:
                answer, cost = self._append(draft, record, self._limit_bytes - used)
                answers.append(answer)
                used += cost
            self._save(draft)
        self._take_over(draft)
        return answers

    def trim(self, *, now: int, most: int = 5_000) -> set[tuple[str, int]]:
        """Delete up to `most` records beyond their retention; the partitions that lost some."""
        draft: dict[tuple[str, int], Partition] = {}
        with self._transaction():
            self._trim(draft, now, most)
            self._save(draft)
        self._take_over(draft)
        return set(draft)

    def _append(
        self, draft: dict[tuple[str, int], Partition], record: Record, free_bytes: int
    ) -> tuple[Stored | Refused, int]:
        key = (record.topic, record.partition)
        partition = draft.get(key) or self.partitions.get(key)
        if partition is None:
            return Refused("unknown_topic", f"there is no partition {record.partition} of {record.topic}"), 0
        if partition.compacted and record.key is None:
            return Refused("invalid", f"{record.topic} is compacted: a record needs a key"), 0
        cost = record_cost(record)
        if cost > free_bytes:
            reason = f"the embedded broker is at its limit of {self._limit_bytes} bytes"
            mend = "raise broker.embedded_bytes or shorten broker.retention"
            return Refused("storage_full", f"{reason}: {mend}"), 0
        offset, latest_at = partition.next, max(partition.latest_at, record.at)
        place, headers = place_of(partition.number, offset), encode_headers(record.headers)
        freed = self._compact(partition.number, record.key, place) if partition.compacted else 0
        row = (place, record.at, latest_at, cost, record.key, headers, record.value)
        self._sql.execute("INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        kept_bytes = partition.bytes + cost - freed
        draft[key] = replace(partition, next=offset + 1, bytes=kept_bytes, latest_at=latest_at)
        return Stored(Position(partition.topic_id, record.partition, offset)), cost - freed

    def _compact(self, number: int, key: bytes | None, place: int) -> int:
        """Drop the record that had this key; the bytes won back."""
        freed = 0
        old = self._sql.execute(
            "SELECT place FROM newest WHERE number = ? AND key = ?", (number, key)
        ).fetchone()
        if old is not None:
            freed = int(self._sql.execute("SELECT cost FROM record WHERE place = ?", old).fetchone()[0])
            self._sql.execute("DELETE FROM record WHERE place = ?", old)
        self._sql.execute("INSERT OR REPLACE INTO newest VALUES (?, ?, ?)", (number, key, place))
        return freed

    def _trim(self, draft: dict[tuple[str, int], Partition], now: int, most: int) -> int:
        """Delete the oldest records whose time is up, up to the first that stays; the bytes won back."""
        freed = 0
        for key, partition in self.partitions.items():
            if most <= 0:
                break
            is_empty = partition.first == partition.next
            if is_empty or partition.retention_ms is None or partition.compacted:
                continue
            trimmed, count = self._trim_one(partition, now - partition.retention_ms, most)
            if count:
                draft[key] = trimmed
                freed += partition.bytes - trimmed.bytes
                most -= count
        return freed

    def _trim_one(self, partition: Partition, before: int, most: int) -> tuple[Partition, int]:
        start, end = places_of(partition.number)
        rows = self._sql.execute(
            "SELECT place, at, cost FROM record WHERE place BETWEEN ? AND ? ORDER BY place LIMIT ?",
            (start + partition.first, end, most),
        )
        count, freed, first = 0, 0, partition.first
        for place, at, cost in rows:
            if at >= before:
                break
            count, freed, first = count + 1, freed + cost, offset_of(place) + 1
        rows.close()
        if count:
            self._sql.execute("DELETE FROM record WHERE place BETWEEN ? AND ?", (start, start + first - 1))
        return replace(partition, first=first, bytes=partition.bytes - freed), count

    def _save(self, draft: Mapping[tuple[str, int], Partition]) -> None:
        self._sql.executemany(
            "UPDATE topic_partition SET first = ?, next = ?, bytes = ?, latest_at = ? WHERE number = ?",
            [(part.first, part.next, part.bytes, part.latest_at, part.number) for part in draft.values()],
        )

    def _create(self, spec: TopicSpec, topic_id: str) -> str:
        row = (topic_id, spec.name, spec.retention_ms, spec.compacted)
        self._sql.execute("INSERT INTO topic VALUES (?, ?, ?, ?)", row)
        self._sql.executemany(
            "INSERT INTO topic_partition (topic_id, partition, first, next, bytes, latest_at)"
            " VALUES (?, ?, 0, 0, 0, 0)",
            [(topic_id, number) for number in range(spec.partitions)],
        )
        return topic_id

    def _lengthen(self, found: TopicSpec, retention_ms: int | None) -> TopicSpec:
        self._sql.execute("UPDATE topic SET retention_ms = ? WHERE name = ?", (retention_ms, found.name))
        return replace(found, retention_ms=retention_ms)

    def _load(self) -> None:
        rows = self._sql.execute(
            "SELECT name, partition, number, topic_id, retention_ms, compacted, first, next, bytes, latest_at"
            " FROM topic_partition JOIN topic ON topic.id = topic_id"
        )
        self.partitions = {
            (row[0], row[1]): Partition(row[2], row[3], row[4], bool(row[5]), *row[6:]) for row in rows
        }
        self._used = sum(partition.bytes for partition in self.partitions.values())

    def _take_over(self, draft: Mapping[tuple[str, int], Partition]) -> None:
        """What a COMMIT made true."""
        self._used += sum(partition.bytes - self.partitions[key].bytes for key, partition in draft.items())
        self.partitions.update(draft)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self.is_committing = False
        self._sql.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.is_committing = True
            self._sql.execute("COMMIT")
        except BaseException:
            if self._sql.in_transaction:
                self._sql.execute("ROLLBACK")
            raise


def _compared(specs: Sequence[TopicSpec], there: Mapping[str, tuple[str, TopicSpec]]) -> dict[str, Topic]:
    return {spec.name: _told(spec, *there[spec.name]) for spec in specs if spec.name in there}


def _told(wanted: TopicSpec, topic_id: str, found: TopicSpec) -> Topic:
    kept = _kept(wanted, found)
    longer = kept if _is_longer(found.retention_ms, wanted.retention_ms) else ()
    differs = (*_mismatches(wanted, found), *kept)
    return Topic(topic_id, differs, found.partitions, found.retention_ms, longer)


def _mismatches(wanted: TopicSpec, found: TopicSpec) -> tuple[str, ...]:
    """How a topic differs, and how to mend it: nobody else alters a topic here, so that the settings must."""
    words = []
    if found.partitions != wanted.partitions:
        words.append(
            f"{wanted.name} has {found.partitions} partitions, {wanted.partitions} are wanted: the embedded "
            f"broker keeps a topic as it was made; set broker.partitions = {found.partitions}"
        )
    if found.compacted != wanted.compacted:
        kinds = {True: "compacted", False: "not compacted"}
        words.append(
            f"{wanted.name} is {kinds[found.compacted]}, wanted: {kinds[wanted.compacted]}: it was made for "
            "something else; set another broker.topic_prefix or broker.checkpoint_topic"
        )
    return tuple(words)


def _kept(wanted: TopicSpec, found: TopicSpec) -> tuple[str, ...]:
    """That a topic keeps its records for another time than wanted, if it does."""
    if found.retention_ms == wanted.retention_ms or wanted.compacted:
        return ()
    words = (
        f"{wanted.name} keeps its records {_time(found.retention_ms)}, wanted: "
        f"{_time(wanted.retention_ms)}: the embedded broker shortens no topic, and lengthens one for a "
        "delivery.hold alone; set broker.retention, or the contract's hold, to what it keeps"
    )
    return (words,)


def _is_longer(found_ms: int | None, wanted_ms: int | None) -> bool:
    return wanted_ms is not None and (found_ms is None or found_ms > wanted_ms)


def _time(retention_ms: int | None) -> str:
    return "for ever" if retention_ms is None else format_duration(retention_ms)
