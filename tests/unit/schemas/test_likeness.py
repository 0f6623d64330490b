import json
from typing import Any

import pytest

from schemas.likeness import likeness
from schemas.schema import parse_schema


def of(kind: Any, **more: Any) -> str:
    document = {"type": "record", "name": "R", "fields": [{"name": "a", "type": kind, **more}]}
    return likeness(parse_schema(json.dumps(document)).root)


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
FIXED = {"type": "fixed", "name": "F", "size": 16}
INNER = {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}]}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("int", {"type": "int"}),
        ("int", {"type": "int", "custom": "x"}),
        (ENUM, {**ENUM, "doc": "d", "aliases": ["Old"], "default": "A"}),
        (INNER, {**INNER, "doc": "d", "aliases": ["Old"]}),
        (["null", "int"], ["null", {"type": "int"}]),
    ],
)
def test_what_has_the_same_bytes_and_meaning_is_alike(one: Any, other: Any) -> None:
    assert of(one) == of(other)


def test_documentation_defaults_aliases_and_order_make_no_difference() -> None:
    assert of("int") == of("int", default=1, doc="d", aliases=["b"], order="ignore")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("int", "long"),
        (DECIMAL, "bytes"),
        (DECIMAL, {**DECIMAL, "scale": 3}),
        (DECIMAL, {**DECIMAL, "precision": 7}),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            {"type": "long", "logicalType": "timestamp-micros"},
        ),
        ({"type": "string", "logicalType": "uuid"}, "string"),
        (FIXED, {**FIXED, "logicalType": "uuid"}),
        (FIXED, {**FIXED, "size": 15}),
        (FIXED, {**FIXED, "name": "G"}),
        (ENUM, {**ENUM, "symbols": ["B", "A"]}),
        (INNER, {**INNER, "name": "J"}),
        (INNER, {**INNER, "namespace": "n"}),
        (["null", "int"], ["int", "null"]),
        ({"type": "array", "items": "int"}, {"type": "map", "values": "int"}),
    ],
)
def test_what_has_other_bytes_or_another_meaning_is_not(one: Any, other: Any) -> None:
    assert of(one) != of(other)


def test_a_type_that_is_named_again_is_alike_to_itself_only() -> None:
    def twice(second: Any) -> str:
        fields = [{"name": "a", "type": INNER}, {"name": "b", "type": second}]
        return likeness(parse_schema(json.dumps({"type": "record", "name": "R", "fields": fields})).root)

    assert twice("I") == twice({"type": "I"})
    assert twice("I") != twice({**INNER, "name": "J"})
