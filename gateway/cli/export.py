"""Export a range of the log: make the job, watch it, and save its files as one archive that proves itself."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from audit.checkpoint import read_checkpoint
from audit.errors import VerificationError
from audit.manifest import Manifest
from audit.papers import VerifierKey, decode_base64
from gateway.cli.archives import part_of, save_archive
from gateway.cli.client import ALL, Client, listed, under
from gateway.cli.command import Invocation, OfPartner, OfPartners, command
from gateway.cli.errors import AnswerError, UsageError
from gateway.cli.exits import BY_CODE, Exit
from gateway.cli.faults import problem_lines
from gateway.cli.jobs import cancel_job, list_jobs, watch
from gateway.cli.plain_text import clean

_COLUMNS: Final = (
    "id",
    "state",
    "format",
    "content",
    "total",
    "done",
    "erased",
    "bytes",
    "created_at",
    "ended_at",
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the export, exp_...")]
File = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where to.")]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is exported."""

    first: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="EDGE", help="First index, or a time: RFC 3339, or 24h.", show_default=False
        ),
    ] = None
    end: Annotated[
        str | None,
        typer.Option("--to", metavar="EDGE", help="Up to, not with, this index or time.", show_default=False),
    ] = None
    epoch: Annotated[
        int | None,
        typer.Option("--epoch", help="Of indexes; the newest, if not given.", min=0, show_default=False),
    ] = None
    kind: Annotated[str, typer.Option("--format", help="jsonl, avro or parquet.")] = "jsonl"
    content: Annotated[
        bool, typer.Option("--content", help="With the content as received, where it is kept.")
    ] = False

    def body(self) -> dict[str, Any]:
        """The request."""
        given = {
            "from": _edge(self.first),
            "to": _edge(self.end),
            "epoch": self.epoch,
            "format": self.kind,
            "content": self.content or None,
        }
        return {name: value for name, value in given.items() if value is not None}


def register(app: typer.Typer) -> None:
    """Add the group export."""
    group = typer.Typer(help="Ranges of the log, as files that prove themselves.", no_args_is_help=True)
    command(group, "create", writes=True)(create_export)
    command(group, "list")(list_exports)
    command(group, "show")(show_export)
    command(group, "download")(download_export)
    command(group, "cancel", writes=True, asks=True)(cancel_export)
    app.add_typer(group, name="export")


def create_export(
    call: Invocation, wanted: Wanted, *, partner: OfPartner = None, file: File = Path("export.tar")
) -> Exit | None:
    """Export a range of the log, wait for its end, and save it. With --dry-run it only counts.

    Such as: gateway export create --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z --format parquet
    """
    route = under(partner, "exports")
    if not call.dry_run:
        _verify_free(file)
    with call.client() as client:
        params = {"dry_run": True if call.dry_run else None}
        document = client.post(route, json.dumps(wanted.body()).encode(), params=params).document()
        if call.dry_run:
            return _tell(call, document)
        call.output.note(f"export {clean(document['id'])}; it goes on if you leave")
        job = f"{route}/{document['id']}"
        document = watch(call, client, document, route=job, doing="exporting")
        return _save(call, client, job, document, file)


def list_exports(call: Invocation, *, partner: OfPartners = None) -> Exit | None:
    """List exports, newest first. Of all partners with --partner -."""
    list_jobs(call, listed(partner, "exports"), _COLUMNS, is_all=partner == ALL)
    return None


def show_export(call: Invocation, export: Id, *, partner: OfPartner = None) -> Exit | None:
    """Show how far an export is."""
    with call.client() as client:
        return _tell(call, client.get(under(partner, "exports", export)).document())


def download_export(
    call: Invocation, export: Id, *, partner: OfPartner = None, file: File = Path("export.tar")
) -> Exit | None:
    """Save the files of an export, once it is done. Where it broke off it goes on."""
    _verify_free(file)
    route = under(partner, "exports", export)
    with call.client() as client:
        document = watch(call, client, client.get(route).document(), route=route, doing="exporting")
        return _save(call, client, route, document, file)


def cancel_export(call: Invocation, export: Id, *, partner: OfPartner = None) -> Exit | None:
    """End an export that has not ended."""
    cancel_job(call, under(partner, "exports", export), export, _in_words)
    return None


def _save(call: Invocation, client: Client, route: str, document: dict[str, Any], file: Path) -> Exit | None:
    """Fetch the files of an export that has ended well."""
    if document["state"] != "done":
        return _tell(call, document)
    with call.output.progress("saving", document["files"] - 1) as bar:
        saved = save_archive(client, f"{route}/files", file, bar.advance)
    if saved.kept:
        call.output.note(f"{saved.kept} files were there already")
    code = _tell(call, document)
    call.output.note(f"saved in {file}. To prove it, pin the log's key; get it by a way that you trust:")
    pins = "".join(f" --log-key '{key}'" for key in _log_keys(client, saved.manifest))
    call.output.note(f"  gateway verify {file}{pins or ' --log-key KEY'}")
    return code


def _log_keys(client: Client, manifest: Manifest) -> Iterator[VerifierKey]:
    """The published keys that signed the checkpoint of the newest epoch; a log's key is its key in each."""
    discovery = client.get("/.well-known/partner-gateway").document()
    try:
        checkpoint, note = read_checkpoint(manifest.sections[-1].checkpoint.encode())
        signers = {line.key_id for line in note.lines if line.name == checkpoint.origin}
        keys = [decode_base64(str(text), "key") for text in discovery.get("checkpoint_keys", [])]
        yield from (
            key for key in (VerifierKey(checkpoint.origin, raw) for raw in keys) if key.key_id in signers
        )
    except VerificationError as error:
        raise AnswerError(f"the log's key cannot be read: {error}", status=200) from error


def _verify_free(file: Path) -> None:
    if file.exists():
        raise UsageError(f"{file} exists already: name another file with -o")
    if part_of(file).is_dir() or not file.parent.is_dir():
        raise UsageError(f"{file} cannot be written: name another file with -o")


def _tell(call: Invocation, document: dict[str, Any]) -> Exit | None:
    if call.output.as_json:
        call.output.document(document)
    else:
        name = "dry run" if document["id"] is None else document["id"]
        call.output.line(f"{clean(name)}  {clean(document['state'])}  {_in_words(document)}")
        for one in document["ranges"]:
            call.output.line(f"  {clean(one['origin'])}  from {one['from']} to {one['to']}")
    error = document["error"]
    if error is not None:
        if not call.output.as_json:
            for line in problem_lines(error):
                call.output.warn(line)
        return BY_CODE.get(str(error["code"]), Exit.FAULT)
    return Exit.CONFLICT if document["state"] == "cancelled" else None


def _in_words(document: dict[str, Any]) -> str:
    if document["dry_run"]:
        return f"{document['total']} entries would be exported"
    words = f", {document['erased']} of them erased" if document["erased"] else ""
    return f"{document['done']} of {document['total']} entries{words}, {document['bytes']} bytes"


def _edge(text: str | None) -> str | int | None:
    """An index where it is a number."""
    return int(text) if text is not None and text.isascii() and text.isdigit() else text
