"""Receive on a laptop: the stream, posted to a local program as an endpoint would get it, signed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.bootstrap.ground import clock, entropy
from gateway.cli.client import Client, under
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.following import follow
from gateway.cli.forwarding import PAUSES, Forwarder, Tried, read_target, webhook_id
from gateway.cli.plain_text import clean
from gateway.cli.stream import Direction, Start, Types, Whose, read_event
from gateway.event import EventKey
from gateway.standard_webhooks import WebhookSecretError, format_secret, parse_secret

_SECRET_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Way:
    """Where to, and which events."""

    forward: Annotated[
        str, typer.Option("--forward", metavar="URL", help="Such as localhost:3000/hook.", show_default=False)
    ]
    start: Start = None
    types: Types = None
    direction: Direction = None
    secret_file: Annotated[
        Path | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            help="Sign with the secret in it (whsec_...), instead of one made for the session.",
            show_default=False,
        ),
    ] = None
    any_host: Annotated[bool, typer.Option("--any-host", help="Forward to other machines, too.")] = False


def register(app: typer.Typer) -> None:
    """Add listen."""
    command(app, "listen")(listen)


def listen(call: Invocation, partner: Whose = None, *, way: Way) -> Exit | None:
    """Follow the stream, and POST each event to URL as a webhook, signed with a secret of this session.

    Such as: gateway listen --forward localhost:3000/hook
    """
    url = read_target(way.forward, any_host=way.any_host)
    secret = entropy(_SECRET_BYTES) if way.secret_file is None else _read_secret(way.secret_file)
    around = call.around
    with (
        call.client() as client,
        Forwarder(url, secret, clock, around.ticks, around.pause, around.transport) as forwarder,
    ):
        of = partner or _own(client)
        if way.secret_file is None:
            call.output.warn(f"secret of this session: {format_secret(secret)}")
        path = under(partner, "stream")
        params = {"types": way.types, "direction": way.direction, "from": way.start or "now"}
        inbound = partner is not None and way.direction != "outbound"
        is_told = False
        for sign in follow(call, client, path, params):
            if not is_told:
                # Said once it is so: the stream begins with its place, and what is sent from now on comes.
                is_told = True
                call.output.note(f"what comes is posted to {url}; Ctrl-C ends it")
            if sign.data is not None:
                event = read_event(sign.data)
                source, event_id = str(event.get("source")), str(event.get("id"))
                key = EventKey(of, "inbound" if inbound else "outbound", source, event_id)
                _forward(call, forwarder, event, key.ref(), sign.data.encode())
    return None


def _own(client: Client) -> str:
    """The caller's own partner.

    Raises:
        UsageError: it has none.
    """
    partner = client.get("/v1/me").document().get("partner")
    if not isinstance(partner, dict):
        raise UsageError("operators and teams name whose events: gateway listen PARTNER --forward URL")
    return str(partner["slug"])


def _read_secret(path: Path) -> bytes:
    """The last word of a file: alone, or as `gateway apply` writes it.

    Raises:
        UsageError: there is no such file, or no secret in it.
    """
    try:
        words = path.read_text().split()
        return parse_secret(words[-1] if words else "")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read") from error
    except WebhookSecretError as error:
        raise UsageError(f"{path}: {error}") from error


def _forward(call: Invocation, forwarder: Forwarder, event: dict[str, Any], ref: bytes, body: bytes) -> None:
    for tried in forwarder.send(ref, body):
        if call.output.as_json:
            call.output.document(
                {
                    "id": event.get("id"),
                    "type": event.get("type"),
                    "webhook_id": webhook_id(ref),
                    "attempt": tried.number,
                    "status": tried.status,
                    "reason": tried.reason or None,
                    "ms": tried.ms,
                }
            )
        else:
            name = f"{clean(event.get('type'))}  id {clean(event.get('id'))}"
            call.output.line(f"{name}  {_said(tried)}")
        call.output.out.flush()


def _said(tried: Tried) -> str:
    answer = str(tried.status) if tried.status else f"no answer ({tried.reason})"
    if tried.is_taken:
        return f"{answer}  {tried.ms} ms"
    if tried.number > len(PAUSES):
        return f"{answer}  given up"
    return f"{answer}  again in {PAUSES[tried.number - 1]} s"
