"""A real PostgreSQL for tests: one server on a free loopback port, its data in a temporary folder.

PostgreSQL refuses to run as root, so that root starts it as the user `postgres`, in a folder of that user.
Each server is ended by its process id, also when the interpreter ends before its owner does it. A database
for a test is a copy of one that was migrated once: some ten milliseconds instead of some hundred.
"""

import atexit
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from gateway.database import Database
from gateway.migrations import history
from tests.fast_folder import fast_folder
from tests.free_ports import free_port

_DEBIAN: Final = Path("/usr/lib/postgresql")
_MEMORY_BYTES: Final = 1 << 30
"""A database costs 50 ms in memory, and on a busy disk a second."""
_NEEDED: Final = ("postgres", "initdb")
_START_SECONDS: Final = 60.0
_TEMPLATE: Final = "gateway_template"
_SETTINGS: Final = (
    # Nothing here has to outlive a loss of power, and a hundred databases are made and dropped.
    "fsync=off",
    "full_page_writes=off",
    "autovacuum=off",
    "max_connections=100",
    "deadlock_timeout=200ms",
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    # In files of the data folder, so that a killed server leaves nothing elsewhere.
    "dynamic_shared_memory_type=mmap",
)


def why_postgres_is_missing() -> str | None:
    """Say what a machine lacks to run PostgreSQL; None where nothing is missing."""
    if _programs() is None:
        return "the PostgreSQL server is not installed (on Debian or Ubuntu: apt-get install postgresql)"
    if os.geteuid() == 0 and _unprivileged() is None:
        return "PostgreSQL does not run as root, and there is no user postgres"
    return None


