"""Random schemas and data: our codec against itself, and against fastavro and Apache Avro as oracles."""

import io
import json
from typing import Any

import avro.io
import avro.schema
import fastavro
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.avro_reader import compile_reader
from schemas.avro_type import Array, AvroType, Fixed, Map, Primitive, Record, Union
from schemas.check import compile_check
from schemas.codec import Codec, compile_codec
from schemas.encoder import compile_encoder
from schemas.errors import DatumError, PayloadError
from schemas.fault import Fault
from schemas.findings import Findings
from schemas.json_reader import read_json
from schemas.json_writer import compile_writer
from schemas.leaf import JsonFlavour
from schemas.schema import parse_schema
from tests.property.avro_schemas import TEXTS, schemas_and_data

_SLOW = settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
_FLAVOURS = st.sampled_from(["plain", "avro"])
_CANARY = "c4n4ry"
_ODD = 7_135_791_317.135791
_LONG, _STRING, _BYTES = Primitive("long"), Primitive("string"), Primitive("bytes")
_Case = tuple[str, list[Any]]


def _encoded(kind: AvroType, datum: Any) -> bytes:
    out = bytearray()
    compile_encoder(kind)(datum, out)
    return bytes(out)


def _codec(text: str, flavour: JsonFlavour = "plain") -> Codec:
    return compile_codec(parse_schema(text), (), flavour)


@_SLOW
@given(schemas_and_data(any_root=True), _FLAVOURS)
def test_any_datum_of_any_type_is_printed_and_read_back(case: _Case, flavour: JsonFlavour) -> None:
    text, data = case
    root = parse_schema(text).root
    write, check = compile_writer(root, flavour), compile_check(root, flavour)
    for datum in data:
        findings = Findings()
        again = check(read_json(write(datum).encode()), None, findings)
        assert findings.faults == []
        assert _encoded(root, again) == _encoded(root, datum)


@_SLOW
@given(schemas_and_data(), _FLAVOURS)
def test_json_out_and_json_in_are_inverse_for_every_datum(case: _Case, flavour: JsonFlavour) -> None:
    text, data = case
    codec = _codec(text, flavour)
    for datum in data:
        raw = _encoded(codec.schema.root, datum)
        printed = codec.json_from_avro(raw)
        assert codec.avro_from_json(printed).avro == raw
        assert codec.decode(codec.checked_avro(raw).avro).json == printed


@_SLOW
@given(schemas_and_data(any_root=True))
def test_the_reader_gives_what_the_encoder_took(case: _Case) -> None:
    text, data = case
    root = parse_schema(text).root
    read = compile_reader(root)
    assert [read(_encoded(root, datum)) for datum in data] == data


@_SLOW
@given(schemas_and_data(most=1), st.data())
def test_legal_avro_of_any_shape_is_the_same_datum_and_is_written_anew_as_one(
    case: _Case, data: st.DataObject
) -> None:
    text, (datum,) = case
    codec = _codec(text)
    root, canonical = codec.schema.root, _encoded(codec.schema.root, datum)
    raw = data.draw(_loose(root, datum))
    assert compile_reader(root)(raw) == datum
    assert codec.normalised_avro(raw).avro == canonical
    assert codec.json_from_avro(raw) == codec.json_from_avro(canonical)
    theirs = avro.schema.make_avsc_object(_physical(json.loads(text)))
    seen = avro.io.DatumReader(theirs).read(avro.io.BinaryDecoder(io.BytesIO(raw)))
    assert raw != canonical or seen == _foreign(root, datum)


@st.composite
def _loose(draw: st.DrawFn, kind: AvroType, datum: Any) -> bytes:
    """A legal encoding of a datum: arrays and maps in any blocks, decimals with any sign extension."""
    match kind:
        case Record():
            parts = zip(kind.fields, datum, strict=True)
            return b"".join([draw(_loose(one.type, value)) for one, value in parts])
        case Union():
            return _encoded(_LONG, datum[0]) + draw(_loose(kind.branches[datum[0]], datum[1]))
        case Array():
            return draw(_blocks([draw(_loose(kind.items, item)) for item in datum]))
        case Map():
            named = [
                _encoded(_STRING, name) + draw(_loose(kind.values, item)) for name, item in datum.items()
            ]
            return draw(_blocks(named))
        case Primitive(name="bytes", logical=logical) if logical is not None:
            raw = _encoded(kind, datum)[1:]
            raw = (b"\xff" if datum < 0 else b"\x00") * draw(st.integers(0, 16 - len(raw))) + raw
            return _encoded(_BYTES, raw)
        case _:
            return _encoded(kind, datum)


@st.composite
def _blocks(draw: st.DrawFn, items: list[bytes]) -> bytes:
    out, rest = b"", items
    while rest:
        count = draw(st.integers(1, len(rest)))
        body = b"".join(rest[:count])
        sizes = [-count, len(body)] if draw(st.booleans()) else [count]
        out += b"".join(_encoded(_LONG, size) for size in sizes) + body
        rest = rest[count:]
    return out + b"\x00"


