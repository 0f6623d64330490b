"""The bundle of evidence of one event: fetched here, verified offline by `gateway verify`."""

from pathlib import Path
from typing import Annotated, Final

import typer

from audit.bundled import read_tar
from audit.errors import AuditError
from gateway.cli.client import under
from gateway.cli.command import Invocation, OfPartner
from gateway.cli.errors import AnswerError, UsageError
from gateway.cli.exits import Exit
from gateway.cli.found import Ref, find_event
from gateway.cli.verify import write_paper

_WAIT_SECONDS: Final = 20


def save_evidence(
    call: Invocation,
    ref: Ref,
    *,
    partner: OfPartner = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else REF.tar.")
    ] = None,
) -> Exit | None:
    """Save all that proves what happened to an event, in one file, which `gateway verify` takes.

    Receipt, entries of the log with their proofs, acknowledgements, contract, schema; not the content.
    """
    with call.client() as client:
        owner, _ = find_event(client, ref, partner)
        path = under(owner, "history", ref, "evidence")
        raw = client.get(path, {"wait": _WAIT_SECONDS}, accept="application/x-tar").content
    try:
        files = read_tar(raw)
    except AuditError as error:
        raise AnswerError(f"the bundle cannot be read: {error}", status=200) from error
    if file is None and not ref.startswith("evt_"):
        raise UsageError("name a file: -o FILE")
    target = Path(f"{ref}.tar") if file is None else file
    write_paper(target, raw)
    _tell(call, target, files)
    return None


def _tell(call: Invocation, target: Path, files: dict[str, bytes]) -> None:
    say = call.output.note
    entries = sum(name.startswith("entries/") and name.endswith(".tlog-proof") for name in files)
    say(f"{len(files)} papers in {target}: {entries} entries of the log")
    say("To prove it to others, pin the keys; get them by a way that you trust, not only from this file:")
    keys = files.get("keys/log.vkey", b"").decode("utf-8", "replace").split()
    for key in keys:
        say(f"  log key  {key}")
    pins = "".join(f" --log-key '{key}'" for key in keys)
    say(f"  gateway verify {target} --keys KEYS.json{pins}")
