"""Avro object container files: read within bounds, one block at a time, and written.

What is read may come from anyone. Nothing is believed before it is measured: the header, each block before
and after it is inflated, each datum. A reader holds one block and never the file; only the four codecs of
`container_codecs` are known. The data are handed on as the exact bytes that stand in the file, each read once
by the strict reader of the file's own schema.
Source: Apache Avro 1.12 specification, "Object Container Files".
"""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from schemas.avro_input import Input
from schemas.avro_reader import Read, compile_read
from schemas.container_codecs import CODEC_NAMES, CodecName, WrittenCodec, deflate, inflate
from schemas.container_source import ReadableFile, Source
from schemas.encoder import append_long
from schemas.errors import ContainerError, DatumError, SchemaError
from schemas.findings import Findings
from schemas.schema import Schema, parse_schema

MAGIC: Final = b"Obj\x01"
SYNC_BYTES: Final = 16
MOST_ENTRIES: Final = 64
"""Of the metadata in the header."""
MOST_HEADER_BYTES: Final = 1024 * 1024
"""Names and values of the metadata together."""
WRITTEN_BLOCK_BYTES: Final = 64 * 1024
"""A block is closed before it grows beyond this, unless one datum alone does."""

_SCHEMA: Final = "avro.schema"
_CODEC: Final = "avro.codec"


@dataclass(frozen=True, slots=True)
class ContainerLimits:
    """What a file may cost, in bytes: a block as it stands and inflated, all blocks inflated, one datum."""

    block_bytes: int = 8 * 1024 * 1024
    total_bytes: int = 256 * 1024 * 1024
    datum_bytes: int = 1024 * 1024


@dataclass(frozen=True, slots=True)
class ContainedDatum:
    """One datum as it stands in the file, under the file's schema.

    `index` counts the data of the file, `block` its blocks, `offset` the bytes of the inflated block; all
    from 0.
    """

    index: int
    block: int
    offset: int
    avro: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Container:
    """The header of a file, and its data, to be taken once and in order.

    Taking from `data` raises ContainerError where the file breaks a rule or a limit, and DatumError for a
    datum with faults, whose pointers start with its index in the file: `/17/lines/0/qty`. Both end it; what
    was given before is right.
    """

    schema: Schema
    codec: CodecName
    metadata: Mapping[str, bytes] = field(repr=False)
    data: Iterator[ContainedDatum] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class _Block:
    """An inflated block, and where it stands in the file."""

    number: int
    at: int
    count: int
    raw: bytes


def read_container(source: bytes | ReadableFile, limits: ContainerLimits) -> Container:
    """Read the header of a container file; its data are read as they are taken.

    Raises:
        ContainerError: no container file, a codec or a schema that is not taken, or beyond a limit.
        OSError: the file cannot be read.
    """
    file = Source(io.BytesIO(source) if isinstance(source, bytes) else source)
    file.begin("the header")
    if file.take(len(MAGIC)) != MAGIC:
        raise ContainerError("does not start with `Obj` and byte 01: no Avro container file", offset=0)
    metadata = _read_metadata(file)
    schema, codec = _schema(metadata), _codec(metadata)
    sync = file.take(SYNC_BYTES)
    blocks = _read_blocks(file, sync, codec, limits)
    return Container(schema, codec, metadata, _read_each(compile_read(schema.root), blocks, limits))


def write_container(
    schema: Schema, data: Iterable[bytes], codec: WrittenCodec, *, sync: bytes
) -> Iterator[bytes]:
    """The pieces of a container file: its header, then a block at a time. Same arguments, same bytes.

    `data`: bare Avro data of the schema, none of them empty (not checked here); `sync`: 16 bytes that nobody
    can guess, or data could be made that look like the end of a block.

    Raises:
        ValueError: `sync` has another length, a datum is empty, or the schema leans on others.
    """
    if schema.references:
        raise ValueError("the schema in a file has to stand alone; write out what it refers to")
    if len(sync) != SYNC_BYTES:
        raise ValueError(f"a sync marker has {SYNC_BYTES} bytes, not {len(sync)}")
    yield _header(schema, codec, sync)
    block, count = bytearray(), 0
    for datum in data:
        if not datum:
            raise ValueError("a datum of no bytes cannot be told from none; readers refuse it")
        if block and len(block) + len(datum) > WRITTEN_BLOCK_BYTES:
            yield _written_block(count, bytes(block), codec, sync)
            block, count = bytearray(), 0
        block += datum
        count += 1
    if block:
        yield _written_block(count, bytes(block), codec, sync)


