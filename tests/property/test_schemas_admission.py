"""Any text is admitted as a schema or refused by one error, whose place exists in the text."""

import json
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from schemas.codec import compile_codec
from schemas.errors import SchemaError
from schemas.schema import Reference, canonical_form, parse_schema
from tests.property.avro_schemas import schemas_and_data

_SLOW = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
_WORDS = st.sampled_from(
    [
        "record",
        "enum",
        "fixed",
        "array",
        "map",
        "null",
        "int",
        "long",
        "bytes",
        "string",
        "double",
        "R",
        "a.R",
        "E",
    ]
)
_ATOMS = (
    st.none()
    | st.booleans()
    | st.integers(-2, 70_000)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _WORDS
    | st.text(max_size=4)
    | st.sampled_from(["decimal", "uuid", "date", "duration", "timestamp-nanos", "ascending", ""])
)
_MEMBERS = st.sampled_from(
    ["type", "name", "namespace", "fields", "symbols", "size", "items", "values"]
) | st.sampled_from(["default", "aliases", "doc", "order", "logicalType", "precision", "scale"])
_LOOSE = st.recursive(
    _ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_MEMBERS, inner, max_size=5),
    max_leaves=15,
)


def _refusal(text: str, *references: Reference) -> SchemaError | None:
    try:
        schema = parse_schema(text, references)
    except SchemaError as error:
        return error
    compile_codec(schema, (), "plain")
    assert parse_schema(canonical_form(schema.root)).fingerprint == schema.fingerprint
    return None


def _verify_place(document: Any, error: SchemaError) -> None:
    """A refusal names a place of the text, or a member that is missing there."""
    assert error.rule
    assert error.text
    tokens = [token.replace("~1", "/").replace("~0", "~") for token in error.pointer.split("/")[1:]]
    for at, token in enumerate(tokens):
        if isinstance(document, dict) and token not in document:
            assert at == len(tokens) - 1
            return
        document = document[int(token)] if isinstance(document, list) else document[token]


@st.composite
def _spoilt(draw: st.DrawFn, value: Any) -> Any:
    """A schema document of which some parts are replaced, left out or doubled."""
    choice = draw(st.integers(0, 24))
    if choice == 0:
        return draw(_LOOSE)
    if isinstance(value, list):
        items = [draw(_spoilt(item)) for item in value]
        return [*items, *items[:1]] if choice == 1 else items
    if isinstance(value, dict):
        members = {name: draw(_spoilt(item)) for name, item in value.items()}
        if choice == 1 and members:
            members.pop(draw(st.sampled_from(sorted(members))))
        return members | draw(st.dictionaries(_MEMBERS, _LOOSE, max_size=1)) if choice == 2 else members
    return value


@_SLOW
@given(_LOOSE)
@example({"type": "record", "name": "R", "fields": [{"name": "a", "type": "R"}]})
def test_any_json_is_admitted_or_refused_by_one_error(document: Any) -> None:
    error = _refusal(json.dumps(document))
    if error is not None:
        _verify_place(document, error)


@_SLOW
@given(schemas_and_data(any_root=True, most=1), st.data())
def test_a_spoilt_schema_is_admitted_or_refused_where_it_is_spoilt(
    case: tuple[str, list[Any]], data: st.DataObject
) -> None:
    document = data.draw(_spoilt(json.loads(case[0])))
    error = _refusal(json.dumps(document))
    if error is not None:
        _verify_place(document, error)


@_SLOW
@given(st.text(max_size=40) | st.text('{}[]",:typerecodnamfilsu', max_size=60))
def test_any_text_is_admitted_or_refused_by_one_error(text: str) -> None:
    _refusal(text)


@_SLOW
@given(schemas_and_data(any_root=True, most=1), schemas_and_data(any_root=True, most=1), st.data())
def test_any_two_schemas_lean_on_each_other_or_are_refused_by_one_error(
    case: tuple[str, list[Any]], other: tuple[str, list[Any]], data: st.DataObject
) -> None:
    known = parse_schema(other[0])
    names = st.sampled_from([known.name, "rec1", "a.rec1", "fix1", "Other", ""])
    version = data.draw(st.sampled_from([-1, 0, 1, 2**31]))
    error = _refusal(
        case[0], Reference(data.draw(names), data.draw(st.sampled_from(["s", ""])), version, known)
    )
    assert error is not None  # a schema that stands alone uses nothing of the other
    assert error.rule in {"reference", "name", "duplicate", "count", "expanded"}
