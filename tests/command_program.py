"""The `gateway` command as a process of its own, started by fork from one that has loaded the code already.

What runs after the fork is what `python -m gateway` runs, with the words, environment and folder of the
caller. What is spared is an interpreter that loads all modules: most of a start's work, and the same each
time. Tests of that, and of what is loaded when, start interpreters.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO, cast

from gateway.bootstrap import program as _program  # noqa: F401 - loaded before the fork
from gateway.cli import run as _run  # noqa: F401 - as above
from gateway.cli.main import main
from tests.faults.program import FORKING, ONE, Forked


class Command(Forked):
    """A `gateway` process, as `subprocess.Popen` shows it; its input is empty, what it says goes to `log`."""

    def __init__(
        self, arguments: Sequence[str], *, environ: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        """Start it: `gateway ARGUMENTS` in `folder`, with nothing but `environ` around it."""
        self._process = FORKING.Process(target=start, args=(tuple(arguments), dict(environ), folder, log))
        with ONE:
            self._process.start()


def start(arguments: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path) -> None:
    """Be the command."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    nothing = os.open(os.devnull, os.O_RDONLY)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for number, place in enumerate((nothing, said, said)):
        os.dup2(place, number)
    os.close(nothing)
    os.close(said)
    sys.stdin, sys.stdout, sys.stderr = _text(0), _text(1), _text(2)
    sys.argv = ["gateway", *arguments]
    main()


def _text(number: int) -> TextIO:
    """As an interpreter opens what is no terminal: errors are written line by line."""
    mode = "r" if number == 0 else "w"
    errors = "backslashreplace" if number == 2 else "strict"
    lines = 1 if number == 2 else -1
    return cast("TextIO", open(number, mode, lines, encoding="utf-8", errors=errors, closefd=False))
