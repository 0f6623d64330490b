"""Offline verification: what is proved, by whose word, and every way it must not be."""

import hashlib

import pytest

from audit.bundle import Bundle, format_bundle
from audit.checkpoint import Checkpoint, sign_checkpoint
from audit.errors import InconsistentError, MalformedError, UnpinnedKeyError, VerificationError
from audit.merkle import EMPTY_ROOT
from audit.note import VerifierKey, parse_verifier_key
from audit.papers import Keys
from audit.proof import ConsistencyProof, format_consistency, parse_proof
from audit.receipt import issue
from audit.tree import Head, prove_consistency
from audit.verify import format_failure, format_verdict
from audit.whole import verify_files
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
    proof_of,
    reader,
)

V3 = load_vectors("log.json")["v3"]
HONEST = papers()
BOTH = [HONEST.receipt, HONEST.proof]
NOBODY = Keys()
IN_THE_LOG = f"the receipt is entry 3 of the 11 in {ORIGIN}"


def test_receipt_and_proof_under_pinned_keys_are_proved() -> None:
    verdict = verify_files(BOTH, HONEST.keys)
    assert IN_THE_LOG in verdict.proved
    text = format_verdict(verdict)
    assert text.startswith("proved\n  + https://gw.example accepted ")
    assert RECEIPT_SIGNER.key_id in text
    assert str(HONEST.keys.logs[0]) in text


def test_three_lists_are_told_apart() -> None:
    lines = format_verdict(verify_files(BOTH, HONEST.keys)).splitlines()
    titles = [line for line in lines if not line.startswith(" ")]
    assert titles == ["proved", "the operator's word only", "not proved"]
    assert {line[:4] for line in lines if line.startswith(" ")} == {"  + ", "  ~ ", "  - "}


def test_who_sent_it_and_when_is_the_operators_word() -> None:
    (word,) = verify_files(BOTH, HONEST.keys).word
    assert "took '/partners/acme' for the sender" in word
    assert "its own clock" in word


def test_of_a_receipt_alone_it_is_not_proved_that_the_log_has_it() -> None:
    verdict = verify_files([HONEST.receipt], HONEST.keys)
    assert "that the log holds it: no proof was given" in verdict.not_proved
    assert not any("entry" in said for said in verdict.proved)
    assert "that the log holds it: no proof was given" not in verify_files(BOTH, HONEST.keys).not_proved


def test_nor_is_it_where_other_papers_lie_beside_the_receipt() -> None:
    old, proof = growth(5, 8)
    for others in ([old], [old, proof]):
        verdict = verify_files([HONEST.receipt, *others], HONEST.keys)
        assert "that the log holds it: no proof was given" in verdict.not_proved


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
        pytest.param(
            Keys(HONEST.keys.receipts, (VerifierKey("gw.example/log/other/1", LOG_SIGNER.public_key),)),
            id="the log's key under the name of another log",
        ),
    ],
)
def test_keys_that_came_along_never_prove(pinned: Keys) -> None:
    bundle = format_bundle(Bundle(HONEST.receipt, HONEST.proof, HONEST.keys))
    with pytest.raises(UnpinnedKeyError, match="signed by a key you have not pinned"):
        verify_files([bundle], pinned)


def test_without_any_key_nothing_is_proved() -> None:
    for files in ([HONEST.receipt], BOTH):
        with pytest.raises(UnpinnedKeyError, match="signed by a key you have not pinned"):
            verify_files(files, NOBODY)


def test_a_key_under_the_name_of_another_is_refused() -> None:
    pinned = Keys({RECEIPT_SIGNER.key_id: OTHER_SIGNER.public_key}, HONEST.keys.logs)
    with pytest.raises(VerificationError, match="the signature is wrong"):
        verify_files(BOTH, pinned)


def test_forged_receipt_with_its_own_key_is_not_proved() -> None:
    """Whoever forges a receipt can send his own key with it."""
    forger = SeedSigner(b"\x55" * 32)
    forged = issue(evidence(3, partner="globex"), forger).token.encode()
    with pytest.raises(UnpinnedKeyError):
        verify_files(
            [format_bundle(Bundle(forged, None, Keys({forger.key_id: forger.public_key})))], HONEST.keys
        )


def forged_checkpoint(origin: str, *, size: int = 11, root: bytes | None = None) -> bytes:
    """The honest proof with another checkpoint under it, signed by the log's own key."""
    honest = parse_proof(HONEST.proof)
    known = Head(ORIGIN).append([HONEST.evidence.leaf()])[0].root()
    checkpoint = sign_checkpoint(Checkpoint(origin, size, root or known), LOG_SIGNER)
    return HONEST.proof.replace(honest.checkpoint, checkpoint)


def test_proof_from_another_partners_log_is_refused() -> None:
    other = papers(origin="gw.example/log/other/1")
    with pytest.raises(VerificationError, match="gw.example/log/other"):  # noqa: RUF043 - dots match dots
        verify_files([other.receipt, other.proof], other.keys)


