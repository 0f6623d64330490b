"""COMMITs that fail: lost, or stored but reported as failed. The driver's error goes through our table."""

import re
import sqlite3
from typing import Any, Literal

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import OperationalError

from gateway.database import Database

Fate = Literal["lost", "stored"]


class CommitTrouble:
    """Fails COMMITs of transactions that ran a statement like `pattern`, so many `times`, in one way."""

    def __init__(self, database: Database, pattern: str, fate: Fate, *, times: int = 1) -> None:
        self._pattern = re.compile(pattern)
        self._fate = fate
        self.left = times
        self._is_met = False
        # On the one thread that writes: a transaction that begins meanwhile must not meet half of it.
        database._write_threads.submit(self._listen, database._writer).result()

    def _listen(self, engine: Engine) -> None:
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "before_cursor_execute", self._look)
        event.listen(engine, "commit", self._commit)

    def _begin(self, _: Connection) -> None:
        self._is_met = False

    def _look(self, _connection: Connection, _cursor: object, statement: str, *_: Any) -> None:
        self._is_met = self._is_met or self._pattern.match(statement) is not None

    def _commit(self, connection: Connection) -> None:
        if not self._is_met or self.left == 0:
            return
        self.left -= 1
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        driver.execute("COMMIT" if self._fate == "stored" else "ROLLBACK")
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorname = "SQLITE_IOERR_FSYNC"
        raise OperationalError("COMMIT", None, error)
