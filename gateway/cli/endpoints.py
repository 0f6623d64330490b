"""Endpoints: where a partner's events are sent, from the first test to a new secret."""

import json
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Client
from gateway.cli.command import Invocation, command
from gateway.cli.endpoint_texts import Terms
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.secret_file import claimed
from gateway.cli.whose import Whose

Id = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id, ep_..., or its name.")]
Url = Annotated[str, typer.Argument(metavar="URL", help="Where its events are sent.")]
Kept = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write the new secret there (mode 0600)."),
]

_COLUMNS: Final = ("id", "name", "url", "events", "format", "state", "failing_since", "declared")
_ID_PREFIX: Final = "ep_"


@dataclass(frozen=True, slots=True)
class Choice:
    """What becomes of what waits."""

    backlog: Annotated[
        str,
        typer.Option(
            "--backlog",
            help="deliver: send what waits. skip: give it up. A time or span (2h): give up what is older.",
            show_default=False,
        ),
    ]


def register(app: typer.Typer) -> None:
    """Add the group endpoints."""
    group = typer.Typer(help="Where a partner's events are sent.", no_args_is_help=True)
    command(group, "list")(list_endpoints)
    command(group, "show")(show_endpoint)
    command(group, "create", writes=True)(create_endpoint)
    command(group, "update", writes=True)(update_endpoint)
    command(group, "delete", writes=True, asks=True)(delete_endpoint)
    command(group, "verify", writes=True)(verify_endpoint)
    command(group, "test", writes=True)(try_endpoint)
    command(group, "pause", writes=True)(pause_endpoint)
    command(group, "resume", writes=True, asks=True)(resume_endpoint)
    command(group, "rotate-secret", writes=True)(rotate_secret)
    app.add_typer(group, name="endpoints")


def list_endpoints(
    call: Invocation,
    *,
    state: Annotated[
        str | None,
        typer.Option(
            "--state", help="unverified, active, paused, disabled; several with commas.", show_default=False
        ),
    ] = None,
    failing: Annotated[
        bool, typer.Option("--failing", help="Only those to which no attempt succeeds.")
    ] = False,
    whose: Whose,
) -> Exit | None:
    """List endpoints, those of the contract file too. Of all partners with --partner -.

    Such as: gateway endpoints list --partner - --failing
    """
    params = {"state": state, "failing": True if failing else None}
    with call.client() as client:
        items = list(client.pages(whose.listed("endpoints"), params))
    if call.output.as_json:
        call.output.document({"items": items, "next": None})
        return None
    call.output.partners_table(
        _COLUMNS, items, lambda one: [one.get(name) for name in _COLUMNS], is_all=whose.is_all
    )
    return None


def show_endpoint(call: Invocation, endpoint: Id, *, whose: Whose) -> Exit | None:
    """Show an endpoint, its secrets without their values, and how it is doing."""
    with call.client() as client:
        path = _path(client, whose, endpoint)
        document = client.get(path).document()
        secrets = list(client.pages(f"{path}/secrets"))
    if call.output.as_json:
        call.output.document({**document, "secrets": secrets})
        return None
    health = document.pop("health")
    call.output.pairs(_flat(document))
    call.output.line()
    call.output.pairs(_flat(health))
    call.output.line()
    columns = ("id", "state", "created_at", "until")
    call.output.table(columns, ([one.get(name) for name in columns] for one in secrets))
    return None


def create_endpoint(
    call: Invocation, target: Url, *, terms: Terms, whose: Whose, file: Kept = None
) -> Exit | None:
    """Make an endpoint. Its secret is shown once, or written to a file."""
    members = {"url": target, **terms.members()}
    with call.client() as client:
        document = _make(call, client, whose.under("endpoints"), members, file)
    _tell_made(call, document, file)
    if not call.dry_run and not call.output.as_json and document["state"] == "unverified":
        call.output.note(
            f"It gets nothing until its owner is proved: gateway endpoints verify {document['id']}"
        )
    return None


def update_endpoint(
    call: Invocation,
    endpoint: Id,
    *,
    terms: Terms,
    target: Annotated[str | None, typer.Option("--to", help="Another URL.", show_default=False)] = None,
    whose: Whose,
) -> Exit | None:
    """Change some of what is asked of an endpoint; what is not named stays."""
    members = {**terms.members(), **({} if target is None else {"url": target})}
    if not members:
        raise UsageError("say what changes: --events, --filter, --format, --header, --rate, ...")
    with call.client() as client:
        path = _path(client, whose, endpoint)
        document = client.patch(path, _body(members), params=_params(call)).document()
    _show(call, document, "Would be" if call.dry_run else "")
    return None


def delete_endpoint(call: Invocation, endpoint: Id, *, whose: Whose) -> Exit | None:
    """Remove an endpoint, for ever; what waits for it is never sent."""
    with call.client() as client:
        path = _path(client, whose, endpoint)
        found = client.get(path).document()
        if not call.dry_run:
            waits = found["health"]["waiting"]
            call.confirm(f"Remove {found['name']}, and what waits for it ({waits})?")
        document = client.delete(path, {"dry_run": True} if call.dry_run else {}).document()
    _show(call, document, "Would be removed" if call.dry_run else "Removed")
    return None


