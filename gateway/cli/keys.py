"""Our signing keys, and the master key that they are sealed under."""

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer

from gateway.cli import rewrap, stopped
from gateway.cli.client import path_of
from gateway.cli.command import Invocation, command
from gateway.cli.exits import Exit

_COLUMNS: Final = ("purpose", "state", "id", "signs_from", "ends_at", "compromised_at", "held_in")
Purpose = Annotated[str, typer.Argument(metavar="PURPOSE", help="What it signs, as keys list shows it.")]
Label = Annotated[
    str | None,
    typer.Option(
        "--pkcs11-label",
        help="Of checkpoint keys: the new one is in the token, under this label.",
        show_default=False,
    ),
]


@dataclass(frozen=True, slots=True)
class Schedule:
    """When the new key signs, and when those before it end."""

    overlap: Annotated[
        str | None,
        typer.Option("--overlap", help="Old and new sign side by side for so long: 7d.", show_default=False),
    ] = None
    starts_in: Annotated[
        str | None,
        typer.Option(
            "--starts-in", help="Published now, it signs so long from now: 10m.", show_default=False
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class Leak:
    """Which key somebody else may have, and since when."""

    purpose: Annotated[
        str, typer.Option("--purpose", help="What it signs, as keys list shows it.", show_default=False)
    ]
    reason: Annotated[str, typer.Option("--reason", help="Kept in every log.", show_default=False)]
    since: Annotated[
        str | None,
        typer.Option("--since", help="Compromised since: RFC 3339, or 24h; else now.", show_default=False),
    ] = None
    kid: Annotated[
        str | None,
        typer.Option("--kid", help="This key alone; else all that sign for it.", show_default=False),
    ] = None


def register(app: typer.Typer) -> None:
    """Add the group keys."""
    group = typer.Typer(help="Our signing keys and the master key.", no_args_is_help=True)
    command(group, "list")(list_keys)
    command(group, "rotate", writes=True)(rotate)
    command(group, "retire", writes=True, asks=True)(retire)
    command(group, "freeze", writes=True, asks=True)(freeze)
    rewrap.register(group)
    app.add_typer(group, name="keys")


def list_keys(call: Invocation) -> Exit | None:
    """List all keys with their history; never a private half."""
    with call.client() as client:
        items = list(client.pages(path_of("v1", "signing-keys")))
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
        return None
    ordered = sorted(items, key=lambda one: (one["purpose"], one["signs_from"]))
    call.output.table(_COLUMNS, ([one.get(name) for name in _COLUMNS] for one in ordered))
    return None


def rotate(call: Invocation, purpose: Purpose, *, schedule: Schedule, label: Label = None) -> Exit | None:
    """Publish a new key now, which signs a little later; the one before it signs on for the overlap."""
    wanted = {"overlap": schedule.overlap, "starts_in": schedule.starts_in, "label": label}
    document = _post(call, (purpose, "rotate"), wanted)
    if call.output.as_json:
        call.output.document(document)
        return None
    new = document["key"]
    call.output.line(f"{'Would publish' if call.dry_run else 'Published'} {_named(new)}.")
    call.output.line(f"It signs from {new['signs_from']} on.")
    for old in document["others"]:
        call.output.line(f"{old['id']} ends at {old['ends_at']}.")
    return None


def retire(
    call: Invocation,
    kid: Annotated[str, typer.Argument(metavar="KID", help="Its id, as keys list shows it.")],
) -> Exit | None:
    """Let a key sign nothing more, at once: the end of an overlap, or of one that does not sign yet."""
    if not call.dry_run:
        call.confirm(f"Let {kid} sign nothing more?")
    document = _post(call, (kid, "retire"), None)
    if call.output.as_json:
        call.output.document(document)
        return None
    ended, *others = document["others"]
    call.output.line(f"{'Would be' if call.dry_run else 'Is'} {ended['state']}: {_named(ended)}.")
    for one in others:
        call.output.line(f"{one['id']} goes on.")
    return None


def freeze(call: Invocation, *, leak: Leak, label: Label = None, where: stopped.Stopped) -> Exit | None:
    """Freeze a key that somebody else may have: it signs nothing more; a successor signs at once.

    After a restore, with --stopped: of what was frozen since the backup the data folder knows nothing.
    """
    if not call.dry_run:
        which = leak.kid or f"every key that signs for the purpose {leak.purpose}"
        call.confirm(f"Freeze {which}, and mark it as compromised, for ever?")
    wanted = {"reason": leak.reason, "since": leak.since, "key": leak.kid}
    if where.stopped:
        document = stopped.freeze(call, where, wanted, leak.purpose, label)
    else:
        document = _post(call, (leak.purpose, "freeze"), {**wanted, "label": label})
    if call.output.as_json:
        call.output.document(document)
        return None
    for one in document["others"]:
        word = "Would freeze" if call.dry_run else "Frozen"
        call.output.line(f"{word}: {_named(one)}, compromised since {one['compromised_at']}.")
    if document["key"] is not None:
        call.output.line(f"{_named(document['key'])} signs from now on.")
    call.output.note("What else is to be done stands in docs/key-compromise.md.")
    return None


def _post(call: Invocation, parts: tuple[str, str], wanted: dict[str, Any] | None) -> dict[str, Any]:
    """Ask for a change. `wanted`: members of the body, those that were not said left out."""
    body = b""
    if wanted is not None:
        body = json.dumps({name: value for name, value in wanted.items() if value is not None}).encode()
    params = {"dry_run": True} if call.dry_run else None
    with call.client() as client:
        document: dict[str, Any] = client.post(
            path_of("v1", "signing-keys", *parts), body, params=params
        ).document()
    return document


def _named(key: dict[str, Any]) -> str:
    where = f", in the token as {key['label']}" if key["label"] else ""
    return f"the {key['purpose']} key {key['id']}{where}"
