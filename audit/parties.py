"""Signatures of others than the gateway, an event's sender or receiver: what did they sign, by which key?

Whoever gave a public key says whose it is; nothing here can. Standard library and cryptography only.

Source: docs/formats.md, section 3, `origin` and `delivery.acknowledged`; RFC 9421, section 3.3; RFC 7515.
"""

import base64
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from cryptography.hazmat.primitives.serialization import load_der_public_key, load_pem_public_key

from audit.failures import VerificationError
from audit.papers import decode_base64, expect, fit, read_json

_DER: Final = bytes.fromhex("302a300506032b6570032100")
_HALF: Final = 32
_SALT: Final = 64
_LENGTH: Final = 4
_PARTS: Final = 3
_RECEIVED: Final = "acknowledgement"


@dataclass(frozen=True, slots=True)
class Said:
    """What somebody signed. `name`: of the key, as the signer calls it; `content`: the one that it names."""

    name: str
    message: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    content: str = ""


def encode_key(public_key: bytes) -> bytes:
    """The 32 bytes of an Ed25519 public key in DER (RFC 8410)."""
    return _DER + public_key


def algorithm_of(key: bytes, said: Said) -> str | None:
    """The algorithm of a public key (PEM or DER) that made the signature; None: another did."""
    load = load_pem_public_key if key.startswith(b"-----") else load_der_public_key
    signature, message = said.signature, said.message
    with suppress(InvalidSignature, UnsupportedAlgorithm, ValueError):
        match load(key):
            case ed25519.Ed25519PublicKey() as public:
                public.verify(signature, message)
                return "ed25519"
            case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()) as public if len(signature) == 2 * _HALF:
                pair = int.from_bytes(signature[:_HALF]), int.from_bytes(signature[_HALF:])
                public.verify(utils.encode_dss_signature(*pair), message, ec.ECDSA(hashes.SHA256()))
                return "ecdsa-p256-sha256"
            case rsa.RSAPublicKey() as public:
                scheme = padding.PSS(padding.MGF1(hashes.SHA512()), _SALT)
                public.verify(signature, message, scheme, hashes.SHA512())
                return "rsa-pss-sha512"
    return None


def read_sender(raw: bytes, content: str) -> Said:
    """The sender's own signature: what it signed, the signature, and the key's name, each behind its length.

    The caller has compared the SHA-256 of all this with the receipt's. `content`: SHA-256 in hex.
    """
    parts: list[bytes] = []
    while raw and len(parts) <= _PARTS:
        size = int.from_bytes(raw[:_LENGTH])
        parts.append(raw[_LENGTH : _LENGTH + size])
        raw = raw[_LENGTH + size :]
    expect(len(parts) == _PARTS, "sender: expected what was signed, the signature, and the name of the key")
    base, signature, name = parts
    fit("[0-9a-f]{64}", content, "sender: the evidence names no SHA-256 of the content")
    digest = base64.b64encode(bytes.fromhex(content))
    line = re.search(rb'(?m)^"content-digest": .*$', base)
    names = line is not None and b"sha-256=:" + digest + b":" in line[0]
    return Said(name.decode("utf-8", "replace"), base, signature, content if names else "")


def read_token(evidence: Mapping[str, Any]) -> Said:
    """A receiver's signature in evidence of `delivery.acknowledged`: a signed answer, or a statement."""
    token, ref = (str(evidence.get(one)) for one in ("token", "ref"))
    if token.startswith("{"):
        whole = read_json(token.encode(), _RECEIVED)
        base, signature = (decode_base64(str(whole.get(one)), _RECEIVED) for one in ("base", "signature"))
        lines = dict(line.partition(": ")[::2] for line in base.decode("latin-1").split("\n"))
        status = lines.get('"@status"', "none")
        expect(status[:1] == "2", f"{_RECEIVED}: what was signed has status {status}", VerificationError)
        key = re.match('.*;keyid="([^"]*)"', lines.get('"@signature-params"', ""))
        event, signer = lines.get('"webhook-id";req'), key and key[1]
        found = re.search("(?:^|, ?)sha-256=:([^:]*):", lines.get('"content-digest";req', ""))
        content = decode_base64(found[1], _RECEIVED).hex() if found else ""
    else:
        signed, _, last = token.rpartition(".")
        base, signature = signed.encode(), decode_base64(last, _RECEIVED, is_url=True)
        head, body = (decode_base64(one, _RECEIVED, is_url=True) for one in signed.partition(".")[::2])
        signer, whole = read_json(head, _RECEIVED).get("kid"), read_json(body, _RECEIVED)
        event, content = whole.get("webhook_id"), str(whole.get("content_sha256", ""))
    for what, is_so in (("event", event == ref), ("key", evidence.get("key", signer) == signer)):
        expect(is_so, f"{_RECEIVED}: what was signed names another {what}", VerificationError)
    return Said(str(signer), base, signature, content if re.fullmatch("[0-9a-f]{64}", content) else "")
