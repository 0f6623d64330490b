"""Avro object container files piece by piece, right or wrong as a test wants them."""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import cramjam
import zstandard

MAGIC = b"Obj\x01"
SYNC = bytes(range(0xA0, 0xB0))
TEXT = json.dumps({"type": "record", "name": "R", "fields": [{"name": "v", "type": "string"}]})


def number(value: int) -> bytes:
    """A long in its shortest form, of any size."""
    rest, out = (value << 1 if value >= 0 else (-value << 1) - 1), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def sized(raw: bytes) -> bytes:
    """Bytes behind their length."""
    return number(len(raw)) + raw


def entry(name: str | bytes, value: str | bytes) -> bytes:
    """A name and a value of the metadata."""
    parts = (part.encode() if isinstance(part, str) else part for part in (name, value))
    return b"".join(sized(part) for part in parts)


def header(
    codec: str | None = None, *, schema: str | None = TEXT, more: Mapping[str, bytes] | None = None
) -> bytes:
    """Magic, one block of metadata, sync marker."""
    entries = [] if codec is None else [entry("avro.codec", codec)]
    entries += [] if schema is None else [entry("avro.schema", schema)]
    entries += [entry(name, value) for name, value in (more or {}).items()]
    return MAGIC + number(len(entries)) + b"".join(entries) + number(0) * bool(entries) + SYNC


def block(count: int, raw: bytes, *, size: int | None = None, sync: bytes = SYNC) -> bytes:
    """A block around bytes that are packed already."""
    return number(count) + number(len(raw) if size is None else size) + raw + sync


def packed(codec: str, raw: bytes) -> bytes:
    """Bytes as a right writer packs them."""
    match codec:
        case "deflate":
            return zlib.compress(raw)[2:-4]
        case "snappy":
            return bytes(cramjam.snappy.compress_raw(raw)) + zlib.crc32(raw).to_bytes(4, "big")
        case "zstandard":
            return zstandard.ZstdCompressor().compress(raw)
        case _:
            return raw


def file(codec: str, data: Sequence[bytes], *, schema: Any = None) -> bytes:
    """A right file with one block."""
    text = TEXT if schema is None else json.dumps(schema)
    return header(codec, schema=text) + block(len(data), packed(codec, b"".join(data)))
