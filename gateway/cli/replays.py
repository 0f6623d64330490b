"""Replays: begin one and watch it, list them, show one, cancel one. The gateway goes on without us."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from gateway.cli.command import Invocation, command
from gateway.cli.endpoints import endpoint_id
from gateway.cli.exits import Exit
from gateway.cli.jobs import Document, cancel_job, list_jobs, watch
from gateway.cli.plain_text import clean
from gateway.cli.rate import read_rate
from gateway.cli.whose import Whose

_COLUMNS: Final = (
    "id",
    "state",
    "which",
    "endpoint",
    "since",
    "until",
    "total",
    "done",
    "handed",
    "waits_for",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the replay, rpl_...")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is replayed."""

    since: Annotated[
        str,
        typer.Option("--since", help="From when on: RFC 3339, a date (UTC), or so long ago, such as 24h."),
    ]
    until: Annotated[
        str | None, typer.Option("--until", help="Up to when; now, if not given.", show_default=False)
    ] = None
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", help="To this one alone: its id, ep_..., or its name.", show_default=False
        ),
    ] = None
    which: Annotated[str, typer.Option("--which", help="undelivered, failed (schedule used up), or all.")] = (
        "undelivered"
    )
    types: Annotated[
        str | None, typer.Option("--types", help="Event types, with commas.", show_default=False)
    ] = None
    rate: Annotated[
        int | None,
        typer.Option(
            "--rate",
            help="Events a second and endpoint at most, such as 50/s.",
            parser=read_rate,
            metavar="RATE",
            show_default=False,
        ),
    ] = None

    def body(self, endpoint: str | None) -> dict[str, Any]:
        """The request. `endpoint`: the id of the one that is meant."""
        types = None if self.types is None else [one.strip() for one in self.types.split(",")]
        given = {
            "since": self.since,
            "until": self.until,
            "endpoint": endpoint,
            "which": self.which,
            "types": types,
            "rate": self.rate,
        }
        return {name: value for name, value in given.items() if value is not None}


def register(app: typer.Typer) -> None:
    """Add the group replays."""
    group = typer.Typer(help="Hand events to endpoints once more.", no_args_is_help=True)
    command(group, "create", writes=True)(create_replay)
    command(group, "list")(list_replays)
    command(group, "show")(show_replay)
    command(group, "cancel", writes=True, asks=True)(cancel_replay)
    app.add_typer(group, name="replays")


def create_replay(call: Invocation, wanted: Wanted, *, whose: Whose) -> Exit | None:
    """Replay the events of a time, and wait for its end. With --dry-run it only counts.

    Such as: gateway replays create --since 24h --which failed --dry-run
    """
    route = whose.under("replays")
    with call.client() as client:
        params = {"dry_run": True if call.dry_run else None}
        endpoint = None if wanted.endpoint is None else endpoint_id(client, whose, wanted.endpoint)
        document = client.post(route, json.dumps(wanted.body(endpoint)).encode(), params=params).document()
        call.output.note(f"replay {clean(document['id'])}; it goes on if you leave")
        job = f"{route}/{document['id']}"
        document = watch(call, client, document, route=job, doing="replaying", hear=_hindrance(call))
    return _tell(call, document)


def list_replays(call: Invocation, *, whose: Whose) -> Exit | None:
    """List replays, newest first. Of all partners with --partner -."""
    list_jobs(call, whose.listed("replays"), _COLUMNS, is_all=whose.is_all)
    return None


def show_replay(call: Invocation, replay: Id, *, whose: Whose) -> Exit | None:
    """Show how far a replay is."""
    with call.client() as client:
        return _tell(call, client.get(whose.under("replays", replay)).document())


def cancel_replay(call: Invocation, replay: Id, *, whose: Whose) -> Exit | None:
    """Have a replay hand over no more; what it has handed over is delivered all the same."""
    cancel_job(call, whose.under("replays", replay), replay, _in_words)
    return None


def _hindrance(call: Invocation) -> Callable[[Document], None]:
    """Tells what an endpoint waits for, whenever that is another thing."""
    told = None

    def hear(document: Document) -> None:
        nonlocal told
        if document["waits_for"] != told and document["waits_for"] is not None:
            call.output.note(f"an endpoint takes nothing now: {clean(document['waits_for'])}")
        told = document["waits_for"]

    return hear


def _tell(call: Invocation, document: dict[str, Any]) -> Exit | None:
    if call.output.as_json:
        call.output.document(document)
    else:
        call.output.line(f"{clean(document['id'])}  {clean(document['state'])}  {_in_words(document)}")
    return Exit.CONFLICT if document["state"] == "cancelled" else None


def _in_words(document: dict[str, Any]) -> str:
    word = "would be handed over" if document["dry_run"] else "handed over"
    parts = [f"{document['handed']} {word}"]
    told = {
        "delivered": "delivered before",
        "waiting": "waiting anyway",
        "cancelled": "given up",
        "passed": "not asked for",
        "lost": "no longer in the topic",
    }
    parts += [f"{document[name]} {words}" for name, words in told.items() if document[name]]
    return ", ".join(parts)
