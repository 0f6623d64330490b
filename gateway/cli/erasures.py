"""Erasures: erase events of a partner and watch it, list them, show one. The gateway goes on without us."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import ALL, Client, listed, under
from gateway.cli.command import Invocation, OfPartner, OfPartners, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.jobs import POLL_SECONDS, list_jobs
from gateway.cli.plain_text import clean

_COLUMNS: Final = (
    "id",
    "state",
    "total",
    "done",
    "erased",
    "held",
    "absent",
    "basis",
    "created_at",
    "ended_at",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the erasure, ers_...")]
Refs = Annotated[
    list[str] | None, typer.Argument(metavar="[REF]...", help="The events, evt_...", show_default=False)
]


@dataclass(frozen=True, slots=True)
class Span:
    """A time."""

    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="From when on: RFC 3339, or so long ago, such as 24h.", show_default=False
        ),
    ] = None
    until: Annotated[
        str | None, typer.Option("--until", help="Up to when, not with it.", show_default=False)
    ] = None

    def body(self, refs: list[str] | None, basis: str) -> dict[str, Any]:
        """The request, for these events or this time."""
        given = {"refs": refs or None, "since": self.since, "until": self.until, "basis": basis}
        return {name: value for name, value in given.items() if value is not None}


def register(app: typer.Typer) -> None:
    """Add the group erasures."""
    group = typer.Typer(help="Erase events: evidence, content and claim.", no_args_is_help=True)
    command(group, "create", writes=True, asks=True)(create_erasure)
    command(group, "list")(list_erasures)
    command(group, "show")(show_erasure)
    app.add_typer(group, name="erasures")


def create_erasure(
    call: Invocation,
    refs: Refs = None,
    *,
    span: Span,
    basis: Annotated[
        str, typer.Option("--basis", help="Why: a reference, and no name; it stays in the log.")
    ],
    wait_for_holds: Annotated[
        bool, typer.Option("--wait-for-holds", help="Erase what is held once its hold is lifted.")
    ] = False,
    partner: OfPartner = None,
) -> Exit | None:
    """Erase events of a partner for good, by their refs or of a time, and wait for its end.

    Such as: gateway erasures create --partner acme --basis case-17 evt_...
    """
    route = under(_named(partner), "erasures")
    body = span.body(refs, basis)
    if wait_for_holds and refs:
        body["when_held"] = "wait"
    with call.client() as client:
        if not call.dry_run:
            what = f"{len(refs)} events" if refs else f"all events from {span.since} to {span.until}"
            call.confirm(f"Erase {what} of {partner} for good?")
        params = {"dry_run": True if call.dry_run else None}
        document = client.post(route, json.dumps(body).encode(), params=params).document()
        if not call.dry_run:
            document = _watch(call, client, document, route=f"{route}/{document['id']}")
    return _tell(call, document)


def list_erasures(call: Invocation, *, partner: OfPartners = None) -> Exit | None:
    """List erasures, newest first. Of all partners with --partner -."""
    list_jobs(call, listed(_named(partner), "erasures"), _COLUMNS, is_all=partner == ALL)
    return None


def show_erasure(call: Invocation, erasure: Id, *, partner: OfPartner = None) -> Exit | None:
    """Show how far an erasure is."""
    with call.client() as client:
        return _tell(call, client.get(under(_named(partner), "erasures", erasure)).document())


def _watch(call: Invocation, client: Client, document: dict[str, Any], *, route: str) -> dict[str, Any]:
    """Until it is done, or all that is left of it is held."""
    with call.output.progress("erasing", document["total"]) as bar:
        seen = 0
        while document["state"] == "waiting":
            call.around.pause(POLL_SECONDS)
            document = client.get(route).document()
            bar.advance(max(0, document["done"] - seen))
            seen = max(seen, document["done"])
    return document


def _tell(call: Invocation, document: dict[str, Any]) -> Exit | None:
    is_dry = bool(document.get("dry_run"))
    if call.output.as_json:
        call.output.document(document)
    elif is_dry:
        free = document["total"] - document["held"] - document["absent"]
        call.output.line(f"{free} would be erased, {document['held']} held, {document['absent']} not there")
    else:
        parts = [f"{document['erased']} erased"]
        told = {"held": "held", "absent": "not there", "pending": "on their way into the log"}
        parts += [f"{document[name]} {words}" for name, words in told.items() if document[name]]
        call.output.line(f"{clean(document['id'])}  {clean(document['state'])}  {', '.join(parts)}")
    if document["state"] == "held" and not is_dry:
        call.output.note("what is held is erased once its hold is lifted: gateway holds list")
        return Exit.CONFLICT
    return None


def _named(partner: str | None) -> str:
    if partner is None:
        raise UsageError("whose? Name the partner with --partner")
    return partner
