"""Offline verification: what is proved, by whose word, and every way it must not be."""

import pytest

from audit.bundle import Bundle, Keys, format_bundle
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import InconsistentError, MalformedError, UnpinnedKeyError, VerificationError
from audit.merkle import EMPTY_ROOT
from audit.note import VerifierKey, parse_verifier_key
from audit.proof import ConsistencyProof, format_consistency, parse_proof
from audit.receipt import issue
from audit.tree import Head, prove_consistency
from audit.verify import (
    Outcome,
    format_failure,
    format_verdict,
    verify_files,
    verify_growth,
    verify_receipt_and_proof,
)
from tests.unit.audit.builders import (
    LOG,
    LOG_SIGNER,
    ORIGIN,
    OTHER_SIGNER,
    RECEIPT_SIGNER,
    Papers,
    SeedSigner,
    evidence,
    load_vectors,
    papers,
    reader,
)

V3 = load_vectors("log.json")["v3"]
HONEST = papers()
BUNDLE = Bundle(HONEST.receipt, HONEST.proof, HONEST.keys)
NOBODY = Keys()


def test_receipt_and_proof_under_pinned_keys_are_proved() -> None:
    verdict = verify_receipt_and_proof(BUNDLE, HONEST.keys)
    assert verdict.outcome is Outcome.PROVED
    assert verdict.evidence == HONEST.evidence
    assert verdict.checkpoint is not None
    assert (verdict.checkpoint.origin, verdict.checkpoint.size) == (ORIGIN, 11)
    text = format_verdict(verdict)
    assert text.startswith("proved\n")
    assert RECEIPT_SIGNER.key_id in text
    assert str(HONEST.keys.logs[0]) in text


def test_receipt_alone_is_the_operators_word() -> None:
    verdict = verify_receipt_and_proof(Bundle(HONEST.receipt), HONEST.keys)
    assert verdict.outcome is Outcome.OPERATORS_WORD
    assert verdict.checkpoint is None
    assert not format_verdict(verdict).startswith("proved")


@pytest.mark.parametrize(
    "pinned",
    [
        pytest.param(NOBODY, id="no key"),
        pytest.param(Keys(HONEST.keys.receipts), id="receipt key alone"),
        pytest.param(Keys(logs=HONEST.keys.logs), id="log key alone"),
        pytest.param(
            Keys(
                {OTHER_SIGNER.key_id: OTHER_SIGNER.public_key},
                (VerifierKey(ORIGIN, OTHER_SIGNER.public_key),),
            ),
            id="other keys",
        ),
    ],
)
def test_keys_that_came_along_never_prove(pinned: Keys) -> None:
    with pytest.raises(UnpinnedKeyError, match="signed by a key you have not pinned"):
        verify_receipt_and_proof(BUNDLE, pinned)


def test_without_any_key_nothing_is_proved() -> None:
    for bundle in (Bundle(HONEST.receipt), Bundle(HONEST.receipt, HONEST.proof)):
        with pytest.raises(UnpinnedKeyError, match="signed by a key you have not pinned"):
            verify_receipt_and_proof(bundle, NOBODY)


def test_wrong_arithmetic_is_found_before_keys_are_asked_for() -> None:
    forged = Bundle(HONEST.receipt, papers(4).proof, HONEST.keys)
    with pytest.raises(VerificationError, match="does not lead to the root"):
        verify_receipt_and_proof(forged, NOBODY)


def test_forged_receipt_with_its_own_key_is_not_proved() -> None:
    """Whoever forges a receipt can send his own key with it."""
    forger = SeedSigner(b"\x55" * 32)
    forged = issue(evidence(3, partner="globex"), forger).token.encode()
    with pytest.raises(UnpinnedKeyError):
        verify_receipt_and_proof(Bundle(forged, None, Keys({forger.key_id: forger.public_key})), HONEST.keys)


def forged_checkpoint(origin: str, *, size: int = 11, root: bytes | None = None) -> bytes:
    """The honest proof with another checkpoint under it, signed by the log's own key."""
    honest = parse_proof(HONEST.proof)
    known = Head(ORIGIN).append([HONEST.evidence.leaf()])[0].root()
    checkpoint = sign_checkpoint(Checkpoint(origin, size, root or known), LOG_SIGNER)
    return HONEST.proof.replace(honest.checkpoint, checkpoint)


