"""What is drawn by rich: tables, bars, places that change. Loaded where something is drawn."""

from collections.abc import Iterable, Sequence
from typing import Final, TextIO

from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from gateway.cli.plain_text import clean

_PIPED_WIDTH: Final = 1_000
"""Columns where nobody looks: wide enough that nothing a script may cut out is wrapped."""


class Bar:
    """One bar: move it forward by what was done."""

    def __init__(self, shown: Progress, words: str, total: int | None) -> None:
        """Start at nothing; `total` None: nobody knows."""
        self._shown = shown
        self._task = shown.add_task(words, total=total)

    def expect(self, total: int) -> None:
        """Say how much there is, where that was not known at the beginning."""
        self._shown.update(self._task, total=total)

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


def console(stream: TextIO) -> Console:
    """Where rich draws: on a terminal as wide as that, elsewhere without wrapping."""
    is_terminal = stream.isatty()
    return Console(
        file=stream,
        force_terminal=is_terminal,
        width=None if is_terminal else _PIPED_WIDTH,
        highlight=False,
        soft_wrap=not is_terminal,
    )


def make_progress(stream: TextIO, *, is_shown: bool) -> Progress:
    """Bars with counts and the time that is left."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console(stream),
        disable=not is_shown,
        transient=True,
    )


def make_live(stream: TextIO) -> Live:
    """A place that is drawn over and over."""
    return Live(console=console(stream), auto_refresh=False)
