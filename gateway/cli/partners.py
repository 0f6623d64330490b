"""Partners and credentials."""

import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import path_of, under
from gateway.cli.command import Invocation, command
from gateway.cli.exits import Exit
from gateway.cli.secret_file import claimed

OfPartner = Annotated[
    str | None,
    typer.Option(
        "--partner", "-p", help="For operators: the partner whose it is; none: ours.", show_default=False
    ),
]

_CREDENTIAL: Final = ("id", "role", "name", "scopes", "state", "expires_at")


@dataclass(frozen=True, slots=True)
class WantedCredential:
    """What a new credential is to be."""

    role: Annotated[
        str | None,
        typer.Option(
            "--role", help="Of a partner: partner or auditor. Ours: team or operator.", show_default=False
        ),
    ] = None
    name: Annotated[str, typer.Option("--name", help="What it is for.", show_default=False)] = ""
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", help="RFC 3339, or a span such as 30d or 1y, the most.", show_default=False
        ),
    ] = None
    scopes: Annotated[
        str | None,
        typer.Option(
            "--scopes", help="Fewer than the role has: send,receive,audit,manage", show_default=False
        ),
    ] = None

    def body(self) -> bytes:
        """The request's body: only what was said."""
        wanted: dict[str, object] = {"kind": "api_key", "name": self.name}
        if self.role is not None:
            wanted["role"] = self.role
        if self.expires is not None:
            wanted["expires_at"] = self.expires
        if self.scopes is not None:
            wanted["scopes"] = [word.strip() for word in self.scopes.split(",") if word.strip()]
        return json.dumps(wanted, ensure_ascii=False).encode()


def register(app: typer.Typer) -> None:
    """Add the groups partners and credentials."""
    group = typer.Typer(help="Whom we exchange events with.", no_args_is_help=True)
    command(group, "list")(list_partners)
    command(group, "show")(show_partner)
    app.add_typer(group, name="partners")
    group = typer.Typer(help="Keys and what else callers prove themselves with.", no_args_is_help=True)
    command(group, "list")(list_credentials)
    command(group, "show")(show_credential)
    command(group, "create", writes=True)(create_credential)
    command(group, "revoke", writes=True, asks=True)(revoke_credential)
    app.add_typer(group, name="credentials")


def list_partners(call: Invocation) -> Exit | None:
    """List all partners."""
    with call.client() as client:
        items = list(client.pages(path_of("v1", "partners")))
    _list(call, items, ("slug", "name", "state", "contract", "log"))
    return None


def show_partner(
    call: Invocation,
    partner: Annotated[str, typer.Argument(help="Its name in the contract file, such as acme.")],
) -> Exit | None:
    """Show one partner and its endpoints."""
    with call.client() as client:
        document = client.get(under(partner)).document()
    if call.output.as_json:
        call.output.document(document)
        return None
    endpoints = document.pop("endpoints", [])
    call.output.pairs(document)
    if endpoints:
        call.output.line()
        _list(call, endpoints, ("name", "url", "events", "state", "id"))
    return None


def list_credentials(call: Invocation, *, partner: OfPartner = None) -> Exit | None:
    """List credentials, revoked and expired ones too."""
    with call.client() as client:
        items = list(client.pages(under(partner, "credentials")))
    _list(call, items, _CREDENTIAL)
    return None


def show_credential(
    call: Invocation,
    credential: Annotated[str, typer.Argument(metavar="ID", help="Id of the credential, crd_...")],
    *,
    partner: OfPartner = None,
) -> Exit | None:
    """Show one credential; never its secret."""
    with call.client() as client:
        _show(call, client.get(under(partner, "credentials", credential)).document())
    return None


def create_credential(
    call: Invocation,
    *,
    wanted: WantedCredential,
    partner: OfPartner = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the key there (mode 0600).")
    ] = None,
) -> Exit | None:
    """Make an API key. It is shown once, or written to a file."""
    path, params = under(partner, "credentials"), {"dry_run": True} if call.dry_run else None
    with nullcontext() if file is None else claimed(file, "the key") as keep, call.client() as client:
        document = client.post(path, wanted.body(), params=params).document()
        secret = str(document.get("secret", ""))
        if keep is not None and secret:
            keep(secret + "\n")
            document = {name: value for name, value in document.items() if name != "secret"}
    if call.dry_run:
        _show_dry(call, "Would make an API key", document)
        return None
    if call.output.as_json:
        call.output.document(document)
        return None
    call.output.pairs(document, *_CREDENTIAL)
    if file is None:
        call.output.line(f"\nThe key, shown this once:\n{secret}")
    else:
        call.output.note(f"The key is in {file}.")
    return None


def revoke_credential(
    call: Invocation,
    credential: Annotated[str, typer.Argument(metavar="ID", help="Id of the credential, crd_...")],
    *,
    partner: OfPartner = None,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the log.", show_default=False)] = "",
) -> Exit | None:
    """Revoke a credential, for ever."""
    path = under(partner, "credentials", credential)
    with call.client() as client:
        found = client.get(path).document()
        if call.dry_run:
            document = client.delete(path, {"reason": reason or None, "dry_run": True}).document()
            is_new = found["revoked_at"] is None
            words = f"Would revoke {found['id']}" if is_new else f"{found['id']} is revoked already"
            _show_dry(call, words, document)
            return None
        call.confirm(f"Revoke {found['id']} ({found['role']} {found['name'] or 'without a name'})?")
        document = client.delete(path, {"reason": reason or None}).document()
    _show(call, document)
    return None


def _show_dry(call: Invocation, words: str, document: dict[str, Any]) -> None:
    """What the gateway says that it would do."""
    if call.output.as_json:
        call.output.document(document)
        return
    whose = f" of {document['partner']}" if document["partner"] else ""
    call.output.line(f"{words}: role {document['role']}{whose}. Nothing was changed.")
    call.output.pairs(document, *_CREDENTIAL[2:])


def _list(call: Invocation, items: list[dict[str, Any]], columns: tuple[str, ...]) -> None:
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
        return
    call.output.table(columns, ([item.get(name) for name in columns] for item in items))


def _show(call: Invocation, document: dict[str, Any]) -> None:
    if call.output.as_json:
        call.output.document(document)
    else:
        call.output.pairs(document)
