"""The embedded broker's file, looked at from outside while its gateway may run. Writes nothing to it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway.broker.embedded_format import FORMAT, decode_headers, offset_of, places_of
from gateway.broker.port import BrokerError, Record


@dataclass(frozen=True, slots=True)
class Place:
    """A partition in the file: its topic's id, and the offset that the next record will get."""

    topic_id: str
    next: int


@dataclass(frozen=True, slots=True)
class EmbeddedSeen:
    """What the file holds. `used`: bytes that count against `broker.embedded_bytes`."""

    used: int
    places: Mapping[tuple[str, int], Place]


def open_untouched(path: Path) -> sqlite3.Connection:
    """Open a SQLite file for reading, and make nothing beside it where that can be.

    Without a journal beside it nobody has it open, and it is taken as it stands: SQLite would make one.
    Beside a journal without its index, as in a copy, SQLite makes the index (`-shm`): what the journal holds
    can be read in no other way. It belongs to the file's owner, and holds nothing that is missed.
    """
    journal = path.with_name(path.name + "-wal")
    mode = "mode=ro" if journal.exists() else "immutable=1"
    name = str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(f"file:{name}?{mode}", uri=True, timeout=2.0, check_same_thread=False)


def journal_of(path: Path) -> str:
    """How a SQLite file keeps its journal, by its own header: `wal`, `rollback`, or `unknown`.

    SQLite itself says `delete` of every file that it opens as one that never changes.
    """
    with path.open("rb") as source:
        versions = source.read(20)[18:20]
    return {b"\x02\x02": "wal", b"\x01\x01": "rollback"}.get(versions, "unknown")


def look_embedded(path: Path) -> EmbeddedSeen:
    """Look at the embedded broker's file.

    Raises:
        BrokerError: it is not one that this program can read.
    """
    try:
        with closing(open_untouched(path)) as sql:
            found = int(sql.execute("PRAGMA user_version").fetchone()[0])
            if found != FORMAT:
                reason = (
                    f"{path} has format {found}, this program reads {FORMAT}: use the gateway that wrote it"
                )
                raise BrokerError("broker_refused", reason)
            rows = sql.execute(
                "SELECT name, partition, topic_id, next, bytes FROM topic_partition"
                " JOIN topic ON topic.id = topic_partition.topic_id"
            ).fetchall()
    except sqlite3.Error as error:
        raise BrokerError("broker_refused", f"{path} cannot be read ({error}): restore a backup") from error
    places = {(name, partition): Place(topic_id, next_) for name, partition, topic_id, next_, _ in rows}
    return EmbeddedSeen(sum(row[-1] for row in rows), places)


def look_records(path: Path, topic: str) -> Iterator[tuple[int, Record]]:
    """The records of a topic's first partition, in order, each with its offset.

    Raises:
        BrokerError: as `look_embedded`, or there is no such topic.
    """
    try:
        with closing(open_untouched(path)) as sql:
            query = "SELECT number FROM topic_partition JOIN topic ON topic.id = topic_id"
            found = sql.execute(f"{query} WHERE name = ? AND partition = 0", (topic,)).fetchone()
            if found is None:
                raise BrokerError("topic_unknown", f"{path} has no topic {topic}")
            rows = sql.execute(
                "SELECT place, key, value, headers, at FROM record "
                "WHERE place BETWEEN ? AND ? ORDER BY place",
                places_of(found[0]),
            )
            for place, key, value, headers, at in rows:
                yield offset_of(place), Record(topic, 0, key, value, decode_headers(headers), at)
    except sqlite3.Error as error:
        raise BrokerError("broker_refused", f"{path} cannot be read ({error})") from error
