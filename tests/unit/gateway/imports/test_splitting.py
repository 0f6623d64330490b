import json
import tracemalloc
from collections.abc import Sequence
from itertools import pairwise
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.imports.job import CONTAINER, NDJSON, Counts, Import, Piece, Sender, Wish
from gateway.imports.reading import Items
from gateway.imports.splitting import PIECE_BYTES, PIECE_ITEMS, BlockSplitter, LineSplitter, Splitter
from gateway.ingress.content import Reading, Received, read_events
from gateway.ingress.draft import Draft
from schemas.container import ContainerLimits, read_container
from tests.container_files import SYNC, block, header, packed, sized

LIMITS = ContainerLimits(datum_bytes=1_000, block_bytes=100_000, total_bytes=2**40)
LINE_BYTES = 100
LINE = st.one_of(
    st.sampled_from([b"", b" ", b"\r", b"{}", b'{"a": 1}\r', b"\xff", b"no json", b"1" * LINE_BYTES]),
    st.binary(max_size=LINE_BYTES + 4).map(lambda raw: raw.replace(b"\n", b"")),
)


def job_of(media_type: str, head: bytes | None = None) -> Import:
    wish = Wish("acme", "inbound", "t", media_type, Sender("api_key", "crd"), dry_run=False)
    return Import("imp", wish, "running", 0, None, Counts(), 0, header=head, schema_id=1)


def split(splitter: Splitter, raw: bytes, cuts: Sequence[int]) -> list[Piece]:
    """Feed a body cut at these places."""
    ends = sorted({0, len(raw), *(one % (len(raw) + 1) for one in cuts)})
    pieces = [piece for start, end in pairwise(ends) for piece in splitter.feed(raw[start:end])]
    return pieces + splitter.finish()


def drafts(job: Import, pieces: Sequence[Piece], *, start: int = 0) -> list[bytes]:
    found: list[bytes] = []
    for piece in pieces:
        items = Items(job, piece, LIMITS, start=start)
        while (some := items.take(7, 1_000)).items:
            found += [one.content.raw for one in some.items]
        assert items.failure is None
    return found


def follow(pieces: Sequence[Piece], raw: bytes) -> None:
    """Pieces are the body, number their items on, and know where they stand."""
    expected = 0
    for number, piece in enumerate(pieces):
        assert (piece.number, piece.first) == (number, expected)
        assert raw[piece.offset : piece.offset + len(piece.raw)] == piece.raw
        expected += piece.count


@given(
    lines=st.lists(LINE, max_size=30),
    cuts=st.lists(st.integers(0, 10_000), max_size=10),
    has_end=st.booleans(),
)
def test_lines_are_those_of_a_batch_however_they_arrive(
    lines: list[bytes], cuts: list[int], *, has_end: bool
) -> None:
    raw = b"\n".join(lines) + b"\n" * has_end
    splitter = LineSplitter(LINE_BYTES)
    pieces = split(splitter, raw, cuts)
    follow(pieces, raw)
    good = raw if splitter.broken is None else raw[: splitter.broken.offset]
    if splitter.broken is not None:
        assert splitter.broken.line == good.count(b"\n") + 1
        assert len(raw[len(good) :].split(b"\n")[0]) > LINE_BYTES
    whole = read_events(Received("t", NDJSON, {}, good, good))
    assert isinstance(whole, Reading)
    assert splitter.items == len(whole.items)
    assert drafts(job_of(NDJSON), pieces) == [one.content.raw for one in whole.items]


def test_nothing_of_a_piece_is_read_before_its_items_are_asked_for() -> None:
    """Whoever makes them has the loop; they are taken on a thread."""
    coming = SimpleNamespace(number=0, first=0, count=2, line=1, offset=0)
    items = Items(job_of(NDJSON), cast("Piece", coming), LIMITS, start=1)
    coming.raw = b"1\n2\n"
    assert [one.content.raw for one in items.take(9, 1_000).items] == [b"2"]


def test_of_many_short_lines_only_those_that_are_asked_for_are_held() -> None:
    piece = Piece(0, 0, 20_000, 1, 0, b"1\n" * 20_000)
    items = Items(job_of(NDJSON), piece, LIMITS, start=0)
    tracemalloc.start()
    try:
        assert len(items.take(7, 1_000).items) == 7
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 20 * len(piece.raw)


