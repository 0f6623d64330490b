"""What a command prints: tables for people, API documents for scripts, diagnostics on stderr.

Texts come from outside: control characters are replaced, so that no name or message steers a terminal.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TextIO, cast

from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gateway.cli.errors import UnwritableError

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_PIPED_WIDTH: Final = 1_000
"""Columns where nobody looks: wide enough that nothing a script may cut out is wrapped."""


def clean(value: object) -> str:
    """A value as text that is safe to print: lists by commas, nothing as `-`."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return " ".join(f"{clean(name)}={clean(one)}" for name, one in value.items()) or "-"
    if isinstance(value, list | tuple):
        return ", ".join(map(clean, value)) or "-"
    return _CONTROL.sub("?", str(value))


class _Outlet:
    """A stream whose trouble is ours to tell; a pipe that nobody reads is none."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        with _unwritable():
            return self._stream.write(text)

    def flush(self) -> None:
        with _unwritable():
            self._stream.flush()


def outlet(stream: TextIO) -> TextIO:
    """The stream, raising UnwritableError in place of OSError; BrokenPipeError stays what it is."""
    return cast("TextIO", _Outlet(stream))


@contextmanager
def _unwritable() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UnwritableError(f"cannot write the answer: {reason}") from error


@dataclass(frozen=True, slots=True)
class Output:
    """Where a command's words go. `as_json`: documents as they came; `quiet`: results and errors."""

    out: TextIO
    err: TextIO
    as_json: bool = False
    quiet: bool = False

    def document(self, document: object) -> None:
        """Print an API document: readable on a terminal, one line elsewhere."""
        indent = 2 if self.out.isatty() else None
        self.out.write(json.dumps(document, ensure_ascii=False, indent=indent) + "\n")
        self.out.flush()

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows under their columns."""
        console = _console(self.out)
        console.print(make_table(columns, rows))

    def pairs(self, document: Mapping[str, Any], *names: str) -> None:
        """Print members of a document, one a line: those named, or all."""
        shown = {name: document[name] for name in names or document if name in document}
        width = max(map(len, shown), default=0)
        for name, value in shown.items():
            self.line(f"{name:{width}}  {clean(value)}")

    def line(self, text: str = "") -> None:
        """Print a line that is part of the result."""
        self.out.write(_CONTROL.sub("?", text) + "\n")

    def note(self, text: str) -> None:
        """Say something beside the result, on stderr; not where quiet is asked for."""
        if not self.quiet:
            self.err.write(_CONTROL.sub("?", text) + "\n")

    def warn(self, text: str) -> None:
        """Say what must not be missed, on stderr."""
        self.err.write(_CONTROL.sub("?", text) + "\n")

    @contextmanager
    def progress(self, words: str, total: int | None) -> Iterator["Bar"]:
        """A progress bar on stderr while the block runs, if that is a terminal and quiet is not asked for."""
        shown = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=_console(self.err),
            disable=self.quiet or not self.err.isatty(),
            transient=True,
        )
        with shown:
            yield Bar(shown, words, total)

    def live(self) -> Live:
        """A place on the terminal that is drawn over and over."""
        return Live(console=_console(self.out), auto_refresh=False)


class Bar:
    """One bar: move it forward by what was done."""

    def __init__(self, shown: Progress, words: str, total: int | None) -> None:
        """Start at nothing; `total` None: nobody knows."""
        self._shown = shown
        self._task = shown.add_task(words, total=total)

    def advance(self, count: int) -> None:
        """Count what was done."""
        self._shown.advance(self._task, count)


def make_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table whose cells are taken as they are, never as markup."""
    table = Table(box=SIMPLE, show_edge=False, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    return table


def _console(stream: TextIO) -> Console:
    is_terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=is_terminal,
        width=None if is_terminal else _PIPED_WIDTH,
        highlight=False,
        soft_wrap=not is_terminal,
    )
