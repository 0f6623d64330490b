"""Credentials: what callers prove themselves with, from the first day to a leak."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli import stopped
from gateway.cli.client import ALL, Client, listed, path_of, under
from gateway.cli.command import Invocation, command
from gateway.cli.credential_texts import Made
from gateway.cli.errors import CommandError, UsageError
from gateway.cli.exits import Exit
from gateway.cli.rate import read_rate
from gateway.cli.secret_file import claimed
from gateway.cli.uses import await_word, find_uses, tell_uses

OfPartner = Annotated[
    str | None,
    typer.Option(
        "--partner", "-p", help="For operators: the partner whose it is; none: ours.", show_default=False
    ),
]
OfPartners = Annotated[
    str | None,
    typer.Option(
        "--partner",
        "-p",
        help="For operators: the partner whose they are; -: all partners'; none: ours.",
        show_default=False,
    ),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the credential, crd_...")]
Expires = Annotated[
    str | None,
    typer.Option("--expires", help="RFC 3339, or a span such as 30d or 1y, the most.", show_default=False),
]
Kept = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the new secret there (mode 0600)."),
]

_ALLOWANCE: Final = ("send_types", "events_per_second")
_COLUMNS: Final = (
    "id",
    "kind",
    "role",
    "name",
    "scopes",
    *_ALLOWANCE,
    "state",
    "expires_at",
    "last_used_at",
)
_NAMES: Final = {
    "api_key": "an API key",
    "certificate": "a certificate's credential",
    "public_key": "a public key's credential",
    "oauth_client": "an OAuth client's credential",
    "webhook_secret": "a webhook secret",
}


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
    expires: Expires = None
    scopes: Annotated[
        str | None,
        typer.Option(
            "--scopes", help="Fewer than the role has: send,receive,audit,manage", show_default=False
        ),
    ] = None

    send_types: Annotated[
        str | None,
        typer.Option(
            "--send-types",
            metavar="TYPES",
            help="The event types that it may send: order.placed,order.changed; none: all of the contract.",
            show_default=False,
        ),
    ] = None
    rate: Annotated[
        int | None,
        typer.Option(
            "--rate",
            help="Events a second, of its own beneath the contract's: 50/s.",
            parser=read_rate,
            metavar="RATE",
            show_default=False,
        ),
    ] = None

    def members(self) -> dict[str, Any]:
        """Members of the request's body: only what was said."""
        wanted: dict[str, Any] = {"name": self.name}
        if self.role is not None:
            wanted["role"] = self.role
        if self.expires is not None:
            wanted["expires_at"] = self.expires
        if self.scopes is not None:
            wanted["scopes"] = _words(self.scopes)
        if self.send_types is not None:
            wanted["send_types"] = _words(self.send_types)
        if self.rate is not None:
            wanted["events_per_second"] = self.rate
        return wanted


@dataclass(frozen=True, slots=True)
class Handover:
    """When the old one ends, and the new one."""

    overlap: Annotated[
        str | None,
        typer.Option("--overlap", help="The old one ends so long from now: 24h, 7d.", show_default=False),
    ] = None
    expires: Expires = None


def register(app: typer.Typer) -> None:
    """Add the group credentials."""
    group = typer.Typer(help="Keys and what else callers prove themselves with.", no_args_is_help=True)
    command(group, "list")(list_credentials)
    command(group, "show")(show_credential)
    command(group, "create", writes=True)(create_credential)
    command(group, "rotate", writes=True)(rotate_credential)
    command(group, "revoke", writes=True, asks=True)(revoke_credential)
    app.add_typer(group, name="credentials")


