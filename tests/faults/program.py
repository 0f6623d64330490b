"""The gateway as a program whose steps can kill it.

Started by fork from a process that has loaded the code already: a hundred starts cost as much as ten of an
interpreter. What runs after the fork is what `gateway up`, or a role's command, runs.
"""

import multiprocessing
import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path

from sqlalchemy import Connection, Engine, event

from gateway.bootstrap.program import Options, RoleName, run
from gateway.errors import SetupError
from gateway.settings_sources import load

UNLIMITED = 4_294_967_294
FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload([__name__, "tests.preloaded"])


@dataclass(frozen=True)
class Fault:
    """What is to go wrong.

    `kill`: a step's name and the occurrence at which the process sends itself SIGKILL. `pages`: a file that,
    while it exists, says how many pages each SQLite database may have: a full disk without a disk.
    """

    kill: tuple[str, int] | None = None
    pages: Path | None = None


ONE = threading.Lock()
"""Of two threads that read a process's exit code the second finds none, and takes it for 255."""


class Forked:
    """A process, as `subprocess.Popen` shows it."""

    def __init__(
        self, flags: Mapping[str, str | int], fault: Fault, log: Path, role: RoleName | None = None
    ) -> None:
        """`role` None: all of them in one process."""
        self._process = FORKING.Process(target=start, args=(dict(flags), fault, log, role))
        with ONE:
            self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code; a signal's number negated; None while it runs."""
        with ONE:
            return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        connection.wait([self._process.sentinel], timeout)
        code = self.poll()
        if code is None:
            raise TimeoutError(f"process {self.pid} still runs after {timeout} s")
        return code

    def send_signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # it has ended meanwhile, and the server of forks took its code
            os.kill(self.pid, number)


def killer(step: str, at: int) -> Callable[[str], None]:
    """Dies at the `at`-th time that `step` is done: no clean-up, no buffers flushed."""
    seen: Counter[str] = Counter()

    def count(name: str) -> None:
        seen[name] += 1
        if name == step and seen[name] == at:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def squeeze(pages: Path) -> None:
    """Let every transaction see the limit that the file names at that moment."""

    def limit(connection: Connection) -> None:
        if connection.dialect.name == "sqlite":
            try:
                most = int(pages.read_text())
            except FileNotFoundError:
                most = UNLIMITED
            connection.exec_driver_sql(f"PRAGMA max_page_count = {most}")

    event.listen(Engine, "begin", limit)


def start(flags: Mapping[str, str | int], fault: Fault, log: Path, role: RoleName | None = None) -> None:
    """Run until stopped, with what is said in the log; a start that cannot be is one line and exit code 1."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    step = killer(*fault.kill) if fault.kill else lambda _: None
    if fault.pages:
        squeeze(fault.pages)
    options = Options(step=step)
    if role is not None:
        options = Options(mode="role", roles=(role,), step=step)
    try:
        run(load(flags=flags, environ={}, file=None).settings, options)
    except SetupError as error:
        sys.stderr.write(f"gateway: {error}\n")
        sys.exit(1)
