"""A database whose state is kept and put back, as an operator's backup is: nothing may be connected to it."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.postgres_server import PostgresServer


@dataclass
class KeptDatabase:
    """`server`: of PostgreSQL; None: the URL is that of a SQLite file."""

    url: str
    server: PostgresServer | None

    def keep(self) -> None:
        """Remember it as it is."""
        name = self.url.rpartition("/")[2]
        if self.server is None:
            file = self.url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(file)) as now, closing(sqlite3.connect(f"{file}.old")) as kept:
                now.backup(kept)
        else:
            self.server.execute(f"CREATE DATABASE {name}_old TEMPLATE {name}")

    def put_back(self) -> None:
        """Have it as it was kept; once."""
        name = self.url.rpartition("/")[2]
        if self.server is None:
            file = self.url.removeprefix("sqlite:///")
            for end in ("-wal", "-shm"):
                Path(file + end).unlink(missing_ok=True)
            Path(f"{file}.old").rename(file)
        else:
            self.server.execute(f"DROP DATABASE {name} WITH (FORCE)")
            self.server.execute(f"ALTER DATABASE {name}_old RENAME TO {name}")
