"""Sign and verify a webhook by hand: for whoever wonders why a signature does not fit. Speaks to nobody."""

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.verify import read_paper
from gateway.errors import CallerError
from gateway.standard_webhooks import (
    ID_HEADER,
    PUBLIC_KEY_BYTES,
    SIGNATURE_HEADER,
    TIMESTAMP_HEADER,
    Message,
    WebhookSignatureError,
    format_public_key,
    parse_public_key,
    parse_secret,
    read_message,
    sign,
)

Body = Annotated[Path, typer.Argument(metavar="BODY", help="File with the body, byte for byte.")]
SecretFile = Annotated[
    list[Path],
    typer.Option("--secret-file", metavar="FILE", help="File with a secret, whsec_...; again for more."),
]

_PURPOSE: Final = "webhook"


@dataclass(frozen=True, slots=True)
class Proofs:
    """What signatures are checked by."""

    secret_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--secret-file",
            metavar="FILE",
            help="File with a secret, whsec_...; again for more.",
            show_default=False,
        ),
    ] = None
    keys: Annotated[
        Path | None,
        typer.Option(
            "--keys", metavar="FILE", help="The gateway's /.well-known/jwks.json.", show_default=False
        ),
    ] = None
    public_key: Annotated[
        list[str] | None,
        typer.Option("--public-key", help="A public key, whpk_...; again for more.", show_default=False),
    ] = None


def register(app: typer.Typer) -> None:
    """Add the group webhook."""
    group = typer.Typer(help="Sign and verify a webhook by hand.", no_args_is_help=True)
    command(group, "sign", is_local=True)(sign_webhook)
    command(group, "verify", is_local=True)(verify_webhook)
    app.add_typer(group, name="webhook")


def sign_webhook(
    call: Invocation,
    body: Body,
    *,
    secret_file: SecretFile,
    message_id: Annotated[str, typer.Option("--id", help="The webhook-id.")],
    at: Annotated[int, typer.Option("--at", help="The webhook-timestamp, Unix seconds: $(date +%s).", min=0)],
) -> Exit | None:
    """Print the headers that a holder of these secrets would send with a body."""
    secrets = [_secret(path) for path in secret_file]
    try:
        made = sign(secrets, message_id, at, read_paper(body))
    except ValueError as error:
        raise UsageError("a webhook-id is printable ASCII without dots") from error
    headers = {ID_HEADER: message_id, TIMESTAMP_HEADER: str(at), SIGNATURE_HEADER: made}
    if call.output.as_json:
        call.output.document(headers)
        return None
    for name, text in headers.items():
        call.output.line(f"{name}: {text}")
    return None


def verify_webhook(
    call: Invocation,
    body: Body,
    *,
    headers: Annotated[
        Path, typer.Option("--headers", metavar="FILE", help="File with the headers: a line each, or JSON.")
    ],
    proofs: Proofs,
) -> Exit | None:
    """Tell which signatures of a webhook fit. Its time is shown, and not judged."""
    secrets = [_secret(path) for path in proofs.secret_file or ()]
    keys = [*_keys(proofs.keys), *map(_public_key, proofs.public_key or ())]
    if not secrets and not keys:
        raise UsageError("say what to check by: --secret-file, --keys or --public-key")
    raw = read_paper(body)
    try:
        message = read_message(_headers(headers))
    except WebhookSignatureError as error:
        return _tell(call, {"verified": False, "by": [], "detail": error.text})
    found = [*_by_secrets(message, raw, secrets), *_by_keys(message, raw, keys)]
    document: dict[str, Any] = {
        "verified": bool(found),
        "by": found,
        "id": message.id,
        "timestamp": int(message.at),
        "v1": len(message.v1),
        "v1a": len(message.v1a),
        "body_bytes": len(raw),
    }
    if not found:
        document["detail"] = (
            "no signature fits: the bytes must be those that came, before anything read them as text or "
            "JSON, and secret or key those of this endpoint"
        )
    return _tell(call, document)


def _tell(call: Invocation, document: Mapping[str, Any]) -> Exit | None:
    if call.output.as_json:
        call.output.document(document)
    else:
        call.output.pairs(document)
    return None if document["verified"] else Exit.NOT_PROVED


def _by_secrets(message: Message, raw: bytes, secrets: Iterable[bytes]) -> list[str]:
    found = []
    for number, secret in enumerate(secrets, 1):
        try:
            message.verify_v1(raw, [secret])
        except WebhookSignatureError:
            continue
        found.append(f"v1 by secret {number}")
    return found


def _by_keys(message: Message, raw: bytes, keys: Iterable[bytes]) -> list[str]:
    found = []
    for key in keys:
        try:
            message.verify_v1a(raw, key)
        except WebhookSignatureError:
            continue
        found.append(f"v1a by {format_public_key(key)}")
    return found


def _secret(path: Path) -> bytes:
    try:
        return parse_secret(read_paper(path).decode("ascii", "replace").strip())
    except CallerError as error:
        raise UsageError(f"{path}: {error.text}") from error


def _public_key(text: str) -> bytes:
    try:
        return parse_public_key(text)
    except CallerError as error:
        raise UsageError(error.text) from error


def _keys(path: Path | None) -> list[bytes]:
    """The keys for webhooks in a JWK set."""
    if path is None:
        return []
    try:
        listed = json.loads(read_paper(path))["keys"]
        wanted = [one["x"] for one in listed if one.get("purpose") == _PURPOSE]
        found = [base64.b64decode(x + "=" * (-len(x) % 4), b"-_", validate=True) for x in wanted]
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error, RecursionError) as error:
        raise UsageError(f"{path} holds no JWK set") from error
    if not found or any(len(key) != PUBLIC_KEY_BYTES for key in found):
        raise UsageError(f'{path} holds no key whose "purpose" is "{_PURPOSE}"')
    return found


def _headers(path: Path) -> dict[str, str]:
    text = read_paper(path).decode("utf-8", "replace")
    if text.lstrip().startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{path} holds no JSON object") from error
        return {str(name): str(value) for name, value in found.items()}
    lines = (line.partition(":") for line in text.splitlines())
    return {name.strip(): value.strip() for name, colon, value in lines if colon}