@_SLOW
@given(schemas_and_data(any_root=True))
def test_fastavro_reads_our_bytes_as_the_same_values(case: _Case) -> None:
    text, data = case
    root, physical = parse_schema(text).root, fastavro.parse_schema(_physical(json.loads(text)))
    for datum in data:
        raw = _encoded(root, datum)
        source = io.BytesIO(raw)
        seen = fastavro.schemaless_reader(source, physical, None)
        assert (seen, source.read()) == (_foreign(root, datum), b"")
        if not _has_union(root):  # it guesses branches anew
            target = io.BytesIO()
            fastavro.schemaless_writer(target, physical, seen)
            assert target.getvalue() == raw


@_SLOW
@given(schemas_and_data(any_root=True))
def test_apache_avro_reads_our_bytes_as_the_same_values(case: _Case) -> None:
    text, data = case
    root, theirs = parse_schema(text).root, avro.schema.make_avsc_object(_physical(json.loads(text)))
    for datum in data:
        source = io.BytesIO(_encoded(root, datum))
        seen = avro.io.DatumReader(theirs).read(avro.io.BinaryDecoder(source))
        assert (seen, source.read()) == (_foreign(root, datum), b"")


@_SLOW
@given(schemas_and_data(most=1), st.data())
def test_bytes_from_outside_are_accepted_or_refused_by_one_error(case: _Case, data: st.DataObject) -> None:
    text, (datum,) = case
    codec = _codec(text)
    good = _encoded(codec.schema.root, datum)
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
    assert codec.avro_from_json(codec.json_from_avro(raw)).avro == raw
    theirs = avro.schema.make_avsc_object(_physical(json.loads(text)))
    avro.io.DatumReader(theirs).read(avro.io.BinaryDecoder(io.BytesIO(raw)))


@_SLOW
@given(schemas_and_data(), st.binary(max_size=60) | st.text(max_size=30).map(str.encode))
def test_any_text_is_encoded_or_refused_by_one_family(case: _Case, raw: bytes) -> None:
    codec = _codec(case[0])
    try:
        accepted = codec.avro_from_json(raw)
    except PayloadError:
        return
    assert codec.checked_avro(accepted.avro) == accepted


_JSON = st.recursive(
    st.sampled_from([None, True, _CANARY, _CANARY * 40, _ODD, int(_ODD), f"{_CANARY}\u0000", "2026-01-01"])
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=12,
)


@st.composite
def _spoilt(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with some of its parts replaced by others."""
    if draw(st.integers(0, 4)) == 0:
        return draw(_JSON)
    if isinstance(value, dict):
        return {name: draw(_spoilt(item)) for name, item in value.items()} | draw(
            st.just({}) | st.dictionaries(st.sampled_from(["f0", "f9", "F1"]), _JSON, max_size=1)
        )
    return [draw(_spoilt(item)) for item in value] if isinstance(value, list) else value


@_SLOW
@given(schemas_and_data(most=1), _FLAVOURS, st.data())
def test_any_json_value_is_encoded_or_refused_with_pointers_and_without_values(
    case: _Case, flavour: JsonFlavour, data: st.DataObject
) -> None:
    codec = _codec(case[0], flavour)
    good = json.loads(compile_writer(codec.schema.root, flavour)(case[1][0]))
    faults, said = tuple[Fault, ...](), ""
    try:
        codec.avro_from_json(json.dumps(data.draw(_spoilt(good))).encode())
    except DatumError as error:
        faults, said = error.faults, str(error)
    assert len(faults) <= 100
    assert _CANARY not in said
    for fault in faults:
        assert fault.pointer == "" or fault.pointer.startswith("/")
        assert _CANARY not in fault.text
        assert str(int(_ODD)) not in fault.text
        assert _CANARY not in (fault.expected or "")


def _physical(document: Any) -> Any:
    """The schema without logical types, for which the libraries differ."""
    if isinstance(document, list):
        return [_physical(item) for item in document]
    if isinstance(document, dict):
        return {name: _physical(value) for name, value in document.items() if name != "logicalType"}
    return document


def _foreign(kind: AvroType, datum: Any) -> Any:
    """A datum as the libraries show it: without branches, decimals as bytes."""
    match kind:
        case Record():
            return {
                one.name: _foreign(one.type, value) for one, value in zip(kind.fields, datum, strict=True)
            }
        case Array():
            return [_foreign(kind.items, item) for item in datum]
        case Map():
            return {name: _foreign(kind.values, item) for name, item in datum.items()}
        case Union():
            return _foreign(kind.branches[datum[0]], datum[1])
        case Primitive(logical=logical) | Fixed(logical=logical) if logical and logical.name == "decimal":
            raw = _encoded(kind, datum)
            return raw if isinstance(kind, Fixed) else raw[1:]  # the length of so few digits takes one byte
        case _:
            return datum


def _has_union(kind: AvroType) -> bool:
    match kind:
        case Record():
            return any(_has_union(one.type) for one in kind.fields)
        case Array():
            return _has_union(kind.items)
        case Map():
            return _has_union(kind.values)
        case _:
            return isinstance(kind, Union)
