import json
from typing import Any

import pytest

from schemas.errors import SchemaError
from schemas.schema import parse_schema


def _record(*fields: Any, name: str = "R") -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": f"f{n}", "type": kind} for n, kind in enumerate(fields)],
    }


def _field(**members: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": "f", **members}]}


def _nested(levels: int) -> Any:
    kind: Any = "int"
    for _ in range(levels):
        kind = {"type": "array", "items": kind}
    return kind


def _chain(length: int) -> dict[str, Any]:
    """Records that nest through their names alone, in a flat text."""
    return _record(*[_record("int" if n == 0 else f"N{n - 1}", name=f"N{n}") for n in range(length)])


def _doubling(length: int) -> dict[str, Any]:
    """Each record uses the one before twice: small text, huge when written out."""
    kinds = [
        _record("int", name="N0"),
        *(_record(f"N{n - 1}", f"N{n - 1}", name=f"N{n}") for n in range(1, length)),
    ]
    return _record(*kinds)


_DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}

_REFUSALS: list[tuple[str, Any, str, str]] = [
    ("recursive record", _record(["null", "R"]), "recursion", "/fields/0/type/1"),
    ("recursive array", _record({"type": "array", "items": "R"}), "recursion", "/fields/0/type/items"),
    ("array of null", _record({"type": "array", "items": "null"}), "zero_width", "/fields/0/type/items"),
    (
        "array of nothing",
        _record({"type": "array", "items": _record(name="E")}),
        "zero_width",
        "/fields/0/type/items",
    ),
    ("map of null", _record({"type": "map", "values": "null"}), "zero_width", "/fields/0/type/values"),
    ("nesting", _record(_nested(32)), "nesting", ""),
    ("nesting by names", _chain(32), "nesting", ""),
    ("expansion", _doubling(15), "expanded", "/fields/13/type"),
    ("fields", _record(*["int"] * 2_000), "count", "/fields/1999"),
    ("long name", _record(name="N" * 129), "name", "/name"),
    ("bad name", _record(name="1st"), "name", "/name"),
    ("bad namespace", {**_record(), "namespace": "a..b"}, "name", "/namespace"),
    ("primitive as name", _record(name="string"), "name", "/name"),
    ("no name", {"type": "record", "fields": []}, "name", "/name"),
    (
        "symbols",
        _record({"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(1001)]}),
        "count",
        "/fields/0/type/symbols",
    ),
    ("no symbols", _record({"type": "enum", "name": "E", "symbols": []}), "count", "/fields/0/type/symbols"),
    (
        "symbol twice",
        _record({"type": "enum", "name": "E", "symbols": ["A", "A"]}),
        "duplicate",
        "/fields/0/type/symbols/1",
    ),
    (
        "bad symbol",
        _record({"type": "enum", "name": "E", "symbols": ["A-B"]}),
        "name",
        "/fields/0/type/symbols/0",
    ),
    (
        "enum default",
        _record({"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}),
        "default",
        "/fields/0/type/default",
    ),
    (
        "branches",
        _record([{"type": "fixed", "name": f"F{n}", "size": 1} for n in range(33)]),
        "count",
        "/fields/0/type",
    ),
    ("empty union", _record([]), "count", "/fields/0/type"),
    ("union in union", _record([["null", "int"], "string"]), "union", "/fields/0/type/0"),
    ("branch twice", _record(["int", "int"]), "union", "/fields/0/type/1"),
    ("two arrays", _record([_nested(1), {"type": "array", "items": "string"}]), "union", "/fields/0/type/1"),
    (
        "fixed of nothing",
        _record({"type": "fixed", "name": "F", "size": 0}),
        "fixed_size",
        "/fields/0/type/size",
    ),
    (
        "large fixed",
        _record({"type": "fixed", "name": "F", "size": 65537}),
        "fixed_size",
        "/fields/0/type/size",
    ),
    ("fixed without size", _record({"type": "fixed", "name": "F"}), "fixed_size", "/fields/0/type/size"),
    ("decimal precision", _record({**_DECIMAL, "precision": 39}), "decimal", "/fields/0/type/precision"),
    ("decimal scale", _record({**_DECIMAL, "scale": 5}), "decimal", "/fields/0/type/scale"),
    (
        "wide fixed decimal",
        _record({**_DECIMAL, "type": "fixed", "name": "F", "size": 17}),
        "decimal",
        "/fields/0/type/size",
    ),
    (
        "narrow fixed decimal",
        _record({**_DECIMAL, "type": "fixed", "name": "F", "size": 1}),
        "decimal",
        "/fields/0/type/precision",
    ),
    (
        "unknown logical type",
        _record({"type": "int", "logicalType": "money"}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    (
        "date on string",
        _record({"type": "string", "logicalType": "date"}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    (
        "uuid on short fixed",
        _record({"type": "fixed", "name": "F", "size": 8, "logicalType": "uuid"}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    ("logical type on record", {**_record(), "logicalType": "uuid"}, "logical_type", "/logicalType"),
    (
        "logical type beside the type",
        _field(type="long", logicalType="timestamp-millis"),
        "logical_type",
        "/fields/0/logicalType",
    ),
    ("unknown name", _record("Other"), "unknown_name", "/fields/0/type"),
    ("name of another namespace", _record(_record(name="a.B"), "B"), "unknown_name", "/fields/1/type"),
    ("definition twice", _record(_record(name="A"), _record(name="A")), "duplicate", "/fields/1/type/name"),
    (
        "field twice",
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}] * 2},
        "duplicate",
        "/fields/1/name",
    ),
    ("int default", _field(type="int", default="1"), "default", "/fields/0/default"),
    ("boolean for int", _field(type="int", default=True), "default", "/fields/0/default"),
    ("large int default", _field(type="int", default=2**31), "default", "/fields/0/default"),
    ("second branch default", _field(type=["null", "string"], default="x"), "default", "/fields/0/default"),
    (
        "date default",
        _field(type={"type": "int", "logicalType": "date"}, default="2026-01-01"),
        "default",
        "/fields/0/default",
    ),
    ("array default", _field(type=_nested(1), default=[1, "x"]), "default", "/fields/0/default/1"),
    ("record default", _field(type=_record("int", name="I"), default={}), "default", "/fields/0/default"),
    (
        "record default field",
        _field(type=_record("int", name="I"), default={"f0": 1, "x": 1}),
        "default",
        "/fields/0/default",
    ),
    ("no items", _record({"type": "array"}), "shape", "/fields/0/type"),
    ("no fields", {"type": "record", "name": "R"}, "shape", ""),
    ("field without type", {"type": "record", "name": "R", "fields": [{"name": "a"}]}, "shape", "/fields/0"),
    ("type in a type", _record({"type": {"type": "string"}}), "shape", "/fields/0/type"),
    ("a number", _record(5), "shape", "/fields/0/type"),
    ("bad order", _field(type="int", order="up"), "shape", "/fields/0/order"),
    ("bad alias", _field(type="int", aliases=["1"]), "name", "/fields/0/aliases/0"),
]


@pytest.mark.parametrize(
    ("schema", "rule", "pointer"), [case[1:] for case in _REFUSALS], ids=[case[0] for case in _REFUSALS]
)
def test_a_schema_that_breaks_a_rule_is_refused_with_rule_and_place(
    schema: Any, rule: str, pointer: str
) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_schema(json.dumps(schema))
    assert (caught.value.rule, caught.value.pointer) == (rule, pointer)
    assert caught.value.code == "schema_invalid"


@pytest.mark.parametrize(
    ("text", "rule", "pointer"),
    [
        ("", "syntax", ""),
        ("{", "syntax", ""),
        ('"\ud800"', "syntax", ""),
        ('{"type":"record","name":"R","name":"S","fields":[]}', "duplicate_key", "/name"),
        ('{"type":"record","name":"R","fields":[],"doc":1e999}', "syntax", "/doc"),
        ("[" * 65 + "]" * 65, "depth", "/0" * 64),
        ("[" * 100_000 + "]" * 100_000, "depth", "/0" * 64),
        ('"' + "x" * (256 * 1024) + '"', "size", ""),
    ],
)
def test_a_text_that_no_parser_should_see_is_refused(text: str, rule: str, pointer: str) -> None:
    with pytest.raises(SchemaError) as caught:
        parse_schema(text)
    assert (caught.value.rule, caught.value.pointer) == (rule, pointer)


@pytest.mark.parametrize(
    "schema",
    [
        _record(_nested(31)),
        _chain(31),
        _record(*["int"] * 1_999),
        _record(name="N" * 128),
        _record(["null", "int"], [_record(name="A"), _record(name="B")], ["string", "bytes"]),
        _record(_record(name="a.B"), "a.B"),
        _record([_DECIMAL, {"type": "enum", "name": "E", "symbols": ["A"]}, _record(name="X")]),
        _record(["double", _DECIMAL], [_DECIMAL, "double"]),
        {"type": "array", "items": "int"},
        ["null", _record()],
        "string",
        _record(
            {"type": "fixed", "name": "F", "size": 16, "logicalType": "decimal", "precision": 38, "scale": 38}
        ),
        _field(
            type=["null", "string"],
            default=None,
            doc="text",
            aliases=["g"],
            order="ignore",
            custom={"any": 1},
        ),
        _field(type={"type": "map", "values": "long"}, default={"a": 1}),
        _field(type="double", default=1.5),
        _field(type="bytes", default="\u00ff"),
        _field(type={"type": "enum", "name": "E", "symbols": ["A"], "default": "A"}, default="A"),
    ],
)
def test_a_schema_within_the_rules_is_taken(schema: Any) -> None:
    parse_schema(json.dumps(schema))


def test_a_refusal_says_how_to_mend_it() -> None:
    with pytest.raises(
        SchemaError, match=r"/fields/0/type/items: items take no bytes .* \(rule: zero_width\)"
    ):
        parse_schema(json.dumps(_record({"type": "array", "items": "null"})))
