"""What the compiled check of Avro takes, and what it leaves to the reference."""

import json
import struct
from typing import Any

import pytest

from schemas.encoder import append_long
from schemas.fast_avro import CheckAvro, compile_avro_path
from schemas.fast_source import source_of
from schemas.fast_varint import long_bytes
from schemas.fast_walk import DEEPEST
from schemas.findings import MOST_ITEMS
from schemas.leaf import LONGEST_TEXT
from schemas.schema import parse_schema

_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
_SMALL = {**_MONEY, "type": "fixed", "name": "M", "size": 4}
_WHEN = {"type": "long", "logicalType": "timestamp-millis"}
_DATE = {"type": "int", "logicalType": "date"}
_CLOCK = {"type": "int", "logicalType": "time-millis"}
_UUID = {"type": "string", "logicalType": "uuid"}
_NOTE = {"type": "enum", "name": "Note", "symbols": ["SEPARATE", "INCLUDED"]}
_WIDE = {"type": "enum", "name": "Wide", "symbols": [f"S{number}" for number in range(100)]}
_REF = {"type": "record", "name": "Ref", "fields": [{"name": "see", "type": "string"}]}
_LAST_MOMENT = 253_402_300_799_999
_UUID_TEXT = b"123E4567-e89b-12d3-a456-426614174000"


def _path(kind: Any, pointers: tuple[str, ...] = ()) -> CheckAvro:
    record = {"type": "record", "name": "R", "fields": [{"name": "v", "type": kind}]}
    path = compile_avro_path(parse_schema(json.dumps(record)).root, pointers)
    assert path is not None
    return path


_TAKEN: list[tuple[Any, str]] = [
    ("null", ""),
    ("boolean", "00"),
    ("boolean", "01"),
    ("int", "ffffffff0f"),
    ("int", "feffffff0f"),
    ("int", "8001"),
    ("long", "ffffffffffffffffff01"),
    ("float", "0000c03f"),
    ("float", "ffff7f7f"),
    ("double", "000000000000f03f"),
    ("double", "ffffffffffffefff"),
    ("string", "00"),
    ("string", "04c3a9"),
    ("string", "8001" + "61" * 64),
    ("bytes", "02ff"),
    ({"type": "fixed", "name": "F", "size": 2}, "ffff"),
    (_NOTE, "02"),
    (_WIDE, "c601"),
    (_WIDE, "7e"),
    ({"type": "array", "items": "int"}, "00"),
    ({"type": "array", "items": "int"}, "04020400"),
    ({"type": "array", "items": "boolean"}, "8001" + "01" * 64 + "00"),
    ({"type": "map", "values": "int"}, "0202610200"),
    (["null", "int"], "00"),
    (["null", "int"], "0202"),
    (["string", "bytes", _REF, _NOTE], "040278"),
    (_DATE, "00"),
    (_DATE, long_bytes(2_932_896).hex()),
    (_CLOCK, long_bytes(86_399_999).hex()),
    (_WHEN, long_bytes(_LAST_MOMENT).hex()),
    (_MONEY, "040154"),
    (_MONEY, "0280"),
    (_MONEY, "0200"),
    (_SMALL, "ffffff80"),
    (_UUID, "48" + _UUID_TEXT.hex()),
    ({"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}, "ff" * 12),
    ({"type": "array", "items": {"type": "array", "items": "int"}}, "040202000000"),
]


@pytest.mark.parametrize(("kind", "avro"), _TAKEN)
def test_canonical_data_are_taken_to_their_last_byte_and_no_other(kind: Any, avro: str) -> None:
    path, raw = _path(kind), bytes.fromhex(avro)
    assert path(raw) == (None,)
    assert path(raw + b"\x00") is None
    assert [path(raw[:size]) for size in range(len(raw))] == [None] * len(raw)


@pytest.mark.parametrize(
    ("kind", "avro"),
    [
        ("boolean", "02"),
        ("boolean", "ff"),
        ("int", "8000"),
        ("int", "ffffffff1f"),
        ("int", "808080808001"),
        ("int", "81808080808000"),
        ("long", "ffffffffffffffffff03"),
        ("long", "ffffffffffffffffff80"),
        ("long", "8080808080808080808001"),
        ("long", "fe80"),
        ("float", "0000807f"),
        ("float", "000080ff"),
        ("float", "0000c07f"),
        ("double", "000000000000f07f"),
        ("double", "000000000000f0ff"),
        ("double", "010000000000f07f"),
        ("string", "02ff"),
        ("string", "06eda080"),
        ("string", "01"),
        ("string", "0361"),
        ("string", "820061"),
        ("string", "feffffffffffffffff01"),
        ("bytes", "03"),
        ("bytes", "0461"),
        (_NOTE, "04"),
        (_NOTE, "01"),
        (_NOTE, "8200"),
        (_WIDE, "c801"),
        (_WIDE, "01"),
        ({"type": "array", "items": "int"}, "02020202" + "00"),
        ({"type": "array", "items": "int"}, "01020200"),
        ({"type": "array", "items": "int"}, "8000"),
        ({"type": "array", "items": "int"}, "020202"),
        ({"type": "array", "items": "int"}, "0100"),
        ({"type": "map", "values": "int"}, "0202610202"),
        ({"type": "map", "values": "int"}, "0100"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 60_000}}, "feffffffffffffffff01"),
        ({"type": "array", "items": {"type": "fixed", "name": "F", "size": 60_000}}, "d00f"),
        ({"type": "map", "values": "int"}, "0402610202610400"),
        ({"type": "map", "values": "int"}, "0202ff0200"),
        (["null", "int"], "04"),
        (["null", "int"], "01"),
        (["null", "int"], "820002"),
        (_DATE, long_bytes(2_932_897).hex()),
        (_DATE, long_bytes(-719_163).hex()),
        (_CLOCK, "01"),
        (_CLOCK, long_bytes(86_400_000).hex()),
        (_WHEN, long_bytes(_LAST_MOMENT + 1).hex()),
        (_WHEN, "ffffffffffffffffff01"),
        (_MONEY, "00"),
        (_MONEY, "06000154"),
        (_MONEY, "04ff80"),
        (_MONEY, "060f4240"),
        (_MONEY, "06f0bdc0"),
        (_MONEY, "8002" + "00" * 128),
        (_SMALL, "000f4240"),
        (_UUID, "48" + _UUID_TEXT.replace(b"-", b"_").hex()),
        (_UUID, "4a" + _UUID_TEXT.hex() + "30"),
        (_UUID, "46" + _UUID_TEXT.hex()[:-2]),
        (_UUID, "46" + _UUID_TEXT.hex()),
        (_UUID, "4a" + _UUID_TEXT.hex()),
    ],
)
def test_what_is_no_canonical_datum_is_left_to_the_reference(kind: Any, avro: str) -> None:
    assert _path(kind)(bytes.fromhex(avro)) is None
    if not isinstance(kind, list):
        assert _path(["null", kind])(b"\x02" + bytes.fromhex(avro)) is None


