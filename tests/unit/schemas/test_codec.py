import json
from decimal import Decimal
from typing import Any

import pytest

from schemas.codec import Codec, compile_codec
from schemas.errors import DatumError, JsonTextError
from schemas.findings import MOST_TRIES
from schemas.schema import parse_schema

_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
_REF = {"type": "record", "name": "Ref", "fields": [{"name": "see", "type": "string"}]}
_DURATION = {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"}
_NOTE = {"type": "enum", "name": "Note", "symbols": ["SEPARATE", "INCLUDED"]}


def _codec(kind: Any, flavour: Any = "plain", **field: Any) -> Codec:
    """A codec for a record with the one field `v`."""
    schema = {"type": "record", "name": "R", "fields": [{"name": "v", "type": kind, **field}]}
    return compile_codec(parse_schema(json.dumps(schema)), (), flavour)


def _logical(carrier: str, name: str) -> dict[str, str]:
    return {"type": carrier, "logicalType": name}


def _faults(codec: Codec, text: str) -> list[tuple[str, str]]:
    with pytest.raises(DatumError) as caught:
        codec.avro_from_json(text.encode())
    return [(fault.pointer, fault.code) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("kind", "value", "avro"),
    [
        ("null", "null", ""),
        ("boolean", "true", "01"),
        ("int", "-2147483648", "ffffffff0f"),
        ("long", "-9223372036854775808", "ffffffffffffffffff01"),
        ("long", "300", "d804"),
        ("float", "1.5", "0000c03f"),
        ("double", "1", "000000000000f03f"),
        ("string", '"é"', "04c3a9"),
        ("bytes", '"/w=="', "02ff"),
        ({"type": "fixed", "name": "F", "size": 2}, '"AAE="', "0001"),
        (_NOTE, '"INCLUDED"', "02"),
        ({"type": "array", "items": "int"}, "[1,2]", "04020400"),
        ({"type": "array", "items": "int"}, "[]", "00"),
        ({"type": "map", "values": "int"}, '{"a":1}', "0202610200"),
        (["null", "int"], "null", "00"),
        (["null", "int"], "1", "0202"),
        (_logical("int", "date"), '"1970-01-02"', "02"),
        (_logical("int", "date"), '"1969-12-31"', "01"),
        (_logical("long", "timestamp-millis"), '"1970-01-01T01:00:00.001+01:00"', "02"),
        (_logical("long", "timestamp-millis"), "-1", "01"),
        (_logical("long", "timestamp-micros"), '"1970-01-01t00:00:00.000001z"', "02"),
        (_logical("long", "local-timestamp-millis"), '"1970-01-01T00:00:00.001"', "02"),
        (_logical("long", "timestamp-nanos"), '"1970-01-01T00:00:00.000000001Z"', "02"),
        (_logical("long", "timestamp-nanos"), '"1969-12-31T23:59:59.999999999Z"', "01"),
        (_logical("long", "timestamp-nanos"), '"1970-01-01T02:00:01+02:00"', "80a8d6b907"),
        (_logical("long", "timestamp-nanos"), '"2262-04-11T23:47:16.854775807Z"', "feffffffffffffffff01"),
        (_logical("long", "timestamp-nanos"), '"1677-09-21T00:12:43.145224192Z"', "ffffffffffffffffff01"),
        (_logical("long", "timestamp-nanos"), "-1", "01"),
        (_logical("long", "local-timestamp-nanos"), '"1970-01-01T00:00:00.000000001"', "02"),
        (_logical("long", "local-timestamp-micros"), '"1970-01-01T00:00:00.000001000"', "02"),
        (_logical("long", "time-micros"), '"00:00:00.000001"', "02"),
        (_DURATION, '"P1M2DT3.004S"', "0100000002000000bc0b0000"),
        (_DURATION, '"PT0S"', "00" * 12),
        (
            {"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"},
            '"123E4567-e89b-12d3-a456-426614174000"',
            "123e4567e89b12d3a456426614174000",
        ),
        (_logical("int", "time-millis"), '"00:00:01"', "d00f"),
        (_MONEY, '"3.40"', "04" + "0154"),
        (_MONEY, "3.4", "04" + "0154"),
        (_MONEY, "3", "04" + "012c"),
        (_MONEY, "3.4e1", "04" + "0d48"),
        (_MONEY, '"-1.28"', "02" + "80"),
        (_MONEY, '"-0"', "02" + "00"),
        ({**_MONEY, "type": "fixed", "name": "F", "size": 4}, '"-1.28"', "ffffff80"),
        (
            _logical("string", "uuid"),
            '"123E4567-e89b-12d3-a456-426614174000"',
            "48" + b"123E4567-e89b-12d3-a456-426614174000".hex(),
        ),
    ],
)
def test_each_type_encodes_to_known_bytes(kind: Any, value: str, avro: str) -> None:
    codec = _codec(kind)
    encoded = codec.avro_from_json(f'{{"v":{value}}}'.encode())
    assert encoded.avro.hex() == avro
    assert codec.avro_from_json(codec.json_from_avro(encoded.avro)).avro == encoded.avro


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        ("int", "2147483648", "range"),
        ("int", "1.0", "type"),
        ("int", "true", "type"),
        ("int", '"1"', "type"),
        ("boolean", "1", "type"),
        ("string", "null", "type"),
        ("float", "1e39", "range"),
        ("double", '"1"', "type"),
        ("bytes", '"a"', "format"),
        ("bytes", '"_-=="', "format"),
        ("bytes", '"é"', "format"),
        ({"type": "fixed", "name": "F", "size": 2}, '"AA=="', "length"),
        (_NOTE, '"OTHER"', "enum"),
        ({"type": "array", "items": "int"}, "{}", "type"),
        ({"type": "map", "values": "int"}, "[]", "type"),
        (_REF, "[]", "type"),
        (["null", "int"], '"x"', "type"),
        (["null", "int", "string"], "[]", "union"),
        ([_MONEY, _NOTE, _REF], '"3.456"', "union"),
        (_logical("int", "date"), '"2026-02-29"', "format"),
        (_logical("int", "date"), '"2026-2-9"', "format"),
        (_logical("int", "date"), "1", "type"),
        (_logical("long", "timestamp-millis"), '"2026-01-01T00:00:00"', "format"),
        (_logical("long", "timestamp-millis"), '"2026-01-01 00:00:00Z"', "format"),
        (_logical("long", "timestamp-millis"), '"2026-01-01T24:00:00Z"', "format"),
        (_logical("long", "timestamp-millis"), '"2026-01-01T23:59:60Z"', "format"),
        (_logical("long", "timestamp-millis"), '"2026-01-01T00:00:00+24:00"', "format"),
        (_logical("long", "timestamp-millis"), '"2026-01-01T00:00:00.0001Z"', "precision"),
        (_logical("long", "timestamp-millis"), '"0001-01-01T00:00:00+01:00"', "range"),
        (_logical("long", "timestamp-millis"), "9223372036854775807", "range"),
        (_logical("int", "time-millis"), "86400000", "range"),
        (_logical("int", "time-millis"), '"00:00:00.0001"', "precision"),
        (_logical("long", "time-micros"), '"00:00:00.0000001"', "precision"),
        (_logical("long", "timestamp-micros"), '"2026-01-01T00:00:00.0000001Z"', "precision"),
        (_logical("long", "timestamp-nanos"), '"2026-01-01T00:00:00.0000000001Z"', "precision"),
        (_logical("long", "timestamp-nanos"), '"2026-01-01T00:00:00.00000000000000001Z"', "precision"),
        (_logical("long", "timestamp-nanos"), '"2262-04-11T23:47:16.854775808Z"', "range"),
        (_logical("long", "timestamp-nanos"), '"1677-09-21T00:12:43.145224191Z"', "range"),
        (_logical("long", "timestamp-nanos"), '"2262-04-11T23:47:16.854775807-00:01"', "range"),
        (_logical("long", "timestamp-nanos"), '"9999-12-31T00:00:00Z"', "range"),
        (_logical("long", "timestamp-nanos"), "1.5", "type"),
        (_logical("long", "local-timestamp-nanos"), '"2026-01-01T00:00:00Z"', "format"),
        (_logical("long", "local-timestamp-nanos"), '"2026-01-01T00:00:00.0000000001"', "precision"),
        (_DURATION, '"PT0.0005S"', "precision"),
        (_DURATION, '"P1.5D"', "format"),
        (_DURATION, '"P4294967296D"', "range"),
        (_DURATION, "1", "type"),
        (_DURATION, "[1,2,3]", "type"),
        ({"type": "fixed", "name": "F", "size": 16, "logicalType": "uuid"}, '"{123E4567}"', "format"),
        (_MONEY, "1e-1002500", "precision"),
        (_MONEY, "NaN", "range"),
        (_MONEY, "1e999", "range"),
        (_MONEY, '"Infinity"', "format"),
        ("double", "-Infinity", "range"),
        ("double", "1e999", "range"),
        ("float", "9223372036854775808", "range"),
        ("long", "9223372036854775808", "range"),
        ("long", "1e2", "type"),
        ("string", '"\\ud800"', "encoding"),
        (_logical("string", "uuid"), '"123e4567"', "format"),
        (_MONEY, '"10000"', "precision"),
        (_MONEY, '"1.005"', "precision"),
        (_MONEY, "1.005", "precision"),
        (_MONEY, "1e300", "precision"),
        (_MONEY, "1e-300", "precision"),
        (_MONEY, '"1e2"', "format"),
        (_MONEY, '"1E+10000000"', "format"),
        (_MONEY, '"NaN"', "format"),
        (_MONEY, '" 1"', "format"),
        (_MONEY, '"+1"', "format"),
        (_MONEY, '"01"', "format"),
        (_MONEY, '"1_000"', "format"),
        (_MONEY, '"\u0661"', "format"),
        (_MONEY, f'"{"1" * 100_000}"', "format"),
        (_MONEY, "true", "type"),
    ],
)
def test_each_misfit_has_its_code_and_place(kind: Any, value: str, code: str) -> None:
    assert _faults(_codec(kind), f'{{"v":{value}}}') == [("/v", code)]


