"""Secrets that are typed or piped in: not shown on the terminal, not on the command line, in no history."""

import termios
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO, Final, TextIO

from gateway.cli.errors import UsageError

_MAX_BYTES: Final = 4_096
_LOCAL_FLAGS: Final = 3
"""Where termios has what a terminal does with a line, echo among it."""


def read_hidden(source: BinaryIO, err: TextIO, prompt: str) -> str:
    """One line of a secret, without its line break; empty where there is none. `prompt`: for a terminal.

    Raises:
        UsageError: the line is too long, or is no printable ASCII.
    """
    if source.isatty():
        err.write(prompt)
        err.flush()
        with _without_echo(source.fileno()):
            raw = source.readline(_MAX_BYTES + 1)
        err.write("\n")
    else:
        raw = source.readline(_MAX_BYTES + 1)
    text = raw.decode("ascii", "replace").strip()
    if len(raw) > _MAX_BYTES or not text.isascii() or not text.isprintable() or " " in text:
        raise UsageError("what was given is no key: one line of letters, digits and underscores")
    return text


@contextmanager
def _without_echo(terminal: int) -> Iterator[None]:
    before = termios.tcgetattr(terminal)
    hidden = list(before)
    hidden[_LOCAL_FLAGS] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, hidden)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSAFLUSH, before)
