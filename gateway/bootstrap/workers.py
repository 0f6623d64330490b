"""Several processes behind one address: forked, watched, restarted, stopped together.

The parent keeps the ports, forks, and waits; it opens no database and no broker, and has one thread, so that
forking is safe. The first worker starts alone: what makes a start impossible is then told once.

Each worker listens by itself, and the kernel deals connections out by their addresses: of a socket that all
share, an idle worker was seen to take 64 connections of 64. A worker that dies takes its own connections with
it; new ones go to the others until it is back.
"""

import contextlib
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from gateway.bootstrap.board import Board
from gateway.bootstrap.ending import STOP_SECONDS
from gateway.errors import SetupError
from gateway.http.server import reserve
from gateway.logs import logger
from gateway.roles import FIRST_WAIT_MS, LONGEST_WAIT_MS, STEADY_MS
from gateway.units import Address

_ASKS_TO_STOP: Final = frozenset({signal.SIGTERM, signal.SIGINT})
_PATIENCE_SECONDS: Final = 60.0
"""The longest wait without anything to wait for."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A worker's place, as the worker sees it.

    `is_quiet`: another one says what a start says. `parent`: readable once the parent is gone.
    """

    number: int
    is_quiet: bool
    parent: int
    board: Board
    _ready: int

    def opened(self) -> None:
        """Tell the parent that the doors are open."""
        with contextlib.suppress(BrokenPipeError):
            os.write(self._ready, bytes([self.number]))


@dataclass(slots=True)
class _Worker:
    """A seat as the parent sees it. Times are monotonic seconds; `pid` 0: nobody sits there now."""

    number: int
    pid: int = 0
    is_open: bool = False
    started: float = 0.0
    starts: int = 0
    wait_ms: int = FIRST_WAIT_MS
    due: float | None = None


