"""`python -m audit verify`: check receipts and proofs offline, without an account and without the gateway."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from audit.bundle import Keys
from audit.errors import MalformedError, VerificationError
from audit.note import VerifierKey, parse_verifier_key
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

PROVED, USAGE, NOT_PROVED = 0, 2, 9


def main(arguments: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run the command: 0 proved, 9 not proved, 2 wrong usage (argparse exits by itself then)."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if bool(options.old) != bool(options.consistency):
        parser.error("--old and --consistency go together")
    if bool(options.sender) != bool(options.sender_key) or (options.sender and not options.files):
        parser.error("--sender and --sender-key go together, and with a receipt")
    if not options.files and not options.old:
        parser.error("give a FILE, or --old and --consistency")
    try:
        pinned = _pinned(options.keys, options.log_key)
        papers = {name: name.read_bytes() for name in _paths(options)}
    except OSError as error:
        err.write(f"cannot read {error.filename}: {error.strerror}\n")
        return USAGE
    except MalformedError as error:
        err.write(f"a pinned key is not usable: {error}\n")
        return USAGE
    is_of_one_event = has_receipt([papers[path] for path in options.files])
    if options.content is not None and not is_of_one_event:
        err.write(f"{CONTENT_MISPLACED}\n")
        return USAGE
    if options.sender is not None and not is_of_one_event:
        err.write("--sender goes with a receipt or a bundle\n")
        return USAGE
    try:
        out.writelines(format_verdict(verdict) for verdict in _verdicts(options, papers, pinned))
    except VerificationError as error:
        out.write(format_failure(error))
        return NOT_PROVED
    return PROVED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m audit", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    verify = commands.add_parser(
        "verify",
        help="verify a bundle, a receipt, a receipt and its proof, a checkpoint, or that a log only grew",
        allow_abbrev=False,
    )
    verify.add_argument("files", nargs="*", type=Path, metavar="FILE", help="what is to be verified")
    verify.add_argument(
        "--keys", type=Path, metavar="FILE", help="keys of receipts that you trust, a JWK set"
    )
    verify.add_argument(
        "--log-key",
        action="append",
        default=[],
        metavar="KEY",
        help="key of a log that you trust: name+id+base64",
    )
    verify.add_argument("--content", type=Path, metavar="FILE", help="your copy of the content")
    verify.add_argument(
        "--sender",
        type=Path,
        metavar="FILE",
        help="the sender's signature: `origin` of GET /v1/history/{ref}",
    )
    verify.add_argument("--sender-key", type=Path, metavar="FILE", help="the sender's public key, PEM")
    verify.add_argument("--old", type=Path, metavar="FILE", help="a checkpoint that you kept")
    verify.add_argument(
        "--consistency", type=Path, metavar="FILE", help="proof from it to a newer checkpoint"
    )
    return parser


def _pinned(keys: Path | None, log_keys: Sequence[str]) -> Keys:
    logs: list[VerifierKey] = [parse_verifier_key(text) for text in log_keys]
    return Keys(parse_jwks(keys.read_bytes()) if keys is not None else {}, tuple(logs))


def _paths(options: argparse.Namespace) -> list[Path]:
    named = (options.content, options.old, options.consistency, options.sender, options.sender_key)
    return [*options.files, *(path for path in named if path is not None)]


def _verdicts(options: argparse.Namespace, papers: dict[Path, bytes], pinned: Keys) -> list[Verdict]:
    verdicts: list[Verdict] = []
    if options.files:
        content = papers[options.content] if options.content is not None else None
        verdicts.append(verify_files([papers[path] for path in options.files], pinned, content=content))
        evidence = verdicts[0].evidence
        if options.sender is not None and evidence is not None:
            sender, key = papers[options.sender], papers[options.sender_key]
            verdicts.append(verify_sender(sender, key, evidence, content=content))
    if options.old is not None:
        verdicts.append(verify_growth(papers[options.old], papers[options.consistency], pinned))
    return verdicts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
