"""From an entry to cosignatures: every step holds, and no step can be left out."""

import json
from dataclasses import replace
from typing import Any

import pytest

from audit.anchor import (
    APART_SECONDS,
    AnchorProof,
    doubtful_times,
    format_anchor_proof,
    format_seen,
    parse_anchor_proof,
    verify_anchor_proof,
)
from audit.checkpoint import Checkpoint
from audit.cosignature import ED25519
from audit.errors import MalformedError, UnpinnedKeyError, VerificationError
from gateway.witness.key import CosigningKey
from tests.unit.audit.anchors import SEEN_AT, WITNESSES, Anchor, policy
from tests.unit.audit.builders import ORIGIN, OTHER_SIGNER, evidence


def test_an_entry_that_enough_witnesses_saw_is_shown() -> None:
    anchor = Anchor()
    found = verify_anchor_proof(anchor.proof(), anchor.leaf, policy(), latest=SEEN_AT)
    assert found.is_enough
    assert found.seen == (("w1", SEEN_AT), ("w2", SEEN_AT), ("w3", SEEN_AT))
    assert (found.head.origin, found.head.size, found.checkpoint.size) == (ORIGIN, 11, 5)
    words = format_seen(found)
    assert "seen by 3 of 3 witnesses: w1 at 2026-11-22T13:05:50Z" in words
    assert "w3 at 2026-11-22T13:05:50Z, each by its own word (anchor" in words


def test_a_time_that_a_witness_states_is_its_own_word_and_contradictions_are_said() -> None:
    found = verify_anchor_proof(Anchor().proof(), Anchor().leaf, policy())
    made, word = found.at // 1_000, "when witnesses saw it: each states a time of its own"
    assert doubtful_times(replace(found, seen=())) is None
    for times, doubt in (
        ([made, made + APART_SECONDS], ""),
        ([made + (1 << 40)], ""),
        ([made, made + APART_SECONDS + 1], ", and they contradict each other by 3601 s"),
        ([made - APART_SECONDS - 1], ", and one of them is 3601 s before the anchor's own entry"),
    ):
        seen = tuple((f"w{number}", time) for number, time in enumerate(times))
        assert doubtful_times(replace(found, seen=seen)) == word + doubt


def test_too_few_witnesses_are_told_and_are_not_enough() -> None:
    anchor = Anchor(cosigners=WITNESSES[:1])
    found = verify_anchor_proof(anchor.proof(), anchor.leaf, policy())
    assert (found.is_enough, [name for name, _ in found.seen]) == (False, ["w1"])
    bare = Anchor(cosigners=())
    assert "seen by 0 of 3 witnesses: none" in format_seen(
        verify_anchor_proof(bare.proof(), bare.leaf, policy())
    )


def test_strangers_that_cosigned_count_for_nothing() -> None:
    strangers = [
        CosigningKey(f"w.example/{number}", ED25519, bytes([90 + number]) * 32) for number in (1, 2, 3)
    ]
    anchor = Anchor(cosigners=strangers)
    assert verify_anchor_proof(anchor.proof(), anchor.leaf, policy()).seen == ()


def test_a_paper_reads_back() -> None:
    proof = Anchor().proof()
    assert parse_anchor_proof(format_anchor_proof(proof)) == proof


def broken(proof: AnchorProof) -> dict[str, AnchorProof]:
    """The proof with each of its steps broken."""
    head, opening = proof.head, proof.opening
    return {
        "another entry's place": replace(proof, index=proof.index + 1),
        "a hash short": replace(proof, hashes=proof.hashes[:-1]),
        "a hash long": replace(proof, hashes=(*proof.hashes, bytes(32))),
        "a larger head": replace(proof, head=Checkpoint(head.origin, head.size + 1, head.root)),
        "another head's root": replace(proof, head=Checkpoint(head.origin, head.size, bytes(32))),
        "another log's head": replace(proof, head=Checkpoint("gw.example/log/1/1", head.size, head.root)),
        "another salt": replace(proof, opening=replace(opening, salt=bytes(32))),
        "another place": replace(proof, opening=replace(opening, place=opening.place ^ 1)),
        "no path": replace(proof, opening=replace(opening, path=())),
        "another anchor's entry": replace(proof, evidence=proof.evidence.replace(b'"id":"17', b'"id":"18')),
        "evidence of another kind": replace(proof, evidence=evidence(1).raw),
        "evidence that is none": replace(proof, evidence=b"{}"),
        "a proof that is none": replace(proof, proof=b""),
        "another index": replace(proof, proof=proof.proof.replace(b"index 4", b"index 3")),
    }


