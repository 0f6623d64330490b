import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from audit.__main__ import main
from audit.bundle import write_tar
from audit.errors import MalformedError, VerificationError
from audit.papers import Keys
from audit.receipt import format_jwk, issue
from audit.sender import sender_paper
from audit.verify import Verdict
from audit.whole import verify_files
from gateway.origin_evidence import Origin
from tests.signing import KINDS, Draft, private_key, raw_signature
from tests.unit.audit.builders import RECEIPT_SIGNER, evidence

BODY = b'{"order_id":"A-1","qty":3}'
KEYID = "crd_1"
GIVEN = "the holder of the {} key that you gave signed it, as crd_1"


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


def receipted(origin: Origin, body: bytes = BODY) -> bytes:
    accepted = evidence(1, origin=origin.sha256(), content=content_of(body))
    return issue(accepted, RECEIPT_SIGNER).token.encode()


def verify(paper: bytes, receipt: bytes, *keys: bytes, content: bytes | None = None) -> Verdict:
    """A sender's signature, as the gateway hands it out, beside a receipt."""
    name, raw = sender_paper(paper)
    pinned = Keys({RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key}, parties=keys)
    return verify_files([receipt, write_tar({name: raw})], pinned, content=content)


def names_content(verdict: Verdict) -> bool:
    return any(said.startswith("what was signed names the content") for said in verdict.proved)


@pytest.mark.parametrize("kind", KINDS)
def test_a_senders_signature_is_proved_by_its_key_alone(kind: str) -> None:
    origin = signed(kind)
    key = pem(private_key(kind))
    for papers in (origin.to_json(), b'{"ref":"evt_","origin":' + origin.to_json() + b"}"):
        verdict = verify(papers, receipted(origin), key)
        assert GIVEN.format(kind) in verdict.proved
        assert names_content(verdict)
    for other in KINDS:
        if other != kind:
            with pytest.raises(VerificationError, match="by the key that you gave"):
                verify(origin.to_json(), receipted(origin), pem(private_key(other)))


def test_without_the_senders_key_it_is_the_operators_word() -> None:
    origin = signed()
    verdict = verify(origin.to_json(), receipted(origin))
    assert any("sender's key crd_1 signed it" in said for said in verdict.word)
    assert not any("signed it, as" in said for said in verdict.proved)


def test_another_events_signature_or_a_changed_one_proves_nothing() -> None:
    origin, key = signed(), pem(private_key("ed25519"))
    with pytest.raises(VerificationError, match="the evidence is for another"):
        verify(signed(body=b"{}").to_json(), receipted(origin), key)
    unsigned = issue(evidence(1, content=content_of(BODY)), RECEIPT_SIGNER).token.encode()
    with pytest.raises(VerificationError, match="the evidence is for another"):
        verify(origin.to_json(), unsigned, key)
    forged = Origin("ed25519", KEYID, origin.base + b"x", origin.signature)
    with pytest.raises(VerificationError, match="by the key that you gave"):
        verify(forged.to_json(), receipted(forged), key)


def test_a_signature_of_ecdsa_has_one_spelling() -> None:
    origin = signed("ecdsa-p256-sha256")
    longer = Origin(origin.algorithm, KEYID, origin.base, origin.signature + b"\x00")
    with pytest.raises(VerificationError, match="by the key that you gave"):
        verify(longer.to_json(), receipted(longer), pem(private_key("ecdsa-p256-sha256")))


def test_a_signed_webhook_is_proved_with_the_content_and_not_without() -> None:
    key = private_key("ed25519")
    base = b"msg_1.1800000000." + BODY
    origin = Origin("v1a", KEYID, base, key.sign(base), len(BODY))
    known = receipted(origin)
    assert GIVEN.format("ed25519") in verify(origin.to_json(), known, pem(key), content=BODY).proved
    assert any("give your copy" in said for said in verify(origin.to_json(), known).word)
    with pytest.raises(VerificationError, match="by the key that you gave"):
        verify(origin.to_json(), known, pem(key))
    with pytest.raises(VerificationError, match="another"):
        verify(origin.to_json(), known, pem(key), content=BODY + b" ")


def test_of_an_event_in_a_batch_it_is_not_said_that_its_content_was_named() -> None:
    origin = signed(body=b"[" + BODY + b"]")
    verdict = verify(origin.to_json(), receipted(origin), pem(private_key("ed25519")))
    assert not names_content(verdict)
    assert any("names this very content" in said for said in verdict.not_proved)


