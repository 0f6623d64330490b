"""What the compiled path from JSON takes, and what it leaves to the reference."""

import json
import traceback
import tracemalloc
from types import FunctionType
from typing import Any

import pytest

from schemas.check import compile_check
from schemas.encoder import compile_encoder
from schemas.fast_json import EncodeJson, compile_json_path
from schemas.fast_node import count_quotes
from schemas.fast_source import source_of
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.leaf import JsonFlavour
from schemas.schema import parse_schema

_MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
_WHEN = {"type": "long", "logicalType": "timestamp-millis"}
_REF = {"type": "record", "name": "Ref", "fields": [{"name": "see", "type": "string"}]}
_NOTE = {"type": "enum", "name": "Note", "symbols": ["SEPARATE", "INCLUDED"]}


def _schema(kind: Any, **field: Any) -> Any:
    """A record with the one field `v`."""
    record = {"type": "record", "name": "R", "fields": [{"name": "v", "type": kind, **field}]}
    return parse_schema(json.dumps(record)).root


def _path(root: Any, flavour: JsonFlavour = "plain", pointers: tuple[str, ...] = ()) -> EncodeJson:
    path = compile_json_path(root, flavour, pointers)
    assert path is not None
    return path


def _by_reference(root: Any, raw: bytes) -> bytes:
    findings = Findings()
    datum = compile_check(root, "plain")(read_with_findings(raw, findings), None, findings)
    findings.verify()
    out = bytearray()
    compile_encoder(root)(datum, out)
    return bytes(out)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("null", "null"),
        ("boolean", "true"),
        ("int", "-2147483648"),
        ("int", "-0"),
        ("int", "8191"),
        ("int", "8192"),
        ("int", "-64"),
        ("int", "-65"),
        ("long", "9223372036854775807"),
        ("long", "-9223372036854775808"),
        ("long", "134217727"),
        ("long", "134217728"),
        ("int", "134217728"),
        ("double", "1"),
        ("double", "-0"),
        ("double", "-0.0"),
        ("double", "1e-400"),
        ("double", "0e0"),
        ("double", "9223372036854775807"),
        ("double", "0.1"),
        ("float", "16777217"),
        ("float", "0.1"),
        ("string", '""'),
        ("string", json.dumps("x" * 10_000)),
        ("string", '"\\ud83d\\ude00\\u00e9\\/\\n"'),
        ("string", '"\\\\"'),
        ("string", '"\\\\\\""'),
        ("string", '"é\u007f"'),
        ("bytes", '"/w=="'),
        ({"type": "fixed", "name": "F", "size": 2}, '"AAE="'),
        (_NOTE, '"INCLUDED"'),
        (_MONEY, '"3.40"'),
        (_MONEY, '"-3.4"'),
        (_MONEY, '"-0"'),
        (_MONEY, "3.4"),
        (_MONEY, "3"),
        (_MONEY, "3.4e1"),
        (_MONEY, "12.500"),
        ({**_MONEY, "scale": 0}, "120"),
        (_MONEY, '"\\u0033"'),
        ({**_MONEY, "scale": 0}, '"120"'),
        ({**_MONEY, "type": "fixed", "name": "F", "size": 4}, '"-1.28"'),
        (_WHEN, '"2026-11-22T13:05:00Z"'),
        (_WHEN, '"2026-11-22T13:05:00.123Z"'),
        (_WHEN, '"2026-11-22T13:05:00.12Z"'),
        (_WHEN, '"2026-11-22T13:05:00.123000Z"'),
        (_WHEN, '"2026-11-22T13:05:00+05:30"'),
        (_WHEN, '"2026-11-22t13:05:00-00:00"'),
        (_WHEN, '"0001-01-01T00:00:00Z"'),
        (_WHEN, "-1"),
        (_WHEN, "134217727"),
        (_WHEN, "134217728"),
        (_WHEN, "2199023255551"),
        (_WHEN, "2199023255552"),
        ({"type": "long", "logicalType": "timestamp-micros"}, '"2026-11-22T13:05:00.123456Z"'),
        ({"type": "long", "logicalType": "timestamp-nanos"}, '"2026-11-22T13:05:00.123456789Z"'),
        ({"type": "string", "logicalType": "uuid"}, '"123E4567-e89b-12d3-a456-426614174000"'),
        ({"type": "array", "items": "int"}, " [ 1 , 2 ] "),
        ({"type": "array", "items": "string"}, "[]"),
        ({"type": "map", "values": _REF}, '{"":{"see":"x"},"\\"":{"see":"\\"\\\\"}}'),
        (["null", "string"], "null"),
        (["string", "null"], '"x"'),
        (["null", _MONEY], "null"),
        (["null", _MONEY], '"1.00"'),
        ([_MONEY, "null"], "1.00"),
        (["null", "boolean", "long", "string", {"type": "array", "items": "int"}, _REF], '{"see":"x"}'),
        (["null", "double", {"type": "map", "values": "int"}], "1.5"),
        (["int", "long", "string", _NOTE, _REF, {"type": "map", "values": "string"}], '{"see":"x","a":"y"}'),
        (["int", "long", "string", _NOTE, _REF, {"type": "map", "values": "string"}], "99999999999"),
    ],
)
def test_each_type_is_taken_and_gives_the_reference_bytes(kind: Any, value: str) -> None:
    root = _schema(kind)
    raw = f'{{"v":{value}}}'.encode()
    assert _path(root)(raw) == (_by_reference(root, raw), None)


