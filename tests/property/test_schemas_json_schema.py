"""JSON Schema and validator agree, and samples validate: over random schemas, and data good and spoilt."""

import json
import re
from collections.abc import Iterator
from typing import Any

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from schemas.check import compile_check
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.json_schema import json_schema
from schemas.json_writer import compile_writer
from schemas.leaf import JsonFlavour
from schemas.sample import sample
from schemas.schema import Schema, parse_schema
from tests.json_schema_oracle import Verdicts
from tests.property.avro_schemas import schemas_and_data

_SLOW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
_FLAVOURS: st.SearchStrategy[JsonFlavour] = st.sampled_from(["plain", "avro"])
_CLOCKED = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt].*|P[0-9T].*")
"""What looks like an instant or a duration: its range is for the gateway alone."""

# Nothing here that only the gateway refuses: no 1.0, no integer beyond 64 bits, one digit after a point.
_OTHERS: tuple[Any, ...] = (
    None, True, False, 0, -7, 2**31, -(2**31) - 1, 2**63 - 1, -(2**63), 0.5, -1.5, 3.5e38, -1e300,
    "", "A", "1.5", "-0", "007", "1.500", "1.555", "99999999.99", "AAAA", "AA==", "AAAA=", "2026-02-29",
    "2024-02-29", "2026-01-15T12:30:45", "2026-01-15T12:30:45Z", "24:00:00", "12:30:45.1234567891",
    "P1D", "PT", "0123abcd-4567-4e89-8abc-0123456789ab", "\u0100", [], [None], {}, {"A": 0}, {"string": "x"},
)  # fmt: skip

Place = tuple[Any, Any]
"""A container and a key or an index in it."""


def _places(value: Any) -> Iterator[Place]:
    """Every place of a JSON value, from the outside in."""
    if isinstance(value, list | dict):
        for key in list(range(len(value)) if isinstance(value, list) else value):
            yield value, key
            yield from _places(value[key])


@st.composite
def _spoilt(draw: st.DrawFn, value: Any) -> tuple[Any, Any]:
    """A JSON value with one thing changed, and what stands there now."""
    holder = [json.loads(json.dumps(value))]
    places = [(holder, 0), *_places(holder[0])]
    ways = {
        "replace": places,
        "drop": [(where, key) for where, key in places if isinstance(where, dict)],
        "edit": [(where, key) for where, key in places if isinstance(where[key], str)],
        "add": [(where, key) for where, key in places if isinstance(where[key], list | dict)],
    }
    way = draw(st.sampled_from([way for way, found in ways.items() if found]))
    event(way)
    where, key = draw(st.sampled_from(ways[way]))
    new: Any = draw(st.sampled_from(_OTHERS))
    if way == "drop":
        del where[key]
    elif way == "edit":
        new = where[key] = _edited(draw, where[key])
    elif way == "add" and isinstance(where[key], dict):
        where[key][draw(st.sampled_from(["A", "f0", "f9", "int", "null"]))] = new
    elif way == "add":
        where[key].append(new)
    else:
        where[key] = new
    return holder[0], new


def _edited(draw: st.DrawFn, text: str) -> str:
    at = draw(st.integers(0, len(text)))
    piece = draw(st.sampled_from(["", "0", "1", "9", "A", "Z", "=", "\n", ".", "-", ":", "é", "\u0100"]))
    return text[:at] + piece + text[at + draw(st.integers(0, 1)) :]


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Schema, JsonFlavour, list[Any]]:
    """A schema, a flavour and good JSON values of it."""
    text, data = draw(schemas_and_data(any_root=draw(st.booleans())))
    schema, flavour = parse_schema(text), draw(_FLAVOURS)
    write = compile_writer(schema.root, flavour)
    return schema, flavour, [json.loads(write(datum)) for datum in data]


@_SLOW
@given(_cases())
def test_what_a_schema_holds_is_taken_by_both_with_defaults_written_out_or_not(
    case: tuple[Schema, JsonFlavour, list[Any]],
) -> None:
    schema, flavour, values = case
    judge = Verdicts(schema.root, flavour)
    properties = judge.document.get("properties", {})
    defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
    filled = [{**value, **defaults} for value in values if isinstance(value, dict)] if defaults else []
    bare = [{k: v for k, v in value.items() if k not in defaults} for value in filled]
    wrong = [value for value in [*values, *filled, *bare] if judge.both(value) != (True, True)]
    assert wrong == []


@_SLOW
@given(_cases(), st.data())
def test_what_is_spoilt_is_taken_or_refused_by_both(
    case: tuple[Schema, JsonFlavour, list[Any]], data: st.DataObject
) -> None:
    schema, flavour, values = case
    judge = Verdicts(schema.root, flavour)
    for value in values * 4:
        spoilt, changed = data.draw(_spoilt(value))
        ours, theirs = judge.both(spoilt)
        event(f"ours {ours}, theirs {theirs}")
        assert ours == theirs or (theirs and _is_for_the_gateway_alone(schema, flavour, changed))


def _is_for_the_gateway_alone(schema: Schema, flavour: JsonFlavour, changed: Any) -> bool:
    """Whether JSON Schema cannot say what is wrong: see schemas.json_schema."""
    if not isinstance(changed, str):
        return False
    if flavour == "avro":
        return "decimal" in schema.text
    return bool(_CLOCKED.fullmatch(changed))


@_SLOW
@given(_cases())
def test_a_sample_is_taken_by_both_and_comes_back_as_it_was(
    case: tuple[Schema, JsonFlavour, list[Any]],
) -> None:
    schema, flavour, _ = case
    text, findings = sample(schema.root, flavour=flavour), Findings()
    datum = compile_check(schema.root, flavour)(read_with_findings(text, findings), None, findings)
    findings.verify()
    assert Verdicts(schema.root, flavour).accepts(text)
    assert json.loads(compile_writer(schema.root, flavour)(datum)) == json.loads(text)
    again = parse_schema(schema.text).root
    assert sample(again, flavour=flavour) == text
    assert json_schema(again, flavour=flavour) == json_schema(schema.root, flavour=flavour)
