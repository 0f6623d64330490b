"""Partners."""

from typing import Annotated, Any

import typer

from gateway.cli.client import path_of, under
from gateway.cli.command import Invocation, command
from gateway.cli.exits import Exit


def register(app: typer.Typer) -> None:
    """Add the group partners."""
    group = typer.Typer(help="Whom we exchange events with.", no_args_is_help=True)
    command(group, "list")(list_partners)
    command(group, "show")(show_partner)
    app.add_typer(group, name="partners")


def list_partners(call: Invocation) -> Exit | None:
    """List all partners."""
    with call.client() as client:
        items = list(client.pages(path_of("v1", "partners")))
    _list(call, items, ("slug", "name", "state", "contract", "log"))
    return None


def show_partner(
    call: Invocation,
    partner: Annotated[str, typer.Argument(help="Its name in the contract file, such as acme.")],
) -> Exit | None:
    """Show one partner and its endpoints."""
    with call.client() as client:
        document = client.get(under(partner)).document()
    if call.output.as_json:
        call.output.document(document)
        return None
    endpoints = document.pop("endpoints", [])
    call.output.pairs(document)
    if endpoints:
        call.output.line()
        _list(call, endpoints, ("name", "url", "events", "state", "id"))
    return None


def _list(call: Invocation, items: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
        return
    call.output.table(columns, ([item.get(name) for name in columns] for item in items))
