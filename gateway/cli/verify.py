"""`gateway verify`: evidence and receipts, offline, without an account. The only command that ends with 9."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from audit.bundle import write_tar
from audit.errors import MalformedError, VerificationError
from audit.judging import AHEAD_SECONDS, verify_papers
from audit.papers import Keys, read_log_key
from audit.policy import Policy, parse_policy
from audit.receipt import parse_jwks
from audit.revoked import read_revoked
from audit.sender import sender_paper
from audit.verify import Verdict, format_failure, format_verdict, printable
from audit.whole import is_of_event
from gateway.cli.command import Invocation, command
from gateway.cli.errors import UsageError
from gateway.cli.exits import Exit
from gateway.cli.verify_export import verify_archives


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
    sender_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--sender-key", metavar="FILE", help="The sender's public key, PEM.", show_default=False
        ),
    ] = None
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy", metavar="FILE", help="Witnesses that you believe, and how many (C2SP tlog-policy)."
        ),
    ] = None
    receiver_key: Annotated[
        list[Path] | None,
        typer.Option(
            "--receiver-key", metavar="FILE", help="The receiver's public key, PEM.", show_default=False
        ),
    ] = None

    def read(self) -> Keys:
        """The keys. Raises UsageError: a file or a key is not one."""
        parties = tuple(read_paper(path) for path in (*(self.sender_key or ()), *(self.receiver_key or ())))
        try:
            receipts = {} if self.keys is None else parse_jwks(read_paper(self.keys))
            return Keys(receipts, tuple(map(read_log_key, self.log_key or ())), parties)
        except MalformedError as error:
            raise UsageError(f"a pinned key is not usable: {error}") from error

    def read_policy(self) -> Policy | None:
        """The policy. Raises UsageError: the file is none."""
        if self.policy is None:
            return None
        try:
            return parse_policy(read_paper(self.policy))
        except MalformedError as error:
            raise UsageError(f"{self.policy}: {error}") from error

    def revoked(self) -> Mapping[str, int]:
        """Receipt keys that somebody else may have, since when; see `audit.revoked`. Raises as `read`."""
        try:
            return {} if self.keys is None else read_revoked(read_paper(self.keys))
        except MalformedError as error:
            raise UsageError(f"a pinned key is not usable: {error}") from error


@dataclass(frozen=True, slots=True)
class Named:
    """Papers that may be named for what they are; each may as well stand among the others."""

    old: Annotated[Path | None, typer.Option("--old", metavar="FILE", help="A checkpoint that you kept.")] = (
        None
    )
    consistency: Annotated[
        Path | None, typer.Option("--consistency", metavar="FILE", help="Proof from it to a newer one.")
    ] = None
    sender: Annotated[
        Path | None,
        typer.Option(
            "--sender", metavar="FILE", help="The sender's signature: `origin` of GET /v1/history/{ref}."
        ),
    ] = None

    def read(self) -> list[bytes]:
        """The papers. Raises UsageError: one without its other, or a file that cannot be read."""
        if (self.old is None) != (self.consistency is None):
            raise UsageError("--old and --consistency go together")
        found = [read_paper(path) for path in (self.old, self.consistency) if path is not None]
        if self.sender is None:
            return found
        try:
            name, paper = sender_paper(read_paper(self.sender))
        except MalformedError as error:
            raise UsageError(f"{self.sender}: {error}") from error
        return [*found, write_tar({name: paper})]


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
    named: Named,
    content: Annotated[
        Path | None, typer.Option("--content", metavar="FILE", help="Your copy of what was sent.")
    ] = None,
) -> Exit | None:
    """Verify evidence, a receipt, a receiver's acknowledgement, a checkpoint, that a log only grew, exports.

    Says what is proved, what is the operator's word only, and what is not proved. Needs no gateway and no
    account; exit code 9 where something does not fit, is signed by a key that you have not pinned, or was
    seen by fewer witnesses than your policy asks for.
    """
    pinned, policy, is_enough = pins.read(), pins.read_policy(), True
    try:
        verdict = verify_archives(call, files or (), pinned)
        if verdict is None:
            verdict, is_enough = _verify_papers(_read_papers(files or (), named), content, pins, policy)
        elif content is not None or policy is not None or named != Named():
            raise UsageError("an export is verified by itself: name no other papers")
    except VerificationError as error:
        _tell_failure(call, error)
        return Exit.NOT_PROVED
    _tell(call, verdict)
    return None if is_enough else Exit.NOT_PROVED


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


def _read_papers(files: Sequence[Path], named: Named) -> list[bytes]:
    """What was handed in. Raises UsageError: nothing was, or it cannot be read."""
    papers = [*map(read_paper, files), *named.read()]
    if not papers:
        raise UsageError("which papers? name a FILE, or --old and --consistency")
    return papers


def _verify_papers(
    papers: Sequence[bytes], content: Path | None, pins: Pins, policy: Policy | None
) -> tuple[Verdict, bool]:
    """What papers prove that are no exports, and whether enough witnesses saw it.

    Raises:
        UsageError: they do not go together.
    """
    copy = None if content is None else read_paper(content)
    if copy is not None and not any(map(is_of_event, papers)):
        raise UsageError("--content goes with a receipt or a bundle: a checkpoint says nothing of one event")
    latest = None
    if policy is not None:
        from gateway.bootstrap import ground  # noqa: PLC0415 - all else is verified without a clock

        latest = ground.clock() // 1_000 + AHEAD_SECONDS
    revoked = pins.revoked()
    return verify_papers(papers, pins.read(), content=copy, revoked=revoked, policy=policy, latest=latest)


def _tell_failure(call: Invocation, error: VerificationError) -> None:
    if call.output.as_json:
        call.output.document({"verified": False, "code": error.code, "detail": printable(str(error))})
        return
    _lines(call, format_failure(error).splitlines())


def _tell(call: Invocation, verdict: Verdict) -> None:
    if call.output.as_json:
        lists = {name: list(map(printable, said)) for name, said in verdict._asdict().items()}
        call.output.document({"verified": True, **lists})
        return
    _lines(call, format_verdict(verdict).splitlines())


def _lines(call: Invocation, lines: Sequence[str]) -> None:
    for line in lines:
        call.output.line(line)
