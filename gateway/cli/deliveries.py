"""What is not delivered and why; one delivery with its attempts; try it again, or give it up."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.command import Cursor, Invocation, command
from gateway.cli.endpoints import endpoint_id
from gateway.cli.exits import Exit
from gateway.cli.plain_text import clean
from gateway.cli.verify import write_paper
from gateway.cli.whose import Whose

_COLUMNS: Final = ("since", "state", "reason", "endpoint", "type", "event", "tries", "next", "delivery")
_ATTEMPTS: Final = ("at", "number", "status", "reason", "ms", "outcome", "excerpt")
_SHOWN: Final = 60

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the delivery, dlv_...")]


@dataclass(frozen=True, slots=True)
class Filters:
    """Which deliveries are listed."""

    state: Annotated[
        str | None,
        typer.Option(
            "--state",
            help="pending, held, parked, cancelled, delivered, refused; several with commas.",
            show_default=False,
        ),
    ] = None
    reason: Annotated[
        str | None, typer.Option("--reason", help="Why, such as timed_out.", show_default=False)
    ] = None
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", help="Of this one alone: its id, ep_..., or its name.", show_default=False
        ),
    ] = None
    type: Annotated[str | None, typer.Option("--type", help="Event type.", show_default=False)] = None
    since: Annotated[
        str | None,
        typer.Option(
            "--since", help="Not before: RFC 3339, or so long ago, such as 24h.", show_default=False
        ),
    ] = None

    def params(self, endpoint: str | None) -> dict[str, str | int | bool | None]:
        """The query. `endpoint`: the id of the one that is meant."""
        return {**{name: getattr(self, name) for name in self.__slots__}, "endpoint": endpoint}


def register(app: typer.Typer) -> None:
    """Add the group deliveries."""
    group = typer.Typer(help="Deliveries, and why they are not delivered.", no_args_is_help=True)
    command(group, "list")(list_deliveries)
    command(group, "show")(show_delivery)
    command(group, "acknowledgement")(save_acknowledgement)
    command(group, "retry", writes=True)(retry_delivery)
    command(group, "cancel", writes=True, asks=True)(cancel_delivery)
    app.add_typer(group, name="deliveries")


def list_deliveries(
    call: Invocation,
    wanted: Filters,
    *,
    limit: Annotated[int | None, typer.Option("--limit", help="At most so many.", min=1)] = 100,
    cursor: Cursor = None,
    whose: Whose,
) -> Exit | None:
    """List deliveries: what waits, what was given up, what ended. Of all partners with --partner -.

    Such as: gateway deliveries list --state held,parked
    """
    with call.client() as client:
        endpoint = None if wanted.endpoint is None else endpoint_id(client, whose, wanted.endpoint)
        params = wanted.params(endpoint)
        items, following = client.some(whose.listed("deliveries"), params, most=limit, cursor=cursor)
    if call.output.as_json:
        call.output.document({"items": items, "next": following})
        return None
    call.output.partners_table(_COLUMNS, items, _row, is_all=whose.is_all)
    call.output.tell_more(following)
    many = sum(int(one["events"]) for one in items if one["range"] is not None)
    if many:
        call.output.note(f"at least {many} of these wait in ranges: they have no delivery of their own yet")
    return None


def show_delivery(call: Invocation, delivery: Id, *, whose: Whose) -> Exit | None:
    """Show a delivery and its attempts."""
    with call.client() as client:
        document = client.get(whose.under("deliveries", delivery)).document()
    _tell(call, document)
    return None


def save_acknowledgement(
    call: Invocation,
    delivery: Id,
    *,
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where to; else it is shown.", show_default=False
        ),
    ] = None,
    whose: Whose,
) -> Exit | None:
    """Save the receiver's signed acknowledgement of a delivery, which `gateway verify FILE` takes.

    It is proved by the receiver's public key alone: gateway verify FILE --receiver-key KEY
    """
    with call.client() as client:
        document = client.get(whose.under("deliveries", delivery)).document()
    found = document.get("acknowledgement")
    if found is None:
        call.output.note("the receiver has signed nothing for it")
        return Exit.NOT_FOUND
    if file is None:
        call.output.document(found)
        return None
    write_paper(file, (json.dumps(found) + "\n").encode())
    call.output.note(f"signed by {clean(found['key'])}: gateway verify {file} --receiver-key KEY")
    return None


def retry_delivery(call: Invocation, delivery: Id, *, whose: Whose) -> Exit | None:
    """Have a delivery tried at once; of one that is parked it is one attempt more."""
    return _change(call, whose.under("deliveries", delivery, "retry"), "due now", is_ordered=True)


def cancel_delivery(call: Invocation, delivery: Id, *, whose: Whose) -> Exit | None:
    """Give a delivery up: it is never sent again."""
    if not call.dry_run:
        call.confirm(f"Give {delivery} up for good?")
    return _change(call, whose.under("deliveries", delivery, "cancel"), "cancelled")


def _change(call: Invocation, route: str, word: str, *, is_ordered: bool = False) -> Exit | None:
    with call.client() as client:
        document = client.post(route, b"", params={"dry_run": True if call.dry_run else None}).document()
    if call.output.as_json:
        call.output.document(document)
    else:
        ahead = document["waits_for"] if is_ordered else None
        word = word if ahead is None else f"due once {clean(ahead)}, which goes before it, has ended"
        call.output.line(f"{clean(document['id'])}  {'would be ' if call.dry_run else ''}{word}")
    return None


def _row(one: Mapping[str, Any]) -> Iterator[object]:
    event, span = one["event"] or {}, one["range"]
    name = one["name"] or one["endpoint"]
    what = event.get("id") if span is None else f"{one['events']} or more"
    where = one["id"] if span is None else f"{span['topic']}/{span['partition']} {span['from']}-{span['to']}"
    yield from (one["since"], one["state"], one["reason"], name, event.get("type"), what)
    yield from (one["attempt_count"], one["next_at"], where)


def _tell(call: Invocation, document: dict[str, Any]) -> None:
    if call.output.as_json:
        call.output.document(document)
        return
    names = ("id", "state", "reason", "endpoint", "name", "event", "since", "next_at", "waits_for", "ref")
    call.output.pairs(document, *names)
    call.output.line()
    rows = ([_cell(one.get(name)) for name in _ATTEMPTS] for one in document["attempts"])
    call.output.table(_ATTEMPTS, rows)


def _cell(value: object) -> object:
    """A value on one line, not too long."""
    if not isinstance(value, str):
        return value
    flat = " ".join(value.split())
    return flat if len(flat) <= _SHOWN else f"{flat[:_SHOWN]}..."
