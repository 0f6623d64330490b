import json

import pytest

from schemas.errors import SchemaError
from schemas.fast_pick import compile_pick_all
from schemas.pointers import compile_pointers
from schemas.schema import parse_schema

_WHEN = {"type": "long", "logicalType": "timestamp-millis"}
_IN = {
    "type": "record",
    "name": "In",
    "fields": [{"name": "n", "type": "int"}, {"name": "at", "type": _WHEN}],
}
_FIELDS = [
    {"name": "id", "type": "string"},
    {"name": "at", "type": _WHEN},
    {"name": "in", "type": _IN},
    {"name": "maybe", "type": ["null", "In"]},
    {"name": "then", "type": ["null", _WHEN]},
    {"name": "fine", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
    {"name": "note", "type": {"type": "enum", "name": "Note", "symbols": ["A", "B"]}},
    {"name": "yes", "type": "boolean"},
    {"name": "money", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
    {"name": "key", "type": {"type": "fixed", "name": "Key", "size": 16, "logicalType": "uuid"}},
    {"name": "nil", "type": "null"},
    {"name": "either", "type": ["string", "int"]},
]
_ROOT = parse_schema(json.dumps({"type": "record", "name": "R", "fields": _FIELDS})).root
_POINTERS = (
    "/id",
    "/at",
    "/in/n",
    "/in/at",
    "/maybe/at",
    "/then",
    "/fine",
    "/local",
    "/note",
    "/yes",
    "/money",
    "/key",
    "/nil",
    "/either",
)


@pytest.mark.parametrize(
    "datum",
    [
        [
            "x",
            0,
            [1, -1],
            (0, None),
            (0, None),
            1_795_352_700_123_456,
            5,
            "A",
            True,
            340,
            b"k" * 16,
            None,
            (0, "t"),
        ],
        [
            "x",
            1_795_352_700_123,
            [1, 86_400_000],
            (1, [2, 3]),
            (1, 4),
            -1,
            0,
            "B",
            False,
            -1,
            b"\0" * 16,
            None,
            (1, 7),
        ],
    ],
)
def test_texts_at_pointers_are_those_of_the_reference(datum: list[object]) -> None:
    reference = {pointer: pick(datum) for pointer, pick in compile_pointers(_ROOT, _POINTERS)}
    assert compile_pick_all(_ROOT, _POINTERS)(datum) == reference
    assert list(compile_pick_all(_ROOT, _POINTERS)(datum)) == list(_POINTERS)


def test_no_pointers_give_no_texts() -> None:
    assert compile_pick_all(_ROOT, ())([]) == {}


def test_a_wrong_pointer_is_refused() -> None:
    with pytest.raises(SchemaError):
        compile_pick_all(_ROOT, ["/at/nowhere"])