def test_proof_from_another_partners_log_is_refused() -> None:
    other = papers(origin="gw.example/log/other/1")
    with pytest.raises(VerificationError, match="gw.example/log/other"):  # noqa: RUF043 - dots match dots
        verify_receipt_and_proof(Bundle(other.receipt, other.proof), other.keys)


@pytest.mark.parametrize("origin", [LOG, f"{LOG}/x", f"{LOG}/1/2", f"{LOG}2/1"])
def test_origin_that_is_no_epoch_of_the_receipts_log_is_refused(origin: str) -> None:
    keys = Keys(HONEST.keys.receipts, (VerifierKey(origin, LOG_SIGNER.public_key),))
    with pytest.raises(VerificationError, match=r"origin|proof: it is about"):
        verify_receipt_and_proof(Bundle(HONEST.receipt, forged_checkpoint(origin)), keys)


def test_later_epoch_of_the_same_log_is_proved() -> None:
    later = papers(origin=f"{LOG}/2")
    verdict = verify_receipt_and_proof(Bundle(later.receipt, later.proof), later.keys)
    assert verdict.outcome is Outcome.PROVED


def test_another_root_is_refused() -> None:
    with pytest.raises(VerificationError, match="does not lead to the root"):
        verify_receipt_and_proof(Bundle(HONEST.receipt, forged_checkpoint(ORIGIN)), HONEST.keys)


def test_evidence_that_is_not_the_entry_is_refused() -> None:
    """The same event signed again, with another salt or time, is not what the log holds."""
    again = issue(evidence(3, at=HONEST.evidence.at + 1), RECEIPT_SIGNER).token.encode()
    with pytest.raises(VerificationError, match="does not lead to the root"):
        verify_receipt_and_proof(Bundle(again, HONEST.proof), HONEST.keys)


def test_signature_of_the_checkpoint_is_checked() -> None:
    altered = HONEST.proof.replace(b"\n11\n", b"\n12\n")
    with pytest.raises(VerificationError, match="is wrong"):
        verify_receipt_and_proof(Bundle(HONEST.receipt, altered), HONEST.keys)


def test_content_is_compared_with_ones_own_copy() -> None:
    digest_of = "0dd3a2b2afaa5ee2f9c3d72769d7935bc51b2a8986f94cb93097cc93dd915303"
    assert HONEST.evidence.members["content"]["sha256"] == digest_of
    with pytest.raises(VerificationError, match="another content"):
        verify_receipt_and_proof(BUNDLE, HONEST.keys, content=b"another")
    empty = evidence(
        3,
        content={
            "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            "length": 0,
            "type": "application/json",
            "encoding": "identity",
        },
    )
    receipt = issue(empty, RECEIPT_SIGNER).token.encode()
    verdict = verify_receipt_and_proof(Bundle(receipt), HONEST.keys, content=b"")
    assert any("byte for byte" in statement for statement in verdict.proved)


# Growth


def growth(old_size: int, new_size: int) -> tuple[bytes, bytes]:
    """An old signed checkpoint, and the proof to the new one."""
    leaves = [b"leaf %d" % number for number in range(new_size)]
    new, nodes = Head(ORIGIN).append(leaves)
    old = Head(ORIGIN).append(leaves[:old_size])[0]
    signed_old, signed_new = (
        sign_checkpoint(Checkpoint(ORIGIN, head.size, head.root()), LOG_SIGNER) for head in (old, new)
    )
    hashes = prove_consistency(old_size, new_size, reader(nodes))
    return signed_old, format_consistency(ConsistencyProof(old_size, hashes, signed_new))


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 5), (5, 5), (5, 6), (8, 13)])
def test_growth_is_proved(old: int, new: int) -> None:
    verdict = verify_growth(*growth(old, new), HONEST.keys)
    assert verdict.outcome is Outcome.PROVED
    assert verdict.checkpoint is not None
    assert verdict.checkpoint.size == new
    assert f"from {old} to {new} entries" in format_verdict(verdict)


def test_growth_of_the_whole_log_vector_is_proved() -> None:
    """Both checkpoints with their witness lines, and the proof that other tools accepted."""
    leaves = [b"entry-%d" % number for number in range(70_000)]
    _head, nodes = Head(ORIGIN).append(leaves)
    hashes = prove_consistency(300, 70_000, reader(nodes))
    text = format_consistency(ConsistencyProof(300, hashes, V3["checkpoint_70000"].encode()))
    old = parse_proof(V3["proof_299_of_300"].encode()).checkpoint
    pinned = Keys(logs=(parse_verifier_key(V3["log_key"]),))
    assert verify_growth(old, text, pinned).outcome is Outcome.PROVED


