"""A partner's whole log, read as a monitor reads it: entries over HTTP, the tree made again here.

Trusts nothing that it reads: the root that the entries make must be the root that was signed.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from audit.checkpoint import Checkpoint, read_checkpoint, verify_checkpoint
from audit.errors import InconsistentError
from audit.note import VerifierKey
from audit.proof import ConsistencyProof, format_consistency
from audit.tile import FULL_WIDTH, Tile, decode_bundle, format_tile_path
from audit.tree import Head, NodeKey, prove_consistency
from gateway.cli.demo_http import Party

_LOOK_AGAIN_SECONDS: Final = 0.3
_NOT_YET: Final = 404
"""The status of a checkpoint before the first one is published."""


@dataclass(frozen=True, slots=True)
class WholeLog:
    """Every entry of a log under one of its checkpoints, checked against the signed root."""

    checkpoint: Checkpoint
    raw: bytes = field(repr=False)
    leaves: tuple[bytes, ...] = field(repr=False)
    nodes: Mapping[NodeKey, bytes] = field(repr=False)

    def kinds(self) -> Counter[str]:
        """How many entries of each kind there are; a leaf says its kind in clear, and nothing else."""
        return Counter(kind_of(leaf) for leaf in self.leaves)

    def growth_from(self, old: bytes) -> bytes:
        """The proof that this log continues the one of an older checkpoint, as text."""
        before, _ = read_checkpoint(old)

        def read(keys: Sequence[NodeKey]) -> dict[NodeKey, bytes]:
            return {key: self.nodes[key] for key in keys}

        hashes = prove_consistency(before.size, self.checkpoint.size, read)
        return format_consistency(ConsistencyProof(before.size, hashes, self.raw))


def kind_of(leaf: bytes) -> str:
    """The kind of an entry. Source: docs/formats.md, the leaf."""
    return leaf.split(b"\n", 2)[1].decode()


def rebuild(raw: bytes, key: VerifierKey, leaves: Sequence[bytes]) -> WholeLog:
    """The log of these entries, if they make the root that the checkpoint's signature covers.

    Raises:
        VerificationError: the checkpoint is not signed by this key.
        InconsistentError: the entries make another tree.
    """
    checkpoint = verify_checkpoint(raw, [key])
    head, nodes = Head(checkpoint.origin).append(leaves)
    if head.size != checkpoint.size or head.root() != checkpoint.root:
        raise InconsistentError(
            f"log: its {head.size} entries do not make the root of the checkpoint of {checkpoint.size}"
        )
    return WholeLog(checkpoint, raw, tuple(leaves), {(one.level, one.index): one.hash for one in nodes})


async def read_log(party: Party, path: str, key: VerifierKey, shown: Callable[[int], None]) -> WholeLog:
    """Read a log from its first entry. Raises as `rebuild`."""
    raw = (await party.get(f"{path}/checkpoint")).expect(200).content
    size = read_checkpoint(raw)[0].size
    leaves: list[bytes] = []
    while len(leaves) < size:
        tile = Tile(None, len(leaves) // FULL_WIDTH, min(FULL_WIDTH, size - len(leaves)))
        bundle = (await party.get(f"{path}/{format_tile_path(tile)}")).expect(200).content
        found = decode_bundle(bundle)
        if len(found) != tile.width:
            raise InconsistentError(f"log: {len(found)} entries in a bundle of {tile.width}")
        leaves += found
        shown(len(leaves))
    return rebuild(raw, key, leaves)


async def await_size(
    party: Party, path: str, wanted: int, patience: float, ticks: Callable[[], float]
) -> None:
    """Wait until the published log has so many entries and grows no more, or the patience (seconds) ends."""
    deadline, last = ticks() + patience, -1
    while ticks() < deadline:
        reply = (await party.get(f"{path}/checkpoint")).expect(200, _NOT_YET)
        size = 0 if reply.status == _NOT_YET else read_checkpoint(reply.content)[0].size
        if wanted <= size == last:
            return
        last = size
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)
