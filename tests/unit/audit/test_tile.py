"""Tiles: one spelling for each, and which of them a log of some size has."""

import pytest

from audit.errors import MalformedError
from audit.tile import Tile, decode_bundle, encode_bundle, format_tile_path, parse_tile_path


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0), "tile/0/000"),
        (Tile(0, 999), "tile/0/999"),
        (Tile(1, 1000), "tile/1/x001/000"),
        (Tile(0, 1_000_000), "tile/0/x001/x000/000"),
        (Tile(63, 1_234_067), "tile/63/x001/x234/067"),
        (Tile(0, 273, 112), "tile/0/273.p/112"),
        (Tile(None, 0), "tile/entries/000"),
        (Tile(None, 1_234_067, 1), "tile/entries/x001/x234/067.p/1"),
    ],
)
def test_paths_are_the_specifications(tile: Tile, path: str) -> None:
    assert format_tile_path(tile) == path
    assert parse_tile_path(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile",
        "tile/0",
        "tile/0/0",
        "tile/0/1000",
        "tile/0/x000/001",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000/",
        "/tile/0/000",
        "tile/data/000",
        "tile/8/0/000",
        "tile/0/\u0660\u0660\u0660",
        "tile/0/000\n",
        "tile/0/" + "x999/" * 30 + "999",
        "tile/0/x036/x028/x797/x018/x963/968",
    ],
)
def test_another_spelling_is_refused(path: str) -> None:
    with pytest.raises(MalformedError, match=r"^tile"):
        parse_tile_path(path)


@pytest.mark.parametrize(
    ("size", "level", "full", "partial"),
    [
        (255, 0, 0, 255),
        (256, 0, 1, 0),
        (256, 1, 0, 1),
        (257, 0, 1, 1),
        (257, 1, 0, 1),
        (65_535, 0, 255, 255),
        (65_535, 1, 0, 255),
        (65_536, 0, 256, 0),
        (65_536, 1, 1, 0),
        (65_536, 2, 0, 1),
        (70_000, 0, 273, 112),
        (70_000, 1, 1, 17),
        (70_000, 2, 0, 1),
        (70_000, 3, 0, 0),
    ],
)
def test_which_tiles_a_log_has(size: int, level: int, full: int, partial: int) -> None:
    assert all(Tile(level, index).is_within(size) for index in range(full))
    assert not Tile(level, full).is_within(size)
    assert [width for width in range(1, 257) if Tile(level, full, width).is_within(size)] == list(
        range(1, partial + 1)
    )


def test_entries_are_bundled_and_taken_apart() -> None:
    entries = (b"", b"a", b"x" * 65_535)
    assert encode_bundle(entries[:2]) == b"\0\0\0\1a"
    assert decode_bundle(encode_bundle(entries)) == entries


def test_entry_that_is_too_long_is_not_bundled() -> None:
    with pytest.raises(ValueError, match="65535"):
        encode_bundle([b"x" * 65_536])


@pytest.mark.parametrize("raw", [b"\0", b"\0\1", b"\0\1a\0", b"\0\0" * 257])
def test_malformed_bundle_is_refused(raw: bytes) -> None:
    with pytest.raises(MalformedError, match=r"^bundle"):
        decode_bundle(raw)


@pytest.mark.parametrize(
    ("level", "index", "width"), [(64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 0, 0), (0, 0, 257)]
)
def test_tile_that_no_log_has_is_not_built(level: int, index: int, width: int) -> None:
    with pytest.raises(MalformedError):
        Tile(level, index, width)