def test_growth_under_unpinned_keys_is_not_proved() -> None:
    with pytest.raises(UnpinnedKeyError, match="signed by a key you have not pinned"):
        verify_growth(*growth(5, 8), NOBODY, HONEST.keys)


def test_rewritten_log_is_found() -> None:
    old, _ = growth(5, 8)
    leaves = [b"other %d" % number for number in range(8)]
    new, nodes = Head(ORIGIN).append(leaves)
    signed = sign_checkpoint(Checkpoint(ORIGIN, 8, new.root()), LOG_SIGNER)
    proof = ConsistencyProof(5, prove_consistency(5, 8, reader(nodes)), signed)
    with pytest.raises(InconsistentError, match="old root"):
        verify_growth(old, format_consistency(proof), HONEST.keys)


def test_two_roots_at_one_size_are_found() -> None:
    old, _ = growth(5, 5)
    signed = sign_checkpoint(Checkpoint(ORIGIN, 5, bytes(32)), LOG_SIGNER)
    with pytest.raises(InconsistentError, match="two different trees"):
        verify_growth(old, format_consistency(ConsistencyProof(5, (), signed)), HONEST.keys)


def test_shrunken_log_is_found() -> None:
    old, _ = growth(8, 8)
    signed, _ = growth(5, 5)
    with pytest.raises(InconsistentError):
        verify_growth(old, format_consistency(ConsistencyProof(8, (), signed)), HONEST.keys)


def test_proof_from_another_size_is_refused() -> None:
    old, _ = growth(5, 8)
    _, proof = growth(6, 8)
    with pytest.raises(InconsistentError, match="starts at 6"):
        verify_growth(old, proof, HONEST.keys)


def test_growth_into_another_log_is_refused() -> None:
    old, proof = growth(5, 8)
    other = f"{LOG}/2"
    foreign = sign_checkpoint(Checkpoint(other, 5, bytes(32)), LOG_SIGNER)
    keys = Keys(logs=(*HONEST.keys.logs, VerifierKey(other, LOG_SIGNER.public_key)))
    assert verify_growth(old, proof, keys).outcome is Outcome.PROVED
    with pytest.raises(InconsistentError, match="different logs"):
        verify_growth(foreign, proof, keys)


def test_empty_log_with_a_root_is_refused() -> None:
    assert Head(ORIGIN).root() == EMPTY_ROOT
    _, proof = growth(0, 8)
    strange = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), LOG_SIGNER)
    with pytest.raises(InconsistentError, match="empty"):
        verify_growth(strange, proof, HONEST.keys)


# Files


@pytest.mark.parametrize(
    "files",
    [
        [HONEST.receipt, HONEST.proof],
        [HONEST.proof, HONEST.receipt + b"\n"],
        [format_bundle(BUNDLE)],
        [format_bundle(Bundle(HONEST.receipt)), HONEST.proof],
    ],
    ids=["receipt and proof", "the other way round", "bundle", "answer and proof"],
)
def test_papers_are_recognised(files: list[bytes]) -> None:
    assert verify_files(files, HONEST.keys).outcome is Outcome.PROVED


def test_checkpoint_alone_is_the_operators_word() -> None:
    raw = V3["checkpoint_70000"].encode()
    verdict = verify_files([raw], Keys(logs=(parse_verifier_key(V3["log_key"]),)))
    assert verdict.outcome is Outcome.OPERATORS_WORD
    with pytest.raises(UnpinnedKeyError):
        verify_files([raw], NOBODY)


def too_many(honest: Papers) -> list[list[bytes]]:
    return [
        [],
        [honest.proof],
        [honest.receipt, honest.receipt],
        [honest.receipt, honest.proof, honest.proof],
        [honest.receipt, V3["checkpoint_70000"].encode()],
        [b""],
        [b"something else"],
        [b"{}"],
    ]


@pytest.mark.parametrize("files", too_many(HONEST))
def test_other_papers_are_refused(files: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        verify_files(files, HONEST.keys)


def test_a_terminal_does_not_obey_names_from_outside() -> None:
    assert "\x1b" not in format_failure(VerificationError("name \x1b[2J"))
    assert "\x9b" not in format_failure(VerificationError("name \x9b2J"))
