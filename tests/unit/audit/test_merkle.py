"""Hashing and proof verification against RFC 6962's classic inputs, and every way a proof can be wrong."""

from collections.abc import Sequence

import pytest

from audit.errors import InconsistentError, VerificationError
from audit.merkle import EMPTY_ROOT, fold, hash_leaf, hash_node, verify_consistency, verify_inclusion
from tests.unit.audit.builders import load_vectors

V1 = load_vectors("log.json")["v1"]
INPUTS = [bytes.fromhex(entry) for entry in V1["inputs"]]
ROOTS = [bytes.fromhex(root) for root in V1["roots"]]
INCLUSION = [bytes.fromhex(value) for value in V1["inclusion"]["proof"]]


def defined_root(entries: Sequence[bytes]) -> bytes:
    """The recursive definition, as RFC 6962 writes it."""
    if not entries:
        return EMPTY_ROOT
    if len(entries) == 1:
        return hash_leaf(entries[0])
    split = 1
    while split * 2 < len(entries):
        split *= 2
    return hash_node(defined_root(entries[:split]), defined_root(entries[split:]))


def test_leaf_hash_of_the_empty_entry() -> None:
    assert hash_leaf(b"").hex() == V1["leaf_hash_of_empty"]


@pytest.mark.parametrize("size", range(9))
def test_roots_of_the_classic_inputs(size: int) -> None:
    assert defined_root(INPUTS[:size]) == ROOTS[size]


def test_fold_of_nothing_is_the_empty_root() -> None:
    assert fold([]) == ROOTS[0]


def test_inclusion_of_the_classic_vector_is_proved() -> None:
    verify_inclusion(hash_leaf(INPUTS[5]), 5, 8, INCLUSION, ROOTS[8])


@pytest.mark.parametrize(
    ("index", "size", "proof"),
    [
        pytest.param(5, 8, INCLUSION[:-1], id="one hash short"),
        pytest.param(5, 8, [*INCLUSION, bytes(32)], id="one hash long"),
        pytest.param(5, 8, [], id="no hashes"),
        pytest.param(8, 8, INCLUSION, id="index is the size"),
        pytest.param(-1, 8, INCLUSION, id="index below zero"),
        pytest.param(5, 6, INCLUSION, id="size of another shape"),
        pytest.param(4, 8, INCLUSION, id="proof of another entry"),
        pytest.param(5, 8, INCLUSION[::-1], id="hashes in another order"),
        pytest.param(0, 0, [], id="empty tree"),
    ],
)
def test_wrong_inclusion_is_refused(index: int, size: int, proof: list[bytes]) -> None:
    with pytest.raises(VerificationError):
        verify_inclusion(hash_leaf(INPUTS[5]), index, size, proof, ROOTS[8])


def test_leaf_hashed_as_a_node_is_refused() -> None:
    forged = hash_node(INPUTS[5][:1], INPUTS[5][1:])
    with pytest.raises(VerificationError):
        verify_inclusion(forged, 5, 8, INCLUSION, ROOTS[8])


def test_node_passed_off_as_an_entry_is_refused() -> None:
    """The classic second preimage: two leaf hashes side by side are no entry of a tree of half the size."""
    replayed = hash_leaf(INPUTS[0]) + hash_leaf(INPUTS[1])
    right = hash_node(hash_leaf(INPUTS[2]), hash_leaf(INPUTS[3]))
    verify_inclusion(hash_node(replayed[:32], replayed[32:]), 0, 2, [right], ROOTS[4])
    with pytest.raises(VerificationError):
        verify_inclusion(hash_leaf(replayed), 0, 2, [right], ROOTS[4])


@pytest.mark.parametrize("case", V1["consistency"], ids=lambda case: f"{case['old']}-{case['new']}")
def test_consistency_of_the_classic_vectors_is_proved(case: dict[str, object]) -> None:
    old, new, proof = case["old"], case["new"], case["proof"]
    assert isinstance(old, int)
    assert isinstance(new, int)
    assert isinstance(proof, list)
    verify_consistency(old, ROOTS[old], new, ROOTS[new], [bytes.fromhex(value) for value in proof])


def test_a_tree_is_consistent_with_itself() -> None:
    verify_consistency(8, ROOTS[8], 8, ROOTS[8], [])


CONSISTENCY = [bytes.fromhex(value) for value in V1["consistency"][1]["proof"]]


@pytest.mark.parametrize(
    ("old", "old_root", "new", "new_root", "proof"),
    [
        pytest.param(6, ROOTS[6], 8, ROOTS[8], CONSISTENCY[:-1], id="one hash short"),
        pytest.param(6, ROOTS[6], 8, ROOTS[8], [*CONSISTENCY, bytes(32)], id="one hash long"),
        pytest.param(6, ROOTS[6], 8, ROOTS[8], [], id="no hashes"),
        pytest.param(6, ROOTS[5], 8, ROOTS[8], CONSISTENCY, id="another old root"),
        pytest.param(6, ROOTS[6], 8, ROOTS[7], CONSISTENCY, id="another new root"),
        pytest.param(5, ROOTS[6], 8, ROOTS[8], CONSISTENCY, id="another old size"),
        pytest.param(8, ROOTS[8], 6, ROOTS[6], CONSISTENCY, id="a log that shrank"),
        pytest.param(8, ROOTS[8], 8, ROOTS[7], [], id="two roots at one size"),
        pytest.param(8, ROOTS[8], 8, ROOTS[8], CONSISTENCY, id="needless hashes"),
        pytest.param(0, ROOTS[0], 8, ROOTS[8], [], id="nothing to be consistent with"),
    ],
)
def test_wrong_consistency_is_refused(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: list[bytes]
) -> None:
    with pytest.raises(InconsistentError):
        verify_consistency(old, old_root, new, new_root, proof)