def verify_endpoint(
    call: Invocation,
    endpoint: Id,
    *,
    challenge: Annotated[
        str | None, typer.Option("--challenge", help="As the receiver got it.", show_default=False)
    ] = None,
    whose: Whose,
) -> Exit | None:
    """Prove whose an endpoint is: ask it to send a challenge back, or bring what it got."""
    if whose.house:
        raise UsageError("an endpoint of the house is active at once: there is nothing to prove")
    members = {} if challenge is None else {"challenge": challenge}
    with call.client() as client:
        path = _path(client, whose, endpoint)
        document = client.post(f"{path}/verify", _body(members), params=_params(call)).document()
    _show(call, document, "")
    return None


def try_endpoint(
    call: Invocation,
    endpoint: Id,
    *,
    event_type: Annotated[
        str | None, typer.Option("--type", help="The event type to send a sample of.", show_default=False)
    ] = None,
    whose: Whose,
) -> Exit | None:
    """Send a sample, signed as any webhook, and show the answer."""
    members = {} if event_type is None else {"type": event_type}
    with call.client() as client:
        path = _path(client, whose, endpoint)
        document = client.post(f"{path}/test", _body(members), params=_params(call)).document()
    if call.output.as_json:
        call.output.document(document)
    else:
        call.output.pairs(document)
    is_taken = call.dry_run or document["failure"] is None
    return None if is_taken else Exit.REFUSED


def pause_endpoint(call: Invocation, endpoint: Id, *, whose: Whose) -> Exit | None:
    """Send nothing until it is resumed; what comes meanwhile waits."""
    return _move(call, endpoint, whose, "pause", {})


def resume_endpoint(call: Invocation, endpoint: Id, *, choice: Choice, whose: Whose) -> Exit | None:
    """Go on with an endpoint that was paused or disabled, and say what becomes of what waits."""
    word = choice.backlog
    backlog: object = word if word in {"deliver", "skip"} else {"since": word}
    return _move(call, endpoint, whose, "resume", {"backlog": backlog})


def rotate_secret(
    call: Invocation,
    endpoint: Id,
    *,
    overlap: Annotated[
        str, typer.Option("--overlap", help="The old ones sign for so long, 7d at most.")
    ] = "24h",
    whose: Whose,
    file: Kept = None,
) -> Exit | None:
    """Give an endpoint another secret; both sign during the overlap."""
    with call.client() as client:
        path = _path(client, whose, endpoint)
        document = _make(call, client, f"{path}/secrets", {"overlap": overlap}, file)
    _tell_made(call, document, file)
    return None


def _move(
    call: Invocation, endpoint: str, whose: Whose, action: str, members: Mapping[str, object]
) -> Exit | None:
    with call.client() as client:
        path = f"{_path(client, whose, endpoint)}/{action}"
        if action == "resume" and members["backlog"] != "deliver" and not call.dry_run:
            would = client.post(path, _body(members), params={"dry_run": True}).document()
            call.confirm(f"Give up at most {would['skipped']} of {would['waiting']} that wait?")
        document = client.post(path, _body(members), params=_params(call)).document()
    if call.output.as_json:
        call.output.document(document)
        return None
    verb = "would be" if call.dry_run else "is"
    call.output.line(f"{document['name']} was {document['before']}, and {verb} {document['state']}.")
    call.output.line(
        f"{document['waiting']} wait for it, of which at most {document['skipped']} are given up."
    )
    return None


def endpoint_id(client: Client, whose: Whose, endpoint: str) -> str:
    """The id of an endpoint that is named by its id or its name.

    Raises:
        UsageError: there is none of this name, or one of all partners is named.
    """
    if endpoint.startswith(_ID_PREFIX):
        return endpoint
    if whose.is_all:
        raise UsageError("of all partners an endpoint is named by its id, ep_...: names are a partner's own")
    for one in client.pages(whose.under("endpoints")):
        if one["name"] == endpoint:
            return str(one["id"])
    raise UsageError(f"there is no endpoint called '{endpoint}': gateway endpoints list")


def _path(client: Client, whose: Whose, endpoint: str) -> str:
    return whose.under("endpoints", endpoint_id(client, whose, endpoint))


def _make(
    call: Invocation, client: Client, path: str, members: Mapping[str, object], file: Path | None
) -> dict[str, Any]:
    """Ask for something with a secret; the secret goes into the file where there is one, and then nowhere."""
    with nullcontext() if file is None else claimed(file, "the secret") as keep:
        document = client.post(path, _body(members), params=_params(call)).document()
        secret = document.get("secret")
        if keep is not None and secret:
            keep(f"{secret}\n")
            del document["secret"]
    return document


def _tell_made(call: Invocation, document: dict[str, Any], file: Path | None) -> None:
    if call.output.as_json:
        call.output.document(document)
        return
    secret = document.pop("secret", None)
    call.output.pairs(_flat(document))
    if secret is not None:
        call.output.line(f"\nIts secret, shown this once:\n{secret}")
    elif file is not None and file.exists():
        call.output.note(f"Its secret is in {file}.")


def _show(call: Invocation, document: dict[str, Any], words: str) -> None:
    if call.output.as_json:
        call.output.document(document)
        return
    if words:
        call.output.line(f"{words}:")
    call.output.pairs(_flat(document))


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    """Lists and objects as one line each."""
    return {
        name: json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        for name, value in document.items()
    }


def _body(members: Mapping[str, object]) -> bytes:
    return json.dumps(members, ensure_ascii=False).encode()


def _params(call: Invocation) -> dict[str, bool] | None:
    return {"dry_run": True} if call.dry_run else None
