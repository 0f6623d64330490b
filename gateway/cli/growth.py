"""The proof that a log only grew: fetched here, verified offline by `gateway verify`."""

from pathlib import Path
from typing import Annotated

import typer

from audit.checkpoint import Checkpoint, read_checkpoint, split_origin
from audit.errors import AuditError
from audit.proof import parse_consistency
from gateway.cli.client import under
from gateway.cli.command import Invocation, OfPartner
from gateway.cli.errors import AnswerError, UsageError
from gateway.cli.exits import Exit
from gateway.cli.verify import read_paper, write_paper


def save_consistency(
    call: Invocation,
    *,
    old: Annotated[
        str,
        typer.Option(
            "--old", metavar="FILE|SIZE", help="A checkpoint that you kept, or how many entries it has."
        ),
    ],
    epoch: Annotated[
        int | None,
        typer.Option(
            "--epoch",
            min=0,
            metavar="N",
            help="With a size: the epoch that it is of; else the newest.",
            show_default=False,
        ),
    ] = None,
    partner: OfPartner = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to; else to stdout.")
    ] = None,
) -> Exit | None:
    """Save the proof that the log only grew since a checkpoint, for `gateway verify --consistency`.

    Of a checkpoint in a file it is the proof of the epoch that the checkpoint is of, also once that is over.
    """
    kept, size, of = None, old, epoch
    if not (old.isascii() and old.isdigit()):
        if epoch is not None:
            raise UsageError(f"{old} says itself of which epoch it is: leave out --epoch")
        kept, of = _kept_checkpoint(Path(old))
        size = str(kept.size)
    with call.client() as client:
        path, asked = under(partner, "log", "consistency"), {"old": size, "epoch": of}
        raw = client.get(path, asked, accept="text/plain").content
    if kept is not None and (origin := _origin_of(raw)) != kept.origin:
        raise UsageError(f"{old} is a checkpoint of {kept.origin}, the proof is of {origin}")
    if file is None:
        call.output.out.write(raw.decode())
    else:
        write_paper(file, raw)
    named = "CHECKPOINT" if kept is None else old
    call.output.note(f"  gateway verify --old {named} --consistency {file or 'FILE'} --log-key KEY")
    return None


def _kept_checkpoint(path: Path) -> tuple[Checkpoint, int]:
    """A checkpoint from a file, and its epoch. Raises UsageError: it is none of a log."""
    try:
        kept = read_checkpoint(read_paper(path))[0]
        return kept, split_origin(kept.origin)[1]
    except AuditError as error:
        raise UsageError(f"{path} is no checkpoint: {error}") from error


def _origin_of(raw: bytes) -> str:
    try:
        return read_checkpoint(parse_consistency(raw).checkpoint)[0].origin
    except AuditError as error:
        raise AnswerError(f"the proof cannot be read: {error}", status=200) from error
