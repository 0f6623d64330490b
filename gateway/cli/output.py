"""What a command prints: tables for people, API documents for scripts, diagnostics on stderr.

Texts come from outside: control characters are replaced, so that no name or message steers a terminal.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, cast

from gateway.cli.errors import UnwritableError
from gateway.cli.plain_text import CONTROL, clean

if TYPE_CHECKING:
    from rich.live import Live

    from gateway.cli.drawing import Bar


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
        from gateway.cli.drawing import console, make_table  # noqa: PLC0415 - a server draws nothing

        console(self.out).print(make_table(columns, rows))

    def partners_table(
        self,
        columns: Sequence[str],
        items: Iterable[Mapping[str, Any]],
        row: Callable[[Mapping[str, Any]], Iterable[object]],
        *,
        is_all: bool,
    ) -> None:
        """Print a list of partners' things, each by its `row`; of all partners, each is named first."""
        if not is_all:
            self.table(columns, ([*row(one)] for one in items))
            return
        self.table(("partner", *columns), ([one["partner"], *row(one)] for one in items))

    def tell_more(self, following: str | None) -> None:
        """Say beside a table that there is more, and how to get it; nothing where that was all."""
        if following is not None:
            self.note(f"There are more: a larger --limit, or the same command with --cursor {following}")

    def pairs(self, document: Mapping[str, Any], *names: str) -> None:
        """Print members of a document, one a line: those named, or all."""
        shown = {name: document[name] for name in names or document if name in document}
        width = max(map(len, shown), default=0)
        for name, value in shown.items():
            self.line(f"{name:{width}}  {clean(value)}")

    def line(self, text: str = "") -> None:
        """Print a line that is part of the result."""
        self.out.write(CONTROL.sub("?", text) + "\n")

    def note(self, text: str) -> None:
        """Say something beside the result, on stderr; not where quiet is asked for."""
        if not self.quiet:
            self.err.write(CONTROL.sub("?", text) + "\n")

    def warn(self, text: str) -> None:
        """Say what must not be missed, on stderr."""
        self.err.write(CONTROL.sub("?", text) + "\n")

    @contextmanager
    def progress(self, words: str, total: int | None) -> Iterator["Bar"]:
        """A progress bar on stderr while the block runs, if that is a terminal and quiet is not asked for."""
        from gateway.cli.drawing import Bar, make_progress  # noqa: PLC0415 - as in `table`

        shown = make_progress(self.err, is_shown=not self.quiet and self.err.isatty())
        with shown:
            yield Bar(shown, words, total)

    def live(self) -> "Live":
        """A place on the terminal that is drawn over and over."""
        from gateway.cli.drawing import make_live  # noqa: PLC0415 - as in `table`

        return make_live(self.out)