@pytest.mark.parametrize("fault", broken(Anchor().proof()))
def test_a_way_with_a_broken_step_is_refused(fault: str) -> None:
    anchor = Anchor()
    with pytest.raises(VerificationError):
        verify_anchor_proof(broken(anchor.proof())[fault], anchor.leaf, policy())


def test_another_entry_than_the_verifiers_own_is_refused() -> None:
    with pytest.raises(VerificationError, match="does not lead to the root"):
        verify_anchor_proof(Anchor().proof(), evidence(4).leaf(), policy())


def test_a_checkpoint_by_a_key_that_the_policy_does_not_name_is_refused() -> None:
    anchor = Anchor(signer=OTHER_SIGNER)
    with pytest.raises(UnpinnedKeyError):
        verify_anchor_proof(anchor.proof(), anchor.leaf, policy())


def test_the_anchors_entry_must_be_of_the_log_that_was_cosigned() -> None:
    anchor = Anchor(log="gw.example/log/k3v9q2")
    with pytest.raises(VerificationError, match="the entry is of"):
        verify_anchor_proof(anchor.proof(), anchor.leaf, policy())


@pytest.mark.parametrize("members", [{"root": "AAAA"}, {"root": "x"}, {"width": 0}, {"width": 1 << 40}])
def test_an_anchors_entry_without_a_root_is_refused(members: dict[str, Any]) -> None:
    anchor = Anchor(members=members)
    with pytest.raises(VerificationError):
        verify_anchor_proof(anchor.proof(), anchor.leaf, policy())


def test_a_cosignature_of_tomorrow_is_refused() -> None:
    anchor = Anchor()
    with pytest.raises(VerificationError, match="has not come yet"):
        verify_anchor_proof(anchor.proof(), anchor.leaf, policy(), latest=SEEN_AT - 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", "gateway-anchor-proof/v2"),
        ("log", 7),
        ("log", "a b"),
        ("size", -1),
        ("size", True),
        ("size", "11"),
        ("size", 1 << 63),
        ("root", "AAAA"),
        ("root", None),
        ("index", 1.5),
        ("hashes", "AAAA"),
        ("hashes", [1]),
        ("hashes", ["AAAA"]),
        ("path", ["A" * 44] * 64),
        ("salt", ""),
        ("evidence", 1),
        ("evidence", "\ud800"),
        ("tlog_proof", None),
    ],
)
def test_another_shape_is_refused(name: str, value: object) -> None:
    whole = json.loads(format_anchor_proof(Anchor().proof()))
    with pytest.raises(MalformedError):
        parse_anchor_proof(json.dumps({**whole, name: value}).encode())


@pytest.mark.parametrize("name", ["receipt", "proof", "note", ""])
def test_a_member_that_no_proof_has_is_refused(name: str) -> None:
    whole = json.loads(format_anchor_proof(Anchor().proof()))
    with pytest.raises(MalformedError, match="other members"):
        parse_anchor_proof(json.dumps({**whole, name: "x"}).encode())


@pytest.mark.parametrize("name", json.loads(format_anchor_proof(Anchor().proof())))
def test_each_member_stands_once(name: str) -> None:
    raw = format_anchor_proof(Anchor().proof())
    whole = json.loads(raw)
    again = json.dumps({name: whole[name]})[1:-1].encode()
    with pytest.raises(MalformedError):
        parse_anchor_proof(raw.replace(b"{", b"{" + again + b",", 1))
    with pytest.raises(MalformedError):
        parse_anchor_proof(json.dumps({one: value for one, value in whole.items() if one != name}).encode())


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"\xff", b"[" * 100_000, b" " * 2_000_001])
def test_what_is_no_paper_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError):
        parse_anchor_proof(raw)