def test_every_fault_of_an_event_is_named_and_no_value_is_echoed() -> None:
    line = {
        "type": "record",
        "name": "Line",
        "fields": [{"name": "qty", "type": "int"}, {"name": "currency", "type": "string"}],
    }
    codec = _codec({"type": "array", "items": line})
    text = (
        '{"v":[{"qty":"SECRET","curency":"SECRET"},{"qty":1,"currency":"x"},'
        '{"qty":99999999999,"currency":null}],"w":1}'
    )
    with pytest.raises(DatumError) as caught:
        codec.avro_from_json(text.encode())
    faults = caught.value.faults
    assert [(fault.pointer, fault.code, fault.expected) for fault in faults] == [
        ("/v/0/qty", "type", "int"),
        ("/v/0/currency", "missing", "string"),
        ("/v/0/curency", "unknown_field", None),
        ("/v/2/qty", "range", "int"),
        ("/v/2/currency", "type", "string"),
        ("/w", "unknown_field", None),
    ]
    assert faults[2].text == "did you mean /v/0/currency?"
    assert caught.value.total == len(faults)
    assert "SECRET" not in repr(faults)
    assert "SECRET" not in str(caught.value)


def test_faults_of_text_and_of_types_come_together_once_each() -> None:
    codec = _codec({"type": "array", "items": "int"})
    assert _faults(codec, '{"v":[NaN,"x",99999999999999999999],"v":1}') == [
        ("/v/0", "range"),
        ("/v/2", "range"),
        ("/v", "duplicate_key"),
        ("/v/1", "type"),
    ]