@pytest.mark.parametrize(
    "text",
    [
        '{"v":1,"v":1}',
        '{"v":1,"v":2}',
        '{"v" : 1 , "v" : 1}',
        '{"v"\n:1,"\\u0076":1}',
        '{"\\u0076":1,"v":1}',
        '{"v":1,"v":"\\""}',
        '{"v":1,"w":1}',
        '{"v":1,"":{}}',
        "{}",
        "[]",
        "null",
        "1",
        "",
        " ",
        '{"v":1}x',
        '{"v":1},',
        '{"v":1',
        '{"v":1}\x00',
        '{"v":1,}',
        '\ufeff{"v":1}',
        "{'v':1}",
        "{v:1}",
        '{"v":1.0}',
        '{"v":1e2}',
        '{"v":true}',
        '{"v":"1"}',
        '{"v":null}',
        '{"v":2147483648}',
        '{"v":-2147483649}',
        '{"v":01}',
        '{"v":+1}',
        '{"v":NaN}',
        '{"v":1_0}',
        '{"v":' + "1" * 5_000 + "}",
        '{"v":' + "[" * 100_000 + "}",
        '{"v":1}' + " " * 100_000,
    ],
)
def test_what_is_odd_about_an_event_is_left_to_the_reference(text: str) -> None:
    assert _path(_schema("int"))(text.encode()) is None


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("boolean", "1"),
        ("string", '"\\ud800"'),
        ("string", '"\\udc00"'),
        ("string", '"\\ud800\\ud800"'),
        ("string", '"\t"'),
        ("string", '"\\x"'),
        ("string", "null"),
        ("double", "1e400"),
        ("double", "-1e400"),
        ("double", "9223372036854775808"),
        ("double", "-9223372036854775809"),
        ("double", "1e-99999999999999999999"),
        ("double", "0e99999999999999999999"),
        ("double", "1." + "0" * 1_000),
        ("double", "0." + "0" * 999),
        ("double", "NaN"),
        ("double", '"1"'),
        ("double", "true"),
        ("float", "3.4028235677973366e38"),
        ("float", "1" + "0" * 39),
        ("bytes", '"a"'),
        ("bytes", '"_-=="'),
        ("bytes", '"AA==="'),
        ({"type": "fixed", "name": "F", "size": 2}, '"AA=="'),
        (_NOTE, '"OTHER"'),
        (_NOTE, '"included"'),
        (_MONEY, '"10000.00"'),
        (_MONEY, '"1.005"'),
        (_MONEY, "1.005"),
        (_MONEY, "12.505"),
        (_MONEY, "1.00000000000000000001"),
        (_MONEY, "1e300"),
        (_MONEY, "1e400"),
        (_MONEY, "99999999999999999999"),
        (_MONEY, '"1e2"'),
        (_MONEY, '"NaN"'),
        (_MONEY, '" 1.00"'),
        (_MONEY, '"1.00 "'),
        (_MONEY, '"+1.00"'),
        (_MONEY, '"01.00"'),
        (_MONEY, '"00.00"'),
        (_MONEY, '".50"'),
        (_MONEY, '"1_0.00"'),
        (_MONEY, '"1.0_0"'),
        (_MONEY, '"\u0661.00"'),
        (_MONEY, '"1.\u0661\u0661"'),
        (_MONEY, '""'),
        (_MONEY, '"."'),
        (_MONEY, "true"),
        (_MONEY, "null"),
        (_MONEY, '["1.00"]'),
        ({**_MONEY, "scale": 0}, '"1."'),
        ({**_MONEY, "scale": 0}, '"01"'),
        (_WHEN, '"2026-02-29T13:05:00Z"'),
        (_WHEN, '"2026-11-22 13:05:00Z"'),
        (_WHEN, '"2026-11-22T24:00:00Z"'),
        (_WHEN, '"2026-11-22T13:60:00Z"'),
        (_WHEN, '"2026-11-22T23:59:60Z"'),
        (_WHEN, '"2026-11-22T13:05:00"'),
        (_WHEN, '"2026-11-22T13:05Z"'),
        (_WHEN, '"2026-11-22T13:05:00,123Z"'),
        (_WHEN, '"2026-11-22T13:05:00.1234Z"'),
        (_WHEN, '"2026-11-22T13:05:00.+12Z"'),
        (_WHEN, '"2026-11-22T13:05:00.\u0661\u0662\u0663Z"'),
        (_WHEN, '"2026-11-22T13:05:00+24:00"'),
        (_WHEN, '"2026-11-22T13:05:00+0100"'),
        (_WHEN, '"2026-W47-7T13:05:00Z"'),
        (_WHEN, '"20261122T13:05:00Z"'),
        (_WHEN, '"0000-01-01T00:00:00Z"'),
        (_WHEN, '"0001-01-01T00:00:00+00:01"'),
        (_WHEN, '"9999-12-31T23:59:59-00:01"'),
        (_WHEN, "253402300800000"),
        (_WHEN, "1.0"),
        ({"type": "string", "logicalType": "uuid"}, '"{123e4567-e89b-12d3-a456-426614174000}"'),
        ({"type": "string", "logicalType": "uuid"}, '"123e4567e89b12d3a456426614174000"'),
        ({"type": "array", "items": "int"}, "{}"),
        ({"type": "array", "items": "int"}, "[1,null]"),
        ({"type": "map", "values": "int"}, '{"a":1,"a":1}'),
        ({"type": "map", "values": "int"}, '{"a":1,"\\u0061":1}'),
        ({"type": "map", "values": _REF}, '{"a":{"see":"x","see":"x"}}'),
        ({"type": "array", "items": _REF}, '[{"see":"x"},{"see":"x","saw":"x"}]'),
        (["null", "string"], "1"),
        (["null", _MONEY], "false"),
        (["null", _REF], '{"see":"x","see":"y"}'),
        (["int", "long", "string", _NOTE], "{}"),
        (["string", _NOTE, {"type": "map", "values": "string"}], '{"a":"x","a":"y"}'),
    ],
)
def test_each_misfit_is_left_to_the_reference(kind: Any, value: str) -> None:
    assert _path(_schema(kind))(f'{{"v":{value}}}'.encode()) is None


