"""Exports as Avro: read by others, written without others, and in one way only."""

import io
import tracemalloc
import zlib
from contextlib import suppress
from typing import Final

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import MalformedError
from audit.export_avro import (
    _BLOCK_BYTES,
    _HEAD,
    SCHEMA,
    _datum,
    _long,
    decode_container,
    encode_container,
)
from audit.export_row import COLUMNS, Value
from audit.manifest import PLAIN_BYTES, ROW_BYTES
from schemas.schema import parse_schema
from tests.unit.audit.rows_made import rows

ROWS = rows(40)
FILE = encode_container(ROWS)


def test_rows_come_back_as_they_were() -> None:
    assert list(decode_container(FILE)) == ROWS
    assert encode_container(ROWS) == FILE


def test_many_rows_stand_in_several_blocks() -> None:
    many = rows(700)
    raw = encode_container(many)
    assert list(decode_container(raw)) == many
    assert raw.count(raw[len(raw) - 16 :]) > 2


def test_fastavro_reads_the_same() -> None:
    found = list(fastavro.reader(io.BytesIO(FILE)))
    assert [one["evidence"] for one in found if isinstance(one, dict)] == [row[-1] for row in ROWS]
    assert [list(one) for one in found if isinstance(one, dict)] == [list(COLUMNS)] * len(ROWS)


def test_the_schema_is_one_that_we_admit() -> None:
    assert parse_schema(SCHEMA) is not None


@pytest.mark.parametrize("number", range(0, len(FILE), max(1, len(FILE) // 60)))
def test_a_flipped_byte_is_found_or_makes_other_rows(number: int) -> None:
    raw = bytearray(FILE)
    raw[number] ^= 0x15
    try:
        found = list(decode_container(bytes(raw)))
    except MalformedError:
        return
    assert found != ROWS


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_other_bytes_raise_one_family(raw: bytes) -> None:
    for one in (raw, FILE[: -len(raw) - 1], FILE + raw + b"x", FILE[:1_500] + raw):
        with pytest.raises(MalformedError):
            list(decode_container(one))


# Bombs


_BLANK: Final[dict[str, Value]] = {"flag": False, "text": ""}
EMPTY: Final[tuple[Value, ...]] = tuple(
    None if may_lack else _BLANK.get(plain, 0) for plain, may_lack in COLUMNS.values()
)
"""The smallest row there is: much Python for few bytes."""


def of_block(rows: bytes, count: int, times: int = 1) -> bytes:
    """A file of blocks that say to hold `count` rows each."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(rows) + packer.flush()
    return _HEAD + bytes(16) + (_long(count) + _long(len(packed)) + packed + bytes(16)) * times


def refused_after(raw: bytes, most: int) -> int:
    """How many rows are read before the file is refused."""
    count = 0
    try:
        for _ in decode_container(raw, most):
            count += 1
    except MalformedError:
        return count
    raise AssertionError("not refused")


def peak_of(raw: bytes, most: int) -> int:
    """The most memory that is taken up to the first row, or until the file is refused, in bytes."""
    tracemalloc.start()
    try:
        with suppress(MalformedError):
            next(decode_container(raw, most))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_more_rows_than_the_manifest_has_are_refused_before_any_is_made() -> None:
    assert list(decode_container(FILE, len(ROWS))) == ROWS
    assert refused_after(FILE, len(ROWS) - 1) == 0
    one = _datum(EMPTY)
    raw = of_block(one * (120_000), 120_000)
    assert refused_after(raw, 100_000) == 0
    assert peak_of(raw, 100_000) < 1 << 20


def test_more_rows_than_the_writer_puts_in_a_block_are_not_kept() -> None:
    one = _datum(EMPTY)
    count = (8 << 20) // len(one)
    raw = of_block(one * count, count)
    assert len(raw) < 20_000
    assert refused_after(raw, count) == -(-_BLOCK_BYTES // len(one))
    assert peak_of(raw, count) < 32 << 20


def test_a_block_that_is_larger_than_any_row_is_not_unpacked() -> None:
    raw = of_block(bytes(ROW_BYTES + 2 * _BLOCK_BYTES), 1)
    assert refused_after(raw, 100_000) == 0
    assert peak_of(raw, 100_000) < 3 * ROW_BYTES


def test_blocks_that_come_to_more_than_the_writer_puts_in_a_file_are_not_unpacked() -> None:
    row = _datum((*EMPTY[:-1], "x" * (20 << 20)))
    raw = of_block(row, 1, 9)
    assert len(raw) < 1 << 20
    assert refused_after(raw, 100_000) == PLAIN_BYTES // len(row)


def test_one_row_may_be_as_large_as_an_event() -> None:
    row = (*ROWS[0][:-2], "base64:" + "A" * (22 << 20), ROWS[0][-1])
    assert list(decode_container(encode_container([ROWS[1], row, ROWS[2]]))) == [ROWS[1], row, ROWS[2]]


def test_a_row_in_another_spelling_is_refused() -> None:
    wrong: list[tuple[Value, ...]] = [(*ROWS[0][:5], 2, *ROWS[0][6:])]
    raw = bytearray(encode_container([ROWS[0]]))
    assert list(decode_container(encode_container(wrong))) != wrong
    assert list(decode_container(bytes(raw))) == ROWS[:1]
