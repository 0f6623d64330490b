import json
from typing import Any

import pytest

from schemas.field_changes import field_changes
from schemas.schema import parse_schema


def told(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    schemas = [
        parse_schema(json.dumps({"type": "record", "name": "Order", "fields": one})) for one in (old, new)
    ]
    found = field_changes(*schemas)
    return [f"{one.sign} {one.pointer}  {' -> '.join(filter(None, (one.was, one.now)))}" for one in found]


def named(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


MONEY = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
LINE = {"type": "record", "name": "Line", "fields": [named("qty", "int")]}
WIDE = {"type": "record", "name": "Line", "fields": [named("qty", "long")]}


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ([named("a", "string")], [named("a", "string")], []),
        ([], [named("currency", "string", default="EUR")], ['+ /currency  string, default "EUR"']),
        (
            [named("legacy_ref", ["null", "string"], default=None)],
            [],
            ["- /legacy_ref  null | string, default null"],
        ),
        (
            [named("lines", {"type": "array", "items": LINE})],
            [named("lines", {"type": "array", "items": WIDE})],
            ["~ /lines/*/qty  int -> long"],
        ),
        ([named("m", {"type": "map", "values": "int"})], [named("m", "int")], ["~ /m  map of int -> int"]),
        ([named("a", "string")], [named("a", ["null", "string"])], ["~ /a  string -> null | string"]),
        (
            [named("a", ["null", LINE])],
            [named("a", ["null", WIDE])],
            ["~ /a/qty  int -> long"],
        ),
        ([named("a", "int", default=1)], [named("a", "int", default=2)], ["~ /a  default 1 -> default 2"]),
        ([named("a", "int")], [named("a", "int", default=2)], ["~ /a  no default -> default 2"]),
        ([named("a", "int")], [named("b", "int", aliases=["a"])], ["~ /b  called a -> called b"]),
        ([named("a", "bytes")], [named("a", MONEY)], ["~ /a  bytes -> decimal(12,2)"]),
        (
            [named("s", {"type": "enum", "name": "S", "symbols": ["A", "B"]})],
            [named("s", {"type": "enum", "name": "S", "symbols": ["B", "C"], "default": "B"})],
            ["~ /s  enum with A -> enum with C", "~ /s  no default -> default B"],
        ),
        (
            [named("f", {"type": "fixed", "name": "F", "size": 2})],
            [named("f", {"type": "fixed", "name": "F", "size": 3})],
            ["~ /f  fixed of 2 bytes -> fixed of 3 bytes"],
        ),
    ],
)
def test_each_change_is_told_once_at_its_place(
    old: list[dict[str, Any]], new: list[dict[str, Any]], lines: list[str]
) -> None:
    assert told(old, new) == lines


def test_a_record_that_is_used_twice_is_told_where_it_is_first() -> None:
    old = [named("a", LINE), named("b", "Line")]
    assert told(old, [named("a", WIDE), named("b", "Line")]) == ["~ /a/qty  int -> long"]


def test_a_long_default_is_cut() -> None:
    (line,) = told([], [named("a", "string", default="x" * 500)])
    assert len(line) < 100
