"""The parent of workers, whose workers are other programs here: what it does where forking fails."""

import errno
import os
import shutil
import signal
import socket
from collections.abc import Iterator, Sequence

import pytest

from gateway.bootstrap.workers import Workers, _Worker
from gateway.units import Address
from tests.free_ports import free_port


class Forks:
    """In place of `os.fork`: starts a program each time, or fails, or asks this process to stop as well."""

    def __init__(self, *script: str) -> None:
        self._script = list(script)
        self.begun: list[int] = []

    def __call__(self) -> int:
        step = self._script.pop(0)
        if step == "fail":
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        pid = spawn(*(("true",) if step == "end" else ("sleep", "300")))
        self.begun.append(pid)
        if step == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
        return pid

    @property
    def left(self) -> Sequence[str]:
        return self._script


def spawn(*words: str) -> int:
    program = shutil.which(words[0])
    assert program is not None
    return os.posix_spawn(program, words, os.environ, setsigmask=())


def address() -> Address:
    return Address("127.0.0.1", free_port())


@pytest.fixture(autouse=True)
def unblocked() -> Iterator[None]:
    yield
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})


def run(forks: Forks, count: int) -> int:
    try:
        code = Workers((address(),), count, frozenset(), fork=forks).run()
    finally:
        for pid in forks.begun:
            try:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                continue  # it has ended, as it should
    assert isinstance(code, int)
    return code


def test_a_restart_for_which_no_process_can_be_made_is_tried_again_and_harms_no_other() -> None:
    # The first worker ends in order and comes back, the second one cannot be made at once.
    forks = Forks("end", "stay", "fail", "stop")
    assert run(forks, 2) == 0
    assert not forks.left


def test_a_first_start_for_which_no_process_can_be_made_is_told_and_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(Forks("fail"), 2) == 1
    told = capsys.readouterr()
    assert "no process can be made" in told.out + told.err


def test_workers_are_killed_once_and_then_waited_for() -> None:
    times = [0.0]
    workers = Workers((), 1, frozenset(), monotonic=lambda: times[0])
    pid = spawn("sleep", "300")
    workers._seats = [_Worker(0, pid=pid)]
    workers._end(0)
    times[0] += 60
    # A signal has come, so that nothing is waited for here.
    opened, _opens = socket.socketpair()
    wakes, wake = socket.socketpair()
    with opened, _opens, wakes, wake:
        wake.send(b"x")
        workers._wait(opened.fileno(), wakes.fileno())
    os.waitpid(pid, 0)
    assert workers._kill_at is None
