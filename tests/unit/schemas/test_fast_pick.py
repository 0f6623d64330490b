import json

import pytest

from schemas.errors import SchemaError
from schemas.fast_pick import compile_picks
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
]
_ROOT = parse_schema(json.dumps({"type": "record", "name": "R", "fields": _FIELDS})).root
_POINTERS = ("/id", "/at", "/in/n", "/in/at", "/maybe/at", "/then", "/fine", "/local")


@pytest.mark.parametrize(
    "datum",
    [
        ["x", 0, [1, -1], (0, None), (0, None), 1_795_352_700_123_456, 5],
        ["x", 1_795_352_700_123, [1, 86_400_000], (1, [2, 3]), (1, 4), -1, 0],
    ],
)
def test_texts_at_pointers_are_those_of_the_reference(datum: list[object]) -> None:
    ours, reference = compile_picks(_ROOT, _POINTERS), compile_pointers(_ROOT, _POINTERS)
    assert [(pointer, pick(datum)) for pointer, pick in ours] == [
        (pointer, pick(datum)) for pointer, pick in reference
    ]


def test_a_wrong_pointer_is_refused() -> None:
    with pytest.raises(SchemaError):
        compile_picks(_ROOT, ["/at/nowhere"])
