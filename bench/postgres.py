"""A PostgreSQL as an operator would run it: on the disk, every commit forced to it. The tests' own does not.

As root it runs as the user `postgres`, in a folder of that user, since PostgreSQL refuses to run as root.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.free_ports import free_port

_DEBIAN: Final = Path("/usr/lib/postgresql")
_START_SECONDS: Final = 60.0
_SETTINGS: Final = (
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    "shared_buffers=512MB",
    "max_wal_size=4GB",
)


class DurablePostgres:
    """One server; its databases are made with `create`."""

    def __init__(self, folder: Path) -> None:
        """Make its data below `folder`."""
        self._user = pwd.getpwnam("postgres").pw_uid if os.geteuid() == 0 else None
        self._folder = folder
        if self._user is not None:
            os.chown(folder, self._user, -1)
        self._port = free_port()
        self._server: subprocess.Popen[bytes] | None = None
        order = (_program("initdb"), "-D", folder / "data", "-U", "gateway", "-A", "trust", "-E", "UTF8")
        subprocess.run(  # noqa: S603 - a program of this machine
            order, check=True, stdout=subprocess.DEVNULL, cwd=folder, **self._as_user()
        )

    @property
    def pid(self) -> int:
        """Of the process whose children serve the connections."""
        return 0 if self._server is None else self._server.pid

    def url(self, database: str = "postgres") -> str:
        """As `database.url` takes it."""
        return f"postgresql://gateway@127.0.0.1:{self._port}/{database}"

    def create(self, database: str) -> str:
        """An empty database; its URL."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {database}".encode())
        return self.url(database)

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = [word for line in (*_SETTINGS, f"port={self._port}") for word in ("-c", line)]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(  # noqa: S603 - a program of this machine
                (_program("postgres"), "-D", self._folder / "data", *options),
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                **self._as_user(),
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline or self._server.poll() is not None:
                raise RuntimeError(f"PostgreSQL did not start: {(self._folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """End it in order; idempotent."""
        if self._server is not None:
            self._server.send_signal(2)
            self._server.wait(60)
            self._server = None

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _as_user(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user, "extra_groups": []}


@contextmanager
def durable_postgres() -> Iterator[DurablePostgres]:
    """A running server in a temporary folder of its own, which is deleted at the end."""
    # Not below a folder of root's: the user postgres could not reach it.
    folder = Path(tempfile.mkdtemp(prefix="gateway-bench-postgres-"))
    try:
        server = DurablePostgres(folder)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _program(name: str) -> Path:
    """A server program of the newest version that is installed."""
    folders = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    found = next((path / name for path in folders if (path / name).exists()), None)
    if found is None:
        raise SystemExit(f"bench: {name} is missing; on Debian or Ubuntu: apt-get install postgresql")
    return found