def list_credentials(
    call: Invocation,
    *,
    state: Annotated[
        str | None,
        typer.Option("--state", help="active, expired, revoked; several with commas.", show_default=False),
    ] = None,
    before: Annotated[
        str | None,
        typer.Option(
            "--expires-before", help="RFC 3339, or so long from now, such as 30d.", show_default=False
        ),
    ] = None,
    partner: OfPartners = None,
) -> Exit | None:
    """List credentials, revoked and expired ones too. Of all partners with --partner -.

    Such as: gateway credentials list --partner - --state active --expires-before 30d
    """
    params = {"state": state, "expires_before": before}
    with call.client() as client:
        items = list(client.pages(listed(partner, "credentials"), params))
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
        return None
    is_bounded = {name for name in _ALLOWANCE if any(item.get(name) is not None for item in items)}
    columns = [name for name in _COLUMNS if name in is_bounded or name not in _ALLOWANCE]
    call.output.partners_table(
        columns, items, lambda one: [one.get(name) for name in columns], is_all=partner == ALL
    )
    return None


def show_credential(call: Invocation, credential: Id, *, partner: OfPartner = None) -> Exit | None:
    """Show one credential; never its secret."""
    with call.client() as client:
        document = client.get(under(partner, "credentials", credential)).document()
    if call.output.as_json:
        call.output.document(document)
    else:
        call.output.pairs(document)
    return None


def create_credential(
    call: Invocation,
    *,
    wanted: WantedCredential,
    made: Made,
    partner: OfPartner = None,
    file: Kept = None,
) -> Exit | None:
    """Make a credential. A secret made with it is shown once, or written to a file."""
    members = {**made.members(call.around.source), **wanted.members()}
    with call.client() as client:
        document = _post(call, client, partner, members, file)
    if call.dry_run:
        _show_dry(call, f"Would make {_NAMES[document['kind']]}", document)
        return None
    _tell(call, document, file)
    return None


def rotate_credential(
    call: Invocation,
    credential: Id,
    *,
    made: Made,
    handover: Handover,
    partner: OfPartner = None,
    file: Kept = None,
) -> Exit | None:
    """Make a successor of the same kind, role, scopes, name and allowance; say when the old one ends."""
    path = under(partner, "credentials", credential)
    with call.client() as client:
        old = client.get(path).document()
        partner = _whose(client, old, partner)
        members = {
            **made.members(call.around.source, old["kind"]),
            **{name: old[name] for name in ("role", "name", "scopes")},
            **_allowance(old),
        }
        if members["kind"] != old["kind"]:
            raise UsageError(f"{credential} is of the kind {old['kind']}, and so is its successor")
        if handover.expires is not None:
            members["expires_at"] = handover.expires
        overlap = handover.overlap
        end = None if overlap is None else json.dumps({"expires_at": overlap}).encode()
        if end is not None:
            # Tried first: a successor whose predecessor cannot be ended as asked is not made.
            client.patch(path, end, params={"dry_run": True})
        new = _post(call, client, partner, members, file)
        if end is not None:
            with _told_anyway(call, new, old, file):
                old = client.patch(path, end, params={"dry_run": True} if call.dry_run else None).document()
    if call.output.as_json:
        call.output.document({"new": new, "old": old})
        return None
    if call.dry_run:
        _show_dry(call, f"Would make {_NAMES[new['kind']]}, the successor of {credential}", new)
    else:
        _tell(call, new, file)
    call.output.line(f"\nThe old one, {old['id']}, ends at {old['expires_at']}.")
    if overlap is None:
        call.output.note(
            "Revoke it once last_used_at of the new one moves, and that of the old one does not."
        )
    return None


