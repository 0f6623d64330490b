"""Receipts: a compact JWS whose payload is the evidence bytes of an accepted event.

There is one header, to the byte; nothing in it chooses how it is verified.

Source: RFC 7515, RFC 8037; docs/formats.md section 5.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from audit.errors import EvidenceRuleError, MalformedError, UnpinnedKeyError, VerificationError
from audit.evidence import Evidence, Kind, parse_evidence
from audit.note import KEY_BYTES, Signer, thumbprint, verify_signature

TOKEN_BYTES = 24_000
"""No receipt is longer: evidence has at most 16,384 bytes."""
JWKS_BYTES = 100_000
_PARTS = 3
_PURPOSE = "receipt"
_FROM_URL = bytes.maketrans(b"-_", b"+/")
_HEADER = re.compile(
    r'\{"alg":"EdDSA","kid":"(?P<kid>[A-Za-z0-9_-]{43})","typ":"gateway-receipt\+json"\}', re.ASCII
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A receipt: its text, the key that it says signed it, and the evidence inside."""

    token: str = field(repr=False)
    key_id: str
    evidence: Evidence


def issue(evidence: Evidence, signer: Signer) -> Receipt:
    """Sign the evidence of an accepted event.

    Raises:
        EvidenceRuleError: The evidence is of another kind.
    """
    if evidence.kind is not Kind.ACCEPTED:
        raise EvidenceRuleError(f"receipt: only accepted events have one, not {evidence.kind.value}")
    signed = f"{_header(signer.key_id)}.{_encode(evidence.raw)}"
    return Receipt(f"{signed}.{_encode(signer.sign(signed.encode()))}", signer.key_id, evidence)


@lru_cache(4)
def _header(key_id: str) -> str:
    # One key signs for months.
    return _encode(f'{{"alg":"EdDSA","kid":"{key_id}","typ":"gateway-receipt+json"}}'.encode())


def parse_receipt(token: bytes) -> Receipt:
    """Take a receipt apart; its signature is not verified.

    Raises:
        MalformedError: The bytes are no receipt.
    """
    if len(token) > TOKEN_BYTES:
        raise MalformedError(f"receipt: {len(token)} bytes, a receipt has at most {TOKEN_BYTES}")
    try:
        text = token.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedError(f"receipt: not ASCII at byte {error.start}") from error
    parts = text.split(".")
    if len(parts) != _PARTS:
        raise MalformedError(f"receipt: {len(parts)} parts, expected header.evidence.signature")
    match = _HEADER.fullmatch(_decode(parts[0], "receipt: header").decode("latin-1"))
    if match is None:
        raise MalformedError(
            "receipt: the header is not alg EdDSA, kid, typ gateway-receipt+json, and nothing else"
        )
    _decode(parts[2], "receipt: signature")
    evidence = parse_evidence(_decode(parts[1], "receipt: evidence"))
    if evidence.kind is not Kind.ACCEPTED:
        raise MalformedError(
            f"receipt: holds evidence of kind {evidence.kind.value}, expected event.accepted"
        )
    return Receipt(text, match["kid"], evidence)


def payload_of(token: str) -> bytes:
    """The bytes of the evidence in a receipt's text, not read and not verified.

    Raises:
        MalformedError: The text has not the form of a receipt.
    """
    parts = token.split(".")
    if len(token) > TOKEN_BYTES or len(parts) != _PARTS:
        raise MalformedError(f"receipt: expected header.evidence.signature, {TOKEN_BYTES} bytes at most")
    return _decode(parts[1], "receipt: evidence")


def payload_of_own(token: str) -> bytes:
    """As `payload_of`, of a receipt that is stored as ours: one that was made or verified here."""
    payload = token.split(".", 2)[1]
    return binascii.a2b_base64(payload.encode().translate(_FROM_URL) + b"==")


def verify_receipt(token: bytes, keys: Mapping[str, bytes]) -> Receipt:
    """The receipt, once one of `keys` (thumbprint to public key) is known to have signed it.

    Raises:
        MalformedError: The bytes are no receipt.
        UnpinnedKeyError: Its key is not among `keys`.
        VerificationError: The signature is wrong.
    """
    receipt = parse_receipt(token)
    key = keys.get(receipt.key_id)
    if key is None:
        raise UnpinnedKeyError(f"receipt: signed by a key you have not pinned ({receipt.key_id})")
    verify_receipt_signature(receipt, key)
    return receipt


def verify_receipt_signature(receipt: Receipt, public_key: bytes) -> None:
    """Check the signature of a parsed receipt by one key, whose thumbprint must be the receipt's.

    Raises:
        VerificationError: Signature or key is another.
    """
    if thumbprint(public_key) != receipt.key_id:
        raise VerificationError(f"receipt: the key's thumbprint is not {receipt.key_id}")
    signed, _, signature = receipt.token.rpartition(".")
    try:
        verify_signature(public_key, _decode(signature, "receipt: signature"), signed.encode())
    except VerificationError as error:
        raise VerificationError(
            "receipt: the signature is wrong; it was altered, or another key made it"
        ) from error


def format_jwk(public_key: bytes) -> dict[str, str]:
    """The public key as it stands in a JWK set."""
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": _encode(public_key),
        "kid": thumbprint(public_key),
        "alg": "EdDSA",
        "use": "sig",
    }


def parse_jwks(raw: bytes) -> dict[str, bytes]:
    """Thumbprint to public key, of every Ed25519 key in a JWK set.

    Keys of other types are passed over, and those that say that they are for something else than receipts.

    Raises:
        MalformedError: The bytes are no JWK set, or a key's `kid` is not its thumbprint.
    """
    if len(raw) > JWKS_BYTES:
        raise MalformedError(f"JWK set: more than {JWKS_BYTES} bytes")
    try:
        document = json.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise MalformedError("JWK set: expected JSON in UTF-8") from error
    return read_jwks(document)


def read_jwks(document: Any) -> dict[str, bytes]:
    """As `parse_jwks`, of decoded JSON."""
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise MalformedError('JWK set: expected {"keys": [...]}')
    keys: dict[str, bytes] = {}
    for member in members:
        if member.get("kty") != "OKP" or member.get("crv") != "Ed25519":
            continue
        if member.get("purpose", _PURPOSE) != _PURPOSE:
            continue
        x = member.get("x")
        public_key = _decode(x, "JWK set: x") if isinstance(x, str) else b""
        if len(public_key) != KEY_BYTES:
            raise MalformedError(f"JWK set: x must be base64url of the {KEY_BYTES} bytes of an Ed25519 key")
        if member.get("kid") != thumbprint(public_key):
            raise MalformedError(
                f"JWK set: the kid of a key must be its thumbprint, {thumbprint(public_key)}"
            )
        keys[thumbprint(public_key)] = public_key
    return keys


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str, what: str) -> bytes:
    """Bytes of base64url without padding, in its one canonical spelling."""
    try:
        raw = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise MalformedError(f"{what}: expected base64url without padding") from error
    if _encode(raw) != text:
        raise MalformedError(f"{what}: base64url is not in its canonical spelling")
    return raw
