"""What a stopped installation has left, read past the gateway's own code: database rows and topics."""

import sqlite3
import struct
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import confluent_kafka
import psycopg

from gateway.broker.embedded_format import decode_headers
from tests.faults.acknowledged import digest

READ_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Kept:
    """One record of a topic. `whole`: a digest of key, value, headers and time."""

    key: bytes | None
    headers: dict[str, bytes]
    value: bytes
    offset: int
    whole: bytes


class Remains(Protocol):
    """Where an installation kept its things. `may_double`: a publish may be on its topic twice."""

    @property
    def topic_prefix(self) -> str: ...

    @property
    def checkpoint_topic(self) -> str: ...

    @property
    def may_double(self) -> bool: ...

    @property
    def database_url(self) -> str: ...

    def rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, one by one."""
        ...

    def topic(self, name: str) -> Iterator[Kept]:
        """The records of a topic's first partition, in order."""
        ...


@dataclass(frozen=True)
class Embedded:
    """A data folder of `gateway up`."""

    folder: Path
    topic_prefix: str = "partners."
    checkpoint_topic: str = "gateway.checkpoints"
    may_double: bool = False

    @property
    def database_url(self) -> str:
        """Of SQLite's file."""
        return f"sqlite:///{self.folder / 'gateway.db'}"

    def rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query on SQLite's file."""
        yield from rows(self.folder / "gateway.db", statement)

    def topic(self, name: str) -> Iterator[Kept]:
        """The records in the embedded broker's file."""
        file = self.folder / "broker.db"
        ((number,),) = rows(
            file,
            "SELECT number FROM topic_partition JOIN topic ON topic.id = topic_id WHERE name = ?",
            name,
        )
        found = rows(
            file,
            "SELECT place, key, headers, value FROM record WHERE place BETWEEN ? AND ? ORDER BY place",
            number << 40,
            (number + 1 << 40) - 1,
        )
        for place, key, headers, value in found:
            whole = digest((key or b"") + headers + (value or b""))
            yield Kept(key, dict(decode_headers(headers)), value or b"", place - (number << 40), whole)


@dataclass(frozen=True)
class OnServers:
    """A database on PostgreSQL and topics on Kafka, by their addresses."""

    database_url: str
    kafka: str
    topic_prefix: str
    checkpoint_topic: str
    may_double: bool = True

    def rows(self, statement: str) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, some thousand at a time."""
        with psycopg.connect(self.database_url) as connection, connection.cursor("all") as cursor:
            cursor.itersize = 2_000
            cursor.execute(statement.encode())
            yield from cursor

    def topic(self, name: str) -> Iterator[Kept]:
        """The records of the first partition, by a consumer without a group."""
        reader = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.kafka,
                "group.id": "inspection",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
            }
        )
        try:
            first, after = reader.get_watermark_offsets(
                confluent_kafka.TopicPartition(name, 0), timeout=READ_SECONDS
            )
            if first < after:
                reader.assign([confluent_kafka.TopicPartition(name, 0, first)])
                yield from _read_up_to(reader, name, after)
        finally:
            reader.close()


def _read_up_to(reader: Any, name: str, after: int) -> Iterator[Kept]:
    offset = -1
    while offset + 1 < after:
        message = reader.poll(READ_SECONDS)
        assert message is not None, f"{name}: nothing came after offset {offset}, and it has {after}"
        assert message.error() is None, message.error()
        offset = message.offset()
        yield _kept(message)


def _kept(message: Any) -> Kept:
    headers: Sequence[tuple[str, bytes]] = message.headers() or ()
    parts = [message.key() or b"", message.value() or b"", str(message.timestamp()).encode()]
    for name, value in headers:
        parts += [name.encode(), value]
    whole = b"".join(struct.pack(">I", len(part)) + part for part in parts)
    return Kept(message.key(), dict(headers), message.value() or b"", message.offset(), digest(whole))


def rows(file: Path, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """The rows of a query on a SQLite file."""
    with closing(sqlite3.connect(file)) as sql:
        return sql.execute(statement, values).fetchall()
