"""Event types of a contract: what was agreed of each, how its data must look, and data that fits."""

import json
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Answer, Params, under
from gateway.cli.command import Invocation, OfPartner, command
from gateway.cli.exits import Exit
from gateway.cli.verify import write_paper

Type = Annotated[str, typer.Argument(metavar="TYPE", help="Event type, such as order.placed.")]
Direction = Annotated[
    str | None,
    typer.Option("--direction", help="inbound or outbound, if the type has both.", show_default=False),
]
File = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else to stdout.")
]

_COLUMNS: Final = ("type", "direction", "id", "key", "compatibility", "version")
_LEFT_OUT: Final = ("type", "links")
"""Of one direction, where people read it: said above, and for programs."""


def register(app: typer.Typer) -> None:
    """Add the group types."""
    group = typer.Typer(help="What may be sent and received.", no_args_is_help=True)
    command(group, "list")(list_types)
    command(group, "show")(show_type)
    command(group, "schema")(show_schema)
    command(group, "sample")(show_sample)
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


def show_type(call: Invocation, event_type: Type, *, partner: OfPartner = None) -> Exit | None:
    """Show what the contract says of a type, in each direction that has it."""
    with call.client() as client:
        document = client.get(under(partner, "types", event_type)).document()
    if call.output.as_json:
        call.output.document(document)
        return None
    call.output.line(str(document["type"]))
    for one in document["directions"]:
        call.output.line()
        call.output.pairs(one, *(name for name in one if name not in _LEFT_OUT))
    return None


def show_schema(
    call: Invocation,
    event_type: Type,
    *,
    form: Annotated[
        str, typer.Option("--as", metavar="avro|jsonschema", help="As its author wrote it, or JSON Schema.")
    ] = "avro",
    partner: OfPartner = None,
    direction: Direction = None,
    file: File = None,
) -> Exit | None:
    """Print the newest schema of a type: Avro as its author wrote it, or JSON Schema of its data in JSON."""
    path = under(partner, "types", event_type, "schema")
    answer = _fetch(call, path, {"as": form, "direction": direction})
    if form == "avro":
        _put(call, answer.content, file)
    else:
        _put(call, json.dumps(answer.document(), ensure_ascii=False, indent=2).encode(), file)
    return None


def show_sample(
    call: Invocation,
    event_type: Type,
    *,
    partner: OfPartner = None,
    direction: Direction = None,
    file: File = None,
) -> Exit | None:
    """Print data of a type that is valid as it stands: gateway types sample TYPE | gateway send TYPE -."""
    answer = _fetch(call, under(partner, "types", event_type, "sample"), {"direction": direction})
    _put(call, answer.content, file)
    return None


def _fetch(call: Invocation, path: str, params: Params) -> Answer:
    with call.client() as client:
        return client.get(path, params, accept="application/schema+json, application/json")


def _put(call: Invocation, text: bytes, file: Path | None) -> None:
    """Print or save a text that is JSON whatever was asked for."""
    raw = text.rstrip(b"\n") + b"\n"
    if file is None:
        call.output.out.write(raw.decode())
    else:
        write_paper(file, raw)


def _row(item: dict[str, Any]) -> list[object]:
    newest = max((one["version"] for one in item["versions"]), default=None)
    return [item.get(name) if name != "version" else newest for name in _COLUMNS]
