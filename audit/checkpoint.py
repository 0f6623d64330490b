"""Checkpoints: a log's size and root, as a signed note.

A log must never sign two checkpoints that contradict each other; that is its owner's duty (`audit.log`), not
visible here.

Source: C2SP tlog-checkpoint v1.0.0; docs/formats.md section 6.
"""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.errors import MalformedError, VerificationError
from audit.merkle import HASH_BYTES
from audit.note import (
    Note,
    Signer,
    VerifierKey,
    check_name,
    decode_base64,
    parse_note,
    sign_note,
    verify_note,
)

_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
_SIZE_LIMIT = 1 << 63
_LINES = 3


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """State of a log: its origin, its number of entries, its Merkle root (32 bytes)."""

    origin: str
    size: int
    root: bytes

    def __post_init__(self) -> None:
        """Refuse what could not be written down."""
        check_name(self.origin)
        if not 0 <= self.size < _SIZE_LIMIT or len(self.root) != HASH_BYTES:
            raise MalformedError("checkpoint: size or root out of range")


def parse_number(text: str, what: str) -> int:
    """A decimal below 2^63, without sign, spaces and leading zeros.

    Raises:
        MalformedError: Any other text.
    """
    if _NUMBER.fullmatch(text) is None or int(text) >= _SIZE_LIMIT:
        raise MalformedError(f"{what}: expected a decimal number without sign and leading zeros")
    return int(text)


def split_origin(origin: str) -> tuple[str, int]:
    """The log's name and its epoch, from `<host>/log/<random name>/<epoch>`.

    Raises:
        MalformedError: The origin has no epoch.
    """
    log, slash, epoch = origin.rpartition("/")
    if not slash or not log:
        raise MalformedError(f"origin: {origin!r} is not <host>/log/<name>/<epoch>")
    return log, parse_number(epoch, "origin: epoch")


def format_checkpoint(checkpoint: Checkpoint) -> str:
    """The text that is signed: three lines."""
    root = base64.b64encode(checkpoint.root).decode()
    return f"{checkpoint.origin}\n{checkpoint.size}\n{root}\n"


def parse_checkpoint(text: str) -> Checkpoint:
    """Read the text of a checkpoint note.

    Extension lines are refused: nobody can audit them, and our logs have none.

    Raises:
        MalformedError: Any other text.
    """
    lines = text.split("\n")
    if len(lines) != _LINES + 1 or lines[-1]:
        raise MalformedError("checkpoint: expected three lines: origin, size, root")
    root = decode_base64(lines[2], "checkpoint: root")
    if len(root) != HASH_BYTES:
        raise MalformedError(f"checkpoint: a root of {len(root)} bytes, expected {HASH_BYTES}")
    return Checkpoint(lines[0], parse_number(lines[1], "checkpoint: size"), root)


def read_checkpoint(raw: bytes) -> tuple[Checkpoint, Note]:
    """A checkpoint note taken apart; nothing is verified.

    Raises:
        MalformedError: The bytes are no checkpoint.
    """
    note = parse_note(raw)
    return parse_checkpoint(note.text), note


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer, *others: Signer) -> bytes:
    """The note, signed by all of them in the name of the checkpoint's origin."""
    return sign_note(format_checkpoint(checkpoint), checkpoint.origin, signer, *others)


def verify_checkpoint(raw: bytes, keys: Sequence[VerifierKey]) -> Checkpoint:
    """The checkpoint, once the log itself is known to have signed it.

    Whether this is the right log is for the caller to compare: `origin` is only a claim of whoever holds the
    key.

    Raises:
        MalformedError: The bytes are no checkpoint.
        UnpinnedKeyError: None of `keys` signed it.
        VerificationError: A signature is wrong, or no signer bears the name of the origin.
    """
    checkpoint, note = read_checkpoint(raw)
    verify_log_signature(checkpoint, note, keys)
    return checkpoint


def verify_log_signature(checkpoint: Checkpoint, note: Note, keys: Sequence[VerifierKey]) -> VerifierKey:
    """The key by which the log signed its checkpoint; raises as `verify_checkpoint` does."""
    signers = verify_note(note, keys)
    for key in signers:
        if key.name == checkpoint.origin:
            return key
    names = ", ".join(key.name for key in signers)
    raise VerificationError(f"checkpoint: of {checkpoint.origin}, but signed by {names}")