@pytest.mark.parametrize("raw", [b'{"v":"\xff"}', b'{"v":"\xed\xa0\x80"}', '{"v":"x"}'.encode("utf-16")])
def test_bytes_that_are_no_utf_8_are_left_to_the_reference(raw: bytes) -> None:
    assert _path(_schema("string"))(raw) is None
    assert _path(_schema(["string", "bytes"]))(raw) is None


_HOSTILE = [
    *(
        "class",
        "None",
        "self",
        "import",
        "_",
        "__class__",
        "__init__",
        "__slots__",
        "__del__",
        "__match_args__",
    ),
    *("__struct_fields__", "f0", "raw", "value", "decode", "texts", "join", "at", "size"),
]


def test_names_that_mean_something_to_python_are_fields_like_others() -> None:
    fields = [{"name": name, "type": "string"} for name in _HOSTILE]
    root = parse_schema(json.dumps({"type": "record", "name": "exec", "fields": fields})).root
    path = _path(root, pointers=tuple(f"/{name}" for name in _HOSTILE))
    raw = json.dumps({name: f"<{name}>" for name in _HOSTILE}).encode()
    assert path(raw) == (_by_reference(root, raw), [f"<{name}>" for name in _HOSTILE])


def test_no_text_of_a_schema_stands_in_the_program() -> None:
    symbols = ["CANARY1", "CANARY2"]
    fields = [
        {
            "name": "CANARY3",
            "type": {"type": "enum", "name": "CANARY4", "symbols": symbols},
            "doc": "CANARY5",
        },
        {"name": "CANARY6", "type": ["null", "string"], "aliases": ["CANARY7"]},
    ]
    root = parse_schema(json.dumps({"type": "record", "name": "CANARY8", "fields": fields})).root
    assert "CANARY" not in source_of(_path(root, pointers=("/CANARY3",)))


