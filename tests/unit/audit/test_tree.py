"""Growing the tree in uneven batches, and proofs out of its nodes."""

import hashlib
from collections.abc import Sequence
from itertools import cycle, islice

import pytest

from audit.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from audit.errors import VerificationError
from audit.merkle import EMPTY_ROOT, hash_leaf, hash_node, verify_consistency, verify_inclusion
from audit.note import parse_verifier_key
from audit.proof import parse_proof
from audit.tile import encode_bundle, parse_tile_path
from audit.tree import Head, Node, prove_consistency, prove_inclusion, root_at
from tests.unit.audit.builders import LOG_SIGNER, load_vectors, reader

V3 = load_vectors("log.json")["v3"]
LOG_KEY = parse_verifier_key(V3["log_key"])


def defined_root(hashes: Sequence[bytes]) -> bytes:
    """The recursive definition over leaf hashes, as RFC 6962 writes it."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return hash_node(defined_root(hashes[:split]), defined_root(hashes[split:]))


def grown(size: int, batches: Sequence[int]) -> tuple[Head, tuple[Node, ...]]:
    """A log of `entry-<i>`, appended in batches of these sizes in turn."""
    head, nodes = Head("gw.example/log/acme/1"), list[Node]()
    entries = (b"entry-%d" % number for number in range(size))
    for width in cycle(batches):
        batch = list(islice(entries, width))
        if not batch:
            return head, tuple(nodes)
        head, more = head.append(batch)
        nodes += more
    raise AssertionError


@pytest.fixture(scope="module")
def large() -> tuple[Head, dict[tuple[int, int], bytes]]:
    head, nodes = grown(70_000, [1, 255, 7, 4096, 256, 3])
    return head, {(node.level, node.index): node.hash for node in nodes}


Large = tuple[Head, dict[tuple[int, int], bytes]]


def test_root_of_the_whole_log_vector(large: Large) -> None:
    assert large[0].root().hex() == V3["root_70000"]
    assert large[1][0, 0].hex() == V3["leaf_hash_0"]


def test_root_of_an_earlier_size_comes_from_the_nodes(large: Large) -> None:
    nodes = large[1]
    assert root_at(300, lambda keys: {key: nodes[key] for key in keys}).hex() == V3["root_300"]
    assert root_at(0, lambda keys: {key: nodes[key] for key in keys}) == EMPTY_ROOT


@pytest.mark.parametrize("path", [path for path in V3["tiles"] if "entries" not in path])
def test_tiles_of_the_whole_log_vector_are_ranges_of_nodes(large: Large, path: str) -> None:
    tile = parse_tile_path(path)
    hashes = [large[1][tile.tree_level, tile.first + place] for place in range(tile.width)]
    assert hashlib.sha256(b"".join(hashes)).hexdigest() == V3["tiles"][path]


def test_entry_bundle_of_the_whole_log_vector() -> None:
    raw = encode_bundle([b"entry-%d" % number for number in range(256)])
    assert len(raw) == V3["bundle_0_bytes"]
    assert hashlib.sha256(raw).hexdigest() == V3["tiles"]["tile/entries/000"]


def test_proof_of_the_last_of_300_is_the_vector(large: Large) -> None:
    nodes = large[1]
    proof = parse_proof(V3["proof_299_of_300"].encode())
    checkpoint = verify_checkpoint(proof.checkpoint, [LOG_KEY])
    hashes = prove_inclusion(299, 300, lambda keys: {key: nodes[key] for key in keys})
    assert proof.index == 299
    assert proof.hashes == hashes
    verify_inclusion(hash_leaf(b"entry-299"), 299, checkpoint.size, hashes, checkpoint.root)


@pytest.mark.parametrize(
    ("entry", "index", "size", "cut", "more"),
    [
        pytest.param(b"entry-299", 299, 300, 4, (), id="one hash short"),
        pytest.param(b"entry-299", 299, 300, 5, (bytes(32),), id="one hash long"),
        pytest.param(b"entry-299", 300, 300, 5, (), id="index is the size"),
        pytest.param(b"entry-299", 299, 299, 5, (), id="size reduced by one"),
        pytest.param(b"entry-298", 298, 300, 5, (), id="entry 298 with the proof of 299"),
        pytest.param(b"entry-299", 298, 300, 5, (), id="another index"),
    ],
)
def test_the_proof_vector_proves_nothing_else(
    entry: bytes, index: int, size: int, cut: int, more: tuple[bytes, ...]
) -> None:
    proof = parse_proof(V3["proof_299_of_300"].encode())
    checkpoint = verify_checkpoint(proof.checkpoint, [LOG_KEY])
    with pytest.raises(VerificationError):
        verify_inclusion(hash_leaf(entry), index, size, (*proof.hashes[:cut], *more), checkpoint.root)


def test_growth_from_300_to_70000_takes_16_hashes(large: Large) -> None:
    nodes = large[1]
    hashes = prove_consistency(300, 70_000, lambda keys: {key: nodes[key] for key in keys})
    assert len(hashes) == 16
    old, new = bytes.fromhex(V3["root_300"]), bytes.fromhex(V3["root_70000"])
    verify_consistency(300, old, 70_000, new, hashes)


def test_our_signature_of_the_checkpoint_is_the_vectors(large: Large) -> None:
    ours = sign_checkpoint(Checkpoint("gw.example/log/acme", 70_000, large[0].root()), LOG_SIGNER)
    vector = V3["checkpoint_70000"].encode()
    assert vector.startswith(ours)
    assert verify_checkpoint(vector, [LOG_KEY]) == verify_checkpoint(ours, [LOG_KEY])


@pytest.mark.parametrize("batches", [[1], [2, 1], [3, 0, 5], [64], [7, 31]], ids=str)
def test_batches_do_not_change_the_tree(batches: list[int]) -> None:
    size = 70
    head, nodes = grown(size, [width for width in batches if width])
    hashes = [hash_leaf(b"entry-%d" % number) for number in range(size)]
    assert head.root() == defined_root(hashes)
    assert sorted((node.level, node.index) for node in nodes) == sorted(
        (level, index) for level in range(7) for index in range(size >> level)
    )
    assert all(
        node.hash == defined_root(hashes[node.index << node.level : (node.index + 1) << node.level])
        for node in nodes
    )


def test_every_inclusion_proof_of_small_trees_holds() -> None:
    _head, nodes = grown(33, [33])
    read = reader(nodes)
    for size in range(1, 34):
        root = root_at(size, read)
        for index in range(size):
            verify_inclusion(
                hash_leaf(b"entry-%d" % index), index, size, prove_inclusion(index, size, read), root
            )


def test_every_consistency_proof_of_small_trees_holds() -> None:
    _head, nodes = grown(33, [33])
    read = reader(nodes)
    for new in range(1, 34):
        for old in range(1, new + 1):
            proof = prove_consistency(old, new, read)
            verify_consistency(old, root_at(old, read), new, root_at(new, read), proof)


def test_nothing_leads_from_the_empty_tree() -> None:
    assert prove_consistency(0, 5, reader(())) == ()


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="is not within"):
        prove_inclusion(index, size, reader(()))


@pytest.mark.parametrize(("old", "new"), [(6, 5), (-1, 5)])
def test_no_proof_of_a_log_that_shrank(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="no prefix"):
        prove_consistency(old, new, reader(()))


@pytest.mark.parametrize(("size", "edge"), [(1, ()), (3, (bytes(32),)), (-1, (bytes(32),))])
def test_head_with_another_edge_is_refused(size: int, edge: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="does not have"):
        Head("gw.example/log/acme/1", size, edge)