@pytest.mark.parametrize("origin", [LOG, f"{LOG}/x", f"{LOG}/1/2", f"{LOG}2/1", f"{LOG}/01"])
def test_origin_that_is_no_epoch_of_the_receipts_log_is_refused(origin: str) -> None:
    keys = Keys(HONEST.keys.receipts, (VerifierKey(origin, LOG_SIGNER.public_key),))
    with pytest.raises(VerificationError, match=r"no checkpoint|proof: it is of"):
        verify_files([HONEST.receipt, forged_checkpoint(origin)], keys)


@pytest.mark.parametrize("pinned", [1, 2, 7])
def test_another_epoch_of_the_same_log_is_proved_by_the_same_key(pinned: int) -> None:
    later = papers(origin=f"{LOG}/2")
    keys = Keys(later.keys.receipts, (VerifierKey(f"{LOG}/{pinned}", LOG_SIGNER.public_key),))
    assert any(
        f"of the 11 in {LOG}/2" in said for said in verify_files([later.receipt, later.proof], keys).proved
    )


def test_another_root_is_refused() -> None:
    with pytest.raises(VerificationError, match="does not lead to the root"):
        verify_files([HONEST.receipt, forged_checkpoint(ORIGIN)], HONEST.keys)


def test_evidence_that_is_not_the_entry_is_refused() -> None:
    """The same event signed again, with another salt or time, is not what the log holds."""
    again = issue(evidence(3, at=HONEST.evidence.at + 1), RECEIPT_SIGNER).token.encode()
    with pytest.raises(VerificationError, match="does not lead to the root"):
        verify_files([again, HONEST.proof], HONEST.keys)


def test_signature_of_the_checkpoint_is_checked() -> None:
    altered = HONEST.proof.replace(b"\n11\n", b"\n12\n")
    with pytest.raises(VerificationError, match="signature is wrong"):
        verify_files([HONEST.receipt, altered], HONEST.keys)


def test_a_wrong_line_refuses_the_checkpoint_though_another_is_right() -> None:
    honest = parse_proof(HONEST.proof).checkpoint
    line = honest.rpartition(b"\n\n")[2]
    bad = line[:-10] + (b"B" if line[-10:-9] == b"A" else b"A") + line[-9:]
    assert bad != line
    with pytest.raises(VerificationError, match="signature is wrong"):
        verify_files([HONEST.receipt, HONEST.proof + bad], HONEST.keys)
    stranger = "\u2014 somebody.example AAAAAAAAAAAAAAAA\n".encode()
    assert IN_THE_LOG in verify_files([HONEST.receipt, HONEST.proof + stranger], HONEST.keys).proved


def test_content_is_compared_with_ones_own_copy() -> None:
    with pytest.raises(VerificationError, match="another content"):
        verify_files(BOTH, HONEST.keys, content=b"another")
    content = {"length": 0, "type": "application/json", "encoding": "identity"}
    empty = evidence(3, content={"sha256": hashlib.sha256(b"").hexdigest(), **content})
    receipt = issue(empty, RECEIPT_SIGNER).token.encode()
    verdict = verify_files([receipt], HONEST.keys, content=b"")
    assert any("the content is your copy, byte for byte" in said for said in verdict.proved)


# Forks


def test_two_checkpoints_of_one_size_with_two_roots_are_a_fork_that_is_named() -> None:
    forked = parse_proof(proof_of(HONEST.evidence, 4, others="other")).checkpoint
    assert verify_files([forked], HONEST.keys).proved
    with pytest.raises(
        InconsistentError, match=f"fork: two histories, by the root of 11 entries of {ORIGIN}"
    ):
        verify_files([*BOTH, forked], HONEST.keys)


def test_a_checkpoint_that_nobody_trusted_signed_makes_no_fork() -> None:
    stranger = sign_checkpoint(Checkpoint(ORIGIN, 11, bytes(32)), OTHER_SIGNER)
    with pytest.raises(UnpinnedKeyError):
        verify_files([*BOTH, stranger], HONEST.keys)


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
    verdict = verify_files(growth(old, new), HONEST.keys)
    assert f"{ORIGIN} only grew from {old} to {new} entries" in verdict.proved


def test_growth_of_the_whole_log_vector_is_proved() -> None:
    """Both checkpoints with their witness lines, and the proof that other tools accepted."""
    leaves = [b"entry-%d" % number for number in range(70_000)]
    _head, nodes = Head(ORIGIN).append(leaves)
    hashes = prove_consistency(300, 70_000, reader(nodes))
    text = format_consistency(ConsistencyProof(300, hashes, V3["checkpoint_70000"].encode()))
    old = parse_proof(V3["proof_299_of_300"].encode()).checkpoint
    pinned = Keys(logs=(parse_verifier_key(V3["log_key"]),))
    assert any("only grew from 300 to 70000" in said for said in verify_files([old, text], pinned).proved)