def test_defaults_stand_in_the_program_only_as_bytes() -> None:
    default = "'\"\\\n{}#\u00e9"
    root = _schema("string", default=default)
    path = _path(root, pointers=("/v",))
    assert path(b"{}") == (_by_reference(root, b"{}"), [default])
    assert default not in source_of(path)


@pytest.mark.parametrize(
    ("kind", "field", "text"),
    [
        (["null", "string"], {}, "{}"),
        (["string", "null"], {}, "{}"),
        (["null", "string"], {"default": None}, '{"v":null}'),
        (["string", "null"], {"default": "x"}, "{}"),
        ("int", {"default": 3}, "{}"),
        (_REF, {"default": {"see": "a"}}, "{}"),
        (_REF, {"default": {"see": "a"}}, '{"v":{"see":"b"}}'),
        ({"type": "array", "items": "int"}, {"default": [1]}, "{}"),
        ({"type": "map", "values": _NOTE}, {"default": {"a": "INCLUDED"}}, "{}"),
        (["string", "bytes"], {"default": "x"}, "{}"),
    ],
)
def test_an_absent_field_takes_its_default_or_null(kind: Any, field: dict[str, Any], text: str) -> None:
    root = _schema(kind, **field)
    assert _path(root)(text.encode()) == (_by_reference(root, text.encode()), None)


def test_an_absent_field_is_told_from_a_doubled_one() -> None:
    fields = [{"name": name, "type": ["null", "string"]} for name in "ab"]
    root = parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root
    path = _path(root)
    assert path(b'{"a":"x"}') is not None
    assert path(b'{"a":"x","a":"x"}') is None
    assert path(b'{"a":null,"a":null}') is None
    assert path(b'{"b":null,"a":"x","b":null}') is None


@pytest.mark.parametrize(
    ("text", "quotes"),
    [
        ("{}", 0),
        ('"a"', 2),
        ('"\\""', 2),
        ('"\\\\"', 2),
        ('"\\\\\\""', 2),
        ('"\\n\\\\"', 2),
        ('{"\\\\":"\\\\\\\\\\""}', 4),
    ],
)
def test_quotes_that_are_escaped_do_not_count(text: str, quotes: int) -> None:
    assert json.loads(text) is not None
    assert count_quotes(text.encode()) == quotes


def test_schemas_too_large_for_generated_code_have_no_path() -> None:
    def wide(count: int) -> Any:
        fields = [{"name": f"f{index}", "type": "int"} for index in range(count)]
        return parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root

    assert compile_json_path(wide(499), "plain", ()) is not None
    assert compile_json_path(wide(500), "plain", ()) is None


def test_a_chain_of_names_counts_as_often_as_it_is_used() -> None:
    kind: Any = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "int"}]}
    for level in range(1, 10):
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": f"R{level - 1}"}]
        kind = {"type": "record", "name": f"R{level}", "fields": fields}
    assert compile_json_path(parse_schema(json.dumps(kind)).root, "plain", ()) is None


def test_what_nests_deeper_than_generated_code_may_is_read_by_the_reference_in_its_place() -> None:
    kind: Any = "int"
    for _ in range(25):
        kind = {"type": "array", "items": kind}
    root = _schema(["null", kind])
    path = _path(root)
    raw = f'{{"v":{"[" * 25}7{"]" * 25}}}'.encode()
    assert path(raw) == (_by_reference(root, raw), None)
    assert path(raw.replace(b"7", b"7,x")) is None
    assert path(raw.replace(b"7", b'"7"')) is None


