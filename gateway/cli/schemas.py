"""Schemas before they are used: would a changed one be let in; and those of another registry."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import Client, path_of, under
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.registry_import import Plan, plan_import, write_import
from gateway.cli.registry_source import Source
from schemas.difference import MEND

_MESSAGE: Final = re.compile(
    r"\{errorType:'(?P<kind>[A-Z_]+)', description:'(?P<text>.*)', additionalInfo:'(?P<about>.*)'\}",
    re.DOTALL,
)
_POINTER: Final = re.compile(r" at path '(/[^']*)'")


def register(app: typer.Typer) -> None:
    """Add the group schemas."""
    group = typer.Typer(help="Schemas before they are used.", no_args_is_help=True)
    command(group, "check")(check)
    command(group, "import", writes=True)(import_schemas)
    app.add_typer(group, name="schemas")


def check(
    call: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The changed schema (.avsc).")],
    *,
    against: Annotated[
        str,
        typer.Option("--against", metavar="[PARTNER/]TYPE", help="The type whose schema it is to become."),
    ],
    direction: Annotated[
        str | None,
        typer.Option("--direction", help="inbound or outbound, if the type has both.", show_default=False),
    ] = None,
) -> Exit | None:
    """Say whether a changed schema would be let in; exit code 6 where it would not. Changes nothing."""
    text = _read(file)
    partner, _, event_type = against.rpartition("/")
    if not event_type:
        raise UsageError("--against takes PARTNER/TYPE, or TYPE with a partner's own key")
    broken = False
    with call.client() as client:
        shown = client.get(under(partner or None, "types", event_type)).document()
        lines = [one for one in shown["directions"] if direction in {None, one["direction"]}]
        if not lines:
            raise UsageError(f"{event_type} is not {direction}: leave --direction out to see what it is")
        verdicts = [_verdict(client, one, text) for one in lines]
    if call.output.as_json:
        call.output.document({"items": verdicts})
    for verdict in verdicts:
        broken = broken or not verdict["is_compatible"]
        if not call.output.as_json:
            for line in _words(event_type, verdict):
                call.output.line(line)
    return Exit.REFUSED if broken else None


def import_schemas(
    call: Invocation,
    source: Annotated[str, typer.Argument(metavar="URL", help="Base address of the other registry.")],
    *,
    prefix: Annotated[str, typer.Option("--prefix", help="Only subjects that begin so.")] = "",
    deleted: Annotated[
        bool, typer.Option("--deleted", help="Softly deleted versions too: they are deleted here as well.")
    ] = False,
    credentials: Annotated[
        Path | None,
        typer.Option(
            "--credentials", metavar="FILE", help="File that holds NAME:SECRET for the other registry."
        ),
    ] = None,
) -> Exit | None:
    """Bring the schemas of another registry here; ids, versions and GUIDs stay. Repeating adds nothing."""
    with Source(source, _user(credentials), call.around.transport) as other:
        found = list(other.versions(prefix, deleted=deleted))
    with call.client() as client:
        plan = plan_import(client, found)
        if plan.clashes:
            for clash in plan.clashes:
                call.output.warn(clash)
            call.output.warn(f"{_count(len(plan.clashes), 'clash', 'clashes')}. Nothing was imported.")
            return Exit.CONFLICT
        if not call.dry_run:
            with call.output.progress("import", len(plan.wanted)) as bar:
                write_import(client, plan, lambda _: bar.advance(1))
    _tell(call, plan)
    return None


def _verdict(client: Client, line: dict[str, Any], text: str) -> dict[str, Any]:
    """What the registry says of a schema for one direction of a type."""
    path = path_of("registry", "compatibility", "subjects", line["subject"], "versions")
    found = client.post(path, json.dumps({"schema": text}).encode(), params={"verbose": True}).document()
    return {
        "direction": line["direction"],
        "subject": line["subject"],
        "compatibility": line["compatibility"],
        "is_compatible": bool(found["is_compatible"]),
        "differences": list(_differences(found.get("messages") or ())),
    }


def _differences(messages: Any) -> Iterator[dict[str, str]]:
    """Each difference with its place, and how to mend it."""
    for message in messages:
        shown = _MESSAGE.fullmatch(str(message))
        if shown is not None:
            pointer = _POINTER.search(shown["text"])
            mend = next((words for kind, words in MEND.items() if kind == shown["kind"]), "")
            yield {
                "pointer": pointer[1] if pointer else "/",
                "kind": shown["kind"],
                "detail": _POINTER.sub("", shown["text"]),
                "about": shown["about"],
                "mend": mend,
            }
        elif not str(message).startswith("{"):
            yield {"pointer": "/", "kind": "", "detail": str(message), "about": "", "mend": ""}


def _words(event_type: str, verdict: dict[str, Any]) -> Iterator[str]:
    state = "ok" if verdict["is_compatible"] else "broken"
    yield f"{verdict['direction']} {event_type}  {verdict['compatibility']} {state}"
    for one in verdict["differences"]:
        yield f"  {one['pointer']}: {one['detail']}" + (f" ({one['about']})" if one["about"] else "")
        if one["mend"]:
            yield f"    {one['mend']}"


def _tell(call: Invocation, plan: Plan) -> None:
    if call.output.as_json:
        listed = [{"subject": one.subject, "version": one.number, "id": one.id} for one in plan.wanted]
        call.output.document({"imported": listed, "there": len(plan.there), "dry_run": call.dry_run})
        return
    done = "would be imported" if call.dry_run else "imported"
    versions = _count(len(plan.wanted), "version", "versions")
    subjects = _count(len(plan.subjects), "subject", "subjects")
    there = f"; {len(plan.there)} there already" if plan.there else ""
    call.output.line(f"{versions} of {subjects} {done}{there}.")


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"the file {file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the file {file} is no UTF-8 text") from error


def _user(file: Path | None) -> str:
    if file is None:
        return ""
    user = _read(file).strip()
    if ":" not in user or "\n" in user:
        raise UsageError(f"{file} must hold one line: NAME:SECRET")
    return user


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"