def test_papers_that_are_none_are_refused_by_one_family() -> None:
    origin = signed()
    for raw in (b"", b"[]", b"{}", b'{"origin":{}}', b"\xff", b"[" * 5000, b'{"origin":"none"}'):
        with pytest.raises(MalformedError):
            sender_paper(raw)
    whole = json.loads(origin.to_json())
    for name in ("base", "signature", "key_id"):
        for value in (1, None, "*", "\ud800"):
            changed = json.dumps({**whole, name: value}).encode()
            with pytest.raises(VerificationError):
                verify(changed, receipted(origin), pem(private_key("ed25519")))
    for key in (b"", b"no key", pem(generate_private_key(SECP384R1()))):
        with pytest.raises(VerificationError, match="by the key that you gave"):
            verify(origin.to_json(), receipted(origin), key)


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused_by_one_family(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        sender_paper(raw)


def test_the_longer_digest_is_no_reason_to_say_that_the_content_was_named() -> None:
    long = f"sha-512=:{base64.b64encode(hashlib.sha512(BODY).digest()).decode()}:"
    origin, key = signed(content_digest=long), pem(private_key("ed25519"))
    assert not names_content(verify(origin.to_json(), receipted(origin), key))


def test_the_command_proves_the_sender_beside_the_receipt(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    origin = signed()
    name, paper = sender_paper(origin.to_json())
    files = {
        "receipt": receipted(origin),
        "jwks": json.dumps({"keys": [format_jwk(RECEIPT_SIGNER.public_key)]}).encode(),
        "signed.tar": write_tar({name: paper}),
        "signer.pem": pem(private_key("ed25519")),
        "other.pem": pem(private_key("rsa-pss-sha512")),
    }
    for name, raw in files.items():
        (tmp_path / name).write_bytes(raw)

    def run(*words: str) -> tuple[int, str]:
        named = [str(tmp_path / word) if word in files else word for word in words]
        return main(["verify", *named]), capsys.readouterr().out

    given_papers = ("receipt", "signed.tar", "--keys", "jwks", "--party-key")
    code, said = run(*given_papers, "signer.pem")
    assert code == 0
    assert GIVEN.format("ed25519") in said
    assert "  - whose key it is" in said
    code, said = run(*given_papers, "other.pem")
    assert (code, "by the key that you gave" in said) == (9, True)


def test_a_signature_beside_a_receipt_does_not_put_the_receipt_into_the_log() -> None:
    origin = signed()
    verdict = verify(origin.to_json(), receipted(origin), pem(private_key("ed25519")), content=BODY)
    assert "that the log holds it: no proof was given" in verdict.not_proved


def test_a_bundle_with_another_content_than_the_caller_s_is_refused() -> None:
    receipt, pinned = receipted(signed()), Keys({RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key})
    assert verify_files([receipt, write_tar({"content": BODY})], pinned, content=BODY).proved
    with pytest.raises(MalformedError, match="content: another one lies in the bundle"):
        verify_files([receipt, write_tar({"content": b"another"})], pinned, content=BODY)


def test_a_second_sender_s_signature_that_nothing_names_is_refused() -> None:
    base = b"1." + BODY
    origin = Origin("ed25519", KEYID, base, raw_signature(private_key("ed25519"), base))
    parts = [len(one).to_bytes(4) + one for one in (origin.signature, KEYID.encode())]
    files = {"sender-2": b"1." + b"".join(parts)}
    receipt, pinned = receipted(origin), Keys({RECEIPT_SIGNER.key_id: RECEIPT_SIGNER.public_key})
    assert verify_files([receipt, write_tar(files)], pinned, content=BODY).word
    with pytest.raises(MalformedError, match="sender: another one lies in the bundle"):
        verify_files([receipt, write_tar(files | {"sender": b"anything"})], pinned, content=BODY)


def test_evidence_with_a_digest_that_is_none_is_refused_in_words() -> None:
    origin = signed()
    raw = json.loads(evidence(1, origin=origin.sha256(), content=content_of(BODY)).raw)
    raw["content"]["sha256"] = "no digest"
    text = json.dumps(raw, ensure_ascii=False, separators=(",", ":")).encode()
    head = base64.urlsafe_b64encode(
        f'{{"alg":"EdDSA","kid":"{RECEIPT_SIGNER.key_id}","typ":"gateway-receipt+json"}}'.encode()
    )
    parts = b".".join((head.rstrip(b"="), base64.urlsafe_b64encode(text).rstrip(b"=")))
    signature = base64.urlsafe_b64encode(RECEIPT_SIGNER.sign(parts)).rstrip(b"=")
    with pytest.raises(MalformedError, match="sender"):
        verify(origin.to_json(), parts + b"." + signature)
