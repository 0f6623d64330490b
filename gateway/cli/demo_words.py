"""How the demo tells its story: chapters, the commands that do the same by hand, tables, bars, durations."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from gateway.cli.drawing import make_table
from gateway.cli.plain_text import clean
from gateway.errors import GatewayError

_SHOWN_CHARACTERS = 24
_BAR_SECONDS = 0.1


class DemoError(GatewayError):
    """The story did not go as it must; the text says where, and what was found instead."""

    code = "demo_failed"


@dataclass(slots=True, eq=False)
class Narrator:
    """Tells the story on one console. `ticks`: seconds of a clock that never goes back."""

    console: Console
    ticks: Callable[[], float]
    durations: list[tuple[str, float]] = field(default_factory=list)

    @property
    def _is_piped(self) -> bool:
        """Where nobody looks, lines are left whole."""
        return not self.console.is_terminal

    @contextmanager
    def chapter(self, title: str) -> Iterator[None]:
        """A part of the story; how long it took is told at the end."""
        number = len(self.durations) + 1
        self.console.print()
        self.console.rule(Text(f"{number}. {title}", "bold"), align="left")
        began = self.ticks()
        yield
        self.durations.append((title, self.ticks() - began))

    def say(self, text: str) -> None:
        """Tell what happens, in whole sentences."""
        self.console.print(Text(clean(text)), highlight=False, soft_wrap=self._is_piped)

    def command(self, *lines: str) -> None:
        """Show what does the same by hand. It is not run: the demo speaks the same HTTP."""
        for line in lines:
            self.console.print(Text(f"  $ {clean(line)}", "cyan"), highlight=False, soft_wrap=True)

    def answer(self, status: int, document: Mapping[str, object], *names: str) -> None:
        """Show the members of an answer that matter here."""
        self.console.print(Text(f"  HTTP {status}", "bold"), highlight=False)
        for name in names:
            if name in document:
                line = Text(f"    {name}: {_shown(document[name])}")
                self.console.print(line, highlight=False, soft_wrap=True)

    def block(self, text: str) -> None:
        """Show lines as they are."""
        for line in text.splitlines():
            self.console.print(Text("  " + clean(line)), highlight=False, soft_wrap=True)

    def good(self, text: str) -> None:
        """Say what was just found to be true."""
        self.console.print(Text(f"  ok  {clean(text)}", "green"), highlight=False, soft_wrap=self._is_piped)

    def bad(self, text: str) -> None:
        """Say what is not as it must be."""
        self.console.print(
            Text(f"  NO  {clean(text)}", "bold red"), highlight=False, soft_wrap=self._is_piped
        )

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Show rows under their columns."""
        self.console.print(make_table(columns, rows))

    @contextmanager
    def waiting(self, words: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A bar while the block runs; it is told how much is done. `total` None: nobody knows yet."""
        bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            console=self.console,
            transient=True,
            refresh_per_second=1 / _BAR_SECONDS,
            disable=not self.console.is_terminal,
        )
        with bar:
            task = bar.add_task(words, total=total)
            yield lambda done: bar.update(task, completed=done)


def shorten(text: str) -> str:
    """The beginning of a long text, such as a receipt."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."


def _shown(value: object) -> str:
    if isinstance(value, str):
        return clean(value) if " " in value or value.startswith("evt_") else clean(shorten(value))
    return clean(json.dumps(value))
