"""Signed notes and the keys that sign them.

A note is text, an empty line, and signature lines. Lines by keys we do not know are ignored, so that others
may sign too; a line by a key we know must be right, or the whole note is refused.

Source: C2SP signed-note v1.0.0; RFC 7638 and RFC 8037 (thumbprint of an Ed25519 key).
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from audit import papers
from audit.errors import MalformedError, UnpinnedKeyError, VerificationError
from audit.papers import VerifierKey, decode_base64
from audit.papers import read_log_key as parse_verifier_key

__all__ = [
    "KEY_BYTES",
    "KEY_ID_BYTES",
    "Note",
    "SignatureLine",
    "Signer",
    "VerifierKey",
    "check_name",
    "decode_base64",
    "format_line",
    "parse_note",
    "parse_verifier_key",
    "sign_note",
    "thumbprint",
    "verify_note",
    "verify_signature",
]

KEY_BYTES = 32
NOTE_BYTES = 1_000_000
MOST_SIGNATURES = 100
KEY_ID_BYTES = 4
_DASH = "\u2014 "


class Signer(Protocol):
    """Whoever holds an Ed25519 key: a key ring, a key service."""

    @property
    def key_id(self) -> str:
        """RFC 7638 thumbprint of the public key."""
        ...

    @property
    def public_key(self) -> bytes:
        """The 32 bytes of the public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        ...


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One signature of a note, unverified: key name, key id (4 bytes), signature."""

    name: str
    key_id: bytes
    signature: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Note:
    """A note, unverified. `text` ends in a line feed and is what is signed."""

    text: str
    lines: tuple[SignatureLine, ...]


def check_name(name: str) -> str:
    """The name, if a key may be called so.

    Raises:
        MalformedError: It is empty, or holds white space, control characters or a plus sign.
    """
    return VerifierKey(name, bytes(KEY_BYTES)).name


def thumbprint(public_key: bytes) -> str:
    """RFC 7638 thumbprint of an Ed25519 public key: the `kid` of receipts."""
    x = base64.urlsafe_b64encode(public_key).rstrip(b"=").decode()
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Check one Ed25519 signature.

    Raises:
        VerificationError: It is wrong.
    """
    papers.verify_signature(public_key, signature, message, "signature")


def sign_note(text: str, name: str, signer: Signer, *others: Signer) -> bytes:
    """Sign a text that ends in a line feed, in the name `name`, by each of the signers, in their order.

    Raises:
        MalformedError: The text or the name cannot stand in a note.
    """
    lines = []
    for one in (signer, *others):
        key = VerifierKey(name, one.public_key)
        lines.append(format_line(name, key.key_id, one.sign(text.encode())))
    raw = f"{text}\n{''.join(lines)}".encode()
    if parse_note(raw).text != text:
        raise MalformedError("note: the text must end in one line feed")
    return raw


def format_line(name: str, key_id: bytes, signature: bytes) -> str:
    """One signature line, with its line feed."""
    return f"{_DASH}{name} {base64.b64encode(key_id + signature).decode()}\n"


def parse_note(raw: bytes) -> Note:
    """Split a note into its text and its signature lines; nothing is verified.

    Raises:
        MalformedError: The bytes are no note.
    """
    if len(raw) > NOTE_BYTES:
        raise MalformedError(f"note: more than {NOTE_BYTES} bytes")
    try:
        whole = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError(f"note: not UTF-8 at byte {error.start}") from error
    if any(char < " " and char != "\n" for char in whole):
        raise MalformedError("note: holds a control character; lines end in a line feed alone")
    text, separator, signatures = whole.rpartition("\n\n")
    if not separator or not text:
        raise MalformedError("note: expected text, an empty line, and signature lines")
    if not signatures.endswith("\n"):
        raise MalformedError("note: the last signature line does not end in a line feed")
    lines = signatures[:-1].split("\n")
    if len(lines) > MOST_SIGNATURES:
        raise MalformedError(f"note: {len(lines)} signature lines, at most {MOST_SIGNATURES} are read")
    return Note(text + "\n", tuple(_parse_line(number, line) for number, line in enumerate(lines, 1)))


def _parse_line(number: int, line: str) -> SignatureLine:
    """One signature line: em dash, key name, base64 of key id and signature."""
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not space:
        raise MalformedError(f"note: signature line {number} is not an em dash, a key name and base64")
    blob = decode_base64(encoded, f"note: signature line {number}")
    if len(blob) <= KEY_ID_BYTES:
        raise MalformedError(f"note: signature line {number} holds no signature")
    return SignatureLine(check_name(name), blob[:KEY_ID_BYTES], blob[KEY_ID_BYTES:])


def verify_note(note: Note, keys: Sequence[VerifierKey]) -> tuple[VerifierKey, ...]:
    """Those of `keys` that signed the note: at least one.

    Raises:
        VerificationError: A line that names one of the keys is wrong, whatever the other lines say.
        UnpinnedKeyError: None of the keys signed it.
    """
    known = {(key.name, key.key_id): key for key in keys}
    if len(known) != len(set(keys)):
        raise VerificationError(
            "note: two of the keys given share a name and an id; which one signed is unknown"
        )
    verified: dict[tuple[str, bytes], VerifierKey] = {}
    for line in note.lines:
        place = (line.name, line.key_id)
        key = known.get(place)
        if key is None or place in verified:
            continue
        try:
            verify_signature(key.public_key, line.signature, note.text.encode())
        except VerificationError as error:
            raise VerificationError(f"note: the signature of {line.name} is wrong") from error
        verified[place] = key
    if not verified:
        raise UnpinnedKeyError(f"note: signed by keys you have not pinned ({', '.join(_names(note))})")
    return tuple(verified.values())


def _names(note: Note) -> list[str]:
    """Who says to have signed, for an error text."""
    return [f"{line.name}+{line.key_id.hex()}" for line in note.lines]