@dataclass(slots=True, eq=False)
class Workers:
    """See the module. `final`: exit codes with which no restart is worth trying; `fork`: as `os.fork`."""

    addresses: Iterable[Address]
    count: int
    final: frozenset[int]
    monotonic: Callable[[], float] = time.monotonic
    fork: Callable[[], int] = os.fork
    _seats: list[_Worker] = field(default_factory=list, init=False)
    _code: int | None = field(default=None, init=False)
    _kill_at: float | None = field(default=None, init=False)
    _asked: list[int] = field(default_factory=list, init=False)

    def run(self) -> Seat | int:
        """Return a seat in each worker, and in the parent, once all have ended, an exit code.

        Raises:
            SetupError: this system cannot do it, or a port cannot be had.
        """
        verify_possible(self.addresses)
        board = Board(self.count)
        self._seats = [_Worker(number) for number in range(self.count)]
        opened, ready = os.pipe()
        alive, lifeline = os.pipe()
        with contextlib.ExitStack() as stack:
            for address in self.addresses:
                stack.enter_context(reserve(address.host, address.port))
            wakes = stack.enter_context(self._signals())
            while (seat := self._fork_due(board, alive, ready)) is None:
                if self._is_over():
                    return self._code or 0
                self._wait(opened, wakes.fileno())
                self._reap()
        # Only a worker comes here. The parent's death must be seen: no copy of its end stays open.
        os.close(lifeline)
        os.close(opened)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the parent decides
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKS_TO_STOP)
        return seat

    @contextlib.contextmanager
    def _signals(self) -> Iterator[socket.socket]:
        """A socket that is readable after a signal of ours; handlers are as they were once it ends."""
        wakes, wake = socket.socketpair()
        wake.settimeout(0)
        before = {one: signal.signal(one, self._take_signal) for one in (*_ASKS_TO_STOP, signal.SIGCHLD)}
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        try:
            with wakes, wake:
                yield wakes
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _fork_due(self, board: Board, alive: int, ready: int) -> Seat | None:
        """Start what is due; a seat in the new process, None in the parent."""
        for worker in self._seats:
            is_first = worker.number == 0 or self._seats[0].starts > 1 or self._seats[0].is_open
            is_new = worker.starts == 0 and is_first
            is_due = worker.due is not None and worker.due <= self.monotonic()
            if self._code is not None or worker.pid or not (is_new or is_due):
                continue
            worker.due, worker.is_open, worker.started = None, False, self.monotonic()
            worker.starts += 1
            sys.stdout.flush()
            sys.stderr.flush()
            # Until the new process has handlers of its own: it must not miss a stop.
            signal.pthread_sigmask(signal.SIG_BLOCK, _ASKS_TO_STOP)
            try:
                worker.pid = self.fork()
            except OSError as error:  # no process or no memory left for now: the others go on
                self._not_forked(worker, error.strerror or type(error).__name__)
            else:
                if worker.pid == 0:
                    is_quiet = worker.number > 0 or worker.starts > 1
                    return Seat(worker.number, is_quiet, alive, board, ready)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKS_TO_STOP)
        return None

    def _is_over(self) -> bool:
        return self._code is not None and not any(worker.pid for worker in self._seats)

    def _wait(self, opened: int, wakes: int) -> None:
        """Until a worker opens, one ends, a restart is due or a signal comes."""
        due = [worker.due for worker in self._seats if worker.due is not None]
        due += [] if self._kill_at is None else [self._kill_at]
        wait = min([*(one - self.monotonic() for one in due), _PATIENCE_SECONDS])
        ready, _, _ = select.select([opened, wakes], [], [], max(0.0, wait))
        if opened in ready:
            for number in os.read(opened, 512):
                self._seats[number].is_open = True
        if wakes in ready:
            os.read(wakes, 512)
        asked, self._asked = self._asked, []
        for _ in asked:
            self._stop()
        if self._kill_at is not None and self._kill_at <= self.monotonic():
            self._tell(signal.SIGKILL)
            self._kill_at = None  # told once: one that the kernel cannot end yet is waited for

    def _take_signal(self, number: int, _frame: object) -> None:
        if number in _ASKS_TO_STOP:
            self._asked.append(number)

    def _stop(self) -> None:
        """Ask all to end; asked once more, end them."""
        if self._code is None:
            self._end(0)
            return
        logger("gateway.workers").warning("asked to stop twice: ends at once")
        self._tell(signal.SIGKILL)
        self._code = self._code or 1

    def _end(self, code: int) -> None:
        self._code = code
        self._kill_at = self.monotonic() + STOP_SECONDS + 1
        for worker in self._seats:
            worker.due = None
        self._tell(signal.SIGTERM)

    def _tell(self, number: int) -> None:
        for worker in self._seats:
            if worker.pid:
                os.kill(worker.pid, number)

    def _reap(self) -> None:
        for worker in self._seats:
            if not worker.pid:
                continue
            pid, status = os.waitpid(worker.pid, os.WNOHANG)
            if pid:
                worker.pid = 0
                self._ended(worker, os.waitstatus_to_exitcode(status))

    def _ended(self, worker: _Worker, code: int) -> None:
        """Decide what an end means; a negative code is a signal."""
        log = logger("gateway.workers")
        if self._code is not None:
            if code not in {0, -signal.SIGTERM}:
                log.error("worker did not stop in order", worker=worker.number, reason=_words(code))
                self._code = self._code or 1
            return
        if code in self.final or (code and _is_first_start(worker)):
            self._end(code if code > 0 else 1)
            return
        self._restart(worker, _words(code))

    def _not_forked(self, worker: _Worker, why: str) -> None:
        """Take it for one more failed start."""
        reason = f"no process can be made ({why}): see the limits of this user (ulimit -u) and of memory"
        if _is_first_start(worker):
            logger("gateway.workers").error("worker does not start", worker=worker.number, reason=reason)
            self._end(1)
            return
        self._restart(worker, reason)

    def _restart(self, worker: _Worker, reason: str) -> None:
        """Start it again after a while, a longer one each time."""
        if (self.monotonic() - worker.started) * 1_000 >= STEADY_MS:
            worker.wait_ms = FIRST_WAIT_MS
        wait = worker.wait_ms
        worker.due = self.monotonic() + wait / 1_000
        worker.wait_ms = min(2 * wait, LONGEST_WAIT_MS)
        logger("gateway.workers").warning(
            "worker restarts", worker=worker.number, reason=reason, wait_ms=wait
        )


def verify_possible(addresses: Iterable[Address]) -> None:
    """Refuse what would not be shared fairly, or not at all.

    Raises:
        SetupError: not Linux, or a port that the system is to choose.
    """
    if sys.platform != "linux":
        raise SetupError("--workers needs Linux, which deals connections out fairly: start without it")
    for address in addresses:
        if address.port == 0:
            raise SetupError(f"--workers needs a port that is known: give {address} another than 0")


def _is_first_start(worker: _Worker) -> bool:
    """Whether it shows what makes every start impossible."""
    return worker.number == 0 and worker.starts == 1 and not worker.is_open


def _words(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