def revoke_credential(
    call: Invocation,
    credential: Id,
    *,
    partner: OfPartner = None,
    reason: Annotated[str, typer.Option("--reason", help="Kept in the log.", show_default=False)] = "",
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            help="Also list what was done with it since then: RFC 3339, or 24h.",
            show_default=False,
        ),
    ] = None,
    where: stopped.Stopped,
) -> Exit | None:
    """Revoke a credential, for ever; say when it opens nothing any more, and what it was used for.

    After a restore, with --stopped: of what was revoked since the backup the data folder knows nothing.
    """
    if where.stopped:
        if since is not None:
            raise UsageError("--since asks the gateway what was done: it does not go with --stopped")
        stopped.revoke(call, where, credential, partner, reason)
        return None
    path = under(partner, "credentials", credential)
    with call.client() as client:
        found = client.get(path).document()
        if not call.dry_run:
            call.confirm(f"Revoke {found['id']} ({found['role']} {found['name'] or 'without a name'})?")
        params = {"reason": reason or None, **({"dry_run": True} if call.dry_run else {})}
        document = client.delete(path, params).document()
        # Said before its uses are looked for: that may fail, and the key is revoked all the same.
        if call.dry_run and not (call.output.as_json and since is not None):
            is_new = found["revoked_at"] is None
            words = f"Would revoke {found['id']}" if is_new else f"{found['id']} is revoked already"
            _show_dry(call, words, document)
        elif not call.output.as_json:
            call.output.pairs(document)
            call.output.line(f"\nIt opens nothing after {document['effective_by']}, in any process.")
        uses = None
        if since is not None:
            owner = _whose(client, document, partner)
            if not call.dry_run and found["revoked_at"] is None:
                await_word(call, client, document, owner)
            uses = find_uses(call, client, document, owner, since)
    if call.output.as_json and (uses is not None or not call.dry_run):
        call.output.document({**document, **({} if uses is None else uses.members())})
    elif uses is not None and since is not None:
        tell_uses(call, uses, since, reason)
    return None


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _allowance(old: dict[str, Any]) -> dict[str, Any]:
    """What a successor is to be bounded by; nothing where it is not to send. Older gateways tell none."""
    if "send" not in old["scopes"]:
        return {}
    return {name: old[name] for name in _ALLOWANCE if old.get(name) is not None}


def _post(
    call: Invocation, client: Client, partner: str | None, members: dict[str, Any], file: Path | None
) -> dict[str, Any]:
    """Make a credential, its secret in the file where there is one, and then nowhere else."""
    body = json.dumps(members, ensure_ascii=False).encode()
    params = {"dry_run": True} if call.dry_run else None
    with nullcontext() if file is None else claimed(file, "the secret") as keep:
        document = client.post(under(partner, "credentials"), body, params=params).document()
        secret = document.get("secret")
        if keep is not None and secret:
            keep(f"{secret}\n")
            del document["secret"]
    return document


@contextmanager
def _told_anyway(
    call: Invocation, new: dict[str, Any], old: dict[str, Any], file: Path | None
) -> Iterator[None]:
    """Tell of a successor also where its predecessor cannot be ended: its secret is in no other answer."""
    try:
        yield
    except CommandError:
        if not call.dry_run:
            if call.output.as_json:
                call.output.document({"new": new, "old": old})
            else:
                _tell(call, new, file)
            words = "The successor is made; whether the old one ends earlier is not certain"
            call.output.warn(f"{words}: gateway credentials show {old['id']}")
        raise


def _tell(call: Invocation, document: dict[str, Any], file: Path | None) -> None:
    if call.output.as_json:
        call.output.document(document)
        return
    word = "key" if document["kind"] == "api_key" else "secret"
    secret = document.pop("secret", None)
    shown = [name for name in document if name not in {"partner", "last_used_at", "revoked_at"}]
    call.output.pairs(document, *shown)
    if secret is not None:
        call.output.line(f"\nThe {word}, shown this once:\n{secret}")
    elif file is not None and file.exists():
        call.output.note(f"The {word} is in {file}.")


def _show_dry(call: Invocation, words: str, document: dict[str, Any]) -> None:
    """What the gateway says that it would do."""
    if call.output.as_json:
        call.output.document(document)
        return
    whose = f" of {document['partner']}" if document["partner"] else ""
    call.output.line(f"{words}: role {document['role']}{whose}. Nothing was changed.")
    call.output.pairs(document, *_COLUMNS[3:])


def _whose(client: Client, document: dict[str, Any], partner: str | None) -> str | None:
    """The partner under whose name to go on; None: the caller's own.

    An operator finds any credential by its id alone; what belongs to its partner lies under the partner.
    """
    if partner is not None or document["partner"] is None:
        return partner
    is_ours = client.get(path_of("v1", "me")).document()["partner"] is None
    return str(document["partner"]) if is_ours else None
