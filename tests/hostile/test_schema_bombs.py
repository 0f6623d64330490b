"""Schemas that mean harm: small or flat texts that would nest, multiply or stall without end.

Work is counted in function calls, Python's and C's, not in seconds: the bound holds on any machine.
"""

import json
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from schemas.admission import MOST_TEXT_BYTES
from schemas.check import compile_check
from schemas.codec import compile_codec
from schemas.errors import DatumError, SchemaError
from schemas.findings import Findings
from schemas.schema import Reference, Schema, parse_schema

_MOST_CALLS = 20 * MOST_TEXT_BYTES
_MOST_MEMORY = 64 * 1024 * 1024


class _Work:
    calls = 0


@contextmanager
def _counted() -> Iterator[_Work]:
    """Count every call; end what calls far too often."""
    work = _Work()

    def count(_: Any, event: str, __: Any) -> None:
        if event in {"call", "c_call"}:
            work.calls += 1
            assert work.calls < 10 * _MOST_CALLS, "would never end"

    sys.setprofile(count)
    try:
        yield work
    finally:
        sys.setprofile(None)


def _refused(text: str) -> str:
    """The rule that refuses a text; empty where it is taken, and then compiled too."""
    try:
        schema = parse_schema(text)
    except SchemaError as error:
        return error.rule
    compile_check(schema.root, "plain")
    compile_check(schema.root, "avro")
    compile_codec(schema, (), "plain")
    return ""


def _record(full_name: str, /, **fields: Any) -> dict[str, Any]:
    return {
        "type": "record",
        "name": full_name,
        "fields": [{"name": one, "type": fields[one]} for one in fields],
    }


def _with_default(full_name: str, kind: Any, default: Any) -> dict[str, Any]:
    return {"type": "record", "name": full_name, "fields": [{"name": "f", "type": kind, "default": default}]}


def _nested(*kinds: Any) -> str:
    return json.dumps(_record("Top", **{f"f{n}": kind for n, kind in enumerate(kinds)}))