def test_many_short_lines_are_several_pieces_and_a_long_one_is_one() -> None:
    splitter = LineSplitter(2 * PIECE_BYTES)
    raw = b"1\n" * (PIECE_ITEMS * 3) + b"2" * (PIECE_BYTES + 5) + b"\n3\n"
    pieces = split(splitter, raw, [PIECE_BYTES // 2])
    follow(pieces, raw)
    assert splitter.items == PIECE_ITEMS * 3 + 2
    assert max(piece.count for piece in pieces) <= PIECE_ITEMS
    assert [piece.count for piece in pieces if len(piece.raw) > PIECE_BYTES] == [1]


def record(number: int) -> bytes:
    return sized(str(number).encode())


def blocks(counts: Sequence[int]) -> list[bytes]:
    made, number = [], 0
    for count in counts:
        raw = b"".join(record(number + one) for one in range(count))
        made.append(block(count, packed("deflate", raw)))
        number += count
    return made


@given(
    st.lists(st.integers(0, 40), max_size=12),
    st.lists(st.integers(0, 10_000), max_size=10),
    st.integers(0, 300),
)
def test_blocks_are_those_of_the_file_however_they_arrive(
    counts: list[int], cuts: list[int], start: int
) -> None:
    raw = header("deflate") + b"".join(blocks(counts))
    splitter = BlockSplitter(LIMITS)
    pieces = split(splitter, raw, cuts)
    assert splitter.broken is None
    assert splitter.header == header("deflate")
    follow(pieces, raw)
    expected = [one.avro for one in read_container(raw, LIMITS).data]
    assert splitter.items == len(expected)
    assert drafts(job_of(CONTAINER, splitter.header), pieces) == expected
    assert drafts(job_of(CONTAINER, splitter.header), pieces, start=start) == expected[start:]


@given(
    rest=st.binary(max_size=200),
    cuts=st.lists(st.integers(0, 10_000), max_size=5),
    has_header=st.booleans(),
)
def test_no_bytes_break_anything_but_the_body_they_are_of(
    rest: bytes, cuts: list[int], *, has_header: bool
) -> None:
    good = header("null") + block(2, record(1) + record(2)) if has_header else b""
    splitter = BlockSplitter(LIMITS)
    pieces = split(splitter, good + rest, cuts)
    if splitter.broken is None:
        assert splitter.header is not None
    elif splitter.header is not None:
        assert splitter.broken.offset is not None
        assert splitter.broken.offset >= len(good) * has_header
    for piece in pieces:
        items = Items(job_of(CONTAINER, splitter.header), piece, LIMITS, start=0)
        while items.take(7, 1_000).items:
            pass


@pytest.mark.parametrize(
    ("rest", "words"),
    [
        (block(1, record(1), sync=b"x" * 16), "sync marker"),
        (block(1, record(1))[:-1], "ends in the middle"),
        (b"\x80" * 11, "no 64-bit number"),
        (b"\x02\x80", "ends in the middle"),
        (block(1, record(1), size=LIMITS.block_bytes + 1), "at most 100000 bytes"),
        (block(LIMITS.block_bytes + 1, record(1)), "more than it can hold"),
        (block(-1, record(1)), "claims -1 data"),
    ],
)
def test_a_broken_block_is_named_with_its_place_and_those_before_it_are_kept(rest: bytes, words: str) -> None:
    good = header("null") + block(2, record(1) + record(2))
    splitter = BlockSplitter(LIMITS)
    pieces = split(splitter, good + rest, [])
    assert splitter.broken is not None
    assert words in splitter.broken.detail
    assert splitter.broken.detail.startswith("Block 1")
    assert splitter.broken.offset == len(good)
    assert [piece.count for piece in pieces] == [2]


@pytest.mark.parametrize(
    "raw", [b"", b"Obj", b"Obj\x02", header("lzma"), header(schema='"strin"'), header(schema=None)]
)
def test_a_file_whose_header_is_not_taken_has_no_item(raw: bytes) -> None:
    splitter = BlockSplitter(LIMITS)
    assert split(splitter, raw, [2]) == []
    assert splitter.broken is not None
    assert (splitter.broken.code, splitter.items) == ("body_malformed", 0)


def test_a_large_header_arrives_bit_by_bit_and_is_read() -> None:
    raw = header("null", more={"note": b"n" * 300_000}) + block(1, record(7))
    splitter = BlockSplitter(LIMITS)
    pieces = [one for at in range(0, len(raw), 997) for one in splitter.feed(raw[at : at + 997])]
    pieces += splitter.finish()
    assert (splitter.broken, [piece.count for piece in pieces]) == (None, [1])
    assert splitter.header is not None
    assert splitter.header.endswith(SYNC)


def test_a_datum_that_is_none_ends_the_reading_and_is_named() -> None:
    raw = header("null") + block(3, record(1) + record(2) + b"\x08\xff\xff")
    splitter = BlockSplitter(LIMITS)
    (piece,) = split(splitter, raw, [])
    items = Items(job_of(CONTAINER, splitter.header), piece, LIMITS, start=1)
    some = items.take(9, 1_000)
    assert [one.content.raw for one in some.items if isinstance(one, Draft)] == [record(2)]
    assert items.failure is not None
    assert "item 2" in items.failure.detail
    assert json.loads(items.failure.to_json())["code"] == "body_malformed"
