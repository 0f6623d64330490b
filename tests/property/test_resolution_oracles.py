"""Schemas evolved at random: our resolution, the checker's verdict, fastavro and Apache Avro agree."""

import io
import json
import struct
from typing import Any

import avro.io
import avro.schema
import fastavro
from hypothesis import HealthCheck, assume, event, given, settings

from schemas.compatibility import find_differences
from schemas.encoder import compile_encoder
from schemas.errors import DatumError, SchemaError
from schemas.fault import Fault
from schemas.resolution import avro_reader_for, compile_resolution
from schemas.schema import Schema
from tests.property.evolved_schemas import Pair, pairs

_SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
_NUMBERS = {"int", "long", "float", "double"}


def _physical(document: Any) -> Any:
    """Without logical types, whose values the libraries turn into objects of their own."""
    if isinstance(document, list):
        return [_physical(one) for one in document]
    if isinstance(document, dict):
        return {
            name: value if name == "default" else _physical(value)
            for name, value in document.items()
            if name not in {"logicalType", "precision", "scale"}
        }
    return document


def _document(schema: Schema) -> Any:
    return _physical(json.loads(schema.text))


def _is_ambiguous(document: Any) -> bool:
    """Whether a union has several branches for one number or text: there the libraries take the first."""
    if isinstance(document, list):
        names = {one["type"] if isinstance(one, dict) else one for one in document}
        return len(names & _NUMBERS) > 1 or names >= {"string", "bytes"} or any(map(_is_ambiguous, document))
    if isinstance(document, dict):
        parts = [document.get("items"), document.get("values"), document["type"]]
        parts += [one["type"] for one in document.get("fields", ())]
        return any(_is_ambiguous(part) for part in parts if isinstance(part, list | dict))
    return False


def _rounded(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return value


def _from_utf8(raw: bytes) -> bytes | None:
    try:
        return raw.decode().encode("latin-1")
    except ValueError:
        return None


def _alike(ours: Any, theirs: Any) -> bool:
    """Equal, but for what the libraries leave undone: promotions, and defaults as the schema has them."""
    match ours:
        case dict():
            return (
                isinstance(theirs, dict)
                and ours.keys() == theirs.keys()
                and all(_alike(value, theirs[name]) for name, value in ours.items())
            )
        case list():
            return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(_alike, ours, theirs))
        case bytes():
            # A default of bytes stays text in fastavro; Apache Avro takes its UTF-8 for its bytes.
            raw = theirs if isinstance(theirs, bytes) else theirs.encode()
            return ours in {raw, _from_utf8(raw)}
        case str():
            return bool(ours == (theirs.decode() if isinstance(theirs, bytes) else theirs))
        case float():
            return ours in {float(theirs), _rounded(float(theirs))}
        case _:
            return bool(ours == theirs)


def _read(schema: Schema, raw: bytes) -> Any:
    return fastavro.schemaless_reader(io.BytesIO(raw), _document(schema), None)


@_SLOW
@given(pairs("fair"))
def test_what_the_specification_lets_a_reader_read_is_read_as_fastavro_reads_it(pair: Pair) -> None:
    assert find_differences(reader=pair.reader, writer=pair.writer) == ()
    read_as = avro_reader_for(pair.writer.root, pair.reader.root)
    if _is_ambiguous(_document(pair.reader)):
        event("ambiguous")
        for raw in pair.raws:
            _read(pair.reader, read_as(raw))
        return
    for raw in pair.raws:
        ours = _read(pair.reader, read_as(raw))
        theirs = fastavro.schemaless_reader(io.BytesIO(raw), _document(pair.writer), _document(pair.reader))
        assert _alike(ours, theirs)


@_SLOW
@given(pairs("tame"))
def test_plain_evolutions_are_read_as_apache_avro_reads_them(pair: Pair) -> None:
    read_as = avro_reader_for(pair.writer.root, pair.reader.root)
    names = [avro.schema.make_avsc_object(_document(one)) for one in (pair.writer, pair.reader)]
    assume(not _is_ambiguous(_document(pair.reader)))
    for raw in pair.raws:
        theirs = avro.io.DatumReader(*names).read(avro.io.BinaryDecoder(io.BytesIO(raw)))
        assert _alike(_read(pair.reader, read_as(raw)), theirs)


@_SLOW
@given(pairs("wild"))
def test_a_reader_that_the_checker_lets_pass_reads_every_datum(pair: Pair) -> None:
    differences = find_differences(reader=pair.reader, writer=pair.writer)
    try:
        resolve = compile_resolution(pair.writer.root, pair.reader.root)
    except SchemaError as error:
        event("refused")
        told = [(one.pointer, one.text) for one in differences]
        assert (error.pointer, error.text) in told  # noqa: PT017 - one of two ways out
        return
    faults: list[Fault] = []
    for datum in pair.data:
        try:
            resolved = resolve(datum)
        except DatumError as error:
            faults += error.faults
        else:
            compile_encoder(pair.reader.root)(resolved, bytearray())
    event(f"checker {'refuses' if differences else 'lets pass'}, {'faults' if faults else 'no faults'}")
    codes = {fault.code for fault in faults}
    assert codes <= ({"union", "enum", "encoding"} if differences else {"encoding"})


@_SLOW
@given(pairs("wild"))
def test_what_we_read_fastavro_reads_alike_and_what_only_it_reads_the_checker_refuses(pair: Pair) -> None:
    assume(not _is_ambiguous(_document(pair.reader)))
    differences = find_differences(reader=pair.reader, writer=pair.writer)
    try:
        read_as = avro_reader_for(pair.writer.root, pair.reader.root)
    except SchemaError:
        assert differences
        return
    for raw in pair.raws:
        try:
            ours = read_as(raw)
        except DatumError as error:
            event("refused by us")
            refused = bool(differences) or {fault.code for fault in error.faults} == {"encoding"}
            assert refused
        else:
            theirs = fastavro.schemaless_reader(
                io.BytesIO(raw), _document(pair.writer), _document(pair.reader)
            )
            assert _alike(_read(pair.reader, ours), theirs)
