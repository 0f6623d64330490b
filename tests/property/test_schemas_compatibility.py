"""Our walk names a difference exactly where Apache Avro's checker finds one (no logical types here)."""

import json
from typing import Any

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.schema import make_avsc_object
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.compatibility import find_differences
from schemas.schema import parse_schema

_PRIMITIVES = st.sampled_from(["boolean", "int", "long", "float", "double", "string", "bytes"])
_ENUMS = st.lists(st.sampled_from("ABC"), min_size=1, unique=True).map(
    lambda symbols: {"type": "enum", "name": "E", "symbols": symbols}
)
_FIXED = st.integers(1, 2).map(lambda size: {"type": "fixed", "name": "F", "size": size})
_LEAVES = _PRIMITIVES | _ENUMS | _FIXED


def _record(fields: dict[str, tuple[Any, bool]]) -> dict[str, Any]:
    members = []
    for name, (kind, optional) in fields.items():
        members.append(
            {"name": name, "type": ["null", kind], "default": None}
            if optional
            else {"name": name, "type": kind}
        )
    return {"type": "record", "name": "R", "fields": members}


_TYPES = (
    _LEAVES
    | _LEAVES.map(lambda kind: {"type": "array", "items": kind})
    | _PRIMITIVES.map(lambda kind: {"type": "map", "values": kind})
)


@st.composite
def _schemas(draw: st.DrawFn) -> dict[str, Any]:
    fields: dict[str, tuple[Any, bool]] = {}
    seen: set[str] = set()
    for name in draw(st.lists(st.sampled_from("abc"), unique=True, max_size=3)):
        kind = draw(_TYPES)
        text = json.dumps(kind)
        names = {mark for mark in ('"E"', '"F"') if f'"name": {mark}' in text}
        if not names & seen:
            seen |= names
            fields[name] = (kind, draw(st.booleans()))
    return _record(fields)


@settings(deadline=None, max_examples=300)
@given(_schemas(), _schemas())
def test_differences_are_found_exactly_where_apache_avro_finds_them(
    reader: dict[str, Any], writer: dict[str, Any]
) -> None:
    checker: Any = ReaderWriterCompatibilityChecker
    verdict = checker().get_compatibility(make_avsc_object(reader), make_avsc_object(writer)).compatibility
    found = find_differences(reader=parse_schema(json.dumps(reader)), writer=parse_schema(json.dumps(writer)))
    assert (not found) == (verdict is SchemaCompatibilityType.compatible)
    assert all(difference.pointer for difference in found)
