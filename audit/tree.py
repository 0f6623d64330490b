"""A growing Merkle tree: from leaves to nodes and the next head, and proofs out of stored nodes.

Every perfect subtree's hash is one `Node`: level is the base-2 logarithm of its leaves, index its place among
its like. With all of them stored, the proof for any size the log ever had is a handful of look-ups. Nothing
here stores; `audit.store` does.

Source: RFC 6962 section 2.1.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from audit.merkle import fold, hash_leaf, hash_node

NodeKey = tuple[int, int]
"""Level and index of a node."""

NodeReader = Callable[[Sequence[NodeKey]], Mapping[NodeKey, bytes]]
"""Reads the hashes of all nodes asked for, at once; raises where one is missing."""


@dataclass(frozen=True, slots=True)
class Node:
    """Hash of the perfect subtree over leaves `index << level` to `(index + 1) << level`, excluded."""

    level: int
    index: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """Where a log stands.

    origin: name of the log with its epoch, `gw.example/log/k3v9q2/1`.
    size: number of leaves.
    edge: hashes of the perfect subtrees that make up the tree, largest first: one for each bit set in `size`.
    """

    origin: str
    size: int = 0
    edge: tuple[bytes, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        """Refuse an edge that cannot belong to the size."""
        if self.size < 0 or len(self.edge) != self.size.bit_count():
            raise ValueError(f"a head of {self.size} leaves does not have {len(self.edge)} subtrees")

    def root(self) -> bytes:
        """Merkle tree hash of all leaves."""
        return fold(self.edge)

    def append(self, leaves: Iterable[bytes], *, lowest: int = 0) -> "tuple[Head, tuple[Node, ...]]":
        """The next head, and every node that became complete by these leaves (entry bytes, not hashes).

        `lowest`: the level from which on nodes are told.
        """
        edge, size = list(self.edge), self.size
        nodes: list[Node] = []
        for leaf in leaves:
            level, index, value = 0, size, hash_leaf(leaf)
            if not lowest:
                nodes.append(Node(level, index, value))
            while index & 1:
                value = hash_node(edge.pop(), value)
                level, index = level + 1, index >> 1
                if level >= lowest:
                    nodes.append(Node(level, index, value))
            edge.append(value)
            size += 1
        return Head(self.origin, size, tuple(edge)), tuple(nodes)


def edge_keys(size: int) -> list[NodeKey]:
    """Level and index of the nodes that make up the edge of a tree of `size` leaves, largest first."""
    return _perfect(0, size)


def root_at(size: int, read: NodeReader) -> bytes:
    """Root of the tree as it was with `size` leaves."""
    return _hashes([(0, size)], read)[0]


def edge_at(size: int, read: NodeReader) -> tuple[bytes, ...]:
    """Hashes of the perfect subtrees that make up the tree as it was with `size` leaves, largest first."""
    keys = _perfect(0, size)
    found = read(keys)
    return tuple(found[key] for key in keys)


def prove_inclusion(index: int, size: int, read: NodeReader) -> tuple[bytes, ...]:
    """Sibling hashes from the leaf at `index` to the root of the tree with `size` leaves.

    Raises:
        ValueError: `index` is not within that tree.
    """
    if not 0 <= index < size:
        raise ValueError(f"index {index} is not within a tree of {size} leaves")
    return _hashes(_inclusion_spans(index, size), read)


def prove_consistency(old_size: int, new_size: int, read: NodeReader) -> tuple[bytes, ...]:
    """Hashes that show the tree of `old_size` leaves to be a prefix of that of `new_size`; none from size 0.

    Raises:
        ValueError: The old tree is larger than the new one, or negative.
    """
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a tree of {old_size} leaves is no prefix of one of {new_size}")
    return _hashes(_consistency_spans(old_size, new_size), read) if old_size else ()


def _inclusion_spans(index: int, size: int) -> list[NodeKey]:
    """The leaf ranges whose hashes make up the proof, leaf to root (RFC 6962 section 2.1.1)."""
    spans: list[NodeKey] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    return spans[::-1]


def _consistency_spans(old_size: int, new_size: int) -> list[NodeKey]:
    """The leaf ranges of a consistency proof (RFC 6962 section 2.1.2).

    The subtree that both trees share is left out when it is the whole old tree, which the verifier has.
    """
    spans: list[NodeKey] = []
    low, high = 0, new_size
    while high != old_size:
        middle = low + _split(high - low)
        if old_size <= middle:
            spans.append((middle, high))
            high = middle
        else:
            spans.append((low, middle))
            low = middle
    if low:
        spans.append((low, high))
    return spans[::-1]


def _split(size: int) -> int:
    """Largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1


def _hashes(spans: Sequence[tuple[int, int]], read: NodeReader) -> tuple[bytes, ...]:
    """Hash of every leaf range, with one call of the reader for all."""
    parts = [_perfect(low, high) for low, high in spans]
    found = read([key for keys in parts for key in keys])
    return tuple(fold([found[key] for key in keys]) for keys in parts)


def _perfect(low: int, high: int) -> list[NodeKey]:
    """Perfect subtrees that cover the leaves from `low` to `high`, largest first.

    `low` is a multiple of the largest: so it is for every range of a proof.
    """
    keys: list[NodeKey] = []
    while low < high:
        level = (high - low).bit_length() - 1
        keys.append((level, low >> level))
        low += 1 << level
    return keys
