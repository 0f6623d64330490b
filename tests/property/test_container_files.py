"""Container files of random schemas and data: read as others write them, and written for others to read."""

import io
import json
import warnings
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import avro.datafile
import avro.io
import avro.schema
import fastavro
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.container import ContainerLimits, read_container, write_container
from schemas.container_codecs import WrittenCodec
from schemas.encoder import compile_encoder
from schemas.schema import Schema, parse_schema
from tests.container_files import SYNC
from tests.property.avro_schemas import schemas_and_data

_SLOW = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
LIMITS = ContainerLimits()
ORDER = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "lines", "type": {"type": "array", "items": {"type": "map", "values": "double"}}},
        {"name": "note", "type": ["null", "bytes"]},
    ],
}
ORDERS = [
    {"id": f"o-{one}", "lines": [{"x": one / 3}] * (one % 4), "note": None if one % 2 else b"\x00" * one}
    for one in range(500)
]

Write = Callable[[Any, str, list[Any]], bytes]


def by_fastavro(document: Any, codec: str, data: list[Any]) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, document, data, codec=codec, sync_interval=2_000)
    return file.getvalue()


def by_apache(document: Any, codec: str, data: list[Any]) -> bytes:
    file = io.BytesIO()
    schema = avro.schema.parse(json.dumps(document))
    writer = avro.datafile.DataFileWriter(file, avro.io.DatumWriter(), schema, codec=codec)
    for index, datum in enumerate(data):
        writer.append(datum)
        if index % 100 == 99:
            writer.sync()
    writer.flush()
    return file.getvalue()


@pytest.mark.parametrize(
    ("write", "codec"),
    [
        (by_fastavro, "null"),
        (by_fastavro, "deflate"),
        (by_fastavro, "snappy"),
        (by_apache, "null"),
        (by_apache, "deflate"),
        (by_apache, "zstandard"),
    ],
)
def test_what_others_write_is_read_datum_by_datum(write: Write, codec: str) -> None:
    container = read_container(io.BytesIO(write(ORDER, codec, ORDERS)), LIMITS)
    assert (container.codec, container.schema.name) == (codec, "Order")
    found = list(container.data)
    assert [one.index for one in found] == list(range(len(ORDERS)))
    assert found[-1].block > 2
    decoded = [fastavro.schemaless_reader(io.BytesIO(one.avro), ORDER, None) for one in found]
    assert decoded == ORDERS


@st.composite
def encoded(draw: st.DrawFn) -> tuple[Schema, list[bytes]]:
    """A schema, and data of it that take at least one byte."""
    text, data = draw(schemas_and_data(any_root=True))
    schema = parse_schema(text)
    encode = compile_encoder(schema.root)
    raws = []
    for datum in data:
        out = bytearray()
        encode(datum, out)
        raws.append(bytes(out))
    return schema, [raw for raw in raws if raw]


@_SLOW
@given(encoded(), st.sampled_from(["null", "deflate"]), st.integers(1, 40))
def test_what_we_write_is_read_back_byte_by_byte(
    case: tuple[Schema, list[bytes]], codec: WrittenCodec, times: int
) -> None:
    schema, raws = case
    pieces = list(write_container(schema, raws * times, codec, sync=SYNC))
    container = read_container(b"".join(pieces), LIMITS)
    assert (container.schema, container.codec) == (schema, codec)
    found = list(container.data)
    assert [one.avro for one in found] == raws * times
    starts: dict[int, int] = {}
    for one in found:
        assert one.offset == starts.get(one.block, 0)
        starts[one.block] = one.offset + len(one.avro)


@_SLOW
@given(encoded(), st.sampled_from(["null", "deflate"]))
def test_what_we_write_is_read_by_fastavro_and_apache_avro(
    case: tuple[Schema, list[bytes]], codec: WrittenCodec
) -> None:
    schema, raws = case
    document = _physical(json.loads(schema.text))
    plain = parse_schema(json.dumps(document))
    file = b"".join(write_container(plain, raws, codec, sync=SYNC))
    wanted = [fastavro.schemaless_reader(io.BytesIO(raw), document, None) for raw in raws]
    assert list(fastavro.reader(io.BytesIO(file))) == wanted
    assert list(_apache(file)) == wanted


def _apache(file: bytes) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from avro.datafile.DataFileReader(io.BytesIO(file), avro.io.DatumReader())


def _physical(document: Any) -> Any:
    if isinstance(document, list):
        return [_physical(one) for one in document]
    if isinstance(document, dict):
        return {
            name: value if name == "default" else _physical(value)
            for name, value in document.items()
            if name not in {"logicalType", "precision", "scale"}
        }
    return document


def test_a_large_datum_of_one_letter_is_written_so_that_it_may_be_read() -> None:
    schema = parse_schema('"string"')
    size = 200_000
    raw = b"\x80\xb5\x18" + b"a" * size
    assert size / len(zlib.compress(raw)) > 100
    file = b"".join(write_container(schema, [b"\x02a", raw, b"\x02b"], "deflate", sync=SYNC))
    assert [one.avro for one in read_container(file, LIMITS).data] == [b"\x02a", raw, b"\x02b"]
