"""Tiles: how a log's nodes and entries are named and cut for reading over HTTP.

A tile of hashes at level L, index N, is the nodes of tree level 8 L from 256 N on; an entry bundle is the
leaves from 256 N on. There are no tile files: a tile is a range query.

Source: C2SP tlog-tiles.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from audit.errors import MalformedError

FULL_WIDTH = 256
TREE_LEVELS = 8
"""Levels of the tree from one tile to the next."""
MOST_LEVEL = 63
LEAF_BYTES = 65_535
_INDEX_LIMIT = 1 << 55  # 2^63 leaves in tiles of 256

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)"
    r"/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})"
    r"(?:\.p/(?P<width>[1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Tile:
    """One tile.

    `level` None: a bundle of entries. `width` below 256: a partial tile, the newest of its level.
    """

    level: int | None
    index: int
    width: int = FULL_WIDTH

    def __post_init__(self) -> None:
        """Refuse what no log has."""
        if self.level is not None and not 0 <= self.level <= MOST_LEVEL:
            raise MalformedError(f"tile: level {self.level} is not within 0 to {MOST_LEVEL}")
        if not 0 <= self.index < _INDEX_LIMIT:
            raise MalformedError(f"tile: index {self.index} is out of range")
        if not 1 <= self.width <= FULL_WIDTH:
            raise MalformedError(f"tile: width {self.width} is not within 1 to {FULL_WIDTH}")

    @property
    def tree_level(self) -> int:
        """Level of the nodes in it; 0 for entries."""
        return TREE_LEVELS * (self.level or 0)

    @property
    def first(self) -> int:
        """Index of its first node or entry, at its tree level."""
        return self.index * FULL_WIDTH

    def is_within(self, size: int) -> bool:
        """Whether a log of `size` leaves has all of it."""
        return self.first + self.width <= size >> self.tree_level


def parse_tile_path(path: str) -> Tile:
    """Read `tile/<L>/<N>[.p/<W>]` or `tile/entries/<N>[.p/<W>]`, with N in groups of three digits.

    Raises:
        MalformedError: Any other text; there is one spelling of each tile.
    """
    match = _PATH.fullmatch(path)
    if match is None:
        raise MalformedError(
            "tile: expected tile/<level>/<index> such as tile/0/x001/067 or tile/entries/000.p/5"
        )
    level = None if match["level"] == "entries" else int(match["level"])
    digits = match["index"].replace("x", "").replace("/", "")
    if len(digits) > len(str(_INDEX_LIMIT)) + 2:
        raise MalformedError("tile: the index is out of range")
    width = FULL_WIDTH if match["width"] is None else int(match["width"])
    if match["width"] is not None and width >= FULL_WIDTH:
        raise MalformedError(
            f"tile: a partial width is at most {FULL_WIDTH - 1}; leave .p/ out for a full tile"
        )
    tile = Tile(level, int(digits), width)
    if format_tile_path(tile) != path:
        raise MalformedError(f"tile: write {format_tile_path(tile)}")
    return tile


def format_tile_path(tile: Tile) -> str:
    """The path of a tile below the log's prefix, without a leading slash."""
    groups = [f"{tile.index % 1000:03d}"]
    rest = tile.index // 1000
    while rest:
        groups.insert(0, f"x{rest % 1000:03d}")
        rest //= 1000
    level = "entries" if tile.level is None else str(tile.level)
    partial = "" if tile.width == FULL_WIDTH else f".p/{tile.width}"
    return f"tile/{level}/{'/'.join(groups)}{partial}"


def encode_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries one after the other, each behind its length as two bytes, most significant first.

    Raises:
        ValueError: An entry is longer than 65,535 bytes.
    """
    if any(len(entry) > LEAF_BYTES for entry in entries):
        raise ValueError(f"an entry of a bundle has at most {LEAF_BYTES} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_bundle(raw: bytes) -> tuple[bytes, ...]:
    """The entries of a bundle.

    Raises:
        MalformedError: The bytes end within an entry, or hold more than 256.
    """
    entries: list[bytes] = []
    at = 0
    while at < len(raw):
        end = at + 2 + int.from_bytes(raw[at : at + 2], "big")
        if end > len(raw) or at + 2 > len(raw):
            raise MalformedError(f"bundle: ends within entry {len(entries)}")
        entries.append(raw[at + 2 : end])
        at = end
    if len(entries) > FULL_WIDTH:
        raise MalformedError(f"bundle: {len(entries)} entries, at most {FULL_WIDTH} are allowed")
    return tuple(entries)
