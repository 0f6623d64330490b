"""How the gateway is: once, or over and over."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer
from rich.console import Group, RenderableType
from rich.text import Text

from gateway.cli.client import Client
from gateway.cli.command import Invocation, command
from gateway.cli.drawing import make_table
from gateway.cli.exits import Exit

_SECONDS: Final = 2.0


def register(app: typer.Typer) -> None:
    """Add status."""
    command(app, "status")(status)


def status(
    call: Invocation,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again and again, until Ctrl-C.")] = False,
) -> Exit | None:
    """Show roles, lag, broker, log heads and warnings."""
    with call.client() as client:
        if watch:
            _watch(call, client)
        document = client.get("/v1/status").document()
    if call.output.as_json:
        call.output.document(document)
        return None
    call.output.pairs(singles(document))
    for name, columns, rows in tables(document):
        call.output.line(f"\n{name}")
        call.output.table(columns, rows)
    return None


Named = tuple[str, Sequence[str], list[Sequence[object]]]
"""Name, columns and rows of one table."""


def singles(document: Mapping[str, Any]) -> dict[str, object]:
    """Everything that is no list of objects, by the words that lead to it."""
    rest = {name: value for name, value in document.items() if not is_list_of_objects(value)}
    return {name.replace(".", " "): value for name, value in flatten(rest)}


def tables(document: Mapping[str, Any]) -> list[Named]:
    """Each list of objects as a table."""
    shown: list[Named] = []
    for name, items in document.items():
        if is_list_of_objects(items):
            columns = list(dict.fromkeys(key for item in items for key in item))
            shown.append((name, columns, [[item.get(key) for key in columns] for item in items]))
    return shown


def is_list_of_objects(value: object) -> bool:
    """Whether a value makes a table of its own."""
    return isinstance(value, list) and bool(value) and all(isinstance(one, Mapping) for one in value)


def flatten(document: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, object]]:
    """Name and value of everything in a document, names of what lies deeper joined by dots."""
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{start}{name}.")
        else:
            yield start + name, value


def _watch(call: Invocation, client: Client) -> None:
    if call.output.as_json:
        while True:
            call.output.document(client.get("/v1/status").document())
            call.around.pause(_SECONDS)
    with call.output.live() as live:
        while True:
            live.update(_table(client.get("/v1/status").document()), refresh=True)
            call.around.pause(_SECONDS)


def _table(document: Mapping[str, Any]) -> Group:
    parts: list[RenderableType] = [make_table(("gateway", ""), list(singles(document).items()))]
    for name, columns, rows in tables(document):
        parts += (Text(f"\n{name}"), make_table(columns, rows))
    return Group(*parts)