def test_growth_under_unpinned_keys_is_not_proved() -> None:
    with pytest.raises(UnpinnedKeyError, match="signed by a key you have not pinned"):
        verify_files(growth(5, 8), NOBODY)


def test_rewritten_log_is_found() -> None:
    old, _ = growth(5, 8)
    leaves = [b"other %d" % number for number in range(8)]
    new, nodes = Head(ORIGIN).append(leaves)
    signed = sign_checkpoint(Checkpoint(ORIGIN, 8, new.root()), LOG_SIGNER)
    proof = ConsistencyProof(5, prove_consistency(5, 8, reader(nodes)), signed)
    with pytest.raises(InconsistentError, match="old root"):
        verify_files([old, format_consistency(proof)], HONEST.keys)


def test_two_roots_at_one_size_are_found() -> None:
    old, _ = growth(5, 5)
    signed = sign_checkpoint(Checkpoint(ORIGIN, 5, bytes(32)), LOG_SIGNER)
    with pytest.raises(InconsistentError, match="two different trees"):
        verify_files([old, format_consistency(ConsistencyProof(5, (), signed))], HONEST.keys)


def test_shrunken_log_is_found() -> None:
    old, _ = growth(8, 8)
    signed, _ = growth(5, 5)
    with pytest.raises(InconsistentError):
        verify_files([old, format_consistency(ConsistencyProof(8, (), signed))], HONEST.keys)


def test_proof_from_another_size_is_refused() -> None:
    old, _ = growth(5, 8)
    _, proof = growth(6, 8)
    with pytest.raises(InconsistentError, match="whose proof starts at 6"):
        verify_files([old, proof], HONEST.keys)


def test_growth_into_another_log_is_refused() -> None:
    old, proof = growth(5, 8)
    other = f"{LOG}/2"
    foreign = sign_checkpoint(Checkpoint(other, 5, bytes(32)), LOG_SIGNER)
    keys = Keys(logs=(*HONEST.keys.logs, VerifierKey(other, LOG_SIGNER.public_key)))
    assert verify_files([old, proof], keys).proved
    with pytest.raises(InconsistentError, match="is not gw.example"):  # noqa: RUF043 - dots match dots
        verify_files([foreign, proof], keys)


def test_empty_log_with_a_root_is_refused() -> None:
    assert Head(ORIGIN).root() == EMPTY_ROOT
    _, proof = growth(0, 8)
    strange = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), LOG_SIGNER)
    with pytest.raises(InconsistentError, match="empty"):
        verify_files([strange, proof], HONEST.keys)


# Files


@pytest.mark.parametrize(
    "files",
    [
        [HONEST.receipt, HONEST.proof],
        [HONEST.proof, HONEST.receipt + b"\n"],
        [format_bundle(Bundle(HONEST.receipt, HONEST.proof, HONEST.keys))],
        [format_bundle(Bundle(HONEST.receipt)), HONEST.proof],
        [HONEST.receipt, HONEST.receipt, HONEST.proof],
    ],
    ids=["receipt and proof", "the other way round", "bundle", "answer and proof", "one twice"],
)
def test_papers_are_recognised(files: list[bytes]) -> None:
    assert IN_THE_LOG in verify_files(files, HONEST.keys).proved


def test_a_checkpoint_alone_says_who_signed_it() -> None:
    raw = V3["checkpoint_70000"].encode()
    key = parse_verifier_key(V3["log_key"])
    verdict = verify_files([raw], Keys(logs=(key,)))
    assert verdict.proved == (f"checkpoint of 70000 entries signed by {key}",)
    with pytest.raises(UnpinnedKeyError):
        verify_files([raw], NOBODY)


def wrong(honest: Papers) -> list[list[bytes]]:
    return [
        [],
        [honest.proof],
        [honest.receipt, papers(4).receipt],
        [honest.receipt, honest.proof, papers(4).proof],
        [b""],
        [b"something else"],
        [b"{}"],
        [b'{"receipt": 5}'],
        [b"old 3\n\nx"],
        [b"\x00" * 257 + b"ustar"],
    ]


@pytest.mark.parametrize("files", wrong(HONEST))
def test_other_papers_are_refused(files: list[bytes]) -> None:
    with pytest.raises(MalformedError):
        verify_files(files, HONEST.keys)


def test_a_terminal_does_not_obey_names_from_outside() -> None:
    assert "\x1b" not in format_failure(VerificationError("name \x1b[2J"))
    assert "\x9b" not in format_failure(VerificationError("name \x9b2J"))
    receipt = issue(evidence(3, type="\x1b[2J"), RECEIPT_SIGNER).token.encode()
    assert "\x1b" not in format_verdict(verify_files([receipt], HONEST.keys))
