"""The tree in uneven batches is the defined one, and its proofs hold and prove nothing else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import VerificationError
from audit.merkle import EMPTY_ROOT, hash_leaf, hash_node, verify_consistency, verify_inclusion
from audit.tree import Head, Node, prove_consistency, prove_inclusion, root_at
from tests.unit.audit.builders import reader

ORIGIN = "gw.example/log/acme/1"


def defined_root(hashes: list[bytes]) -> bytes:
    """The recursive definition, as RFC 6962 writes it."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    split = 1
    while split * 2 < len(hashes):
        split *= 2
    return hash_node(defined_root(hashes[:split]), defined_root(hashes[split:]))


def grown(widths: list[int]) -> tuple[Head, tuple[Node, ...], list[bytes]]:
    head, nodes, leaves = Head(ORIGIN), list[Node](), list[bytes]()
    for width in widths:
        batch = [b"leaf %d" % (len(leaves) + number) for number in range(width)]
        head, more = head.append(batch)
        nodes += more
        leaves += batch
    return head, tuple(nodes), leaves


WIDTHS = st.lists(st.integers(0, 40), min_size=1, max_size=8).filter(any)


@given(WIDTHS)
@settings(deadline=None)
def test_batches_make_the_defined_tree(widths: list[int]) -> None:
    head, nodes, leaves = grown(widths)
    hashes = [hash_leaf(leaf) for leaf in leaves]
    assert head.root() == defined_root(hashes)
    assert {(node.level, node.index): node.hash for node in nodes} == {
        (level, index): defined_root(hashes[index << level : (index + 1) << level])
        for level in range(len(leaves).bit_length())
        for index in range(len(leaves) >> level)
    }


@given(WIDTHS, st.data())
@settings(deadline=None)
def test_inclusion_holds_at_every_size_and_for_one_place(widths: list[int], drawn: st.DataObject) -> None:
    _head, nodes, leaves = grown(widths)
    size = drawn.draw(st.integers(1, len(leaves)))
    index = drawn.draw(st.integers(0, size - 1))
    read = reader(nodes)
    proof, root = prove_inclusion(index, size, read), root_at(size, read)
    verify_inclusion(hash_leaf(leaves[index]), index, size, proof, root)
    other = drawn.draw(st.integers(0, size))
    if other != index:
        with pytest.raises(VerificationError):
            verify_inclusion(hash_leaf(leaves[index]), other, size, proof, root)


@given(WIDTHS, st.data())
@settings(deadline=None)
def test_consistency_holds_between_any_two_sizes(widths: list[int], drawn: st.DataObject) -> None:
    _head, nodes, leaves = grown(widths)
    new = drawn.draw(st.integers(1, len(leaves)))
    old = drawn.draw(st.integers(1, new))
    read = reader(nodes)
    proof = prove_consistency(old, new, read)
    verify_consistency(old, root_at(old, read), new, root_at(new, read), proof)
    if proof:
        broken = [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]]
        with pytest.raises(VerificationError):
            verify_consistency(old, root_at(old, read), new, root_at(new, read), broken)
        with pytest.raises(VerificationError):
            verify_consistency(old, root_at(old, read), new, root_at(new, read), proof[:-1])
