"""What stands at a pointer, by the schema."""

import json

import pytest

from schemas.errors import SchemaError
from schemas.places import sorts_at
from schemas.schema import parse_schema

ROOT = parse_schema(
    json.dumps(
        {
            "type": "record",
            "name": "R",
            "fields": [
                {"name": "text", "type": ["null", "string"]},
                {"name": "count", "type": "long"},
                {"name": "share", "type": "double"},
                {
                    "name": "total",
                    "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2},
                },
                {"name": "flag", "type": "boolean"},
                {"name": "kind", "type": {"type": "enum", "name": "E", "symbols": ["A"]}},
                {"name": "day", "type": {"type": "int", "logicalType": "date"}},
                {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
                {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-millis"}},
                {"name": "clock", "type": {"type": "int", "logicalType": "time-millis"}},
                {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
                {"name": "raw", "type": {"type": "fixed", "name": "F", "size": 2}},
                {"name": "nothing", "type": "null"},
                {"name": "mixed", "type": ["int", "string"]},
                {"name": "tags", "type": {"type": "map", "values": "string"}},
                {"name": "lines", "type": {"type": "array", "items": "int"}},
                {
                    "name": "to",
                    "type": [
                        "null",
                        {"type": "record", "name": "A", "fields": [{"name": "city", "type": "string"}]},
                        {"type": "record", "name": "B", "fields": [{"name": "code", "type": "int"}]},
                    ],
                },
            ],
        }
    )
).root


@pytest.mark.parametrize(
    ("path", "sorts"),
    [
        ("text", {"text"}),
        ("count", {"number"}),
        ("share", {"number"}),
        ("total", {"number"}),
        ("flag", {"flag"}),
        ("kind", {"text"}),
        ("day", {"date"}),
        ("at", {"instant"}),
        ("local", {"local"}),
        ("clock", {"text"}),
        ("id", {"text"}),
        ("raw", {"text"}),
        ("nothing", {"nothing"}),
        ("mixed", {"number", "text"}),
        ("tags/any", {"text"}),
        ("to/city", {"text"}),
        ("to/code", {"number"}),
    ],
)
def test_what_stands_there(path: str, sorts: set[str]) -> None:
    assert sorts_at(ROOT, path.split("/")) == sorts


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("cuont", "there is no /cuont; did you mean /count?"),
        ("to/citty", "there is no /to/citty; did you mean /to/city?"),
        ("elsewhere", "there is no /elsewhere"),
        ("to", "more than one value"),
        ("lines/0", "through an array"),
        ("lines", "more than one value"),
        ("count/deeper", "through an array or a scalar"),
        ("tags", "more than one value"),
    ],
)
def test_what_leads_nowhere_is_refused(path: str, words: str) -> None:
    with pytest.raises(SchemaError) as caught:
        sorts_at(ROOT, path.split("/"))
    assert words in caught.value.text
