"""Receipts: one header, exact evidence, checked by two JOSE libraries in both directions."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import OKPKey

from audit.errors import EvidenceRuleError, MalformedError, UnpinnedKeyError, VerificationError
from audit.evidence import Kind, parse_evidence
from audit.receipt import (
    TOKEN_BYTES,
    format_jwk,
    issue,
    parse_jwks,
    parse_receipt,
    payload_of,
    verify_receipt,
)
from tests.unit.audit.builders import OTHER_SIGNER, RECEIPT_SIGNER, evidence, load_vectors

VECTOR = load_vectors("formats.json")["receipt"]
TOKEN: bytes = VECTOR["token"].encode()
KEYS = {RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}
HEADER = {"alg": "EdDSA", "kid": RECEIPT_SIGNER.key_id, "typ": "gateway-receipt+json"}


def encode(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def signed(header: bytes, payload: bytes) -> bytes:
    """A JWS as somebody with our key could make it."""
    first = encode(header) + b"." + encode(payload)
    return first + b"." + encode(RECEIPT_SIGNER.sign(first))


PAYLOAD = parse_receipt(TOKEN).evidence.raw


def test_receipt_is_the_vector_to_the_byte() -> None:
    made = issue(parse_evidence(PAYLOAD), RECEIPT_SIGNER)
    assert made.token.encode() == TOKEN
    assert made.key_id == VECTOR["kid"]
    assert verify_receipt(TOKEN, KEYS) == made


def test_pyjwt_reads_our_receipt() -> None:
    key = Ed25519PublicKey.from_public_bytes(RECEIPT_SIGNER.public_key)
    decoded = jwt.api_jws.decode_complete(TOKEN, key, algorithms=["EdDSA"])
    assert decoded["payload"] == PAYLOAD
    assert decoded["header"] == HEADER


def test_joserfc_reads_our_receipt() -> None:
    key = OKPKey.import_key(dict(format_jwk(RECEIPT_SIGNER.public_key)))
    with pytest.warns(
        SecurityWarning, match="RFC 9864"
    ):  # it prefers the newer name, that PyJWT does not know
        decoded = jws.deserialize_compact(TOKEN, key, algorithms=["EdDSA"])
    assert decoded.payload == PAYLOAD
    assert decoded.headers() == HEADER


def test_we_read_the_receipt_that_pyjwt_makes() -> None:
    key = Ed25519PrivateKey.from_private_bytes(RECEIPT_SIGNER.seed)
    headers = {"kid": HEADER["kid"], "typ": HEADER["typ"]}
    token = jwt.api_jws.encode(PAYLOAD, key, algorithm="EdDSA", headers=headers, sort_headers=True)
    assert verify_receipt(token.encode(), KEYS).token.encode() == TOKEN


def test_we_read_the_receipt_that_joserfc_makes() -> None:
    key = OKPKey.import_key(Ed25519PrivateKey.from_private_bytes(RECEIPT_SIGNER.seed))
    with pytest.warns(SecurityWarning, match="RFC 9864"):
        token = jws.serialize_compact(HEADER, PAYLOAD, key, algorithms=["EdDSA"])
    assert verify_receipt(token.encode(), KEYS).token.encode() == TOKEN


def test_altered_evidence_is_refused() -> None:
    first, _, last = TOKEN.split(b".")
    altered = first + b"." + encode(PAYLOAD.replace(b"A-1001", b"A-1002")) + b"." + last
    with pytest.raises(VerificationError, match="signature is wrong"):
        verify_receipt(altered, KEYS)


def test_another_key_under_the_same_name_is_refused() -> None:
    with pytest.raises(VerificationError, match="thumbprint"):
        verify_receipt(TOKEN, {RECEIPT_SIGNER.key_id: OTHER_SIGNER.public_key})


def test_unknown_key_is_said_to_be_not_pinned() -> None:
    with pytest.raises(UnpinnedKeyError, match="not pinned"):
        verify_receipt(TOKEN, {OTHER_SIGNER.key_id: OTHER_SIGNER.public_key})


def header(**changes: Any) -> bytes:
    return json.dumps({**HEADER, **changes}, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "token",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"..", id="empty parts"),
        pytest.param(TOKEN + b".", id="four parts"),
        pytest.param(TOKEN + b"\n", id="line feed at the end"),
        pytest.param(TOKEN + b"=", id="padding"),
        pytest.param(TOKEN[:-1] + b"\xff", id="not ASCII"),
        pytest.param(TOKEN.replace(b".", b"+.", 1), id="another alphabet"),
        pytest.param(b"a" * 24_001, id="too long"),
        pytest.param(signed(header(alg="none"), PAYLOAD), id="alg none"),
        pytest.param(signed(header(alg="HS256"), PAYLOAD), id="alg HS256"),
        pytest.param(signed(header(alg="Ed25519"), PAYLOAD), id="alg by its other name"),
        pytest.param(signed(header(typ="JWT"), PAYLOAD), id="another typ"),
        pytest.param(signed(header(crit=["b64"]), PAYLOAD), id="a further member"),
        pytest.param(
            signed(header(jwk=format_jwk(RECEIPT_SIGNER.public_key)), PAYLOAD), id="a key of its own"
        ),
        pytest.param(signed(header(kid="x"), PAYLOAD), id="another kid"),
        pytest.param(signed(header() + b" ", PAYLOAD), id="white space in the header"),
        pytest.param(signed(header(), PAYLOAD + b" "), id="white space after the evidence"),
        pytest.param(signed(header(), b"{}"), id="no evidence"),
        pytest.param(signed(header(), evidence(1, kind=Kind.REFUSED).raw), id="another kind of evidence"),
    ],
)
def test_malformed_receipt_is_refused(token: bytes) -> None:
    with pytest.raises(MalformedError):
        verify_receipt(token, KEYS)


def test_stray_bits_in_the_signature_are_refused() -> None:
    """64 bytes leave four bits over in base64url: they must be zero, or one receipt had 16 spellings."""
    spellings = [
        TOKEN[:-1] + bytes([letter]) for letter in b"ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter != TOKEN[-1]
    ]
    for spelling in spellings:
        with pytest.raises(VerificationError):
            verify_receipt(spelling, KEYS)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.ACCEPTED])
def test_only_accepted_events_have_receipts(kind: Kind) -> None:
    with pytest.raises(EvidenceRuleError, match="only accepted"):
        issue(evidence(1, kind=kind), RECEIPT_SIGNER)


def test_repr_holds_no_token() -> None:
    assert VECTOR["token"][-40:] not in repr(parse_receipt(TOKEN))


def jwks(*members: dict[str, Any]) -> bytes:
    return json.dumps({"keys": list(members)}).encode()


def test_keys_are_read_and_other_types_passed_over() -> None:
    rsa = {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "old"}
    x25519 = {"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "agreement"}
    raw = jwks(rsa, format_jwk(RECEIPT_SIGNER.public_key), x25519)
    assert parse_jwks(raw) == KEYS


OURS = format_jwk(RECEIPT_SIGNER.public_key)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        b'{"keys":{}}',
        b'{"keys":[1]}',
        b"\xff",
        b"[" * 50_000,
        b" " * 100_001,
        jwks({**OURS, "kid": "x"}),
        jwks({**OURS, "x": "AA"}),
        jwks({**OURS, "x": 1}),
        jwks({**OURS, "x": OURS["x"] + "="}),
        jwks({"kty": "OKP", "crv": "Ed25519"}),
    ],
)
def test_malformed_jwk_set_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^JWK set"):
        parse_jwks(raw)


def test_the_payload_is_the_evidence() -> None:
    assert payload_of(TOKEN.decode()) == parse_receipt(TOKEN).evidence.raw


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "a.é.c", "a.b.c", "a.YR.c", "x" * (TOKEN_BYTES + 1)])
def test_what_has_no_payload_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        payload_of(text)
