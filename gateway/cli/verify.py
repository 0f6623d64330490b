"""`gateway verify`: receipts and proofs, offline, without an account. The only command that ends with 9."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from audit.bundle import Keys
from audit.errors import MalformedError, VerificationError
from audit.note import parse_verifier_key
from audit.receipt import parse_jwks
from audit.sender import verify_sender
from audit.verify import (
    CONTENT_MISPLACED,
    Verdict,
    format_failure,
    format_verdict,
    has_receipt,
    verify_files,
    verify_growth,
)
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit


@dataclass(frozen=True, slots=True)
class Pins:
    """What the verifier trusts."""

    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="Receipt keys that you trust: a JWK set.")
    ] = None
    log_key: Annotated[
        list[str] | None,
        typer.Option(
            "--log-key", metavar="KEY", help="Log key that you trust: name+id+base64.", show_default=False
        ),
    ] = None

    def read(self) -> Keys:
        """The keys. Raises UsageError: a file or a key is not one."""
        try:
            receipts = {} if self.keys is None else parse_jwks(read_paper(self.keys))
            return Keys(receipts, tuple(parse_verifier_key(text) for text in self.log_key or ()))
        except MalformedError as error:
            raise UsageError(f"a pinned key is not usable: {error}") from error


@dataclass(frozen=True, slots=True)
class Growth:
    """Papers that show that a log only grew."""

    old: Annotated[Path | None, typer.Option("--old", metavar="FILE", help="A checkpoint that you kept.")] = (
        None
    )
    consistency: Annotated[
        Path | None, typer.Option("--consistency", metavar="FILE", help="Proof from it to a newer one.")
    ] = None


@dataclass(frozen=True, slots=True)
class Sender:
    """The sender's own signature, and the key that it should be by."""

    sender: Annotated[
        Path | None,
        typer.Option(
            "--sender", metavar="FILE", help="The sender's signature: `origin` of GET /v1/history/{ref}."
        ),
    ] = None
    sender_key: Annotated[
        Path | None, typer.Option("--sender-key", metavar="FILE", help="The sender's public key, PEM.")
    ] = None

    def read(self) -> tuple[bytes, bytes] | None:
        """Both papers, or None. Raises UsageError: one without the other, or a file cannot be read."""
        if (self.sender is None) != (self.sender_key is None):
            raise UsageError("--sender and --sender-key go together")
        if self.sender is None or self.sender_key is None:
            return None
        return read_paper(self.sender), read_paper(self.sender_key)


def register(app: typer.Typer) -> None:
    """Add verify."""
    command(app, "verify", is_local=True)(verify)


def verify(
    call: Invocation,
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FILE...", help="Papers that belong together.", show_default=False),
    ] = None,
    *,
    pins: Pins,
    growth: Growth,
    signer: Sender,
    content: Annotated[
        Path | None, typer.Option("--content", metavar="FILE", help="Your copy of what was sent.")
    ] = None,
) -> Exit | None:
    """Verify a bundle, a receipt with or without its proof, a checkpoint, or that a log only grew.

    Needs no gateway and no account; exit code 9 where something is not proved.
    """
    if (growth.old is None) != (growth.consistency is None):
        raise UsageError("--old and --consistency go together")
    if not files and growth.old is None:
        raise UsageError("which papers? name a FILE, or --old and --consistency")
    pinned = pins.read()
    papers = [read_paper(path) for path in files or ()]
    if content is not None and not has_receipt(papers):
        raise UsageError(CONTENT_MISPLACED)
    signed = signer.read()
    if signed is not None and not has_receipt(papers):
        raise UsageError("--sender goes with a receipt or a bundle")
    copy = None if content is None else read_paper(content)
    old, grown = (None if path is None else read_paper(path) for path in (growth.old, growth.consistency))
    try:
        verdicts = [verify_files(papers, pinned, content=copy)] if papers else []
        if signed is not None and verdicts and verdicts[0].evidence is not None:
            verdicts.append(verify_sender(*signed, verdicts[0].evidence, content=copy))
        if old is not None and grown is not None:
            verdicts.append(verify_growth(old, grown, pinned))
    except VerificationError as error:
        _tell_failure(call, error)
        return Exit.NOT_PROVED
    _tell(call, verdicts)
    return None


def read_paper(path: Path) -> bytes:
    """A file that somebody handed in. Raises UsageError: it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error


def write_paper(path: Path, raw: bytes) -> None:
    """Save a paper that somebody asked for. Raises UsageError: the file cannot be written."""
    try:
        path.write_bytes(raw)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def _tell_failure(call: Invocation, error: VerificationError) -> None:
    if call.output.as_json:
        call.output.document({"outcome": "not proved", "code": error.code, "detail": str(error)})
        return
    for line in format_failure(error).splitlines():
        call.output.line(line)


def _tell(call: Invocation, verdicts: Sequence[Verdict]) -> None:
    if call.output.as_json:
        found: list[dict[str, Any]] = [
            {"outcome": one.outcome.value, "proved": list(one.proved), "not_proved": list(one.not_proved)}
            for one in verdicts
        ]
        call.output.document(found[0] if len(found) == 1 else {"items": found})
        return
    for verdict in verdicts:
        for line in format_verdict(verdict).splitlines():
            call.output.line(line)