def test_a_hundred_faults_are_kept_and_the_rest_counted() -> None:
    codec = _codec({"type": "array", "items": "int"})
    with pytest.raises(DatumError) as caught:
        codec.avro_from_json(json.dumps({"v": ["x"] * 500}).encode())
    assert (len(caught.value.faults), caught.value.total) == (100, 500)


def test_a_long_name_from_outside_is_cut_in_pointers() -> None:
    codec = _codec("int")
    ((pointer, code),) = _faults(codec, json.dumps({"v": 1, "x" * 100_000: 1}))
    assert code == "unknown_field"
    assert len(pointer) == 102


def test_more_items_than_a_datum_may_hold_are_a_fault() -> None:
    codec = _codec({"type": "array", "items": "boolean"})
    assert _faults(codec, json.dumps({"v": [True] * 100_001})) == [("/v", "length")]
    in_union = _codec([{"type": "array", "items": "boolean"}, {"type": "map", "values": "int"}, _REF])
    assert _faults(in_union, json.dumps({"v": [True] * 100_001})) == [("/v", "length")]


def test_a_text_longer_than_a_string_may_be_is_a_fault() -> None:
    limit = 256 * 1024
    codec = _codec("string")
    codec.avro_from_json(json.dumps({"v": "x" * limit}).encode())
    assert _faults(codec, json.dumps({"v": "é" * (limit // 2 + 1)})) == [("/v", "length")]


def test_what_stands_for_absent_fields_is_bounded() -> None:
    line = {
        "type": "record",
        "name": "Line",
        "fields": [
            {"name": "note", "type": "string", "default": "x" * 1021},
            {"name": "n", "type": ["null", "int"]},
        ],
    }
    codec = _codec({"type": "array", "items": line})
    codec.avro_from_json(json.dumps({"v": [{}] * 1024}).encode())
    assert _faults(codec, json.dumps({"v": [{}] * 1025})) == [("/v/1024", "length")]


def test_branches_are_not_tried_without_end() -> None:
    """Thirty records with the same names, told apart by their last field alone."""
    branches = [
        {
            "type": "record",
            "name": f"R{number}",
            "fields": [
                {"name": "a", "type": "int"},
                {"name": "z", "type": {"type": "enum", "name": f"E{number}", "symbols": [f"S{number}"]}},
            ],
        }
        for number in range(30)
    ]
    codec = _codec({"type": "array", "items": branches})
    most = MOST_TRIES // 30
    codec.avro_from_json(json.dumps({"v": [{"a": 1, "z": "S29"}] * most}).encode())
    late = {"v": [{"a": 1, "z": "S29"}] * (most + 1)}
    assert _faults(codec, json.dumps(late)) == [(f"/v/{most}", "union")]
    named = {"v": [{"R29": {"a": 1, "z": "S29"}}] * (most + 1)}
    codec.avro_from_json(json.dumps(named).encode())


def test_text_that_is_no_json_is_told_from_a_faulty_event() -> None:
    with pytest.raises(JsonTextError):
        _codec("int").avro_from_json(b'{"v":1')


@pytest.mark.parametrize(
    ("kind", "field", "avro"),
    [
        (["null", "string"], {}, "00"),
        (["string", "null"], {}, "02"),
        (["null", "string"], {"default": None}, "00"),
        (["string", "null"], {"default": "x"}, "000278"),
        ("int", {"default": 3}, "06"),
        (_MONEY, {"default": "\u0001T"}, "040154"),
        (_REF, {"default": {"see": "a"}}, "0261"),
        ({"type": "array", "items": "int"}, {"default": [1]}, "020200"),
        ({"type": "map", "values": _NOTE}, {"default": {"a": "INCLUDED"}}, "0202610200"),
    ],
)
def test_an_absent_field_takes_its_default_or_null(kind: Any, field: dict[str, Any], avro: str) -> None:
    assert _codec(kind, **field).avro_from_json(b"{}").avro.hex() == avro


def test_a_union_takes_the_first_branch_that_fits() -> None:
    kind = [
        _MONEY,
        _NOTE,
        _REF,
        {"type": "record", "name": "Other", "fields": [{"name": "see", "type": "int"}]},
    ]
    codec = _codec(kind)
    branches = [
        codec.avro_from_json(f'{{"v":{value}}}'.encode()).avro[0] // 2
        for value in ("1.5", '"1.5"', '"SEPARATE"', '{"see":"x"}', '{"see":1}')
    ]
    assert branches == [0, 0, 1, 2, 3]


@pytest.mark.parametrize(
    ("kind", "value", "printed"),
    [
        (["string", _MONEY], "3.4", b"3.40"),
        (["string", "long", {**_MONEY, "scale": 0}], "5.0", b"5.0"),
        (["string", _logical("long", "timestamp-millis")], "5", b"5"),
        ([_MONEY, "string"], "3.4", b'"3.40"'),
        (["null", _logical("long", "timestamp-millis")], "5", b'"1970-01-01T00:00:00.005Z"'),
    ],
)
def test_in_a_union_a_number_stays_one_where_its_text_would_be_taken_by_another(
    kind: Any, value: str, printed: bytes
) -> None:
    codec = _codec(kind)
    encoded = codec.avro_from_json(f'{{"v":{value}}}'.encode())
    assert codec.json_from_avro(encoded.avro) == b'{"v":' + printed + b"}"
    assert codec.avro_from_json(codec.json_from_avro(encoded.avro)) == encoded


def test_floats_print_in_the_shortest_form_that_reads_back() -> None:
    for kind in ("float", "double"):
        codec = _codec(kind)
        assert codec.json_from_avro(codec.avro_from_json(b'{"v":0.1}').avro) == b'{"v":0.1}'


def test_avro_json_wraps_unions_and_keeps_physical_values() -> None:
    kind = ["null", _MONEY, _REF, {"type": "array", "items": _logical("int", "date")}]
    codec = _codec(kind, "avro")
    for value in (
        '{"v":null}',
        '{"v":{"bytes":"\\u0001T"}}',
        '{"v":{"Ref":{"see":"x"}}}',
        '{"v":{"array":[1,2]}}',
    ):
        datum = codec.avro_from_json(value.encode()).avro
        assert json.loads(codec.json_from_avro(datum)) == json.loads(value)


@pytest.mark.parametrize(
    ("kind", "value", "avro"),
    [
        (_logical("int", "date"), "1", "02"),
        (_logical("int", "time-millis"), "1000", "d00f"),
        (_logical("long", "timestamp-millis"), "-1", "01"),
        (_logical("long", "timestamp-nanos"), "1", "02"),
        (_logical("long", "local-timestamp-nanos"), "-9223372036854775808", "ffffffffffffffffff01"),
        (_DURATION, '"\\u0001\\u0000\\u0000\\u0000' + "\\u0000" * 7 + '\u00ff"', "01" + "00" * 10 + "ff"),
        ({"type": "fixed", "name": "F", "size": 2}, '"\\u0001\u00ff"', "01ff"),
        ({**_MONEY, "type": "fixed", "name": "F", "size": 4}, '"\u00ff\u00ff\u00ff\u0080"', "ffffff80"),
        (
            _logical("string", "uuid"),
            '"123e4567-e89b-12d3-a456-426614174000"',
            "48" + b"123e4567-e89b-12d3-a456-426614174000".hex(),
        ),
        (["null", "string", "bytes"], '{"bytes":"a"}', "04" + "0261"),
        ([_NOTE, "string"], '{"Note":"SEPARATE"}', "0000"),
        (["string", _NOTE], '{"Note":"SEPARATE"}', "0200"),
    ],
)
def test_the_avro_json_encoding_holds_what_avro_holds(kind: Any, value: str, avro: str) -> None:
    codec = _codec(kind, "avro")
    encoded = codec.avro_from_json(f'{{"v":{value}}}'.encode())
    assert encoded.avro.hex() == avro
    assert json.loads(codec.json_from_avro(encoded.avro)) == json.loads(f'{{"v":{value}}}')


@pytest.mark.parametrize(
    ("kind", "value", "code"),
    [
        (_logical("int", "date"), '"1970-01-01"', "type"),
        (_logical("int", "date"), "2932897", "range"),
        (_logical("int", "time-millis"), "86400000", "range"),
        (_logical("long", "timestamp-nanos"), '"1970-01-01T00:00:00Z"', "type"),
        (_logical("long", "timestamp-millis"), "253402300800000", "range"),
        (_DURATION, '"P1D"', "length"),
        (_DURATION, '"' + "\u0100" * 12 + '"', "format"),
        (_logical("string", "uuid"), '"x"', "format"),
        ("double", '"NaN"', "type"),
        (["null", "int"], "1", "type"),
        (["int", "string"], '{"long":1}', "union"),
    ],
)
def test_the_avro_json_encoding_has_faults_of_its_own(kind: Any, value: str, code: str) -> None:
    assert _faults(_codec(kind, "avro"), f'{{"v":{value}}}') == [("/v", code)]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ('"x"', ("/v", "type")),
        ("{}", ("/v", "union")),
        ('{"string":"x"}', ("/v", "union")),
        ('{"null":null}', ("/v", "union")),
        ('{"bytes":"a","Ref":1}', ("/v", "union")),
        ('{"bytes":"\\u0100"}', ("/v/bytes", "format")),
        ('{"bytes":""}', ("/v/bytes", "precision")),
        ('{"bytes":"\\u007f\\u00ff\\u00ff"}', ("/v/bytes", "precision")),
        ('{"Ref":{"see":1}}', ("/v/Ref/see", "type")),
    ],
)
def test_avro_json_faults_have_places_too(value: str, fault: tuple[str, str]) -> None:
    assert _faults(_codec(["null", _MONEY, _REF], "avro"), f'{{"v":{value}}}') == [fault]


def test_a_codec_and_what_it_gives_show_no_content() -> None:
    codec = _codec("string")
    encoded = codec.avro_from_json(b'{"v":"SECRET"}')
    assert "SECRET" not in repr(encoded)
    assert "SECRET" not in repr(codec.decode(encoded.avro))


def test_no_digit_of_a_decimal_is_lost() -> None:
    codec = _codec({**_MONEY, "precision": 38, "scale": 10})
    value = Decimal("-1234567890123456789012345678.0123456789")
    for text in (f'{{"v":{value}}}', f'{{"v":"{value}"}}'):
        assert json.loads(codec.json_from_avro(codec.avro_from_json(text.encode()).avro)) == {"v": str(value)}