class PostgresServer:
    """One server. A test that pauses or stops it brings it back."""

    def __init__(self, settings: Sequence[str] = (), *, of: "PostgresServer | None" = None) -> None:
        """Make its folder and its data; `settings` are more lines for postgresql.conf.

        `of`: a running server whose standby this one is to be, a copy of it that follows it.
        """
        programs = _programs()
        if programs is None:
            raise RuntimeError(why_postgres_is_missing())
        self._programs = programs
        self._user = _unprivileged() if os.geteuid() == 0 else None
        self._folder = Path(tempfile.mkdtemp(prefix="gateway-postgres-", dir=fast_folder(_MEMORY_BYTES)))
        atexit.register(self.remove)
        if self._user is not None:
            os.chown(self._folder, self._user, -1)
        self._data = self._folder / "data"
        self._port = free_port()
        self._numbers = itertools.count(1)
        self._has_template = False
        self._server: subprocess.Popen[bytes] | None = None
        if of is None:
            self._run("initdb", "-D", str(self._data), "-U", "gateway", "-A", "trust", "-N", *self._locale())
        else:
            place = f"host=127.0.0.1 port={of.port} user=gateway application_name=standby"
            self._run("pg_basebackup", "-D", str(self._data), "-d", place, "-R", "-X", "stream", "-c", "fast")
            with (self._data / "postgresql.auto.conf").open("a") as file:
                # What it was told about standbys is the primary's matter.
                file.write("synchronous_standby_names = ''\n")
        with (self._data / "postgresql.conf").open("a") as file:
            file.writelines(f"{line.replace('=', ' = ', 1)}\n" for line in map(_quoted, settings))

    @property
    def port(self) -> int:
        """Its port on 127.0.0.1."""
        return self._port

    def url(self, database: str = "postgres") -> str:
        """The URL of a database, as `database.url` takes it."""
        return f"postgresql://gateway@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = [word for line in (*_SETTINGS, f"port={self._port}") for word in ("-c", line)]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                (self._programs / "postgres", "-D", str(self._data), *options),
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self._folder,
                start_new_session=True,
                **self._as_user(),
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > deadline:
                said = (self._folder / "log").read_text()[-4000:]
                self.kill()
                raise RuntimeError(f"PostgreSQL did not start:\n{said}")
            time.sleep(0.05)

    def pause(self) -> None:
        """Stop its processes in mid-air: connections stay open, nothing answers."""
        self._signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on after `pause`."""
        self._signal_all(signal.SIGCONT)

    def stop(self) -> None:
        """End it at once, but in order; `start` brings it back with its data."""
        if self._server is not None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(timeout=60)
            self._server = None

    def restart(self) -> None:
        """Stop and start it."""
        self.stop()
        self.start()

    def kill(self) -> None:
        """End it and what it started without a word; idempotent."""
        if self._server is not None:
            self._signal_all(signal.SIGKILL)
            self._server.wait(timeout=30)
            self._server = None

    def promote(self) -> None:
        """Make a standby a primary; waits until it is one."""
        self.execute("SELECT pg_promote()")

    def remove(self) -> None:
        """End it, and delete its folder; idempotent."""
        self.resume()
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.remove)

    def execute(self, statement: str, *values: object, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as an administrator, in no transaction; the rows that it gives."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            ran = connection.execute(statement.encode(), values or None)
            return ran.fetchall() if ran.description is not None else []

    def cut(self, database: str) -> int:
        """Terminate every connection to a database; how many there were."""
        gone = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
        return len(self.execute(gone, database))

    @contextmanager
    def database(self, *, is_empty: bool = False) -> Iterator[str]:
        """The URL of a database of one's own: migrated, without a row; or without a table, too."""
        name = f"test_{next(self._numbers)}"
        if not (is_empty or self._has_template):
            self._make_template()
        self.execute(f"CREATE DATABASE {name} TEMPLATE {'template0' if is_empty else _TEMPLATE}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _make_template(self) -> None:
        self.execute(f"CREATE DATABASE {_TEMPLATE} TEMPLATE template0")
        database = Database(self.url(_TEMPLATE))
        with database.begin() as session:
            history.upgrade(session)
        database.close()
        self._has_template = True

    def _locale(self) -> tuple[str, ...]:
        # A collation that differs from that of bytes, as most installations have: order must not matter.
        options = ("--encoding=UTF8", "--locale=C")
        if "--icu-locale" in self._run("initdb", "--help"):
            return (*options, "--locale-provider=icu", "--icu-locale=en")
        return options

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _signal_all(self, number: signal.Signals) -> None:
        """To the server first, so that it starts nothing new, then to its children."""
        if self._server is None or self._server.poll() is not None:
            return
        children = _children(self._server.pid)
        self._server.send_signal(number)
        for pid in {*children, *_children(self._server.pid)}:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _run(self, name: str, *arguments: str) -> str:
        ran = subprocess.run(
            (self._programs / name, *arguments),
            capture_output=True,
            text=True,
            check=False,
            cwd=self._folder,
            **self._as_user(),
        )
        if ran.returncode:
            raise RuntimeError(f"{name} failed:\n{ran.stdout}{ran.stderr}")
        return str(ran.stdout)

    def _as_user(self) -> dict[str, Any]:
        return {} if self._user is None else {"user": self._user, "extra_groups": []}


class PostgresPair(PostgresServer):
    """A running primary, and the running standby that follows it; its URLs name both, the primary first."""

    def __init__(self, *, is_synchronous: bool) -> None:
        """Start both; `is_synchronous`: a COMMIT waits for the standby."""
        super().__init__()
        self.start()
        self.standby = PostgresServer(of=self)
        self.standby.start()
        if is_synchronous:
            self.execute("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
            self.execute("SELECT pg_reload_conf()")
        wanted = "sync" if is_synchronous else "async"
        while self.execute("SELECT sync_state FROM pg_stat_replication") != [(wanted,)]:
            time.sleep(0.05)

    @contextmanager
    def database(self, *, is_empty: bool = True) -> Iterator[str]:
        """The URL of an empty database, which goes with the servers."""
        assert is_empty
        self.execute("CREATE DATABASE test TEMPLATE template0")
        yield f"postgresql://gateway@127.0.0.1:{self.port},127.0.0.1:{self.standby.port}/test"

    def fall_behind(self) -> None:
        """Let the standby receive nothing any more."""
        self.standby.execute("ALTER SYSTEM SET primary_conninfo = ''")
        self.standby.execute("SELECT pg_reload_conf()")
        while self.execute("SELECT 1 FROM pg_stat_replication"):
            time.sleep(0.05)

    def fail_over(self) -> None:
        """Kill the primary, and promote the standby."""
        self.kill()
        self.standby.promote()

    def remove(self) -> None:
        """End both; idempotent."""
        super().remove()
        self.standby.remove()


def _programs() -> Path | None:
    """The folder of the newest server's programs."""
    folders = sorted(_DEBIAN.glob("*/bin"), key=lambda path: float(path.parent.name), reverse=True)
    config = shutil.which("pg_config")
    if config is not None:
        ran = subprocess.run((config, "--bindir"), capture_output=True, text=True, check=False)
        folders.append(Path(ran.stdout.strip()))
    found = shutil.which("postgres")
    if found is not None:
        folders.append(Path(found).resolve().parent)
    return next((each for each in folders if all((each / name).exists() for name in _NEEDED)), None)


def _unprivileged() -> int | None:
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return None


def _children(pid: int) -> list[int]:
    listed = subprocess.run(("ps", "-A", "-o", "pid=,ppid="), capture_output=True, text=True, check=True)
    pairs = (line.split() for line in listed.stdout.splitlines())
    return [int(child) for child, parent in pairs if int(parent) == pid]


def _quoted(line: str) -> str:
    name, _, value = line.partition("=")
    return f"{name}='{value}'"
