"""Who I am, to which gateway."""

from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.client import Client
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.place import Login, Wanted, check_url, find_place, forget_login, save_login
from gateway.cli.typed import read_hidden


def register(app: typer.Typer) -> None:
    """Add login, logout and me."""
    command(app, "login", is_local=True)(login)
    command(app, "logout", is_local=True)(logout)
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
        Path | None,
        typer.Option("--key", "--key-file", metavar="FILE", help="File that holds the API key (mode 0600)."),
    ] = None,
    cacert: Annotated[
        Path | None, typer.Option("--cacert", metavar="FILE", help="Certificate authority to trust.")
    ] = None,
) -> Exit | None:
    """Keep an address and a key for later commands, once they are found to work.

    Of a key in a file only the path is kept; without one the key is asked for, or read from a pipe.
    """
    named = key or call.around.environ.get("GATEWAY_KEY_FILE")
    key_file = Path(named).absolute() if named else None
    trusted = cacert or call.around.environ.get("GATEWAY_CACERT")
    authority = Path(trusted).absolute() if trusted else None
    address = check_url(url)
    typed = "" if key_file is not None else _typed(call, address)
    # Other sources are left out: what is tried is what is kept.
    wanted = Wanted(address, str(key_file or ""), str(authority or ""))
    place = find_place(wanted, {"GATEWAY_KEY": typed} if typed else {})
    for warning in place.warnings:
        call.output.warn(warning)
    with Client(place, pause=call.around.pause, transport=call.around.transport) as client:
        document = client.get("/v1/me").document()
    # Perhaps that of the data folder here, which other folders know nothing of.
    tried = None if place.cacert is None else place.cacert.absolute()
    kept = save_login(call.around.environ, Login(address, tried, key_file, typed))
    show_me(call, document)
    what = "the address and the key" if key_file is None else "the address, and where the key is"
    call.output.note(f"kept in {kept}: {what}; gateway logout forgets them")
    return None


def logout(call: Invocation) -> Exit | None:
    """Forget what gateway login kept. The key stays in force: revoke it if nobody is to use it."""
    gone = forget_login(call.around.environ)
    call.output.note("nobody was logged in" if gone is None else f"removed {gone}; the key stays in force")
    return None


def _typed(call: Invocation, address: str) -> str:
    typed = read_hidden(call.around.source, call.around.err, f"API key for {address} (not shown): ")
    if not typed:
        hint = "Type it, pipe it in, or name its file: --key FILE (then only its path is kept)."
        raise UsageError("which key? none was given", hint=hint)
    return typed


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
        ended = one.get("ended_keys", ())
        for key in one["keys"]:
            call.output.line(f"     {key}{'  ended, signs nothing new' if key in ended else ''}")
        for key in one.get("revoked_keys", ()):
            call.output.line(f"     {key['key']}  compromised, not to be trusted")
