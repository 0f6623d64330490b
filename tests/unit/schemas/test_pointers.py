import json
from typing import Any

import pytest

from schemas.codec import compile_codec
from schemas.errors import SchemaError
from schemas.schema import Schema, parse_schema

_SCHEMA = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "s", "type": "string"},
        {"name": "n", "type": ["null", "long"]},
        {"name": "b", "type": "boolean"},
        {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
        {"name": "d", "type": {"type": "int", "logicalType": "date"}},
        {"name": "t", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "m", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}},
        {"name": "u", "type": {"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}},
        {
            "name": "in",
            "type": ["null", {"type": "record", "name": "I", "fields": [{"name": "x", "type": "int"}]}],
        },
        {"name": "list", "type": {"type": "array", "items": "int"}},
        {"name": "raw", "type": "bytes"},
        {"name": "f", "type": "double"},
        {"name": "mixed", "type": ["int", "string", {"type": "map", "values": "int"}]},
    ],
}
_EVENT: dict[str, Any] = {
    "s": "A-1", "n": None, "b": True, "e": "A", "d": "2026-11-22", "t": 1, "m": 3.4,
    "u": "123E4567-e89b-12d3-a456-426614174000", "in": {"x": -5}, "list": [], "raw": "", "f": 1, "mixed": 1,
}  # fmt: skip


def _schema() -> Schema:
    return parse_schema(json.dumps(_SCHEMA))


def test_values_are_texts_in_their_plain_form() -> None:
    pointers = ("/s", "/n", "/b", "/e", "/d", "/t", "/m", "/u", "/in/x")
    encoded = compile_codec(_schema(), pointers, "plain").avro_from_json(json.dumps(_EVENT).encode())
    assert encoded.values == {
        "/s": "A-1",
        "/n": None,
        "/b": "true",
        "/e": "A",
        "/d": "2026-11-22",
        "/t": "1970-01-01T00:00:00.001Z",
        "/m": "3.40",
        "/u": "123e4567-e89b-12d3-a456-426614174000",
        "/in/x": "-5",
    }


def test_values_are_the_same_from_json_and_from_avro_in_any_flavour() -> None:
    pointers = ("/s", "/in/x", "/m", "/t")
    plain = compile_codec(_schema(), pointers, "plain")
    encoded = plain.avro_from_json(json.dumps(_EVENT).encode())
    assert plain.checked_avro(encoded.avro).values == encoded.values
    assert compile_codec(_schema(), pointers, "avro").decode(encoded.avro).values == encoded.values


def test_a_value_under_an_absent_record_is_none() -> None:
    event = json.dumps({**_EVENT, "in": None}).encode()
    assert compile_codec(_schema(), ("/in/x",), "plain").avro_from_json(event).values == {"/in/x": None}


@pytest.mark.parametrize(
    "pointer",
    ["", "s", "/", "/nope", "/s/x", "/in", "/in/nope", "/list", "/list/0", "/raw", "/f", "/mixed", "/S"],
)
def test_a_pointer_that_leads_to_no_stable_text_is_refused_by_name(pointer: str) -> None:
    with pytest.raises(SchemaError) as caught:
        compile_codec(_schema(), (pointer,), "plain")
    assert caught.value.rule == "pointer"
    assert repr(pointer) in str(caught.value)
