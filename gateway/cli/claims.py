"""Claims without a record, on the machine that has the database: which there are, and giving one up."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from audit.ref import format_ref, parse_ref
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.run import Config, Folder, read_settings
from gateway.instants import format_instant

if TYPE_CHECKING:
    from gateway.settings import Settings
    from gateway.upkeep.giving_up import Unsettled


def register(app: typer.Typer) -> None:
    """Add the group claims."""
    group = typer.Typer(
        help="Events that were claimed and are on no topic, on the machine that has the database.",
        no_args_is_help=True,
    )
    command(group, "list", is_local=True)(list_claims)
    command(group, "abandon", is_local=True, writes=True, asks=True)(abandon)
    app.add_typer(group, name="claims")


def list_claims(call: Invocation, *, folder: Folder = "", config: Config = None) -> Exit | None:
    """Claims that have no record yet, oldest first; runs beside a gateway."""
    from gateway.bootstrap import claims  # noqa: PLC0415 - clients start without loading the server

    found = claims.list_unsettled(_settings(call, config, folder))
    if call.output.as_json:
        call.output.document([_document(one) for one in found])
        return None
    for one in found:
        call.output.line(_words(one))
    if not found:
        call.output.line("Every claim has its record.")
    return None


def abandon(
    call: Invocation,
    *,
    ref: Annotated[str, typer.Argument(metavar="REF", help="The event's reference, as list shows it.")],
    folder: Folder = "",
    config: Config = None,
) -> Exit | None:
    """Give up an event that can never get onto its topic; refused where its record may be there.

    Nobody has a receipt of it: its sender may send it again, as a new event.
    """
    from gateway.bootstrap import claims  # noqa: PLC0415 - clients start without loading the server

    known = parse_ref(ref)
    if known is None:
        raise UsageError(f"{ref} is no reference of an event")
    settings = _settings(call, config, folder)
    if not call.dry_run:
        call.confirm(f"Give up {ref}?")
    one = claims.give_up(settings, known, is_rehearsal=call.dry_run)
    if call.output.as_json:
        call.output.document(_document(one))
        return None
    call.output.line(f"{_words(one)}: given up")
    if call.dry_run:
        call.output.note("Nothing was changed.")
    return None


def _settings(call: Invocation, config: Config, folder: str) -> "Settings":
    return read_settings(call, config, {"data": folder} if folder else {}).settings


def _words(one: "Unsettled") -> str:
    return (
        f"{format_ref(one.ref)} {format_instant(one.at)} {one.type} of {one.partner}, for {one.topic} "
        f"[{one.partition}]"
    )


def _document(one: "Unsettled") -> Mapping[str, object]:
    return {
        "ref": format_ref(one.ref),
        "at": format_instant(one.at),
        "partner": one.partner,
        "type": one.type,
        "topic": one.topic,
        "partition": one.partition,
    }
