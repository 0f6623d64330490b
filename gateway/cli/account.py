"""Who I am, to which gateway."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.client import Client
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.place import Wanted, check_url, find_place, save_login


def register(app: typer.Typer) -> None:
    """Add login and me."""
    command(app, "login", is_local=True)(login)
    command(app, "me")(me)


def me(call: Invocation) -> Exit | None:
    """Show who calls, with which scopes and limits, and the partner's log."""
    with call.client() as client:
        document = client.get("/v1/me").document()
    show_me(call, document)
    return None


def login(
    call: Invocation,
    url: Annotated[str, typer.Argument(help="Address of the gateway.")],
    *,
    key: Annotated[
        Path | None, typer.Option("--key", metavar="FILE", help="File that holds the API key (mode 0600).")
    ] = None,
    cacert: Annotated[
        Path | None, typer.Option("--cacert", metavar="FILE", help="Certificate authority to trust.")
    ] = None,
) -> Exit | None:
    """Keep an address and the path of a key file for later commands, once they are found to work."""
    named = key or call.around.environ.get("GATEWAY_KEY_FILE")
    if not named:
        raise UsageError("which key? name its file: --key FILE (only its path is kept)")
    key_file = Path(named).absolute()
    authority = None if cacert is None else cacert.absolute()
    address = check_url(url)
    # Other sources are left out: what is tried is what is kept.
    place = find_place(Wanted(address, str(key_file), "" if authority is None else str(authority)), {})
    for warning in place.warnings:
        call.output.warn(warning)
    with Client(place, pause=call.around.pause, transport=call.around.transport) as client:
        document = client.get("/v1/me").document()
    kept = save_login(call.around.environ, address, key_file, authority)
    show_me(call, document)
    call.output.note(f"kept in {kept}: the address, and where the key is")
    return None


def show_me(call: Invocation, document: dict[str, Any]) -> None:
    """Print the answer of /v1/me."""
    if call.output.as_json:
        call.output.document(document)
        return
    shown = dict(document)
    logs = shown.pop("logs", [])
    call.output.pairs(shown)
    for one in logs:
        call.output.line(f"log  {one['origin']}")
        for key in one["keys"]:
            call.output.line(f"     {key}")