def _read_metadata(file: Source) -> dict[str, bytes]:
    metadata: dict[str, bytes] = {}
    left = MOST_HEADER_BYTES
    while count := file.long():
        end = None
        if count < 0:
            count, size = -count, file.long()
            end = file.at + size
        if len(metadata) + count > MOST_ENTRIES:
            file.refuse(f"the metadata have more than {MOST_ENTRIES} entries")
        for _ in range(count):
            name = file.sized(left)
            value = file.sized(left - len(name))
            left -= len(name) + len(value)
            _enter(name, value, metadata, file)
        if end is not None and end != file.at:
            file.refuse("a block of the metadata is not as long as it says")
    return metadata


def _enter(raw_name: bytes, value: bytes, metadata: dict[str, bytes], file: Source) -> None:
    try:
        name = raw_name.decode()
    except UnicodeDecodeError:
        file.refuse("a name in the metadata is not UTF-8")
    if name in metadata:
        file.refuse("a name stands twice in the metadata")
    metadata[name] = value


def _schema(metadata: Mapping[str, bytes]) -> Schema:
    raw = metadata.get(_SCHEMA)
    if raw is None:
        raise ContainerError(f"the header lacks {_SCHEMA}", offset=len(MAGIC))
    try:
        return parse_schema(raw.decode())
    except UnicodeDecodeError as error:
        raise ContainerError(f"{_SCHEMA} in the header is not UTF-8", offset=len(MAGIC)) from error
    except SchemaError as error:
        raise ContainerError(f"{_SCHEMA} in the header is not taken: {error}", offset=len(MAGIC)) from error


def _codec(metadata: Mapping[str, bytes]) -> CodecName:
    raw = metadata.get(_CODEC, b"null")
    for name in CODEC_NAMES:
        if raw == name.encode():
            return name
    text = f"{_CODEC} in the header is none of {', '.join(CODEC_NAMES)}; write the file with one of them"
    raise ContainerError(text, offset=len(MAGIC))


def _read_blocks(file: Source, sync: bytes, codec: CodecName, limits: ContainerLimits) -> Iterator[_Block]:
    number, left = 0, limits.total_bytes
    while not file.is_at_end():
        file.begin(f"block {number}")
        at, count = file.at, file.long()
        size = file.long()
        if count < 0:
            file.refuse(f"claims {count} data")
        if not 0 <= size <= limits.block_bytes:
            file.refuse(f"claims a size of {size} bytes; at most {limits.block_bytes} are taken")
        block_at = file.at
        block = file.take(size)
        if file.take(SYNC_BYTES) != sync:
            file.refuse("does not end with the sync marker of the header")
        if not left:
            file.refuse(f"the blocks before it hold {limits.total_bytes} bytes, as many as a file may")
        raw = inflate(codec, block, most=min(limits.block_bytes, left), offset=block_at)
        if count > len(raw):
            file.refuse(f"claims {count} data, more than its {len(raw)} bytes hold; each takes at least one")
        left -= len(raw)
        yield _Block(number, at, count, raw)
        number += 1


def _read_each(read: Read, blocks: Iterator[_Block], limits: ContainerLimits) -> Iterator[ContainedDatum]:
    index = 0
    for block in blocks:
        at = 0
        for _ in range(block.count):
            end = _read_datum(read, block, at, index, limits)
            yield ContainedDatum(index, block.number, at, block.raw[at:end])
            index, at = index + 1, end
        if at != len(block.raw):
            text = f"block {block.number}: {len(block.raw) - at} bytes follow its last datum"
            raise ContainerError(text, offset=block.at)


def _read_datum(read: Read, block: _Block, start: int, index: int, limits: ContainerLimits) -> int:
    """Where the datum ends that starts at an offset of the block."""
    findings = Findings()
    source = Input(block.raw, findings, start)
    # The reader is shown no more than one datum may have: its work is bounded by what it sees.
    source.end = min(len(block.raw), start + limits.datum_bytes)
    try:
        read(source, (None, index))
    except DatumError as error:
        if source.end < len(block.raw) and error.faults[-1].code == "length":
            text = (
                f"block {block.number}: datum {index} has more than {limits.datum_bytes} bytes, or is broken"
            )
            raise ContainerError(text, offset=block.at) from error
        raise
    findings.verify()
    if source.at == start:
        text = f"block {block.number}: datum {index} takes no bytes; data of an empty type are not taken"
        raise ContainerError(text, offset=block.at)
    return source.at


def _header(schema: Schema, codec: WrittenCodec, sync: bytes) -> bytes:
    out = bytearray(MAGIC)
    entries = {_CODEC: codec.encode(), _SCHEMA: schema.text.encode()}
    append_long(len(entries), out)
    for name, value in entries.items():
        for part in (name.encode(), value):
            append_long(len(part), out)
            out += part
    out.append(0)
    return bytes(out + sync)


def _written_block(count: int, raw: bytes, codec: WrittenCodec, sync: bytes) -> bytes:
    block = deflate(codec, raw)
    out = bytearray()
    append_long(count, out)
    append_long(len(block), out)
    return bytes(out + block + sync)
