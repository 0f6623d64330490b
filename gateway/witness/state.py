"""What a witness remembers: of each log the checkpoint that it cosigned last, in a SQLite file of its own.

Compared and stored in one transaction, on the disk before anybody hears of it: two submissions at once, a
kill, or two programs on one file never come to two histories. A witness without memory would cosign any
history, so a key without its state is refused.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from audit.checkpoint import Checkpoint, read_checkpoint
from audit.cosignature import parse_cosigner_key
from audit.errors import MalformedError
from audit.note import VerifierKey
from audit.witness import Refused, Submission, compare, trim
from gateway.errors import SetupError, StoreError

_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS witness (one INTEGER PRIMARY KEY CHECK (one = 1), key TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY, size INTEGER NOT NULL, note BLOB NOT NULL)",
)
_BUSY_SECONDS: Final = 10.0


class State:
    """The memory of one witness. Used by one thread at a time."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take an open connection; see `open_state`."""
        self._connection = connection

    def owner(self) -> str | None:
        """The verifier key of the witness whose state this is; None while it is new."""
        found = self._connection.execute("SELECT key FROM witness").fetchone()
        return None if found is None else str(found[0])

    def belongs_to(self, key: str) -> None:
        """Say whose state this is.

        Raises:
            SetupError: it is another's.
        """
        with _translated():
            self._connection.execute("INSERT OR IGNORE INTO witness VALUES (1, ?)", (key,))
        owner = self.owner()
        if owner != key:
            raise SetupError(f"this state belongs to the witness {owner}: name its key, or another state")

    def advance(self, sent: Submission, sign: Callable[[Checkpoint], str]) -> str | Refused:
        """The cosignature of a checkpoint, once it is remembered; or why there is none.

        `sign`: makes the line. Killed after the COMMIT: the checkpoint is remembered, and whoever asks again
        hears its size, and gets the cosignature on that.

        Raises:
            StoreError: nothing is remembered, and nothing was signed that anybody has seen.
        """
        with _translated():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                refused = compare(sent, self._held(sent.checkpoint.origin))
                if refused is not None:
                    self._connection.execute("ROLLBACK")
                    return refused
                line = sign(sent.checkpoint)
                values = (sent.checkpoint.origin, sent.checkpoint.size, sent.note + line.encode())
                self._connection.execute("INSERT OR REPLACE INTO log VALUES (?, ?, ?)", values)
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return line

    def mend(self, logs: Mapping[str, Sequence[VerifierKey]]) -> None:
        """Take away lines that are neither a log's nor ours, as an earlier version kept them.

        With too many of them a checkpoint could be read by nobody any more, ourselves included.

        Raises:
            SetupError: what is kept of a log is no checkpoint.
            StoreError: the file cannot be written.
        """
        owner = self.owner()
        if owner is None:
            return
        key = parse_cosigner_key(owner)
        with _translated():
            for origin, raw in self._connection.execute("SELECT origin, note FROM log").fetchall():
                try:
                    kept = trim(bytes(raw), logs, (key.name, key.key_id))
                except MalformedError as error:
                    raise SetupError(f"the state of {origin} is damaged: {error}") from error
                # Another program on this file may have gone on meanwhile: what it wrote is left.
                values = (kept, origin, raw)
                self._connection.execute("UPDATE log SET note = ? WHERE origin = ? AND note = ?", values)

    def newest(self, origin: str) -> bytes | None:
        """The checkpoint that was cosigned last, with the cosignature.

        Raises:
            StoreError: the file cannot be read.
        """
        with _translated():
            found = self._connection.execute("SELECT note FROM log WHERE origin = ?", (origin,)).fetchone()
        return None if found is None else bytes(found[0])

    def close(self) -> None:
        """Let the file go."""
        self._connection.close()

    def _held(self, origin: str) -> Checkpoint | None:
        note = self.newest(origin)
        return None if note is None else read_checkpoint(note)[0]


class _translated:  # noqa: N801 - reads as a verb where it is used
    """Errors of SQLite as ours."""

    def __enter__(self) -> None:
        """Nothing."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        """Translate.

        Raises:
            StoreError: SQLite could not do it.
        """
        if isinstance(error, sqlite3.Error):
            raise StoreError("store_unavailable", f"the witness's state: {error}") from error


def open_state(path: Path) -> State:
    """Open the file, made where it is missing.

    Raises:
        SetupError: it cannot be opened, or is something else.
    """
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(
            path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        # A rollback journal and EXTRA: a COMMIT is on the disk, its folder too, before it returns.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA synchronous = EXTRA")
        for table in _TABLES:
            connection.execute(table)
    except sqlite3.Error as error:
        if connection is not None:
            connection.close()
        raise SetupError(f"the state {path} cannot be used: {error}") from error
    return State(connection)
