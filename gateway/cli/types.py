"""Event types of a contract, and the schemas that their data must match."""

from typing import Annotated, Any

import typer

from gateway.cli.client import under
from gateway.cli.command import Invocation, OfPartner, command
from gateway.cli.exits import Exit

_COLUMNS = ("type", "direction", "id", "key", "compatibility", "version")


def register(app: typer.Typer) -> None:
    """Add the group types."""
    group = typer.Typer(help="What may be sent and received.", no_args_is_help=True)
    command(group, "list")(list_types)
    command(group, "schema")(show_schema)
    app.add_typer(group, name="types")


def list_types(call: Invocation, *, partner: OfPartner = None) -> Exit | None:
    """List the event types of the contract: inbound from the partner, outbound to it."""
    with call.client() as client:
        items = list(client.pages(under(partner, "types")))
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
        return None
    call.output.table(_COLUMNS, map(_row, items))
    return None


def show_schema(
    call: Invocation,
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="Event type, such as order.placed.")],
    *,
    partner: OfPartner = None,
    direction: Annotated[
        str | None,
        typer.Option("--direction", help="inbound or outbound, if the type has both.", show_default=False),
    ] = None,
) -> Exit | None:
    """Print the newest Avro schema of a type, as its author wrote it."""
    with call.client() as client:
        text = client.get(under(partner, "types", event_type, "schema"), {"direction": direction}).content
    call.output.out.write(text.decode().rstrip("\n") + "\n")
    return None


def _row(item: dict[str, Any]) -> list[object]:
    newest = max((one["version"] for one in item["versions"]), default=None)
    return [item.get(name) if name != "version" else newest for name in _COLUMNS]
