import json
from typing import Any

import pytest

from schemas.field_changes import MOST_CHANGES, FieldChanges, field_changes
from schemas.schema import parse_schema


def told(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    found = changes(old, new).found
    return [f"{one.sign} {one.pointer}  {' -> '.join(filter(None, (one.was, one.now)))}" for one in found]


def changes(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> FieldChanges:
    both = [{"type": "record", "name": "Order", "fields": one} for one in (old, new)]
    return field_changes(*(parse_schema(json.dumps(one)) for one in both))


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


def test_a_record_that_is_used_twice_is_told_of_at_each_place() -> None:
    old = [named("a", LINE), named("b", "Line"), named("c", {"type": "array", "items": "Line"})]
    new = [named("a", WIDE), *old[1:]]
    assert told(old, new) == [f"~ {one}/qty  int -> long" for one in ("/a", "/b", "/c/*")]


def lattice(depth: int, *more: dict[str, Any]) -> list[dict[str, Any]]:
    """Each record has the one above it twice: 2 ** depth ways lead to the first."""
    first = {"type": "record", "name": "R0", "fields": [named("qty", "int"), *more]}
    fields = [named("r0", first)]
    for number in range(1, depth + 1):
        inside = [named(side, f"R{number - 1}") for side in "ab"]
        fields.append(named(f"r{number}", {"type": "record", "name": f"R{number}", "fields": inside}))
    return fields


def test_of_more_places_than_anybody_reads_some_are_told_and_that_there_are_more() -> None:
    few = changes(lattice(3), lattice(3, named("n", "int", default=0)))
    assert (len(few.found), few.has_more) == (1 + 2 + 4 + 8, False)
    assert few.found[0].pointer == "/r0/n"
    assert few.found[-1].pointer == "/r3/b/b/b/n"
    many = changes(lattice(9), lattice(9, named("n", "int", default=0)))
    assert (len(many.found), many.has_more) == (MOST_CHANGES, True)


def test_a_long_default_is_cut() -> None:
    (line,) = told([], [named("a", "string", default="x" * 500)])
    assert len(line) < 100
