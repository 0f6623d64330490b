"""Receipts by a key that somebody else may have: only what the log holds is proved."""

import json

import pytest

from audit.bundle import Bundle, format_bundle, write_tar
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import MalformedError, UnpinnedKeyError, VerificationError
from audit.judging import verify_papers
from audit.papers import Keys
from audit.parties import encode_key
from audit.receipt import format_jwk
from audit.revoked import read_revoked, without_signature
from audit.whole import verify_files
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN, OTHER_SIGNER, RECEIPT_SIGNER, papers

HONEST = papers()
SINCE = 1_700_000_000
REVOKED = {RECEIPT_SIGNER.key_id: SINCE}


def jwks(*revoked: object) -> bytes:
    key = format_jwk(RECEIPT_SIGNER.public_key)
    marked = [{**key, "revoked": one} if isinstance(one, dict) else one for one in revoked]
    return json.dumps({"keys": [], "revoked_keys": marked}).encode()


def test_marked_keys_are_told_with_their_time() -> None:
    assert read_revoked(jwks({"revoked_at": SINCE, "reason": "compromised"})) == REVOKED
    assert read_revoked(b'{"keys": []}') == {}
    webhook = {"kid": "k", "purpose": "webhook", "revoked": {"revoked_at": 1}}
    assert read_revoked(json.dumps({"keys": [], "revoked_keys": [webhook]}).encode()) == {}


@pytest.mark.parametrize("revoked", [1, {}, {"revoked_at": "x"}, {"revoked_at": True}, {"revoked_at": -1}])
def test_another_mark_is_refused(revoked: object) -> None:
    with pytest.raises(MalformedError):
        read_revoked(jwks(revoked))
    with pytest.raises(MalformedError):
        read_revoked(b'{"keys": [], "revoked_keys": 1}')


def test_without_a_proof_nothing_is_proved_whatever_its_time() -> None:
    with pytest.raises(VerificationError, match=r"compromised since 2023-11-14T22:13:20Z.*no proof"):
        without_signature([HONEST.receipt], REVOKED)


@pytest.mark.parametrize(
    "files",
    [
        [HONEST.receipt, HONEST.proof],
        [HONEST.proof, HONEST.receipt],
        [format_bundle(Bundle(HONEST.receipt, HONEST.proof, HONEST.keys))],
    ],
    ids=["receipt first", "proof first", "bundle"],
)
def test_with_a_proof_the_log_speaks_and_the_receipt_does_not(files: list[bytes]) -> None:
    entries, doubts = without_signature(files, REVOKED)
    verdict = verify_files(entries, HONEST.keys)
    proved = "\n".join(verdict.proved)
    assert "entry 3 of the 11" in proved
    assert "accepted" in proved
    assert "receipt signed by" not in proved
    assert "compromised since" in doubts[0]
    assert "4 entries or more" in doubts[1]


def test_a_proof_of_something_else_proves_nothing() -> None:
    entries, _ = without_signature([HONEST.receipt, papers(4).proof], REVOKED)
    with pytest.raises(VerificationError):
        verify_files(entries, HONEST.keys)


def test_a_log_key_that_nobody_pinned_proves_nothing() -> None:
    entries, _ = without_signature([HONEST.receipt, HONEST.proof], REVOKED)
    with pytest.raises(UnpinnedKeyError):
        verify_files(entries, type(HONEST.keys)(HONEST.keys.receipts))


def test_checkpoints_that_stand_alone_stay_beside_it() -> None:
    heads = [sign_checkpoint(Checkpoint(ORIGIN, size, bytes(32)), LOG_SIGNER) for size in (20, 30)]
    entries, _ = without_signature([HONEST.receipt, *heads, HONEST.proof], REVOKED)
    assert entries[1:] == heads
    verdict = verify_papers(entries, HONEST.keys)[0]
    assert any("only grew from 11 to 20 to 30" in one for one in verdict.not_proved)
    assert any(one.startswith("entry 3 of the 11") for one in verdict.proved)


def test_papers_of_other_keys_stay_as_they_are() -> None:
    for files in ([HONEST.receipt, HONEST.proof], [HONEST.proof]):
        assert without_signature(files, {"another": SINCE}) == (files, ())
    with pytest.raises(MalformedError):
        without_signature([HONEST.receipt, b"not\n\nsigned"], REVOKED)


def bundle() -> bytes:
    """A bundle of evidence as the gateway makes it: the receipt's entry lies in it."""
    files = {
        "receipt.jws": HONEST.receipt,
        "keys/receipt.der": encode_key(RECEIPT_SIGNER.public_key),
        "entries/1/3.json": HONEST.evidence.raw,
        "entries/1/3.tlog-proof": HONEST.proof,
    }
    return write_tar(files)


def test_the_proof_in_a_bundle_of_evidence_is_one() -> None:
    files, doubts = without_signature([bundle()], REVOKED)
    verdict = verify_files(files, Keys({}, HONEST.keys.logs))
    assert any(said.startswith("entry 3 of the 11") for said in verdict.proved)
    assert not any("receipt signed by" in said for said in verdict.proved)
    assert "4 entries or more" in doubts[1]


def test_a_bundle_with_the_entry_of_something_else_proves_nothing_of_the_receipt() -> None:
    other = papers(4)
    files = {"entries/1/4.json": other.evidence.raw, "entries/1/4.tlog-proof": other.proof}
    with pytest.raises(VerificationError, match="no proof"):
        without_signature([HONEST.receipt, write_tar(files)], REVOKED)


def test_another_key_in_the_bundle_stays_to_be_refused() -> None:
    changed = write_tar(
        {
            "receipt.jws": HONEST.receipt,
            "keys/receipt.der": encode_key(OTHER_SIGNER.public_key),
            "entries/1/3.json": HONEST.evidence.raw,
            "entries/1/3.tlog-proof": HONEST.proof,
        }
    )
    files, _ = without_signature([changed], REVOKED)
    with pytest.raises(VerificationError, match="another receipt key"):
        verify_files(files, Keys({}, HONEST.keys.logs))


def test_two_different_proofs_of_the_receipt_are_refused() -> None:
    later = papers(3, 12).proof
    with pytest.raises(MalformedError, match="two different ones"):
        without_signature([bundle(), later], REVOKED)
