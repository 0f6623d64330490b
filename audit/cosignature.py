"""Cosignatures: what a witness adds to a log's checkpoint, having seen that the log only grew.

A cosignature states a time beside the checkpoint. Ed25519 signs the checkpoint's text and does not name its
cosigner, so each cosigner needs a key of its own; ML-DSA-44 signs names, sizes and root.

Source: C2SP tlog-cosignature (types 04 and 06), C2SP signed-note v1.0.0.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PublicKey

from audit.checkpoint import Checkpoint, format_checkpoint
from audit.errors import MalformedError, VerificationError
from audit.note import (
    KEY_ID_BYTES,
    Note,
    SignatureLine,
    check_name,
    decode_base64,
    format_line,
    verify_signature,
)

ED25519: Final = 4
"""Type byte of a timestamped Ed25519 cosignature; a plain signature has another."""

ML_DSA_44: Final = 6
"""Type byte of a timestamped ML-DSA-44 cosignature."""

TIME_LIMIT: Final = 1 << 63
_TIME_BYTES: Final = 8
_PUBLIC_BYTES: Final = {ED25519: 32, ML_DSA_44: 1312}
_SIGNATURE_BYTES: Final = {ED25519: 64, ML_DSA_44: 2420}
_LABEL: Final = b"subtree/v1\n\0"
_NAME_BYTES: Final = 255


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A named key that may cosign. `algorithm`: `ED25519` or `ML_DSA_44`."""

    name: str
    algorithm: int
    public_key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse a name or a key that no cosignature could carry."""
        check_name(self.name)
        if self.algorithm not in _PUBLIC_BYTES:
            raise MalformedError("cosigner key: neither Ed25519 (type 4) nor ML-DSA-44 (type 6)")
        if len(self.public_key) != _PUBLIC_BYTES[self.algorithm]:
            raise MalformedError(f"cosigner key: {len(self.public_key)} bytes do not fit its type")
        if len(self.name.encode()) > _NAME_BYTES:
            raise MalformedError(f"cosigner key: a name has at most {_NAME_BYTES} bytes")

    @property
    def key_id(self) -> bytes:
        """The four bytes that signature lines name this key by."""
        head = self.name.encode() + b"\n" + bytes([self.algorithm])
        return hashlib.sha256(head + self.public_key).digest()[:KEY_ID_BYTES]

    def __str__(self) -> str:
        """`name+hex8+base64`."""
        key = base64.b64encode(bytes([self.algorithm]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"


class Cosigner(Protocol):
    """Whoever holds the private half of a cosigner's key."""

    @property
    def key(self) -> CosignerKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The raw signature of the key's algorithm."""
        ...


def parse_cosigner_key(text: str) -> CosignerKey:
    """Read `name+hex8+base64` of a cosigner.

    Raises:
        MalformedError: Another shape, a key id that does not fit, or a key that does not cosign.
    """
    name, plus, rest = text.partition("+")
    key_id, second_plus, encoded = rest.partition("+")
    if not plus or not second_plus:
        raise MalformedError("cosigner key: expected name+id+base64")
    raw = decode_base64(encoded, "cosigner key")
    if not raw:
        raise MalformedError("cosigner key: it is empty")
    key = CosignerKey(name, raw[0], raw[1:])
    if key.key_id.hex() != key_id:
        raise MalformedError(f"cosigner key: its id is {key.key_id.hex()}, the text says otherwise")
    return key


def cosigned_message(checkpoint: Checkpoint, key: CosignerKey, time: int) -> bytes:
    """What a cosigner signs. `time`: POSIX seconds.

    Raises:
        MalformedError: The origin is longer than an ML-DSA-44 cosignature can name.
    """
    if key.algorithm == ED25519:
        return f"cosignature/v1\ntime {time}\n{format_checkpoint(checkpoint)}".encode()
    name, origin = key.name.encode(), checkpoint.origin.encode()
    if len(origin) > _NAME_BYTES:
        raise MalformedError(f"cosignature: an origin has at most {_NAME_BYTES} bytes")
    parts = (
        _LABEL,
        bytes([len(name)]) + name,
        time.to_bytes(8),
        bytes([len(origin)]) + origin,
        (0).to_bytes(8),
        checkpoint.size.to_bytes(8),
        checkpoint.root,
    )
    return b"".join(parts)


def cosign(checkpoint: Checkpoint, cosigner: Cosigner, time: int) -> str:
    """The signature line, with its line feed. `time`: POSIX seconds, more than 0."""
    signature = cosigner.sign(cosigned_message(checkpoint, cosigner.key, time))
    return format_line(cosigner.key.name, cosigner.key.key_id, time.to_bytes(_TIME_BYTES) + signature)


def verify_cosignature(
    line: SignatureLine, checkpoint: Checkpoint, key: CosignerKey, *, latest: int | None = None
) -> int:
    """The time that a cosignature states, POSIX seconds, once it is known to be right.

    Args:
        line: A line that names the key.
        checkpoint: What it is a cosignature of.
        key: The cosigner's.
        latest: A time after which nothing can have been signed yet; None: any time is taken.

    Raises:
        VerificationError: It is wrong, states no time, or one that has not come yet.
    """
    if len(line.signature) != _TIME_BYTES + _SIGNATURE_BYTES[key.algorithm]:
        raise MalformedError(f"cosignature: that of {line.name} has {len(line.signature)} bytes")
    time = int.from_bytes(line.signature[:_TIME_BYTES])
    if not 0 < time < TIME_LIMIT:
        raise MalformedError(f"cosignature: that of {line.name} states no time")
    signature, message = line.signature[_TIME_BYTES:], cosigned_message(checkpoint, key, time)
    try:
        if key.algorithm == ED25519:
            verify_signature(key.public_key, signature, message)
        else:
            _verify_ml_dsa(key.public_key, signature, message)
    except VerificationError as error:
        raise VerificationError(f"cosignature: that of {line.name} is wrong") from error
    if latest is not None and time > latest:
        raise VerificationError(f"cosignature: that of {line.name} states a time that has not come yet")
    return time


def verify_cosignatures(
    note: Note, checkpoint: Checkpoint, keys: Sequence[CosignerKey], *, latest: int | None = None
) -> Mapping[CosignerKey, int]:
    """Those of `keys` that cosigned, each with the time that it states; lines of others are passed over.

    Raises:
        VerificationError: A line that names one of the keys is wrong, whatever the other lines say.
    """
    known = {(key.name, key.key_id): key for key in keys}
    if len(known) != len(set(keys)):
        raise VerificationError("cosignature: two of the keys given share a name and an id")
    found: dict[CosignerKey, int] = {}
    for line in note.lines:
        key = known.get((line.name, line.key_id))
        if key is not None and key not in found:
            found[key] = verify_cosignature(line, checkpoint, key, latest=latest)
    return found


def _verify_ml_dsa(public_key: bytes, signature: bytes, message: bytes) -> None:
    try:
        MLDSA44PublicKey.from_public_bytes(public_key).verify(signature, message)
    except UnsupportedAlgorithm as error:
        raise VerificationError("the cryptography package here cannot verify ML-DSA-44") from error
    except (InvalidSignature, ValueError) as error:
        raise VerificationError("the signature does not fit the key and the signed bytes") from error
