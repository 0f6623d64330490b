"""Partners."""

import json
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
    command(group, "suspend", writes=True)(suspend)
    command(group, "resume", writes=True)(resume)
    command(group, "close", writes=True, asks=True)(close)
    app.add_typer(group, name="partners")


Slug = Annotated[str, typer.Argument(metavar="PARTNER", help="Its name in the contract file, such as acme.")]
Reason = Annotated[
    str, typer.Option("--reason", help="Why; kept in its log and in ours.", show_default=False)
]


def list_partners(call: Invocation) -> Exit | None:
    """List all partners."""
    with call.client() as client:
        items = list(client.pages(path_of("v1", "partners")))
    _list(call, items, ("slug", "name", "state", "contract", "log"))
    return None


def show_partner(
    call: Invocation,
    partner: Slug,
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


def suspend(call: Invocation, partner: Slug, *, reason: Reason) -> Exit | None:
    """Take nothing from a partner and send it nothing, until it is resumed; it still reads its log."""
    return _move(call, partner, "suspend", reason)


def resume(call: Invocation, partner: Slug, *, reason: Reason) -> Exit | None:
    """Go on with a suspended partner; what waited for it is sent."""
    return _move(call, partner, "resume", reason)


def close(call: Invocation, partner: Slug, *, reason: Reason) -> Exit | None:
    """End with a partner, for ever: nothing is taken or sent, its name is never used again."""
    params: dict[str, str | bool] = {"reason": reason}
    with call.client() as client:
        if not call.dry_run:
            would = client.delete(under(partner), {**params, "dry_run": True}).document()
            call.confirm(
                f"Close {partner} for ever? {_waiting(would)} will never be sent."
                if would["waiting"]
                else f"Close {partner} for ever?"
            )
        document = client.delete(under(partner), {**params, "dry_run": call.dry_run or None}).document()
    _tell(call, document)
    return None


def _move(call: Invocation, partner: str, action: str, reason: str) -> Exit | None:
    body = json.dumps({"reason": reason}, ensure_ascii=False).encode()
    params = {"dry_run": True} if call.dry_run else None
    with call.client() as client:
        document = client.post(under(partner, action), body, params=params).document()
    _tell(call, document)
    return None


def _tell(call: Invocation, document: dict[str, Any]) -> None:
    """What became of it, or would; and what waits."""
    if call.output.as_json:
        call.output.document(document)
        return
    slug, state = document["slug"], document["state"]
    if not document["changed"]:
        call.output.line(f"{slug} is {state} already. Nothing was changed.")
    elif call.dry_run:
        call.output.line(f"{slug} is {document['before']}, and would be {state}. Nothing was changed.")
    else:
        call.output.line(f"{slug} was {document['before']}, and is {state}.")
    if document["waiting"]:
        fate = "is sent now" if state == "active" else "waits" if state == "suspended" else "is never sent"
        call.output.line(f"{_waiting(document)}: what is owed to its endpoints {fate}.")


def _waiting(document: dict[str, Any]) -> str:
    count = document["waiting"]
    return f"{count} {'delivery' if count == 1 else 'deliveries'}"


def _list(call: Invocation, items: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
        return
    call.output.table(columns, ([item.get(name) for name in columns] for item in items))
