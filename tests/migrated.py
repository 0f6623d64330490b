"""A SQLite database with every table and no row: made once a process, then copied.

The migrations take a quarter of a second of a processor; whoever tests them, or a first start, makes a
database of its own with them.
"""

import sqlite3
import tempfile
from contextlib import closing
from functools import cache
from pathlib import Path

from gateway.database import Database
from gateway.migrations import history


@cache
def migrated_bytes() -> bytes:
    """The file's content."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gateway.db"
        database = Database(f"sqlite:///{file}")
        with database.begin() as session:
            history.upgrade(session)
        database.close()
        with closing(sqlite3.connect(file)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return file.read_bytes()


def lay_migrated(file: Path) -> None:
    """Put such a database there, as private as a gateway makes its own; what is there stays as it is."""
    if not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_bytes(migrated_bytes())