def test_a_text_is_searched_for_wild_exponents_once_however_many_zeros_it_holds() -> None:
    path = _path(_schema({"type": "array", "items": "double"}))
    searches: list[bytes] = []
    names = {**path.__globals__, "has_wild_exponent": searches.append}
    again = FunctionType(path.__code__, names)
    raw = b'{"v":[' + b"0.0," * 1_000 + b"0]}"
    assert again(raw) == path(raw)
    assert path(raw) is not None
    assert searches == [raw]


def test_a_bug_in_generated_code_shows_its_line() -> None:
    path = _path(_schema("string"))
    with pytest.raises(TypeError) as caught:
        path(None)  # type: ignore[arg-type]  # what no caller does
    assert "if len(raw) >" in "".join(traceback.format_exception(caught.value))


_TAGGED = ["null", _MONEY, _REF, {"type": "array", "items": "int"}, "string"]


@pytest.mark.parametrize(
    "value",
    [
        "null",
        '{"bytes":"\\u0001T"}',
        '{"Ref":{"see":"x"}}',
        '{"array":[1,2]}',
        '{ "string" : "\\"" }',
        '{"\\u0073tring":""}',
    ],
)
def test_unions_of_the_avro_json_encoding_are_taken(value: str) -> None:
    root, raw = _schema(_TAGGED), f'{{"v":{value}}}'.encode()
    findings = Findings()
    datum = compile_check(root, "avro")(read_with_findings(raw, findings), None, findings)
    out = bytearray()
    compile_encoder(root)(datum, out)
    assert _path(root, "avro")(raw) == (bytes(out), None)


@pytest.mark.parametrize(
    "value",
    [
        '"x"',
        "{}",
        '{"null":null}',
        '{"int":1}',
        '{"string":null}',
        '{"string":1}',
        '{"string":"x","string":"x"}',
        '{"string":"x","Ref":{"see":"x"}}',
        '{"string":"x","other":1}',
        '{"Ref":{"see":"x","see":"x"}}',
        '{"bytes":"\\u0100"}',
        "[]",
    ],
)
def test_faulty_unions_of_the_avro_json_encoding_are_left_to_the_reference(value: str) -> None:
    assert _path(_schema(_TAGGED), "avro")(f'{{"v":{value}}}'.encode()) is None
    assert _path(_schema(["string", "int"]), "avro")(b'{"v":null}') is None
    assert _path(_schema(["null"]), "avro")(f'{{"v":{value}}}'.encode()) is None


def test_an_array_with_parts_for_the_reference_is_read_by_it_at_once_not_part_by_part() -> None:
    blurred = {"type": "record", "name": "B", "fields": [{"name": "x", "type": ["string", "bytes"]}]}
    fields = [
        {"name": "one", "type": blurred},
        {"name": "many", "type": {"type": "array", "items": {"type": "map", "values": ["null", "B"]}}},
        {"name": "plain", "type": {"type": "array", "items": ["null", _REF]}},
    ]
    root = parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root
    path = _path(root)
    assert source_of(path).count("REFERENCE") == 2
    assert source_of(path).count("for ") == 1
    raw = b'{"one":{"x":"a"},"many":[{"k":{"x":"b"}},{}],"plain":[{"see":"c"},null]}'
    assert path(raw) == (_by_reference(root, raw), None)
    assert path(raw.replace(b'"b"', b'"b","x":"b"')) is None


def test_what_stands_for_absent_fields_is_counted_before_it_takes_memory() -> None:
    fields = [
        {"name": "note", "type": "string", "default": "x" * 1021},
        {"name": "n", "type": ["null", "int"]},
    ]
    root = _schema({"type": "array", "items": {"type": "record", "name": "Line", "fields": fields}})
    encode = _path(root)
    most = json.dumps({"v": [{}] * 1024}).encode()
    found = encode(most)
    assert found is not None
    assert found[0] == _by_reference(root, most)
    assert encode(json.dumps({"v": [{}] * 1025}).encode()) is None
    tracemalloc.start()
    try:
        assert encode(json.dumps({"v": [{}] * 24_000}, separators=(",", ":")).encode()) is None
        assert tracemalloc.get_traced_memory()[1] < 16 * 2**20
    finally:
        tracemalloc.stop()
