"""Blinded heads: many logs' heads under one root, of which each can be shown without a word on the others.

Every head becomes a commitment behind a salt of its own. The commitments are filled up with others that
nobody can tell from them, to a power of two, and sorted, which for values of a hash is a shuffle. Who holds
one opening learns where its own head stands, and of the others not even how many they are.

Source: docs/formats.md section 14.
"""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from audit.checkpoint import Checkpoint
from audit.merkle import HASH_BYTES
from audit.tree import Head, Node, NodeKey, prove_inclusion

LEAST_WIDTH: Final = 64
SECRET_BYTES: Final = 32
_COMMIT: Final = b"gateway-head/v1\0"
_SALT: Final = b"gateway-head-salt/v1\0"
_PADDING: Final = b"gateway-head-padding/v1\0"


@dataclass(frozen=True, slots=True)
class Opening:
    """What shows that a head is one of those under a root.

    salt: 32 bytes. place: of its commitment among all, from 0. path: hashes from there to the root.
    """

    salt: bytes = field(repr=False)
    place: int
    path: tuple[bytes, ...] = field(repr=False)


def commit_head(salt: bytes, head: Checkpoint) -> bytes:
    """The commitment to a head: 32 bytes."""
    origin = head.origin.encode()
    parts = (_COMMIT, salt, len(origin).to_bytes(4), origin, head.size.to_bytes(8), head.root)
    return hashlib.sha256(b"".join(parts)).digest()


class Roll:
    """All heads of one moment, blinded. The same heads and the same secret make the same roll."""

    __slots__ = ("_heads", "_nodes", "_places", "_secret", "root", "width")

    def __init__(self, heads: Sequence[Checkpoint], secret: bytes) -> None:
        """`heads`: each of another origin. `secret`: 32 random bytes, used for this roll alone.

        Raises:
            ValueError: two heads of one origin, or a secret of another length.
        """
        self._heads = {head.origin: head for head in heads}
        if len(self._heads) != len(heads) or len(secret) != SECRET_BYTES:
            raise ValueError("a roll has one head of each origin, and a secret of 32 bytes")
        self._secret = secret
        self.width = max(LEAST_WIDTH, 1 << (len(heads) - 1).bit_length() if heads else 0)
        commitments = [commit_head(self._salt(origin), head) for origin, head in self._heads.items()]
        commitments += [self._padding(number) for number in range(self.width - len(heads))]
        commitments.sort()
        self._places = {commitment: place for place, commitment in enumerate(commitments)}
        top, nodes = Head("roll").append(commitments)
        self._nodes = _by_key(nodes)
        self.root = top.root()

    def open(self, origin: str) -> tuple[Checkpoint, Opening]:
        """The head of a log, and what shows that it is under the root.

        Raises:
            KeyError: there is none of this origin.
        """
        head, salt = self._heads[origin], self._salt(origin)
        place = self._places[commit_head(salt, head)]

        def read(keys: Sequence[NodeKey]) -> dict[NodeKey, bytes]:
            return {key: self._nodes[key] for key in keys}

        return head, Opening(salt, place, prove_inclusion(place, self.width, read))

    def _salt(self, origin: str) -> bytes:
        return hmac.digest(self._secret, _SALT + origin.encode(), "sha256")

    def _padding(self, number: int) -> bytes:
        return hmac.digest(self._secret, _PADDING + number.to_bytes(4), "sha256")


def pack_heads(heads: Sequence[Checkpoint], prefix: str) -> bytes:
    """Heads in few bytes, in order of their origins, all of which begin with `prefix`.

    Raises:
        ValueError: one begins otherwise.
    """
    parts: list[bytes] = []
    for head in sorted(heads, key=lambda one: one.origin):
        if not head.origin.startswith(prefix):
            raise ValueError(f"{head.origin} does not begin with {prefix}")
        name = head.origin.removeprefix(prefix).encode()
        parts.append(len(name).to_bytes(2) + name + head.size.to_bytes(8) + head.root)
    return b"".join(parts)


def unpack_heads(raw: bytes, prefix: str) -> list[Checkpoint]:
    """What `pack_heads` packed.

    Raises:
        ValueError: other bytes.
    """
    heads: list[Checkpoint] = []
    start = 0
    while start < len(raw):
        after = start + 2 + int.from_bytes(raw[start : start + 2])
        end = after + 8 + HASH_BYTES
        if end > len(raw):
            raise ValueError("packed heads are cut short")
        name = raw[start + 2 : after].decode()
        heads.append(Checkpoint(prefix + name, int.from_bytes(raw[after : after + 8]), raw[after + 8 : end]))
        start = end
    return heads


def _by_key(nodes: Sequence[Node]) -> dict[NodeKey, bytes]:
    return {(node.level, node.index): node.hash for node in nodes}
