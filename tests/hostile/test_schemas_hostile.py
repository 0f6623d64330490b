"""Schemas that were written to crash, stall or mislead, sent by the operator in a contract.

Each is refused with the file, the place in it and the rule, and changes nothing.
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.hostile.wire import CONTRACT, Wire, open_wire, verify_problem

PUT = "/v1/partners/acme/contract"


def fields(*kinds: Any) -> dict[str, Any]:
    """A record with a field of each type: `f0`, `f1` and so on."""
    return record("R", [{"name": f"f{number}", "type": kind} for number, kind in enumerate(kinds)])


def record(name: Any, members: Any, **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": members, **more}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def mapped(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def fixed(size: Any, **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": "F", "size": size, **more}


def enum(symbols: Any, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": symbols, **more}


def logical(kind: str, name: Any, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": name, **more}


def decimal(precision: Any, scale: Any = 0) -> dict[str, Any]:
    return logical("bytes", "decimal", precision=precision, scale=scale)


def with_default(kind: Any, default: Any) -> dict[str, Any]:
    return record("R", [{"name": "f0", "type": kind, "default": default}])


def chain(length: int) -> list[Any]:
    """Records, each of which holds the one before it twice: 2^length in all."""
    found: list[Any] = [record("C0", [{"name": "a", "type": "int"}])]
    for number in range(1, length):
        before = f"C{number - 1}"
        members = [{"name": "a", "type": before}, {"name": "b", "type": before}]
        found.append(record(f"C{number}", members))
    return found


def nested(depth: int, inner: Any = "int") -> Any:
    kind = inner
    for _ in range(depth):
        kind = array(kind)
    return kind


EMPTY = record("Empty", [])
F0 = "/fields/0/type"
NULLS = record("Nulls", [{"name": f"n{number}", "type": "null"} for number in range(17)])

SCHEMAS: dict[str, tuple[Any, str, str]] = {
    # What took a stock decoder down, or kept it busy for ever.
    "array of null": (fields(array("null")), "zero_width", f"{F0}/items"),
    "map of null": (fields(mapped("null")), "zero_width", f"{F0}/values"),
    "array of empty records": (fields(array(EMPTY)), "zero_width", f"{F0}/items"),
    "array of records of null": (fields(array(NULLS)), "zero_width", f"{F0}/items"),
    "array of an empty record in a record": (
        fields(array(record("Outer", [{"name": "a", "type": EMPTY}]))),
        "zero_width",
        f"{F0}/items",
    ),
    "array of seventeen nulls and a byte": (
        fields(array(record("W", [{"name": "a", "type": NULLS}, {"name": "b", "type": "boolean"}]))),
        "zero_width",
        f"{F0}/items",
    ),
    "fixed of no bytes": (fields(array(fixed(0))), "fixed_size", f"{F0}/items/size"),
    "a linked list": (record("L", [{"name": "n", "type": ["null", "L"]}]), "recursion", f"{F0}/1"),
    "a record in itself": (record("L", [{"name": "n", "type": "L"}]), "recursion", F0),
    "a record in itself by its full name": (
        record("L", [{"name": "n", "type": array("a.L")}], namespace="a"),
        "recursion",
        f"{F0}/items",
    ),
    "two records in each other": (
        record("A", [{"name": "b", "type": record("B", [{"name": "a", "type": mapped("A")}])}]),
        "recursion",
        f"{F0}/fields/0/type/values",
    ),
    "arrays, 33 deep by names": (fields(nested(29), nested(33)), "nesting", "/fields/1/type"),
    "records, 2^15 by names": (fields(*chain(15)), "expanded", "/fields/13/type"),
    "33 levels by names": (
        fields(nested(20, record("N", [{"name": "a", "type": "int"}])), nested(31, "N")),
        "nesting",
        "",
    ),
    "decimal of 39 digits": (fields(decimal(39)), "decimal", f"{F0}/precision"),
    "decimal of a billion digits": (fields(decimal(10**9)), "decimal", f"{F0}/precision"),
    "decimal of no digits": (fields(decimal(0)), "decimal", f"{F0}/precision"),
    "decimal of -1 digits": (fields(decimal(-1)), "decimal", f"{F0}/precision"),
    "decimal of 2.0 digits": (fields(decimal(2.0)), "decimal", f"{F0}/precision"),
    "decimal of a text of digits": (fields(decimal("9")), "decimal", f"{F0}/precision"),
    "decimal of true digits": (fields(decimal(precision=True)), "decimal", f"{F0}/precision"),
    "decimal whose scale is larger": (fields(decimal(4, 5)), "decimal", f"{F0}/scale"),
    "decimal of a negative scale": (fields(decimal(4, -1)), "decimal", f"{F0}/scale"),
    "decimal without digits": (fields(logical("bytes", "decimal")), "decimal", f"{F0}/precision"),
    "decimal on 17 bytes": (
        fields(fixed(17, logicalType="decimal", precision=9)),
        "decimal",
        f"{F0}/size",
    ),
    "decimal on too few bytes": (
        fields(fixed(2, logicalType="decimal", precision=9)),
        "decimal",
        f"{F0}/precision",
    ),
    "decimal on a string": (
        fields(logical("string", "decimal", precision=9)),
        "logical_type",
        f"{F0}/logicalType",
    ),
    "an unknown logical type": (fields(logical("string", "url")), "logical_type", f"{F0}/logicalType"),
    "a logical type that is a list": (fields(logical("int", ["date"])), "logical_type", f"{F0}/logicalType"),
    "date on long": (fields(logical("long", "date")), "logical_type", f"{F0}/logicalType"),
    "timestamp on int": (fields(logical("int", "timestamp-millis")), "logical_type", f"{F0}/logicalType"),
    "uuid on 15 bytes": (fields(fixed(15, logicalType="uuid")), "logical_type", f"{F0}/logicalType"),
    "duration on 16 bytes": (fields(fixed(16, logicalType="duration")), "logical_type", f"{F0}/logicalType"),
    "a logical type on a record": (
        record("R", [], logicalType="date"),
        "logical_type",
        "/logicalType",
    ),
    "a logical type beside a field's type": (
        record("R", [{"name": "f0", "type": "long", "logicalType": "timestamp-millis"}]),
        "logical_type",
        "/fields/0/logicalType",
    ),
    # Sizes.
    "fixed of 64 KiB and a byte": (fields(fixed(65_537)), "fixed_size", f"{F0}/size"),
    "fixed of a terabyte": (fields(fixed(1 << 40)), "fixed_size", f"{F0}/size"),
    "fixed of -1": (fields(fixed(-1)), "fixed_size", f"{F0}/size"),
    "fixed of 1.5": (fields(fixed(1.5)), "fixed_size", f"{F0}/size"),
    "fixed of true": (fields(fixed(size=True)), "fixed_size", f"{F0}/size"),
    "fixed of a text": (fields(fixed("8")), "fixed_size", f"{F0}/size"),
    "1,001 symbols": (fields(enum([f"S{n}" for n in range(1_001)])), "count", f"{F0}/symbols"),
    "no symbols": (fields(enum([])), "count", f"{F0}/symbols"),
    "symbols in a text": (fields(enum("AB")), "shape", F0),
    "a symbol twice": (fields(enum(["A", "A"])), "duplicate", f"{F0}/symbols/1"),
    "a symbol with a hyphen": (fields(enum(["A-B"])), "name", f"{F0}/symbols/0"),
    "a symbol of 129 characters": (fields(enum(["S" * 129])), "name", f"{F0}/symbols/0"),
    "a symbol that is a number": (fields(enum([1])), "name", f"{F0}/symbols/0"),
    "an enum's default that is none": (fields(enum(["A"], default="B")), "default", f"{F0}/default"),
    "33 branches": (
        fields([record(f"B{n}", []) for n in range(33)]),
        "count",
        F0,
    ),
    "no branches": (fields([]), "count", F0),
    "a branch twice": (fields(["int", "int"]), "union", f"{F0}/1"),
    "two arrays in a union": (fields([array("int"), array("string")]), "union", f"{F0}/1"),
    "a union in a union": (fields(["int", ["null", "string"]]), "union", f"{F0}/1"),
    "2,001 fields": (fields(*["int"] * 2_001), "count", "/fields/1999"),
    "a text of more than 256 KiB": (record("R", [], doc="d" * 256 * 1024), "length", ""),
    "defaults of more than 256 KiB": (
        record(
            "R",
            [
                {"name": f"f{n}", "type": fixed(60_000, name=f"F{n}"), "default": "\u0000" * 100}
                for n in range(9)
            ],
        ),
        "default",
        "/fields/0/default",
    ),
    # Names.
    "no name": (record(None, []), "name", "/name"),
    "an empty name": (record("", []), "name", "/name"),
    "a name with a hyphen": (record("a-b", []), "name", "/name"),
    "a name with a slash": (record("../../etc/passwd", []), "name", "/name"),
    "a name with a quote": (record("a'; drop table x", []), "name", "/name"),
    "a name with NUL": (record("a\x00", []), "name", "/name"),
    "a name with a line end": (record("a\n", []), "name", "/name"),
    "a name in Cyrillic": (record("\u0430", []), "name", "/name"),
    "a name that starts with a digit": (record("1a", []), "name", "/name"),
    "a name of two points": (record("a..b", []), "name", "/name"),
    "a name of 129 characters": (record("n" * 129, []), "name", "/name"),
    "a full name of 256 characters": (record(".".join(["n" * 63] * 4) + "n", []), "name", "/name"),
    "a name of a primitive type": (record("string", []), "name", "/name"),
    "a namespace with a space": (record("R", [], namespace="a b"), "name", "/namespace"),
    "a namespace that is a number": (record("R", [], namespace=1), "name", "/namespace"),
    "a field with a code in its name": (
        record("R", [{"name": "__import__('os')", "type": "int"}]),
        "name",
        "/fields/0/name",
    ),
    "a field without a name": (record("R", [{"type": "int"}]), "name", "/fields/0/name"),
    "a field twice": (
        record("R", [{"name": "a", "type": "int"}, {"name": "a", "type": "int"}]),
        "duplicate",
        "/fields/1/name",
    ),
    "a type twice": (fields(fixed(1), fixed(2)), "duplicate", "/fields/1/type/name"),
    "an alias of another field": (
        record("R", [{"name": "a", "type": "int"}, {"name": "b", "type": "int", "aliases": ["a"]}]),
        "duplicate",
        "/fields/1/aliases/0",
    ),
    "an alias with a hyphen": (record("R", [], aliases=["a-b"]), "name", "/aliases/0"),
    "aliases in a text": (record("R", [], aliases="a"), "shape", "/aliases"),
    "a name that nobody defines": (fields("Nobody"), "unknown_name", F0),
    "a name before its definition": (fields("F", fixed(1)), "unknown_name", F0),
    # Shapes.
    "no fields": ({"type": "record", "name": "R"}, "shape", ""),
    "fields in an object": (record("R", {"f0": "int"}), "shape", ""),
    "a field that is a text": (record("R", ["int"]), "shape", "/fields/0"),
    "a field without a type": (record("R", [{"name": "f0"}]), "shape", "/fields/0"),
    "a type that is a number": (fields(1), "shape", F0),
    "a type that is null": (fields(None), "shape", F0),
    "a type that is true": (fields(*[True]), "shape", F0),
    "a type in a type": (fields({"type": {"type": "int"}}), "shape", F0),
    "an object without a type": (fields({}), "shape", F0),
    "an array without items": (fields({"type": "array"}), "shape", F0),
    "a map without values": (fields({"type": "map"}), "shape", F0),
    "an unknown order": (
        record("R", [{"name": "f0", "type": "int", "order": "up"}]),
        "shape",
        "/fields/0/order",
    ),
    "a doc that is a number": (record("R", [], doc=1), "shape", "/doc"),
    "a string at the top": ("string", "shape", ""),
    "an array at the top": (array("int"), "shape", ""),
    "a union at the top": ([fields("int"), "null"], "shape", ""),
    "null at the top": (None, "shape", ""),
    "a number at the top": (1, "shape", ""),
    # Defaults.
    "a default of another type": (with_default("int", "1"), "default", "/fields/0/default"),
    "a default 2^31": (with_default("int", 1 << 31), "default", "/fields/0/default"),
    "a default 1.0 for int": (with_default("int", 1.0), "default", "/fields/0/default"),
    "a default of the second branch": (with_default(["null", "int"], 1), "default", "/fields/0/default"),
    "a default that is no symbol": (with_default(enum(["A"]), "B"), "default", "/fields/0/default"),
    "a default of too many bytes": (with_default(fixed(1), "ab"), "default", "/fields/0/default"),
    "a default beyond a byte": (with_default("bytes", "\u0100"), "default", "/fields/0/default"),
    "a default with a field more": (
        with_default(record("S", []), {"a": 1}),
        "default",
        "/fields/0/default",
    ),
    "a default with a field less": (
        with_default(record("S", [{"name": "a", "type": "int"}]), {}),
        "default",
        "/fields/0/default",
    ),
    "a default null of an array": (with_default(array("int"), None), "default", "/fields/0/default"),
    "a wrong item in a default": (with_default(array("int"), [1, "2"]), "default", "/fields/0/default/1"),
}

TEXTS: dict[str, tuple[str, str, str]] = {
    "nothing": ("", "syntax", ""),
    "white space": (" \n", "syntax", ""),
    "no JSON": ("{", "syntax", ""),
    "YAML": ("type: record\nname: R\n", "syntax", ""),
    "IDL": ("record R { int a; }", "syntax", ""),
    "a byte order mark": ("\ufeff" + json.dumps(fields("int")), "syntax", ""),
    "a comment": ("// a\n" + json.dumps(fields("int")), "syntax", ""),
    "two documents": (json.dumps(fields("int")) * 2, "syntax", ""),
    "NaN": ('{"type":"record","name":"R","fields":[],"x":NaN}', "syntax", "/x"),
    "a key twice": ('{"type":"record","name":"A","name":"B","fields":[]}', "duplicate_key", "/name"),
    "a key twice, deep": (
        '{"type":"record","name":"R","fields":[{"name":"a","type":"int","type":"long"}]}',
        "duplicate_key",
        "/fields/0/type",
    ),
    "a key twice, escaped": (
        '{"type":"record","name":"R","fields":[],"n\\u0061me":"S"}',
        "duplicate_key",
        "/name",
    ),
    "a lone surrogate": ('{"type":"record","name":"R","fields":[],"doc":"\\ud800"}', "syntax", "/doc"),
    "10,000 arrays": ('{"type":"array","items":' * 10_000 + '"int"' + "}" * 10_000, "depth", "/items" * 64),
    "100,000 brackets": ("[" * 100_000, "syntax", ""),
    "100,000 brackets that close": ("[" * 100_000 + "]" * 100_000, "depth", "/0" * 64),
    "a number of 100,000 digits": (
        '{"type":"fixed","name":"F","size":' + "9" * 100_000 + "}",
        "syntax",
        "/size",
    ),
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def wire(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Wire]:
    async with open_wire(tmp_path_factory.mktemp("wire")) as opened:
        yield opened


async def refused(wire: Wire, text: str) -> dict[str, Any]:
    """The one fault of a contract whose schema is this text; the contract in force stays as it is."""
    body = {"contract": CONTRACT.format(slug="acme"), "files": {"order.avsc": text}}
    async with wire.house.client("operator") as client:
        before = await client.get(PUT)
        answer = await client.put(PUT, json=body)
        after = await client.get(PUT)
    assert (after.status_code, after.json()) == (200, before.json())
    problem = verify_problem(answer, of_events=False)
    assert (answer.status_code, problem["code"]) == (422, "contract_invalid")
    assert len(problem["errors"]) == 1, problem["errors"]
    fault: dict[str, Any] = problem["errors"][0]
    assert fault.keys() == {"file", "line", "pointer", "code", "detail"}
    assert (fault["file"], fault["line"]) == ("order.avsc", 1)
    assert 0 < len(fault["detail"]) < 500
    return fault


@pytest.mark.parametrize("name", SCHEMAS)
async def test_a_hostile_schema_is_refused_with_place_and_rule(wire: Wire, name: str) -> None:
    document, rule, pointer = SCHEMAS[name]
    fault = await refused(wire, json.dumps(document, ensure_ascii=False))
    assert (fault["code"], fault["pointer"]) == (rule, pointer)


@pytest.mark.parametrize("name", TEXTS)
async def test_a_text_that_is_no_schema_is_refused_with_place_and_rule(wire: Wire, name: str) -> None:
    text, rule, pointer = TEXTS[name]
    fault = await refused(wire, text)
    assert (fault["code"], fault["pointer"]) == (rule, pointer)