@pytest.mark.parametrize(
    ("kind", "avro", "datum"),
    [
        ("boolean", "01", True),
        ("int", "7f", -64),
        ("long", "ffffffffffffffffff01", -(2**63)),
        ("string", "04c3a9", "é"),
        (_NOTE, "02", "INCLUDED"),
        (_WIDE, "c601", "S99"),
        (_DATE, "02", 1),
        (_WHEN, long_bytes(_LAST_MOMENT).hex(), _LAST_MOMENT),
        (_MONEY, "040154", 340),
        (_SMALL, "ffffff80", -128),
        (_UUID, "48" + _UUID_TEXT.hex(), _UUID_TEXT.decode()),
        (["null", "string"], "00", (0, None)),
        (["null", "string"], "020261", (1, "a")),
        (["null", "int"], "0202", (1, 1)),
    ],
)
def test_what_pointers_lead_to_is_given_in_plain_form(kind: Any, avro: str, datum: Any) -> None:
    assert _path(kind, ("/v",))(bytes.fromhex(avro)) == ([datum],)


def test_only_what_pointers_lead_to_is_given() -> None:
    fields = [
        {"name": "a", "type": "string"},
        {"name": "in", "type": ["null", _REF]},
        {"name": "b", "type": "int"},
    ]
    root = parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root
    path = compile_avro_path(root, ("/in/see",))
    assert path is not None
    assert path(b"\x02a\x02\x02x\x02") == ([None, (1, ["x"]), None],)
    assert path(b"\x02a\x00\x02") == ([None, (0, None), None],)


def _long(value: int) -> bytes:
    out = bytearray()
    append_long(value, out)
    return bytes(out)


def test_items_and_lengths_have_the_references_bounds() -> None:
    path = _path("bytes")
    assert path(_long(LONGEST_TEXT) + b"x" * LONGEST_TEXT) == (None,)
    assert path(_long(LONGEST_TEXT + 1) + b"x" * (LONGEST_TEXT + 1)) is None
    numbers = {"type": "array", "items": "int"}
    path = _path({"type": "array", "items": numbers})
    half = _long(MOST_ITEMS // 2 - 1) + b"\x02" * (MOST_ITEMS // 2 - 1) + b"\x00"
    assert path(b"\x04" + half + half + b"\x00") == (None,)
    assert path(b"\x06" + half + half + b"\x02\x02\x00" + b"\x00") is None


def test_items_that_the_reference_reads_count_among_the_others() -> None:
    kind: Any = "int"
    for _ in range(DEEPEST + 2):
        kind = {"type": "array", "items": kind}
    path = _path(kind)

    def nested(items: int) -> bytes:
        inner = _long(items) + b"\x02" * items + b"\x00"
        return b"\x02" * (DEEPEST + 1) + inner + b"\x00" * (DEEPEST + 1)

    around = DEEPEST + 1
    assert path(nested(MOST_ITEMS - around)) == (None,)
    assert path(nested(MOST_ITEMS - around + 1)) is None


def test_a_hostile_count_ends_the_walk_at_once() -> None:
    path = _path({"type": "array", "items": {"type": "fixed", "name": "F", "size": 1}})
    assert path(struct.pack("<10s", b"\xfe" + b"\xff" * 8 + b"\x01")) is None


def test_what_nests_deeper_than_generated_code_may_is_read_by_the_reference_in_its_place() -> None:
    kind: Any = "int"
    for _ in range(25):
        kind = {"type": "array", "items": kind}
    path = _path(kind)
    raw = b"\x02" * 25 + b"\x07" + b"\x00" * 25
    assert path(raw) == (None,)
    assert path(b"\x02" * 24 + b"\x01\x02\x07" + b"\x00" * 25) is None
    assert path(raw[:-1]) is None


def test_schemas_too_large_for_generated_code_have_no_path() -> None:
    def wide(count: int) -> Any:
        fields = [{"name": f"f{index}", "type": "int"} for index in range(count)]
        return parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root

    assert compile_avro_path(wide(499), ()) is not None
    assert compile_avro_path(wide(500), ()) is None


def test_no_text_of_a_schema_stands_in_the_program() -> None:
    kind = {"type": "enum", "name": "CANARY1", "symbols": ["CANARY2", "CANARY3"], "doc": "CANARY4"}
    path = _path(["null", kind], ("/v",))
    assert path(b"\x02\x02") == ([(1, "CANARY3")],)
    assert "CANARY" not in source_of(path)
