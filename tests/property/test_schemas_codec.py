"""Random schemas and data: our codec against itself, and against fastavro and Apache Avro as oracles."""

import base64
import io
import json
from decimal import Decimal
from typing import Any

import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.codec import compile_codec
from schemas.errors import DatumError, PayloadError
from schemas.fault import Fault
from schemas.schema import Schema, parse_schema

_SLOW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))

# A sketch is a type with a strategy for JSON values that fit it; names are unique within a schema.
_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_WORD = st.text("abc", min_size=1, max_size=3)


def _decimal_text(precision: int, scale: int) -> st.SearchStrategy[str]:
    largest = 10**precision - 1
    return st.integers(-largest, largest).map(lambda unscaled: f"{Decimal(f'{unscaled}E-{scale}'):f}")


def _base64(size: int | None = None) -> st.SearchStrategy[str]:
    raw = st.binary(max_size=6) if size is None else st.binary(min_size=size, max_size=size)
    return raw.map(lambda data: base64.b64encode(data).decode())


_FLAT: list[tuple[Any, st.SearchStrategy[Any]]] = [
    ("boolean", st.booleans()),
    ("int", st.integers(-(2**31), 2**31 - 1)),
    ("long", st.integers(-(2**63), 2**63 - 1)),
    ("float", st.floats(width=32, allow_nan=False, allow_infinity=False)),
    ("double", st.floats(allow_nan=False, allow_infinity=False)),
    ("string", _TEXT),
    ("bytes", _base64()),
    ({"type": "string", "logicalType": "uuid"}, st.uuids().map(str)),
    ({"type": "int", "logicalType": "date"}, st.dates().map(lambda day: day.isoformat())),
    (
        {"type": "long", "logicalType": "timestamp-millis"},
        st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z"),
    ),
    (
        {"type": "long", "logicalType": "local-timestamp-micros"},
        st.datetimes().map(lambda moment: moment.isoformat(timespec="microseconds")),
    ),
    (
        {"type": "int", "logicalType": "time-millis"},
        st.times().map(lambda clock: clock.isoformat(timespec="milliseconds")),
    ),
    ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, _decimal_text(9, 2)),
    ({"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 0}, _decimal_text(38, 0)),
]

Sketch = tuple[Any, st.SearchStrategy[Any]]


@st.composite
def _scalars(draw: st.DrawFn, counter: list[int], choice: int) -> Sketch:
    if choice == 3:
        return {"type": "enum", "name": _fresh(counter), "symbols": ["A", "B", "C"]}, st.sampled_from("ABC")
    if choice == 4:
        size = draw(st.integers(1, 6))
        return {"type": "fixed", "name": _fresh(counter), "size": size}, _base64(size)
    flat: Sketch = draw(st.sampled_from(_FLAT))
    return flat


@st.composite
def _types(draw: st.DrawFn, counter: list[int], depth: int) -> Sketch:
    """A type and a strategy for its JSON values."""
    choice = draw(st.integers(0, 9 if depth < 3 else 4))
    if choice <= 4:
        return draw(_scalars(counter, choice))
    if choice == 5:
        inner, values = draw(_types(counter, depth + 1))
        return {"type": "array", "items": inner}, st.lists(values, max_size=3)
    if choice == 6:
        inner, values = draw(_types(counter, depth + 1))
        return {"type": "map", "values": inner}, st.dictionaries(_TEXT, values, max_size=3)
    if choice == 7:
        inner, values = draw(_types(counter, depth + 1))
        if isinstance(inner, list):
            return inner, values
        return ["null", inner], st.none() | values
    if choice == 8:
        return draw(_unions(counter, depth))
    return draw(_records(counter, depth + 1))


@st.composite
def _unions(draw: st.DrawFn, counter: list[int], depth: int) -> Sketch:
    """A union of several branches that JSON may well confuse; records in it have fields of their own."""
    sketches = draw(st.lists(_types(counter, depth + 1), min_size=2, max_size=4))
    kept: dict[str, Sketch] = {}
    for kind, values in sketches:
        if isinstance(kind, list):
            continue
        name = kind if isinstance(kind, str) else kind.get("name", kind["type"])
        is_blurred = name in {"float", "double"} and "bytes" in kept
        if not is_blurred and not (name == "map" and any("rec" in one for one in kept)):
            kept.setdefault(name, (kind, values))
    if not kept:
        return "string", _TEXT
    return [kind for kind, _ in kept.values()], st.one_of([values for _, values in kept.values()])


@st.composite
def _records(draw: st.DrawFn, counter: list[int], depth: int) -> Sketch:
    sketches = draw(st.lists(_types(counter, depth), min_size=1, max_size=4))
    name = _fresh(counter, "rec")
    fields = {f"{name}_f{index}": sketch for index, sketch in enumerate(sketches)}
    kind = {
        "type": "record",
        "name": name,
        "fields": [{"name": one, "type": fields[one][0]} for one in fields],
    }
    return kind, st.fixed_dictionaries({one: fields[one][1] for one in fields})


def _fresh(counter: list[int], stem: str = "n") -> str:
    counter[0] += 1
    return f"{stem}{counter[0]}"


@st.composite
def _cases(draw: st.DrawFn) -> tuple[Schema, Any]:
    kind, values = draw(_records([0], 0))
    return parse_schema(json.dumps(kind)), draw(values)


@_SLOW
@given(_cases())
def test_what_json_encodes_is_printed_read_and_accepted_as_the_same_datum(case: tuple[Schema, Any]) -> None:
    schema, value = case
    codec = compile_codec(schema, (), "plain")
    encoded = codec.avro_from_json(json.dumps(value).encode())
    printed = codec.json_from_avro(encoded.avro)
    assert codec.avro_from_json(printed) == encoded
    assert codec.checked_avro(encoded.avro) == encoded
    assert codec.decode(encoded.avro).json == printed


@_SLOW
@given(_cases())
def test_the_avro_json_encoding_is_an_exact_inverse_of_any_datum(case: tuple[Schema, Any]) -> None:
    schema, value = case
    datum = compile_codec(schema, (), "plain").avro_from_json(json.dumps(value).encode()).avro
    codec = compile_codec(schema, (), "avro")
    assert codec.avro_from_json(codec.json_from_avro(datum)).avro == datum


@_SLOW
@given(_cases())
def test_fastavro_reads_our_bytes_and_writes_the_same(case: tuple[Schema, Any]) -> None:
    schema, value = case
    datum = compile_codec(schema, (), "plain").avro_from_json(json.dumps(value).encode()).avro
    physical = fastavro.parse_schema(_physical(json.loads(schema.text)))
    source = io.BytesIO(datum)
    seen = fastavro.schemaless_reader(
        source, physical, None, return_record_name=True, return_record_name_override=True
    )
    assert source.read() == b""
    target = io.BytesIO()
    fastavro.schemaless_writer(
        target, physical, fastavro.schemaless_reader(io.BytesIO(datum), physical, None)
    )
    assert seen is not None
    if not _has_union(json.loads(schema.text)):  # it guesses branches anew
        assert target.getvalue() == datum


@_SLOW
@given(_cases())
def test_apache_avro_reads_our_bytes_to_the_end(case: tuple[Schema, Any]) -> None:
    schema, value = case
    datum = compile_codec(schema, (), "plain").avro_from_json(json.dumps(value).encode()).avro
    theirs = avro.schema.make_avsc_object(_physical(json.loads(schema.text)))
    source = io.BytesIO(datum)
    avro.io.DatumReader(theirs).read(avro.io.BinaryDecoder(source))
    assert source.read() == b""


@_SLOW
@given(_cases(), st.data())
def test_bytes_from_outside_are_accepted_or_refused_by_one_error(
    case: tuple[Schema, Any], data: st.DataObject
) -> None:
    schema, value = case
    codec = compile_codec(schema, (), "plain")
    good = codec.avro_from_json(json.dumps(value).encode()).avro
    at = data.draw(st.integers(0, len(good)))
    raw = (
        data.draw(st.binary(max_size=40))
        if data.draw(st.booleans())
        else good[:at] + data.draw(st.binary(max_size=3)) + good[at + 1 :]
    )
    try:
        accepted = codec.checked_avro(raw)
    except DatumError:
        return
    assert accepted.avro == raw
    reread = codec.avro_from_json(codec.json_from_avro(raw)).avro
    assert reread == raw or _has_union(json.loads(schema.text))
    theirs = avro.schema.make_avsc_object(_physical(json.loads(schema.text)))
    avro.io.DatumReader(theirs).read(avro.io.BinaryDecoder(io.BytesIO(raw)))


@_SLOW
@given(_cases(), st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_any_text_is_encoded_or_refused_by_one_family(case: tuple[Schema, Any], raw: bytes) -> None:
    codec = compile_codec(case[0], (), "plain")
    with pytest.raises(PayloadError):
        codec.avro_from_json(raw)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _TEXT | _WORD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3),
    max_leaves=12,
)


@_SLOW
@given(_cases(), _JSON)
def test_any_json_value_is_encoded_or_refused_with_pointers(case: tuple[Schema, Any], value: Any) -> None:
    schema, good = case
    codec = compile_codec(schema, (), "plain")
    mixed = {**good, **value} if isinstance(value, dict) else dict.fromkeys(good, value)
    faults: tuple[Fault, ...] = ()
    try:
        codec.avro_from_json(json.dumps(mixed).encode())
    except DatumError as error:
        faults = error.faults
    assert all(fault.pointer == "" or fault.pointer.startswith("/") for fault in faults)


def _physical(document: Any) -> Any:
    if isinstance(document, list):
        return [_physical(item) for item in document]
    if isinstance(document, dict):
        return {name: _physical(value) for name, value in document.items() if name != "logicalType"}
    return document


def _has_union(document: Any) -> bool:
    if isinstance(document, dict):
        parts = [
            document.get("type"),
            document.get("items"),
            document.get("values"),
            *document.get("fields", []),
        ]
        return any(_has_union(part) for part in parts)
    return isinstance(document, list)
