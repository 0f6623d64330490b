"""When a checkpoint was still the newest one of its log: one more signature line, with a time.

A checkpoint itself has no time, and says nothing of a log that stands still. The line is a timestamped
cosignature by a key that the gateway has for nothing else: "at this time the newest checkpoint was this one".
Verifiers that do not know the key pass the line over.

Source: C2SP tlog-cosignature v1, C2SP signed-note v1.0.0 (type 0x04); docs/formats.md section 6.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from audit.checkpoint import parse_checkpoint
from audit.cosignature import (
    ED25519,
    CosignerKey,
    cosign,
    parse_cosigner_key,
    verify_cosignature,
)
from audit.errors import MalformedError
from audit.note import Note, Signer


@dataclass(frozen=True, slots=True)
class _Voucher:
    """Whoever holds a freshness key, as cosigners are asked."""

    key: CosignerKey
    signer: Signer

    def sign(self, message: bytes) -> bytes:
        """The raw signature."""
        return self.signer.sign(message)


def freshness_key(name: str, public_key: bytes) -> CosignerKey:
    """A named Ed25519 key that says what was the newest. Raises MalformedError: no note could carry it."""
    return CosignerKey(name, ED25519, public_key)


def parse_freshness_key(text: str) -> CosignerKey:
    """Read `name+hex8+base64`.

    Raises:
        MalformedError: Another shape, an id that does not fit, or a key of another type.
    """
    key = parse_cosigner_key(text)
    if key.algorithm != ED25519:
        raise MalformedError("freshness key: only timestamped Ed25519 cosignatures (type 4) are supported")
    return key


def make_line(text: str, name: str, signer: Signer, seconds: int) -> str:
    """The signature line that says: at `seconds` (Unix), this was the newest checkpoint.

    Args:
        text: The text of the checkpoint, which ends in a line feed.
        name: The key's name.
        signer: Whoever holds the key.
        seconds: When it was known to be the newest.

    Raises:
        MalformedError: It is the text of none.
    """
    return cosign(parse_checkpoint(text), _Voucher(freshness_key(name, signer.public_key), signer), seconds)


def fresh_at(note: Note, keys: Sequence[CosignerKey]) -> int | None:
    """The newest time, Unix seconds, at which one of `keys` says that the checkpoint was the newest.

    None: none of them says anything. Whether the log itself signed it is not looked at.

    Raises:
        VerificationError: A line that names one of the keys is wrong, or it is no checkpoint.
    """
    checkpoint, known = parse_checkpoint(note.text), {(key.name, key.key_id): key for key in keys}
    lines = ((line, known.get((line.name, line.key_id))) for line in note.lines)
    found = [verify_cosignature(line, checkpoint, key) for line, key in lines if key is not None]
    return max(found, default=None)
