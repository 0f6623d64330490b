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


def _fields(*members: Any) -> dict[str, Any]:
    fields = [{"name": f"f{n}", "type": "int", **each} for n, each in enumerate(members)]
    return {"type": "record", "name": "R", "fields": fields}


def _named_field(name: str) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": name, "type": "int"}]}


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
    ("order that is a list", _field(type="int", order=["ignore"]), "shape", "/fields/0/order"),
    ("bad alias", _field(type="int", aliases=["1"]), "name", "/fields/0/aliases/0"),
    ("alias of a field in a namespace", _field(type="int", aliases=["a.b"]), "name", "/fields/0/aliases/0"),
    ("aliases that are no list", _field(type="int", aliases="g"), "shape", "/fields/0/aliases"),
    ("alias twice", _field(type="int", aliases=["g", "g"]), "duplicate", "/fields/0/aliases/1"),
    ("alias that is another field", _fields({"aliases": ["f1"]}, {}), "duplicate", "/fields/0/aliases/0"),
    (
        "alias of two fields",
        _fields({"aliases": ["g"]}, {"aliases": ["h", "g"]}),
        "duplicate",
        "/fields/1/aliases/1",
    ),
    ("bad alias of a type", {**_record(), "aliases": ["a..b"]}, "name", "/aliases/0"),
    ("alias of a type twice", {**_record(), "aliases": ["S", "S"]}, "duplicate", "/aliases/1"),
    (
        "alias that is another type",
        _record({**_record(name="A"), "aliases": ["a.S"]}, _record(name="a.S")),
        "duplicate",
        "/fields/0/type/aliases/0",
    ),
    (
        "alias of two types",
        _record({**_record(name="A"), "aliases": ["S"]}, {**_record(name="B"), "aliases": ["S"]}),
        "duplicate",
        "/fields/1/type/aliases/0",
    ),
    ("recursion through an alias", {**_record("Old"), "aliases": ["Old"]}, "unknown_name", "/fields/0/type"),
    (
        "mutual recursion",
        _record(_record(["null", "R"], name="B")),
        "recursion",
        "/fields/0/type/fields/0/type/1",
    ),
    ("recursion in a namespace", {**_record("a.R"), "namespace": "a"}, "recursion", "/fields/0/type"),
    ("recursive map", _record({"type": "map", "values": "R"}), "recursion", "/fields/0/type/values"),
    (
        "items hollow but for a byte",
        _record({"type": "array", "items": _record("boolean", *["null"] * 17, name="H")}),
        "zero_width",
        "/fields/0/type/items",
    ),
    (
        "items that may be hollow",
        _record({"type": "map", "values": [_record(*["null"] * 17, name="H"), "int"]}),
        "zero_width",
        "/fields/0/type/values",
    ),
    ("doc that is no text", {**_record(), "doc": 1}, "shape", "/doc"),
    ("doc of a field that is no text", _field(type="int", doc=["x"]), "shape", "/fields/0/doc"),
    ("namespace of null", {**_record(), "namespace": None}, "name", "/namespace"),
    ("long namespace", {**_record(), "namespace": "N" * 129}, "name", "/namespace"),
    ("long full name", {**_record(name="R" * 128), "namespace": "N" * 128}, "name", "/name"),
    ("name that is no text", {**_record(), "name": None}, "name", "/name"),
    ("name of letters elsewhere", _record(name="R\u00e9"), "name", "/name"),
    ("name with an empty part", _record(name=".R"), "name", "/name"),
    ("name that ends a line", _record(name="R\n"), "name", "/name"),
    ("primitive as name in a namespace", _record(name="a.long"), "name", "/name"),
    ("long field name", _named_field("f" * 129), "name", "/fields/0/name"),
    ("field name with a dot", _named_field("a.b"), "name", "/fields/0/name"),
    ("field that is no object", {"type": "record", "name": "R", "fields": ["x"]}, "shape", "/fields/0"),
    (
        "field without name",
        {"type": "record", "name": "R", "fields": [{"type": "int"}]},
        "name",
        "/fields/0/name",
    ),
    ("fields that are no list", {"type": "record", "name": "R", "fields": {}}, "shape", ""),
    (
        "symbols that are no list",
        _record({"type": "enum", "name": "E", "symbols": "A"}),
        "shape",
        "/fields/0/type",
    ),
    (
        "symbol that is no text",
        _record({"type": "enum", "name": "E", "symbols": ["A", None]}),
        "name",
        "/fields/0/type/symbols/1",
    ),
    (
        "enum default of null",
        _record({"type": "enum", "name": "E", "symbols": ["A"], "default": None}),
        "default",
        "/fields/0/type/default",
    ),
    (
        "size that is true",
        _record({"type": "fixed", "name": "F", "size": True}),
        "fixed_size",
        "/fields/0/type/size",
    ),
    (
        "size of text",
        _record({"type": "fixed", "name": "F", "size": "8"}),
        "fixed_size",
        "/fields/0/type/size",
    ),
    (
        "negative size",
        _record({"type": "fixed", "name": "F", "size": -1}),
        "fixed_size",
        "/fields/0/type/size",
    ),
    (
        "decimal without precision",
        _record({"type": "bytes", "logicalType": "decimal"}),
        "decimal",
        "/fields/0/type/precision",
    ),
    (
        "decimal of no digits",
        _record({**_DECIMAL, "precision": 0, "scale": 0}),
        "decimal",
        "/fields/0/type/precision",
    ),
    ("negative scale", _record({**_DECIMAL, "scale": -1}), "decimal", "/fields/0/type/scale"),
    (
        "precision that is true",
        _record({**_DECIMAL, "precision": True}),
        "decimal",
        "/fields/0/type/precision",
    ),
    (
        "decimal on string",
        _record({**_DECIMAL, "type": "string"}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    (
        "duration on bytes",
        _record({"type": "bytes", "logicalType": "duration"}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    (
        "long duration",
        _record({"type": "fixed", "name": "F", "size": 16, "logicalType": "duration"}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    (
        "nanos on int",
        _record({"type": "int", "logicalType": "timestamp-nanos"}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    (
        "logical type of null",
        _record({"type": "int", "logicalType": None}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    (
        "logical type that is a list",
        _record({"type": "int", "logicalType": ["date"]}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    (
        "logical type on a use",
        _record(_record(name="A"), {"type": "A", "logicalType": "uuid"}),
        "logical_type",
        "/fields/1/type/logicalType",
    ),
    (
        "logical type on an array",
        _record({**_nested(1), "logicalType": "x"}),
        "logical_type",
        "/fields/0/type/logicalType",
    ),
    ("no values", _record({"type": "map"}), "shape", "/fields/0/type"),
    ("no type", _record({"name": "X"}), "shape", "/fields/0/type"),
    ("type of a type", _record({"type": ["null", "int"]}), "shape", "/fields/0/type"),
    ("nothing", None, "shape", ""),
    ("bare name", "Order", "unknown_name", ""),
    ("name of nothing", "", "name", ""),
    ("record twice in a union", ["null", _record(name="a.R"), _record(name="a.R")], "duplicate", "/2/name"),
    ("one record twice", [_record(name="a.R"), "a.R"], "union", "/1"),
    ("two of one carrier", [{"type": "long", "logicalType": "timestamp-millis"}, "long"], "union", "/1"),
    ("record named as an array", [_record(name="array"), _nested(1)], "union", "/1"),
    ("string default", _field(type="string", default=1), "default", "/fields/0/default"),
    ("boolean default", _field(type="boolean", default="true"), "default", "/fields/0/default"),
    ("null default", _field(type="null", default="null"), "default", "/fields/0/default"),
    ("null for a text", _field(type=["string", "null"], default=None), "default", "/fields/0/default"),
    ("bytes default", _field(type="bytes", default="\u0100"), "default", "/fields/0/default"),
    ("float default", _field(type="float", default=1e39), "default", "/fields/0/default"),
    ("text of a number", _field(type="double", default="NaN"), "default", "/fields/0/default"),
    ("long default with a fraction", _field(type="long", default=1.5), "default", "/fields/0/default"),
    (
        "time default",
        _field(type={"type": "int", "logicalType": "time-millis"}, default=86_400_000),
        "default",
        "/fields/0/default",
    ),
    (
        "uuid default",
        _field(type={"type": "string", "logicalType": "uuid"}, default="x"),
        "default",
        "/fields/0/default",
    ),
    ("decimal default", _field(type=_DECIMAL, default="1.50"), "default", "/fields/0/default"),
    ("decimal default of no bytes", _field(type=_DECIMAL, default=""), "default", "/fields/0/default"),
    (
        "fixed default",
        _field(type={"type": "fixed", "name": "F", "size": 2}, default="a"),
        "default",
        "/fields/0/default",
    ),
    (
        "enum field default",
        _field(type={"type": "enum", "name": "E", "symbols": ["A"]}, default="B"),
        "default",
        "/fields/0/default",
    ),
    (
        "map default",
        _field(type={"type": "map", "values": "int"}, default={"a/b": ""}),
        "default",
        "/fields/0/default/a~1b",
    ),
    (
        "map default that is a list",
        _field(type={"type": "map", "values": "int"}, default=[]),
        "default",
        "/fields/0/default",
    ),
    (
        "record default that is a list",
        _field(type=_record(name="I"), default=[]),
        "default",
        "/fields/0/default",
    ),
    (
        "default in a default",
        _field(type=_record("int", name="I"), default={"f0": "x"}),
        "default",
        "/fields/0/default/f0",
    ),
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
        _field(type="int", aliases=["f", "g"]),
        {**_record(_record(name="B")), "aliases": ["R", "a.Old", "Old"]},
        _record({"type": "array", "items": _record("boolean", *["null"] * 15, name="H")}),
        _record({"type": "array", "items": ["null"]}),
        _record({"type": "fixed", "name": "F", "size": 12, "logicalType": "duration"}),
        _record({"type": "long", "logicalType": "timestamp-nanos"}),
        _record({"type": "long", "logicalType": "local-timestamp-nanos"}),
        {**_record(name="R" * 127), "namespace": "N" * 127},
        _record(_record("int", name="a.b.C"), "a.b.C"),
        {**_record({"type": "enum", "name": "E", "symbols": ["A"]}, "a.E"), "namespace": "a"},
        {**_record(_record(name="x.B"), "x.B"), "namespace": "a"},
        _field(type=_record("int", name="I"), default={"f0": 1}),
        _field(type=[_record("int", name="I"), "null"], default={"f0": 1}),
        _field(type="float", default=1),
        _field(type="bytes", default=""),
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
