import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from audit.__main__ import main
from audit.errors import MalformedError, VerificationError
from audit.evidence import Evidence
from audit.receipt import format_jwk, issue
from audit.sender import parse_sender, verify_sender
from gateway.origin_evidence import Origin
from tests.signing import KINDS, Draft, private_key, raw_signature
from tests.unit.audit.builders import RECEIPT_SIGNER, evidence

BODY = b'{"order_id":"A-1","qty":3}'
KEYID = "crd_1"


def pem(key: Any) -> bytes:
    text: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return text


def content_of(body: bytes) -> dict[str, object]:
    return {
        "sha256": hashlib.sha256(body).hexdigest(),
        "length": len(body),
        "type": "application/json",
        "encoding": "identity",
    }


def signed(kind: str = "ed25519", *, body: bytes = BODY, **headers: str) -> Origin:
    base = Draft(body=body, headers={name.replace("_", "-"): text for name, text in headers.items()}).base(
        KEYID
    )
    return Origin(kind, KEYID, base, raw_signature(private_key(kind), base))


def receipted(origin: Origin, body: bytes = BODY) -> Evidence:
    return evidence(1, origin=origin.sha256(), content=content_of(body))


@pytest.mark.parametrize("kind", KINDS)
def test_a_senders_signature_is_proved_by_its_key_alone(kind: str) -> None:
    origin = signed(kind)
    key = pem(private_key(kind))
    for papers in (origin.to_json(), b'{"ref":"evt_","origin":' + origin.to_json() + b"}"):
        first, second = verify_sender(papers, key, receipted(origin)).proved
        assert first == f"the holder of the {kind} key that you gave signed it, as {KEYID}"
        assert second == "what was signed names this content"
    for other in KINDS:
        if other != kind:
            with pytest.raises(VerificationError, match="not by the key"):
                verify_sender(origin.to_json(), pem(private_key(other)), receipted(origin))


def test_another_events_signature_or_a_changed_one_proves_nothing() -> None:
    origin, key = signed(), pem(private_key("ed25519"))
    with pytest.raises(VerificationError, match="whose digest the receipt has"):
        verify_sender(signed(body=b"{}").to_json(), key, receipted(origin))
    with pytest.raises(VerificationError, match="whose digest the receipt has"):
        verify_sender(origin.to_json(), key, evidence(1, content=content_of(BODY)))
    forged = Origin("ed25519", KEYID, origin.base + b"x", origin.signature)
    with pytest.raises(VerificationError, match="not by the key"):
        verify_sender(forged.to_json(), key, receipted(forged))


def test_a_signed_webhook_is_proved_with_the_content_and_not_without() -> None:
    key = private_key("ed25519")
    base = b"msg_1.1800000000." + BODY
    origin = Origin("v1a", KEYID, base, key.sign(base), len(BODY))
    known = receipted(origin)
    assert len(verify_sender(origin.to_json(), pem(key), known, content=BODY).proved) == 2
    with pytest.raises(VerificationError, match="give your copy"):
        verify_sender(origin.to_json(), pem(key), known)
    with pytest.raises(VerificationError, match="whose digest"):
        verify_sender(origin.to_json(), pem(key), known, content=BODY + b" ")


def test_of_an_event_in_a_batch_it_is_not_said_that_its_content_was_named() -> None:
    origin = signed(body=b"[" + BODY + b"]")
    assert len(verify_sender(origin.to_json(), pem(private_key("ed25519")), receipted(origin)).proved) == 1


def test_a_longer_digest_names_the_content_where_there_is_a_copy() -> None:
    long = f"sha-512=:{base64.b64encode(hashlib.sha512(BODY).digest()).decode()}:"
    origin, key = signed(content_digest=long), pem(private_key("ed25519"))
    assert len(verify_sender(origin.to_json(), key, receipted(origin)).proved) == 1
    assert len(verify_sender(origin.to_json(), key, receipted(origin), content=BODY).proved) == 2


def test_papers_that_are_none_are_refused_by_one_family() -> None:
    origin = signed()
    for raw in (b"", b"[]", b"{}", b'{"origin":{}}', b"\xff", b"[" * 5000, b'{"origin":"none"}'):
        with pytest.raises(MalformedError):
            parse_sender(raw)
    whole = json.loads(origin.to_json())
    for name in ("base", "signature", "key_id"):
        for value in (1, None, "*", "\ud800"):
            changed = json.dumps({**whole, name: value}).encode()
            with pytest.raises(VerificationError):
                verify_sender(changed, pem(private_key("ed25519")), receipted(origin))
    for key in (b"", b"no key", pem(generate_private_key(SECP384R1()))):
        with pytest.raises(MalformedError, match="sender's key"):
            verify_sender(origin.to_json(), key, receipted(origin))


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_by_one_family(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        verify_sender(raw, b"", evidence(1))


def test_the_command_proves_the_sender_beside_the_receipt(tmp_path: Path) -> None:
    origin = signed()
    files = {
        "receipt": issue(receipted(origin), RECEIPT_SIGNER).token.encode(),
        "jwks": json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}).encode(),
        "event.json": b'{"origin":' + origin.to_json() + b"}",
        "signer.pem": pem(private_key("ed25519")),
        "other.pem": pem(private_key("rsa-pss-sha512")),
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)

    def run(*words: str) -> tuple[int, str]:
        out, err = io.StringIO(), io.StringIO()
        named = [str(tmp_path / word) if word in files else word for word in words]
        return main(["verify", *named], out, err), out.getvalue() + err.getvalue()

    given_papers = ("receipt", "--keys", "jwks", "--sender", "event.json", "--sender-key")
    code, said = run(*given_papers, "signer.pem")
    assert code == 0
    assert "the holder of the ed25519 key that you gave signed it, as crd_1" in said
    assert "not shown: whose key it is" in said
    code, said = run(*given_papers, "other.pem")
    assert (code, "not by the key" in said) == (9, True)
    with pytest.raises(SystemExit):
        run("receipt", "--sender", "event.json")
