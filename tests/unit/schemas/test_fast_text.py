"""What the compiled path from Avro to JSON prints, and what it leaves to the reference."""

import json
from typing import Any

import pytest

from schemas.avro_reader import compile_reader
from schemas.fast_source import source_of
from schemas.fast_text import PrintAvro, compile_text_path
from schemas.fast_varint import long_bytes
from schemas.json_writer import compile_writer
from schemas.leaf import JsonFlavour
from schemas.schema import parse_schema

_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
_WHEN = {"type": "long", "logicalType": "timestamp-millis"}
_REF = {
    "type": "record",
    "name": "Ref",
    "fields": [{"name": "see", "type": "string"}, {"name": "n", "type": "int"}],
}
_NOTE = {"type": "enum", "name": "Note", "symbols": ["SEPARATE", "INCLUDED"]}
_EMPTY = {"type": "record", "name": "Empty", "fields": []}


def _root(kind: Any) -> Any:
    record = {"type": "record", "name": "R", "fields": [{"name": "v", "type": kind}]}
    return parse_schema(json.dumps(record)).root


def _path(root: Any, flavour: JsonFlavour = "plain", pointers: tuple[str, ...] = ()) -> PrintAvro:
    path = compile_text_path(root, flavour, pointers)
    assert path is not None
    return path


@pytest.mark.parametrize("flavour", ["plain", "avro"])
@pytest.mark.parametrize(
    ("kind", "avro"),
    [
        ("null", ""),
        (_EMPTY, ""),
        ("boolean", "01"),
        ("int", "ffffffff0f"),
        ("long", "7f"),
        ("float", "cdcccc3d"),
        ("double", "9a9999999999b93f"),
        ("double", "0000000000000080"),
        ("string", "0a" + b'\x00"\\\n\x7f'.hex()),
        ("string", "06e282ac"),
        ("bytes", "02ff"),
        ({"type": "fixed", "name": "F", "size": 2}, "00ff"),
        ({"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}, "ab" * 16),
        ({"type": "fixed", "name": "F", "size": 12, "logicalType": "duration"}, "01000000" * 3),
        (["null", {"type": "fixed", "name": "F", "size": 12, "logicalType": "duration"}], "02" + "01" * 12),
        (["null", {"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}], "02" + "01" * 16),
        (["null", {"type": "array", "items": "double"}], "0202" + "01" * 8 + "00"),
        (["null", _MONEY], "020201"),
        (_NOTE, "02"),
        ({"type": "array", "items": "int"}, "00"),
        ({"type": "array", "items": _REF}, "0402610202620400"),
        ({"type": "map", "values": ["null", "string"]}, "040261000222020278" + "00"),
        (["null", _REF], "00"),
        (["null", _REF], "02026102"),
        (["string", "bytes", _NOTE], "0202ff"),
        (["string", "bytes", _NOTE], "0402"),
        ([_MONEY, "string"], "0208" + b"1.50".hex()),
        ({"type": "int", "logicalType": "date"}, "01"),
        ({"type": "int", "logicalType": "time-millis"}, "02"),
        (_WHEN, "00"),
        (_WHEN, "01"),
        (_WHEN, long_bytes(253_402_300_799_999).hex()),
        (_WHEN, long_bytes(-62_135_596_800_000).hex()),
        ({"type": "long", "logicalType": "timestamp-micros"}, long_bytes(1_795_352_700_123_456).hex()),
        ({"type": "long", "logicalType": "timestamp-nanos"}, "02"),
        ({"type": "long", "logicalType": "local-timestamp-millis"}, "02"),
        (_MONEY, "020a"),
        (_MONEY, "0200"),
        (_MONEY, "02f6"),
        (_MONEY, "040154"),
        ({**_MONEY, "scale": 0}, "040154"),
        ({**_MONEY, "scale": 6}, "060f423f"),
        ({**_MONEY, "type": "fixed", "name": "F", "size": 4}, "ffffff80"),
    ],
)
def test_each_type_is_printed_as_the_reference_prints_it(kind: Any, avro: str, flavour: JsonFlavour) -> None:
    root, raw = _root(kind), bytes.fromhex(avro)
    wanted = compile_writer(root, flavour)(compile_reader(root)(raw)).encode()
    path = _path(root, flavour)
    assert path(raw) == (wanted, None)
    assert path(raw + b"\x00") is None
    assert [path(raw[:size]) for size in range(len(raw))] == [None] * len(raw)


@pytest.mark.parametrize(
    ("kind", "avro"),
    [
        ({"type": "array", "items": "int"}, "0202020400"),
        ({"type": "array", "items": "int"}, "01020200"),
        (_MONEY, "06000154"),
        ("string", "02ff"),
        ("double", "000000000000f07f"),
        (["null", "int"], "04"),
    ],
)
def test_what_is_not_canonical_is_left_to_the_reference(kind: Any, avro: str) -> None:
    assert _path(_root(kind))(bytes.fromhex(avro)) is None


def test_what_pointers_lead_to_is_given_in_plain_form_beside_the_text() -> None:
    root = _root(["null", _REF])
    path = _path(root, pointers=("/v/see",))
    assert path(b"\x02\x02x\x04") == (b'{"v":{"see":"x","n":2}}', [(1, ["x", None])])
    assert path(b"\x00") == (b'{"v":null}', [(0, None)])


def test_schemas_too_large_for_generated_code_have_no_path() -> None:
    def wide(count: int) -> Any:
        fields = [{"name": f"f{index}", "type": ["null", "int"]} for index in range(count)]
        return parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root

    assert compile_text_path(wide(166), "plain", ()) is not None
    assert compile_text_path(wide(167), "plain", ()) is None


def test_no_text_of_a_schema_stands_in_the_program() -> None:
    kind = {"type": "enum", "name": "CANARY1", "symbols": ["CANARY2", "CANARY3"], "doc": "CANARY4"}
    path = _path(
        _root(["null", {"type": "record", "name": "C", "fields": [{"name": "CANARY5", "type": kind}]}])
    )
    assert path(b"\x02\x02") == (b'{"v":{"CANARY5":"CANARY3"}}', None)
    assert "CANARY" not in source_of(path)


def test_an_array_with_parts_for_the_reference_is_printed_by_it_at_once_not_part_by_part() -> None:
    blurred = {"type": "record", "name": "B", "fields": [{"name": "x", "type": ["string", "bytes"]}]}
    fields = [
        {"name": "one", "type": blurred},
        {"name": "many", "type": {"type": "array", "items": {"type": "map", "values": ["null", "B"]}}},
        {"name": "plain", "type": {"type": "array", "items": ["null", _NOTE]}},
    ]
    root = parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root
    path = _path(root)
    assert source_of(path).count("REFERENCE") == 2
    assert source_of(path).count("for ") == 1
    raw = bytes.fromhex("020261" + "02" + "02026b0202026200" + "00" + "0402020000")
    wanted = compile_writer(root, "plain")(compile_reader(root)(raw)).encode()
    assert path(raw) == (wanted, None)


def test_a_chain_of_names_is_looked_through_once_for_each_name() -> None:
    kind: Any = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "int"}]}
    for level in range(1, 12):
        fields = [
            {"name": "a", "type": {"type": "array", "items": kind}},
            {"name": "b", "type": f"R{level - 1}"},
        ]
        kind = {"type": "record", "name": f"R{level}", "fields": fields}
    assert compile_text_path(parse_schema(json.dumps(kind)).root, "plain", ()) is None
