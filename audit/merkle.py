"""Merkle tree hashing and proof verification, as an outsider does it.

Pure functions over SHA-256 values. Building proofs is `audit.tree`'s work; nothing here reads a log.

Source: RFC 6962 section 2.1 (hashing), RFC 9162 sections 2.1.3.2 and 2.1.4.2 (verification).
"""

import hashlib
from collections.abc import Sequence

from audit.errors import InconsistentError, VerificationError

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of a tree without leaves."""


def hash_leaf(entry: bytes) -> bytes:
    """Hash one entry of the log. The prefix 00 keeps a node from being passed off as an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Hash two subtrees into their parent."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """Root over perfect subtrees given from left to right, largest first; `EMPTY_ROOT` over none."""
    if not hashes:
        return EMPTY_ROOT
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = hash_node(left, root)
    return root


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf stands at `index` in the tree of `size` leaves with this root.

    Args:
        leaf_hash: `hash_leaf` of the entry, computed by the verifier itself.
        index: Place of the leaf, from 0.
        size: Number of leaves.
        proof: Sibling hashes, from the leaf to the root.
        root: Root from a checkpoint whose signature was verified.

    Raises:
        VerificationError: It does not.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        raise VerificationError(f"inclusion: index {index} is not within a tree of {size} entries")
    fn, sn, result = index, size - 1, leaf_hash
    for sibling in proof:
        if sn == 0:
            raise VerificationError("inclusion: the proof has more hashes than the path to the root")
        if fn & 1 or fn == sn:
            result = hash_node(sibling, result)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            result = hash_node(result, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise VerificationError("inclusion: the proof has fewer hashes than the path to the root")
    if result != root:
        raise VerificationError(f"inclusion: entry {index} does not lead to the root of the checkpoint")


def verify_consistency(
    old_size: int, old_root: bytes, new_size: int, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that the tree of `old_size` leaves is a prefix of the tree of `new_size` leaves.

    An empty old tree is refused, since nothing can be said about it: the caller decides what that means.

    Raises:
        InconsistentError: It is not a prefix, or the proof does not show it.

    Source: RFC 9162 section 2.1.4.2.
    """
    if not 0 < old_size <= new_size:
        raise InconsistentError(f"consistency: sizes {old_size} and {new_size} cannot be compared")
    if old_size == new_size:
        if proof or old_root != new_root:
            raise InconsistentError(
                f"consistency: two different trees of {old_size} entries, or a needless proof"
            )
        return
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise InconsistentError("consistency: the proof has no hashes")
    from_old, from_new, rest = _climb(old_size, new_size, path)
    if rest != 0:
        raise InconsistentError("consistency: the proof has fewer hashes than needed")
    if from_old != old_root:
        raise InconsistentError(
            f"consistency: the proof does not lead to the old root, of {old_size} entries"
        )
    if from_new != new_root:
        raise InconsistentError(
            f"consistency: the proof does not lead to the new root, of {new_size} entries"
        )


def _climb(old_size: int, new_size: int, path: Sequence[bytes]) -> tuple[bytes, bytes, int]:
    """Both roots as the path gives them, and what was left of the way up (0: all of it was walked)."""
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        if sn == 0:
            raise InconsistentError("consistency: the proof has more hashes than needed")
        if fn & 1 or fn == sn:
            from_old = hash_node(sibling, from_old)
            from_new = hash_node(sibling, from_new)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            from_new = hash_node(from_new, sibling)
        fn, sn = fn >> 1, sn >> 1
    return from_old, from_new, sn
