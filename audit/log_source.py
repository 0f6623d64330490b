"""Where a monitor reads a log from, and how its entries and hashes are read without believing them.

Source: C2SP tlog-tiles.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from audit.errors import AuditError, MalformedError
from audit.merkle import HASH_BYTES, hash_node
from audit.tile import FULL_WIDTH, TREE_LEVELS, Tile, decode_bundle, encode_bundle
from audit.tree import NodeKey

ENTRY_BYTES = 1_024
"""Leaves of our logs have at most about 130 bytes."""

BUNDLE_BYTES = FULL_WIDTH * (ENTRY_BYTES + 2)
TILE_BYTES = FULL_WIDTH * HASH_BYTES


class LogAwayError(AuditError):
    """Nobody answers, or not now: look again later."""

    code = "log_away"


class LogMissingError(AuditError):
    """There is no such thing, says whoever answers."""

    code = "log_missing"


class AnswerUnfitError(AuditError):
    """What is answered is not what a log answers: a redirect, another form, more than there can be."""

    code = "log_answer_unfit"


class Tiles(Protocol):
    """Entries and hashes of a log. Every method raises the three errors above."""

    def entries(self, origin: str, tile: Tile) -> bytes:
        """An entry bundle."""
        ...

    def hashes(self, origin: str, tile: Tile) -> bytes:
        """A tile of hashes."""
        ...


class Source(Tiles, Protocol):
    """A gateway as a monitor sees it. Every method raises the three errors above.

    What a method answers is bounded, and believed by nobody.
    """

    def checkpoint(self, origin: str) -> bytes:
        """The signed note that is served now."""
        ...

    def evidence(self, origin: str, index: int) -> bytes:
        """The evidence of an entry of one's own log."""
        ...

    def proof(self, ref: str) -> bytes:
        """The `.tlog-proof` file of an event."""
        ...

    def origins(self) -> Sequence[str]:
        """The log's epochs, oldest first."""
        ...

    def log_keys(self) -> Sequence[bytes]:
        """Public keys that checkpoints are signed by, as they are told now."""
        ...

    def compromised_keys(self) -> Collection[bytes]:
        """Public keys of checkpoints, and of their freshness, that somebody else may have, as is told now."""
        ...

    def freshness_keys(self) -> Sequence[str]:
        """Keys that freshness is vouched for with, as they are told now: `name+id+base64`."""
        ...


def read_entries(source: Tiles, origin: str, index: int, width: int) -> tuple[bytes, ...]:
    """The first `width` leaves of a bundle: of the partial one, else of the full one in its place.

    Raises:
        LogMissingError: there is neither.
        MalformedError: they are no such bundle.
    """
    tile = Tile(None, index, width)
    try:
        raw = source.entries(origin, tile)
    except LogMissingError:
        if width == FULL_WIDTH:
            raise
        raw = source.entries(origin, Tile(None, index))
        return _cut(decode_bundle(raw), width, FULL_WIDTH)
    return _cut(decode_bundle(raw), width, width)


def read_hashes(source: Tiles, origin: str, level: int, index: int, width: int) -> tuple[bytes, ...]:
    """The first `width` hashes of a tile. Raises as `read_entries`."""
    try:
        raw, wanted = source.hashes(origin, Tile(level, index, width)), width
    except LogMissingError:
        if width == FULL_WIDTH:
            raise
        raw, wanted = source.hashes(origin, Tile(level, index)), FULL_WIDTH
    if len(raw) != wanted * HASH_BYTES:
        raise MalformedError(f"tile: {len(raw)} bytes, expected {wanted * HASH_BYTES}")
    hashes = tuple(raw[at : at + HASH_BYTES] for at in range(0, len(raw), HASH_BYTES))
    return hashes[:width]


def _cut(leaves: tuple[bytes, ...], width: int, told: int) -> tuple[bytes, ...]:
    if len(leaves) != told:
        raise MalformedError(f"bundle: {len(leaves)} entries, expected {told}")
    return leaves[:width]


@dataclass(frozen=True, slots=True)
class Later:
    """Tiles of a log as it was, out of those of a log of `size` entries: partial ones may be gone."""

    source: Tiles
    size: int

    def entries(self, origin: str, tile: Tile) -> bytes:
        """See the port."""
        try:
            return self.source.entries(origin, tile)
        except LogMissingError:
            raw = self.source.entries(origin, self._wider(tile, 0))
            return encode_bundle(decode_bundle(raw)[: tile.width])

    def hashes(self, origin: str, tile: Tile) -> bytes:
        """See the port."""
        try:
            return self.source.hashes(origin, tile)
        except LogMissingError:
            raw = self.source.hashes(origin, self._wider(tile, tile.level or 0))
            return raw[: tile.width * HASH_BYTES]

    def _wider(self, tile: Tile, level: int) -> Tile:
        there = (self.size >> (TREE_LEVELS * level)) - tile.index * FULL_WIDTH
        return Tile(tile.level, tile.index, min(FULL_WIDTH, max(there, tile.width)))


class TileNodes:
    """Nodes of a tree of `size` leaves out of the tiles of a log; each tile is read once."""

    def __init__(self, source: Tiles, origin: str, size: int) -> None:
        """Read nothing yet."""
        self._source = source
        self._origin = origin
        self._size = size
        self._tiles: dict[tuple[int, int], tuple[bytes, ...]] = {}

    def __call__(self, keys: Sequence[NodeKey]) -> dict[NodeKey, bytes]:
        """The hashes of perfect subtrees, as `audit.tree` asks for them. Raises as `read_entries`."""
        return {key: self._node(*key) for key in keys}

    def _node(self, level: int, index: int) -> bytes:
        tile_level, height = divmod(level, TREE_LEVELS)
        first = index << height
        hashes = self._tile(tile_level, first // FULL_WIDTH)
        at = first % FULL_WIDTH
        return perfect(hashes[at : at + (1 << height)])

    def _tile(self, level: int, index: int) -> tuple[bytes, ...]:
        if (level, index) not in self._tiles:
            there = (self._size >> (TREE_LEVELS * level)) - index * FULL_WIDTH
            width = min(FULL_WIDTH, there)
            self._tiles[level, index] = read_hashes(self._source, self._origin, level, index, width)
        return self._tiles[level, index]


def perfect(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of hashes."""
    row = list(hashes)
    if not row or len(row) & (len(row) - 1):
        raise MalformedError(f"tile: {len(row)} hashes where a power of two is needed")
    while len(row) > 1:
        row = [hash_node(left, right) for left, right in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def edges_of(hashes: Sequence[bytes]) -> tuple[bytes, ...]:
    """The roots of the perfect subtrees that a row of fewer than 256 hashes makes, largest first."""
    found, at = [], 0
    for bit in reversed(range(TREE_LEVELS)):
        if len(hashes) >> bit & 1:
            found.append(perfect(hashes[at : at + (1 << bit)]))
            at += 1 << bit
    return tuple(found)