def _full(start: str, part: str, end: str) -> str:
    """A text as large as one may be."""
    room = MOST_TEXT_BYTES - len((start + end).encode())
    return start + part * (room // len(part.encode())) + end


def _array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _chain_of_defaults(levels: int, width: int) -> str:
    """Each default is a list of empty records, which take the default before: width to the levels."""
    kinds: list[Any] = [_with_default("R0", "string", "x" * 50)]
    kinds += [_with_default(f"R{n}", _array(f"R{n - 1}"), [{}] * width) for n in range(1, levels)]
    return _nested(*kinds)


def _doubling(levels: int) -> str:
    kinds = [
        _record("N0", x="int"),
        *(_record(f"N{n}", x=f"N{n - 1}", y=f"N{n - 1}") for n in range(1, levels)),
    ]
    return _nested(*kinds)


_WIDE = _record("Wide", **{f"w{n}": "int" for n in range(1_900)})
_EASY = {**_WIDE, "fields": [{**one, "default": 0} for one in _WIDE["fields"]]}
_ENUM = {"type": "enum", "name": "E", "symbols": [f"S{n}" for n in range(1_000)]}

_BOMBS: list[tuple[str, str, str]] = [
    ("brackets", _full("", "[", ""), "syntax"),
    ("objects", _full("", '{"type":', ""), "syntax"),
    ("arrays in arrays", '{"type":"array","items":' * 5_000 + '"int"' + "}" * 5_000, "depth"),
    ("doubled keys", _full("{", '"type":"a",', '"type":"a"}'), "duplicate_key"),
    ("digits of a size", _full('{"type":"fixed","name":"F","size":', "9", "}"), "syntax"),
    ("exponent of a size", '{"type":"fixed","name":"F","size":1e999999999}', "syntax"),
    ("digits of a default", _full('{"type":"record","name":"R","fields":[],"x":0.', "1", "}"), "syntax"),
    ("escapes", _full('{"type":"record","name":"R","fields":[],"doc":"', "\\u0000", '"}'), ""),
    ("surrogates", _full('{"type":"record","name":"R","fields":[],"doc":"', "\\ud800", '"}'), "syntax"),
    ("parts of a name", _full('"', "a.", 'a"'), "name"),
    ("dots of a name", _full('"', ".", '"'), "name"),
    ("letters of a name", _full('"', "a", '"'), "name"),
    (
        "aliases",
        _full('{"type":"record","name":"R","fields":[],"aliases":["R",', '"b",', '"c"]}'),
        "duplicate",
    ),
    (
        "different aliases",
        json.dumps({**_record("R"), "aliases": [f"a{n}" for n in range(25_000)]}),
        "",
    ),
    ("symbols", _full('{"type":"enum","name":"E","symbols":["A"', ',"B"', "]}"), "count"),
    ("branches", _full('["null"', ',"int"', "]"), "count"),
    ("fields", _full('{"type":"record","name":"R","fields":[0', ",0", "]}"), "shape"),
    ("doubling", _doubling(200), "expanded"),
    ("doubling within bounds", _doubling(12), ""),
    ("recursion", _nested(_record("A", x=["null", "Top"])), "recursion"),
    ("wide union of wide unions", _nested([_array(["int", {"type": "map", "values": "long"}]), _WIDE]), ""),
    ("an enum everywhere", _nested(_ENUM, *["E"] * 1_900), ""),
    ("unions of enums everywhere", _nested(_ENUM, *[["string", "E", "bytes"]] * 1_900), ""),
    (
        "a long key over many items",
        json.dumps(
            _with_default("R", {"type": "map", "values": _array("int")}, {"k" * 100_000: [0] * 50_000})
        ),
        "",
    ),
    (
        "a long key over many items, of which the last is wrong",
        json.dumps(
            _with_default("R", {"type": "map", "values": _array("int")}, {"k" * 100_000: [*[0] * 40_000, ""]})
        ),
        "default",
    ),
    ("defaults of defaults", _chain_of_defaults(30, 100), "default"),
    (
        "empty records that stand for wide ones",
        _nested(_EASY, _with_default("R", _array("Wide"), [{}] * 40_000)),
        "default",
    ),
    (
        "records that lack everything",
        _nested(_WIDE, _with_default("R", _array("Wide"), [{}] * 40_000)),
        "default",
    ),
    ("defaults of a large enum", _nested(_with_default("R", _array(_ENUM), ["S999"] * 30_000)), ""),
    (
        "defaults that together are large",
        _nested(
            *[
                _with_default("R0", "string", "x" * 60_000),
                *(_with_default(f"R{n}", "R0", {}) for n in range(1, 900)),
            ]
        ),
        "default",
    ),
    (
        "hollow items",
        _nested(_array(_record("H", x="int", **{f"n{n}": "null" for n in range(1_900)}))),
        "zero_width",
    ),
    (
        "hollow items by name",
        _nested(
            _record("N", **{f"n{n}": "null" for n in range(99)}), _array(_record("H", a="int", b="N", c="N"))
        ),
        "zero_width",
    ),
]


@pytest.mark.parametrize(("text", "rule"), [case[1:] for case in _BOMBS], ids=[case[0] for case in _BOMBS])
def test_the_nastiest_texts_cost_bounded_work_and_memory(text: str, rule: str) -> None:
    assert len(text.encode()) <= MOST_TEXT_BYTES
    with _counted() as work:
        assert _refused(text) == rule
    assert work.calls < _MOST_CALLS
    assert _peak(lambda: _refused(text)) < _MOST_MEMORY


def _peak(act: Callable[[], object]) -> int:
    """The most memory in bytes that is held at once."""
    tracemalloc.start()
    try:
        act()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_references_that_fan_out_and_meet_again_are_not_followed_twice() -> None:
    def parse(name: str, *below: Schema) -> Schema:
        references = [Reference(one.name, one.name, 1, one) for one in below]
        return parse_schema(
            json.dumps(_record(name, **{one.name: one.name for one in below}, x="int")), references
        )

    with _counted() as work:
        left, right = parse("L0"), parse("R0")
        for level in range(1, 12):
            left, right = parse(f"L{level}", left, right), parse(f"R{level}", left, right)
    assert work.calls < _MOST_CALLS


_LEFT_OUT = _record("R", lines=_array({**_record("Line", **{f"f{n}": ["null", "int"] for n in range(300)})}))
_REQUIRED = _record("R", lines=_array(_WIDE))
_DEFAULTED = _record("R", lines=_array(_with_default("Line", "string", "x" * 10_000)))


@pytest.mark.parametrize(
    ("schema", "body", "code"),
    [
        (_LEFT_OUT, [{}] * 100_000, "length"),
        (_REQUIRED, [{}] * 100_000, "missing"),
        (_REQUIRED, [{"W1": 1}] * 60_000, "missing"),
        (_DEFAULTED, [{}] * 100_000, "length"),
        (_DEFAULTED, [{"g": 1}] * 50_000, "unknown_field"),
        (_DEFAULTED, [0] * 100_001, "length"),
        (_DEFAULTED, [0] * 100_000, "type"),
    ],
    ids=["nulls", "missing", "misspelt", "defaults", "unknown", "many", "wrong"],
)
def test_an_event_that_leaves_out_much_costs_bounded_work_and_memory(
    schema: Any, body: Any, code: str
) -> None:
    check = compile_check(parse_schema(json.dumps(schema)).root, "plain")

    def read() -> str:
        findings = Findings()
        try:
            check({"lines": body}, None, findings)
            findings.verify()
        except DatumError as error:
            return error.faults[0].code
        return ""

    with _counted() as work:
        assert read() == code
    assert work.calls < _MOST_CALLS
    assert _peak(read) < _MOST_MEMORY


def test_faults_are_counted_up_to_ten_thousand() -> None:
    check = compile_check(parse_schema(json.dumps(_REQUIRED)).root, "plain")
    with pytest.raises(DatumError) as caught:
        check({"lines": [{}] * 6}, None, Findings())
    assert (len(caught.value.faults), caught.value.total) == (100, 10_000)
