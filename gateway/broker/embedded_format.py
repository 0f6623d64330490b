"""The format of the embedded broker's file: tables, keys, headers, ownership.

`place`, the key of a record, is the partition's number shifted left by 40 bits, plus the offset: one integer,
so that a partition's records lie together in the file, and a range of offsets is one range of the table.

`synchronous=FULL` must stay: NORMAL would lose acknowledged records with the power.
"""

import fcntl
import os
import sqlite3
import struct
from pathlib import Path

from gateway.broker.port import BrokerError, Record

FORMAT = 1
"""Number of the file's format, kept in `PRAGMA user_version`."""

OVERHEAD_BYTES = 64
"""What a record costs in the file beside its bytes, roughly; counted against the size limit."""

_OFFSET_BITS = 40
_SIZE = struct.Struct(">I")

_TABLES = """
BEGIN IMMEDIATE;
CREATE TABLE topic (
  id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, retention_ms INTEGER, compacted INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE topic_partition (
  number INTEGER PRIMARY KEY AUTOINCREMENT, topic_id TEXT NOT NULL, partition INTEGER NOT NULL,
  first INTEGER NOT NULL, next INTEGER NOT NULL, bytes INTEGER NOT NULL, latest_at INTEGER NOT NULL,
  UNIQUE (topic_id, partition)
);
CREATE TABLE record (
  place INTEGER PRIMARY KEY, at INTEGER NOT NULL, latest_at INTEGER NOT NULL, cost INTEGER NOT NULL,
  key BLOB, headers BLOB NOT NULL, value BLOB
);
CREATE TABLE newest (
  number INTEGER NOT NULL, key BLOB NOT NULL, place INTEGER NOT NULL, PRIMARY KEY (number, key)
) WITHOUT ROWID;
PRAGMA user_version = 1;
COMMIT;
"""


class EmbeddedLockedError(BrokerError):
    """Another process (or another broker of this one) owns the file."""

    def __init__(self, path: Path, owner: str) -> None:
        """Name the file and its owner."""
        super().__init__(
            "broker_refused",
            f"the embedded broker's file {path} is in use by process {owner}: stop that process, "
            "or give this one a data folder of its own (several processes need broker.url = kafka://...)",
        )


def open_owned(path: Path) -> tuple[int, sqlite3.Connection]:
    """Own the file and open it for writing, making it where it is missing; the lock's descriptor goes first.

    The lock is advisory, on a file beside the database, and ends with the process, however that ends.

    Raises:
        BrokerError: locked by another, not writable, not such a file, or of a newer format.
    """
    lock = _lock(path)
    try:
        return lock, _connect_writing(path)
    except sqlite3.Error as error:
        os.close(lock)
        raise BrokerError("broker_refused", _why_unusable(path, error)) from error
    except BrokerError:
        os.close(lock)
        raise


def connect_reading(path: Path) -> sqlite3.Connection:
    """Open a connection that only reads, for use on one other thread."""
    sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    sql.execute("PRAGMA query_only = ON")
    return sql


def place_of(number: int, offset: int) -> int:
    """The key of the record at `offset` in partition `number`."""
    return (number << _OFFSET_BITS) | offset


def offset_of(place: int) -> int:
    """The offset in a record's key."""
    return place & ((1 << _OFFSET_BITS) - 1)


def places_of(number: int) -> tuple[int, int]:
    """The first and the last key that partition `number` can have."""
    return place_of(number, 0), place_of(number + 1, 0) - 1


def record_cost(record: Record) -> int:
    """What a record takes of the size limit, in bytes."""
    return len(record.key or b"") + len(record.value or b"") + headers_size(record.headers) + OVERHEAD_BYTES


def headers_size(headers: tuple[tuple[str, bytes], ...]) -> int:
    """Length of the encoded headers."""
    return sum(2 * _SIZE.size + len(name.encode()) + len(content) for name, content in headers)


def encode_headers(headers: tuple[tuple[str, bytes], ...]) -> bytes:
    """Names and values in order, each behind its length (u32, big-endian)."""
    parts: list[bytes] = []
    for name, content in headers:
        raw = name.encode()
        parts += (_SIZE.pack(len(raw)), raw, _SIZE.pack(len(content)), content)
    return b"".join(parts)


def decode_headers(raw: bytes) -> tuple[tuple[str, bytes], ...]:
    """Read back what `encode_headers` wrote; trusts its input, which nobody else writes."""
    headers, at = [], 0
    while at < len(raw):
        (size,) = _SIZE.unpack_from(raw, at)
        name = raw[at + 4 : at + 4 + size].decode()
        at += 4 + size
        (size,) = _SIZE.unpack_from(raw, at)
        headers.append((name, raw[at + 4 : at + 4 + size]))
        at += 4 + size
    return tuple(headers)


def _lock(path: Path) -> int:
    beside = path.with_name(path.name + ".lock")
    try:
        lock = os.open(beside, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        reason = (
            f"cannot open {beside} ({error.strerror}): the folder must exist and be writable for this user"
        )
        raise BrokerError("broker_refused", reason) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip() or "(unknown)"
        os.close(lock)
        raise EmbeddedLockedError(path, owner) from error
    except OSError as error:
        os.close(lock)
        reason = f"cannot lock {beside} ({error.strerror}): the data folder must be on a local disk"
        raise BrokerError("broker_refused", reason) from error
    os.truncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


def _connect_writing(path: Path) -> sqlite3.Connection:
    sql = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("PRAGMA synchronous = FULL")
        found = int(sql.execute("PRAGMA user_version").fetchone()[0])
        if found == 0 and sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            sql.executescript(_TABLES)
            _sync_folder(path.parent)
        else:
            _verify_format(path, found)
    except BaseException:
        sql.close()
        raise
    return sql


def _sync_folder(folder: Path) -> None:
    """Make the new file's name durable; SQLite syncs the file only."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _verify_format(path: Path, found: int) -> None:
    if found == FORMAT:
        return
    reason = f"{path} is a database, but not the embedded broker's: set broker.url to another file"
    if found > FORMAT:
        reason = (
            f"{path} was written by a newer gateway (format {found}, this one reads {FORMAT}): use that one"
        )
    raise BrokerError("broker_refused", reason)


def _why_unusable(path: Path, error: sqlite3.Error) -> str:
    if error.sqlite_errorname == "SQLITE_NOTADB":
        return f"{path} is not a SQLite file: move it away, or set broker.url to another file"
    return (
        f"cannot use {path} ({error}): it must be a readable, writable file on a local disk with free space"
    )
