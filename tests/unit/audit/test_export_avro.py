"""Exports as Avro: read by others, written without others, and in one way only."""

import io

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import MalformedError
from audit.export_avro import SCHEMA, decode_container, encode_container
from audit.export_row import COLUMNS, Value
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


def test_a_bomb_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.export_avro._INFLATED_BYTES", 1_000)
    with pytest.raises(MalformedError):
        list(decode_container(FILE))


def test_a_row_in_another_spelling_is_refused() -> None:
    wrong: list[tuple[Value, ...]] = [(*ROWS[0][:5], 2, *ROWS[0][6:])]
    raw = bytearray(encode_container([ROWS[0]]))
    assert list(decode_container(encode_container(wrong))) != wrong
    assert list(decode_container(bytes(raw))) == ROWS[:1]
