"""Read events as they flow, decoded: a line for each, or CloudEvents for scripts."""

import json
from dataclasses import dataclass
from itertools import zip_longest
from typing import Annotated, Any

import typer

from gateway.cli.client import Client, under
from gateway.cli.command import Invocation, command
from gateway.cli.exits import Exit
from gateway.cli.plain_text import clean

_WAIT_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Reach:
    """Which events."""

    start: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Begin at: earliest, now, RFC 3339, or so long ago, such as 2h.",
            show_default=False,
        ),
    ] = None
    types: Annotated[
        str | None,
        typer.Option("--types", help="Only these event types, with commas between.", show_default=False),
    ] = None
    direction: Annotated[
        str | None,
        typer.Option(
            "--direction",
            help="For operators and teams: outbound (to the partner) or inbound.",
            show_default=False,
        ),
    ] = None
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False


def register(app: typer.Typer) -> None:
    """Add stream."""
    command(app, "stream")(stream)


def stream(
    call: Invocation,
    partner: Annotated[
        str | None, typer.Argument(help="Whose; for operators and teams.", show_default=False)
    ] = None,
    *,
    reach: Reach,
) -> Exit | None:
    """Print events and their data: those there are, and with --follow those to come."""
    with call.client() as client:
        _read(call, client, partner, reach)
    return None


def _read(call: Invocation, client: Client, partner: str | None, reach: Reach) -> None:
    path = under(partner, "stream")
    asked = {"types": reach.types, "direction": reach.direction}
    # Who follows wants what comes; who does not wants what there is.
    begin = reach.start or ("now" if reach.follow else "earliest")
    params: dict[str, str | int | bool | None] = {**asked, "from": begin}
    while True:
        document = client.get(path, params).document()
        recorded = document.get("recorded_at", [])
        for event, at in zip_longest(document["items"], recorded):
            _show(call, event, at)
        caught_up = bool(document["caught_up"])
        if caught_up and not reach.follow:
            return
        params = {**asked, "cursor": document["cursor"], "wait": _WAIT_SECONDS if caught_up else None}


def _show(call: Invocation, event: dict[str, Any], recorded_at: str | None) -> None:
    if call.output.as_json:
        call.output.out.write(json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n")
    else:
        at = event.get("time") or recorded_at
        call.output.line(f"{clean(at)}  {clean(event.get('type'))}  id {clean(event.get('id'))}")
        call.output.line(f"  {json.dumps(event.get('data'), ensure_ascii=False)}")
    call.output.out.flush()
