"""Import a file: send it whole, then watch how its events are taken. The gateway goes on without us."""

import hashlib
import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from gateway.cli.client import ALL, Client, listed, under
from gateway.cli.command import Invocation, OfPartner, OfPartners, command
from gateway.cli.drawing import Bar
from gateway.cli.errors import UsageError
from gateway.cli.exits import BY_CODE, Exit
from gateway.cli.faults import problem_lines
from gateway.cli.jobs import cancel_job, list_jobs, watch
from gateway.cli.plain_text import clean

SHOWN: Final = 20
_READ_BYTES: Final = 256 * 1024
_COLUMNS: Final = (
    "id",
    "state",
    "type",
    "total",
    "accepted",
    "duplicates",
    "refused",
    "created_at",
    "ended_at",
)

_IN_VAIN: Final = frozenset({"failed", "cancelled"})
_ALL: Final = _IN_VAIN | {"done"}

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the import, imp_...")]
Again = Annotated[bool, typer.Option("--again", help="Take the file anew, though an import of it has ended.")]


@dataclass(frozen=True, slots=True)
class _File:
    """What is sent. `digest`: of its bytes as they stand; `type`: of its events."""

    path: Path
    size: int
    digest: str
    type: str | None

    def headers(self, number: int) -> Mapping[str, str]:
        """Of the request. `number`: of the try; an import that ended too early is not found again."""
        names = [one.lower() for one in self.path.suffixes]
        is_packed = names[-1:] == [".gz"]
        media_type = "application/vnd.apache.avro" if ".avro" in names else "application/x-ndjson"
        # Another type, or another kind of file, is another import.
        made = hashlib.sha256(f"{self.type}\n{media_type}\n{self.digest}".encode()).hexdigest()
        return {
            "Content-Type": media_type,
            "Content-Length": str(self.size),
            "Idempotency-Key": f"cli-{made[:40]}-{number}",
            **({"Content-Encoding": "gzip"} if is_packed else {}),
        }

    def bits(self, bar: Bar) -> Iterator[bytes]:
        """Its bytes, as they are read."""
        with self.path.open("rb") as source:
            while data := source.read(_READ_BYTES):
                yield data
                bar.advance(len(data))


def register(app: typer.Typer) -> None:
    """Add import, and the group imports."""
    command(app, "import", writes=True)(import_file)
    group = typer.Typer(help="Imports, and what became of them.", no_args_is_help=True)
    command(group, "list")(list_imports)
    command(group, "show")(show_import)
    command(group, "cancel", writes=True, asks=True)(cancel_import)
    app.add_typer(group, name="imports")


def import_file(
    call: Invocation,
    file: Annotated[str, typer.Argument(metavar="FILE", help=".ndjson, .jsonl or .avro; also .gz of them.")],
    event_type: Annotated[
        str | None,
        typer.Argument(
            metavar="[TYPE]", help="Type of the data; without it a CloudEvent a line.", show_default=False
        ),
    ] = None,
    *,
    partner: OfPartner = None,
    again: Again = False,
) -> Exit | None:
    """Import a file of any size, and wait for its end. The same file again finds the import that it began.

    Such as: gateway import orders.ndjson order.placed
    """
    found = _opened(file, event_type)
    route = under(partner, "imports")
    with call.client() as client:
        document, is_older = _send(call, client, route, found, ended=_ALL if again else _IN_VAIN)
        if is_older and document["state"] == "done":
            began = f"{clean(document['id'])} at {clean(document['created_at'])}"
            call.output.note(f"this file was imported before, by {began}; --again takes it anew")
        else:
            call.output.note(f"import {clean(document['id'])}; it goes on if you leave")
        job = f"{route}/{document['id']}"
        return _tell(call, client, job, watch(call, client, document, route=job, doing="taking"))


def list_imports(call: Invocation, *, partner: OfPartners = None) -> Exit | None:
    """List imports, newest first. Of all partners with --partner -."""
    list_jobs(call, listed(partner, "imports"), _COLUMNS, is_all=partner == ALL)
    return None


def show_import(call: Invocation, import_id: Id, *, partner: OfPartner = None) -> Exit | None:
    """Show one import, and the first events that were refused."""
    route = under(partner, "imports", import_id)
    with call.client() as client:
        return _tell(call, client, route, client.get(route).document())


def cancel_import(call: Invocation, import_id: Id, *, partner: OfPartner = None) -> Exit | None:
    """End an import where it is; what was taken of it stays taken."""
    cancel_job(call, under(partner, "imports", import_id), import_id, _in_words)
    return None


def _send(
    call: Invocation, client: Client, route: str, found: _File, *, ended: Collection[str]
) -> tuple[dict[str, Any], bool]:
    """The import, and whether it was there before. One in a state of `ended` is passed over for a new one."""
    params = {"type": found.type, "dry_run": True if call.dry_run else None}
    number = 1
    while True:
        with call.output.progress("sending", found.size) as bar:

            def bits(bar: Bar = bar) -> Iterable[bytes]:
                return found.bits(bar)

            answer = client.post(route, bits, params=params, headers=found.headers(number))
        document = answer.document()
        is_known = answer.status == 200  # noqa: PLR2004 - a new one is 202
        if not is_known or document["state"] not in ended:
            return document, is_known
        number += 1


def _tell(call: Invocation, client: Client, route: str, document: dict[str, Any]) -> Exit | None:
    """Say how it stands, and what was refused; a script gets all of that, people the first of it."""
    codes: set[str] = set()
    is_all = call.output.as_json
    if is_all:
        call.output.document(document)
    refused = client.pages(f"{route}/results", {"state": "refused"}, most=None if is_all else SHOWN)
    for one in refused if document["refused"] else ():
        codes.add(str(one["problem"]["code"]))
        if is_all:
            call.output.document(one)
            continue
        call.output.warn(f"event {one['index'] + 1}:")
        for line in problem_lines(one["problem"], "  ", path=route):
            call.output.warn(line)
    if not is_all:
        if document["refused"] > SHOWN:
            call.output.warn(f"and {document['refused'] - SHOWN} more: --json tells all")
        call.output.line(f"{clean(document['state'])}  {_in_words(document)}")
    return _exit(call, document, codes)


def _exit(call: Invocation, document: dict[str, Any], codes: set[str]) -> Exit | None:
    error = document["error"]
    if error is not None:
        if not call.output.as_json:
            for line in problem_lines(error):
                call.output.warn(line)
        return BY_CODE.get(str(error["code"]), Exit.FAULT)
    if document["state"] == "cancelled":
        return Exit.CONFLICT
    if not document["refused"]:
        return None
    is_conflict = any(BY_CODE.get(code) == Exit.CONFLICT for code in codes)
    return Exit.CONFLICT if is_conflict else Exit.REFUSED


def _in_words(document: dict[str, Any]) -> str:
    word = "would be accepted" if document["dry_run"] else "accepted"
    return (
        f"{document['accepted']} {word}, {document['duplicates']} sent before, {document['refused']} refused"
    )


def _opened(text: str, event_type: str | None) -> _File:
    path = Path(text.removeprefix("@"))
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):
            # Read for its digest, a pipe would have nothing left to send, or nobody to open it again.
            raise UsageError(
                f"the file {path} cannot be read twice, as it has to be: write it to a disk first"
            )
        with path.open("rb") as source:
            digest = hashlib.file_digest(source, "sha256").hexdigest()
            size = os.fstat(source.fileno()).st_size
    except OSError as error:
        raise UsageError(f"the file {path} cannot be read: {error.strerror}") from error
    return _File(path, size, digest, event_type)
