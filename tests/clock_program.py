"""A role whose clock is wrong by what a file says, in milliseconds, at each moment."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from gateway.bootstrap.ground import clock
from gateway.bootstrap.program import Options, RoleName, run
from gateway.settings_sources import load
from tests.acceptance.running import Gateway
from tests.faults.program import FORKING, Forked


class Clocked(Forked):
    """Such a process, started by fork."""

    def __init__(self, one: Gateway, role: RoleName, offset: Path) -> None:
        settings = {"listen.public": f"127.0.0.1:{one.port}", "log.format": "json", **one.flags}
        flags = {"data": str(one.folder), **settings}
        self._process = FORKING.Process(target=start, args=(flags, role, offset, one.log))
        self._process.start()


def off_by(file: Path) -> Callable[[], int]:
    """The host's clock, set wrong."""

    def now() -> int:
        return clock() + int(file.read_text() or 0)

    return now


def start(flags: Mapping[str, str | int], role: RoleName, offset: Path, log: Path) -> None:
    """Run until stopped, with what is said in the log."""
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    settings = load(flags=flags, environ={}, file=None).settings
    run(settings, Options(mode="role", roles=(role,), clock=off_by(offset)))
