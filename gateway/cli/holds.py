"""Legal holds: set one, list them, lift one."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import ALL, listed, under
from gateway.cli.command import Invocation, OfPartner, OfPartners, command
from gateway.cli.erasures import Refs, Span
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.plain_text import clean

_COLUMNS: Final = ("id", "in force", "on", "basis", "set_at", "lifted_at", "lifted_for")

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the hold, hld_...")]


def register(app: typer.Typer) -> None:
    """Add the group holds."""
    group = typer.Typer(help="Legal holds: what must not be erased.", no_args_is_help=True)
    command(group, "set", writes=True)(set_hold)
    command(group, "list")(list_holds)
    command(group, "lift", writes=True, asks=True)(lift_hold)
    app.add_typer(group, name="holds")


def set_hold(
    call: Invocation,
    refs: Refs = None,
    *,
    span: Span,
    everything: Annotated[
        bool, typer.Option("--all", help="On all events of the partner, those to come too.")
    ] = False,
    basis: Annotated[str, typer.Option("--basis", help="Why: a reference; it stays in the log.")],
    partner: OfPartner = None,
) -> Exit | None:
    """Put a hold on events of a partner: those named, all of a time, or everything.

    Such as: gateway holds set --partner acme --since 2026-01-01T00:00:00Z --basis case-4711
    """
    body = span.body(refs, basis)
    if everything == (len(body) > 1):
        raise UsageError("hold what? Name events, a time by --since or --until, or --all")
    with call.client() as client:
        params = {"dry_run": True if call.dry_run else None}
        route = under(_named(partner), "holds")
        document = client.post(route, json.dumps(body).encode(), params=params).document()
    _tell(call, document, "would be in force" if call.dry_run else "in force")
    return None


def list_holds(call: Invocation, *, partner: OfPartners = None) -> Exit | None:
    """List holds, newest first, those that were lifted too. Of all partners with --partner -."""
    with call.client() as client:
        items = list(client.pages(listed(_named(partner), "holds")))
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
    else:
        call.output.partners_table(_COLUMNS, items, _row, is_all=partner == ALL)
    return None


def lift_hold(
    call: Invocation,
    hold: Id,
    *,
    basis: Annotated[str, typer.Option("--basis", help="Why it is lifted; it stays in the log.")],
    partner: OfPartner = None,
) -> Exit | None:
    """Lift a hold: what waited for that is erased, and what is past its time goes."""
    if not call.dry_run:
        call.confirm(f"Lift {hold}?")
    with call.client() as client:
        params = {"basis": basis, "dry_run": True if call.dry_run else None}
        document = client.delete(under(_named(partner), "holds", hold), params).document()
    _tell(call, document, "would be lifted" if call.dry_run else "lifted")
    return None


def _row(one: Mapping[str, Any]) -> list[object]:
    is_in_force = "no" if one["lifted_at"] else "yes"
    return [one["id"], is_in_force, _scope(one), *(one[name] for name in _COLUMNS[3:])]


def _scope(one: Mapping[str, Any]) -> str:
    scope = one["scope"]
    if scope["refs"]:
        return f"{len(scope['refs'])} events"
    if scope["since"] is None and scope["until"] is None:
        return "everything"
    return f"{scope['since'] or '...'} to {scope['until'] or '...'}"


def _tell(call: Invocation, document: dict[str, Any], word: str) -> None:
    if call.output.as_json:
        call.output.document(document)
    else:
        call.output.line(f"{clean(document['id'])}  {word}  {_scope(document)}")


def _named(partner: str | None) -> str:
    if partner is None:
        raise UsageError("whose? Name the partner with --partner")
    return partner
