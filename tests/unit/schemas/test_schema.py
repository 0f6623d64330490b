import hashlib
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import fastavro
import pytest
from fastavro.schema import fingerprint, to_parsing_canonical_form

from schemas.schema import canonical_form, parse_schema

_EXAMPLES = sorted((Path(__file__).parents[3] / "examples" / "schemas").glob("*.avsc"))

_RICH: dict[str, Any] = {
    "doc": "x",
    "namespace": "a.b",
    "name": "R",
    "type": "record",
    "aliases": ["Old"],
    "fields": [
        {
            "name": "e",
            "type": {"name": "E", "symbols": ["A", "B"], "type": "enum", "doc": "y"},
            "order": "ignore",
        },
        {"default": None, "name": "u", "type": ["null", {"type": "fixed", "size": 16, "name": "other.F"}]},
        {"name": "m", "type": {"values": {"items": {"type": "long"}, "type": "array"}, "type": "map"}},
        {"name": "again", "type": "E"},
        {"name": "far", "type": "other.F"},
        {
            "name": "inner",
            "type": {"type": "record", "name": "c.I", "fields": [{"name": "x", "type": "int"}]},
        },
    ],
}


@pytest.mark.parametrize("text", [json.dumps(_RICH), *(path.read_text() for path in _EXAMPLES)])
def test_canonical_form_and_fingerprint_are_those_of_fastavro(text: str) -> None:
    schema = parse_schema(text)
    theirs = to_parsing_canonical_form(fastavro.parse_schema(json.loads(text)))
    assert canonical_form(schema.root) == theirs
    assert schema.fingerprint.hex() == fingerprint(theirs, "SHA-256")


def test_the_guid_is_the_md5_of_the_text() -> None:
    text = json.dumps(_RICH)
    assert parse_schema(text).guid == UUID(hashlib.md5(text.encode(), usedforsecurity=False).hexdigest())


def test_white_space_changes_the_guid_and_not_the_fingerprint() -> None:
    one, other = parse_schema(json.dumps(_RICH)), parse_schema(json.dumps(_RICH, indent=1))
    assert one.fingerprint == other.fingerprint
    assert one.guid != other.guid
    assert one != other


def test_the_name_is_the_full_name() -> None:
    assert parse_schema(json.dumps(_RICH)).name == "a.b.R"
    assert parse_schema('{"type":"record","name":"x.Y","namespace":"ignored","fields":[]}').name == "x.Y"
    assert parse_schema('{"type":"record","name":"Y","fields":[]}').name == "Y"
