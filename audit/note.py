"""Signed notes and the keys that sign them.

A note is text, an empty line, and signature lines. Lines by keys we do not know are ignored, so that others
may sign too; a line by a key we know must be right, or the whole note is refused.

Source: C2SP signed-note v1.0.0; RFC 7638 and RFC 8037 (thumbprint of an Ed25519 key).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.errors import MalformedError, UnpinnedKeyError, VerificationError

ED25519 = 1
KEY_BYTES = 32
NOTE_BYTES = 1_000_000
MOST_SIGNATURES = 100
_KEY_ID_BYTES = 4
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
class VerifierKey:
    """A named Ed25519 key that may sign notes."""

    name: str
    public_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a name or a key that no note could carry."""
        check_name(self.name)
        if len(self.public_key) != KEY_BYTES:
            raise MalformedError(
                f"verifier key: {len(self.public_key)} bytes, an Ed25519 key has {KEY_BYTES}"
            )

    @property
    def key_id(self) -> bytes:
        """The four bytes that signature lines name this key by. They tell keys apart, they prove nothing."""
        return hashlib.sha256(self.name.encode() + b"\n" + bytes([ED25519]) + self.public_key).digest()[:4]

    def __str__(self) -> str:
        """`name+hex8+base64`, as tools of the transparency-log world write it."""
        key = base64.b64encode(bytes([ED25519]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


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
    if not name or any(char.isspace() or char == "+" or char < " " or _is_surrogate(char) for char in name):
        raise MalformedError("key name: expected a text without white space and without +")
    return name


def _is_surrogate(char: str) -> bool:
    """Whether it is half of a pair, which UTF-8 cannot carry; JSON escapes can bring it."""
    return "\ud800" <= char <= "\udfff"


def thumbprint(public_key: bytes) -> str:
    """RFC 7638 thumbprint of an Ed25519 public key: the `kid` of receipts."""
    x = base64.urlsafe_b64encode(public_key).rstrip(b"=").decode()
    members = f'{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}'
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def decode_base64(text: str, what: str) -> bytes:
    """Bytes of standard base64 with padding, in its one canonical spelling.

    Raises:
        MalformedError: Any other text.
    """
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise MalformedError(f"{what}: expected base64 with padding") from error
    if base64.b64encode(raw).decode() != text:
        raise MalformedError(f"{what}: base64 is not in its canonical spelling")
    return raw


def parse_verifier_key(text: str) -> VerifierKey:
    """Read `name+hex8+base64`.

    Raises:
        MalformedError: Another shape, a key id that does not fit, or a key that is not Ed25519.
    """
    # A verifier key is one line of ASCII apart from its name; the base64 may hold plus signs itself.
    parts = text.split("+", 2)
    if len(parts) != 3:  # noqa: PLR2004 - the three parts just named
        raise MalformedError("verifier key: expected name+id+base64")
    name, key_id, encoded = parts
    raw = decode_base64(encoded, "verifier key")
    if len(raw) != 1 + KEY_BYTES or raw[0] != ED25519:
        raise MalformedError("verifier key: only Ed25519 keys (type 1, 32 bytes) are supported")
    key = VerifierKey(name, raw[1:])
    if key.key_id.hex() != key_id:
        raise MalformedError(f"verifier key: its id is {key.key_id.hex()}, the text says otherwise")
    return key


def verify_signature(public_key: bytes, signature: bytes, message: bytes) -> None:
    """Check one Ed25519 signature.

    Raises:
        VerificationError: It is wrong.
    """
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise VerificationError("the signature does not fit the key and the signed bytes") from error


def sign_note(text: str, name: str, signer: Signer) -> bytes:
    """Sign a text that ends in a line feed, in the name `name`.

    Raises:
        MalformedError: The text or the name cannot stand in a note.
    """
    key = VerifierKey(name, signer.public_key)
    blob = base64.b64encode(key.key_id + signer.sign(text.encode())).decode()
    raw = f"{text}\n{_DASH}{name} {blob}\n".encode()
    if parse_note(raw).text != text:
        raise MalformedError("note: the text must end in one line feed")
    return raw


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
    if len(blob) <= _KEY_ID_BYTES:
        raise MalformedError(f"note: signature line {number} holds no signature")
    return SignatureLine(check_name(name), blob[:_KEY_ID_BYTES], blob[_KEY_ID_BYTES:])


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
