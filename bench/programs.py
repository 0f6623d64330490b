"""Processes of a benchmark: started, spoken to, ended by their own id whatever happens."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

ROOT: Final = Path(__file__).parents[1]
_STOP_SECONDS: Final = 60


class ProgramError(Exception):
    """A process ended, or said something else than was asked for; with the end of what it wrote."""


@dataclass(slots=True)
class Program:
    """One Python process of ours: `python -m COMMAND...`; its lines are written to `log`."""

    command: Sequence[str]
    log: Path
    _running: subprocess.Popen[str] | None = field(default=None, init=False)

    @property
    def pid(self) -> int:
        """Of the running process; 0 if there is none."""
        return self._running.pid if self._running is not None and self._running.poll() is None else 0

    def start(self) -> None:
        """Start it, without waiting for anything."""
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603 - this interpreter, and modules of this repository
                [sys.executable, "-m", *self.command],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if self.command[0].startswith("bench.") else log,
                stderr=log,
                text=True,
            )

    def ask(self, **words: Any) -> dict[str, Any]:
        """Send one line of JSON to a process of the bench; the line that it answers.

        Raises:
            ProgramError: it ended instead.
        """
        pipe = self._pipe("stdin")
        pipe.write(json.dumps(words) + "\n")
        pipe.flush()
        return self.hear()

    def hear(self) -> dict[str, Any]:
        """The next line of JSON that it says.

        Raises:
            ProgramError: it ended instead.
        """
        line = self._pipe("stdout").readline()
        if not line:
            raise ProgramError(f"{' '.join(self.command)} ended: {self.said()}")
        said: dict[str, Any] = json.loads(line)
        return said

    def verify_runs(self) -> None:
        """Make sure that it has not ended by itself.

        Raises:
            ProgramError: it has.
        """
        if self.pid == 0:
            raise ProgramError(f"{' '.join(self.command)} ended: {self.said()}")

    def stop(self) -> None:
        """End it in order, or by force where it does not listen; idempotent."""
        if self._running is None:
            return
        if self._running.poll() is None:
            self._running.send_signal(signal.SIGTERM)
            try:
                self._running.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._running.kill()
                self._running.wait()
        for pipe in (self._running.stdin, self._running.stdout):
            if pipe is not None:
                pipe.close()
        self._running = None

    def said(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2_000:] if self.log.exists() else ""

    def _pipe(self, name: str) -> IO[str]:
        pipe: IO[str] | None = getattr(self._running, name)
        if pipe is None:
            raise ProgramError(f"{' '.join(self.command)} does not run")
        return pipe


def wait_until(look: Any, seconds: float, what: str) -> None:
    """Look again and again until it is so.

    Raises:
        ProgramError: it is not, after so many seconds; says `what` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not look():
        if time.monotonic() > deadline:
            raise ProgramError(f"after {seconds:.0f} s: {what}")
        time.sleep(0.05)
