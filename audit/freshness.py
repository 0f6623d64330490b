"""When a checkpoint was still the newest one of its log: one more signature line, with a time.

A checkpoint itself has no time, and says nothing of a log that stands still. The line is a timestamped
cosignature by a key that the gateway has for nothing else: "at this time the newest checkpoint was this one".
Verifiers that do not know the key pass the line over.

Source: C2SP tlog-cosignature v1, C2SP signed-note v1.0.0 (type 0x04); docs/formats.md section 6.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from audit.errors import MalformedError, VerificationError
from audit.note import KEY_BYTES, Note, Signer, check_name, decode_base64, verify_signature

COSIGNATURE = 4
"""The type byte of a timestamped Ed25519 cosignature."""

_TIME_BYTES = 8
_SIGNATURE_BYTES = 64
_ID_BYTES = 4
_PARTS = 3


@dataclass(frozen=True, slots=True)
class FreshnessKey:
    """A named Ed25519 key that makes timestamped cosignatures."""

    name: str
    public_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a name or a key that no note could carry."""
        check_name(self.name)
        if len(self.public_key) != KEY_BYTES:
            raise MalformedError(f"freshness key: {len(self.public_key)} bytes, expected {KEY_BYTES}")

    @property
    def key_id(self) -> bytes:
        """The four bytes that signature lines name this key by."""
        whole = self.name.encode() + b"\n" + bytes([COSIGNATURE]) + self.public_key
        return hashlib.sha256(whole).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        """`name+hex8+base64`, as tools of the transparency-log world write it."""
        key = base64.b64encode(bytes([COSIGNATURE]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


def parse_freshness_key(text: str) -> FreshnessKey:
    """Read `name+hex8+base64`.

    Raises:
        MalformedError: Another shape, an id that does not fit, or a key of another type.
    """
    parts = text.split("+", 2)
    if len(parts) != _PARTS:
        raise MalformedError("freshness key: expected name+id+base64")
    name, key_id, encoded = parts
    raw = decode_base64(encoded, "freshness key")
    if len(raw) != 1 + KEY_BYTES or raw[0] != COSIGNATURE:
        raise MalformedError("freshness key: only timestamped Ed25519 cosignatures (type 4) are supported")
    key = FreshnessKey(name, raw[1:])
    if key.key_id.hex() != key_id:
        raise MalformedError(f"freshness key: its id is {key.key_id.hex()}, the text says otherwise")
    return key


def make_line(text: str, name: str, signer: Signer, seconds: int) -> str:
    """The signature line that says: at `seconds` (Unix), this was the newest checkpoint.

    Args:
        text: The text of the checkpoint, which ends in a line feed.
        name: The key's name.
        signer: Whoever holds the key.
        seconds: When it was known to be the newest.
    """
    key = FreshnessKey(name, signer.public_key)
    blob = key.key_id + seconds.to_bytes(_TIME_BYTES) + signer.sign(_signed(text, seconds))
    return f"\u2014 {name} {base64.b64encode(blob).decode()}\n"


def fresh_at(note: Note, keys: Sequence[FreshnessKey]) -> int | None:
    """The newest time, Unix seconds, at which one of `keys` says that the note was the newest.

    None: none of them says anything. Whether the log itself signed the note is not looked at.

    Raises:
        VerificationError: A line that names one of the keys is wrong.
    """
    known = {(key.name, key.key_id): key for key in keys}
    found: list[int] = []
    for line in note.lines:
        key = known.get((line.name, line.key_id))
        if key is None:
            continue
        if len(line.signature) != _TIME_BYTES + _SIGNATURE_BYTES:
            raise MalformedError(f"freshness: a cosignature of {len(line.signature)} bytes, expected 72")
        seconds = int.from_bytes(line.signature[:_TIME_BYTES])
        try:
            verify_signature(key.public_key, line.signature[_TIME_BYTES:], _signed(note.text, seconds))
        except VerificationError as error:
            raise VerificationError(f"freshness: the signature of {line.name} is wrong") from error
        found.append(seconds)
    return max(found, default=None)


def _signed(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()
