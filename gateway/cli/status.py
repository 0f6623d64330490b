"""How the gateway is: once, or over and over."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from gateway.cli.client import Client
from gateway.cli.command import Invocation, command
from gateway.cli.exits import Exit
from gateway.cli.output import make_table

_SECONDS: Final = 2.0


def register(app: typer.Typer) -> None:
    """Add status."""
    command(app, "status")(status)


def status(
    call: Invocation,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, until Ctrl-C.")] = False,
) -> Exit | None:
    """Show roles, lag, broker, log heads and warnings."""
    with call.client() as client:
        if watch:
            _watch(call, client)
        document = client.get("/v1/status").document()
    if call.output.as_json:
        call.output.document(document)
    else:
        call.output.table(("what", "is"), flatten(document))
    return None


def flatten(document: Mapping[str, Any], start: str = "") -> Iterator[tuple[str, object]]:
    """Name and value of everything in a document, names of what lies deeper joined by dots."""
    for name, value in document.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{start}{name}.")
        elif isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            for number, one in enumerate(value):
                inner = one if isinstance(one, Mapping) else {"": one}
                yield from flatten(inner, f"{start}{name}.{number}.")
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


def _table(document: Mapping[str, Any]) -> Table:
    return make_table(("what", "is"), flatten(document))
