"""Who acknowledges deliveries in tests: signatures by the words of the RFCs, none of our code."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.dialler import Outgoing
from tests.signing import digest_of, raw_signature

COVERED: Final = ('"@status"', '"content-digest"', '"webhook-id";req', '"content-digest";req')
ALGORITHMS: Final = {"ed25519": "EdDSA", "ecdsa-p256-sha256": "ES256", "rsa-pss-sha512": "PS512"}


def pem_of(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem


def lines_of(outgoing: Outgoing, status: int, body: bytes) -> dict[str, str]:
    """Each component that tests cover, with its value."""
    sent = {name.lower(): value for name, value in outgoing.headers}
    values = {
        '"@status"': str(status),
        '"content-digest"': digest_of(body),
        '"content-type"': "text/plain",
        '"@method";req': "POST",
        '"@target-uri";req': outgoing.url,
    }
    return values | {f'"{name}";req': value for name, value in sent.items()}


def signed_fields(
    key: Any,
    keyid: str,
    outgoing: Outgoing,
    *,
    created: int,
    status: int = 200,
    body: bytes = b"",
    covered: tuple[str, ...] = COVERED,
    parameters: str = "",
    changed: Mapping[str, str] | None = None,
) -> tuple[tuple[str, str], ...]:
    """The header fields of a signed answer. `created`: seconds; `changed`: what its signer saw otherwise."""
    values = lines_of(outgoing, status, body) | dict(changed or {})
    described = f'({" ".join(covered)});created={created};keyid="{keyid}"{parameters}'
    lines = [f"{name}: {values[name]}" for name in covered]
    base = "\n".join([*lines, f'"@signature-params": {described}']).encode()
    signature = base64.b64encode(raw_signature(key, base)).decode()
    return (
        ("content-type", "text/plain"),
        ("content-digest", digest_of(body)),
        ("signature-input", f"ack={described}"),
        ("signature", f"ack=:{signature}:"),
    )


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def statement(key: Any, kind: str, keyid: str, payload: Mapping[str, object], **header: object) -> bytes:
    """A compact JWS over a payload."""
    head = {"alg": ALGORITHMS[kind], "kid": keyid, **header}
    whole = {name: value for name, value in head.items() if value is not None}
    signed = f"{b64(json.dumps(whole).encode())}.{b64(json.dumps(payload).encode())}"
    return f"{signed}.{b64(raw_signature(key, signed.encode()))}".encode()
