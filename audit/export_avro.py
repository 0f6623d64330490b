"""Exports as Avro object container files, written and read without any other library.

One schema, the codec `deflate`, a sync marker that follows from the place of the rows: the same rows give the
same file wherever zlib is the same. The reader takes what the writer writes, and nothing else.

Source: Avro 1.12 specification, object container files; docs/formats.md section 13.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final

from audit.errors import MalformedError
from audit.export_row import COLUMNS, Plain, Value, encode_json
from audit.manifest import FILE_ENTRIES, PLAIN_BYTES, ROW_BYTES
from audit.varint import read_varint

_TYPES: Final[Mapping[Plain, Any]] = {
    "count": "long",
    "instant": {"type": "long", "logicalType": "timestamp-millis"},
    "flag": "boolean",
    "text": "string",
}
SCHEMA: Final = encode_json(
    {
        "type": "record",
        "name": "Entry",
        "namespace": "gateway.export",
        "fields": [
            {"name": name, "type": ["null", _TYPES[plain]] if may_lack else _TYPES[plain]}
            for name, (plain, may_lack) in COLUMNS.items()
        ],
    }
)
Press = Callable[[Callable[[], bytes]], Callable[[], bytes]]
"""Takes work, and gives what to call for its result."""

_BLOCK_BYTES: Final = 256 * 1024
_SYNC_BYTES: Final = 16
_SECOND: Final = 2
"""The second branch of a union, as its number stands in the data."""

_MORE: Final = 0x80
"""In a byte of a number: there is another one behind it."""

_LEVEL: Final = 6
_SHAPES: Final = tuple(COLUMNS.values())


class ContainerWriter:
    """A file that grows by rows, at least one."""

    def __init__(self, press: Press = lambda do: do) -> None:
        """Begin it. `press`: has a block pressed, and gives what to ask for it when the file is ended."""
        self._press = press
        self._blocks: list[Callable[[], bytes]] = []
        self._sync = b""
        self._begun: list[bytes] = []
        self._size = 0

    def add(self, columns: Sequence[Sequence[Value]]) -> None:
        """Take the next rows, column by column."""
        for row in zip(*columns, strict=True):
            if not self._sync:
                place = encode_json(["gateway-export/v1", *row[:2]]).encode()
                self._sync = hashlib.sha256(place).digest()[:_SYNC_BYTES]
            datum = _datum(row)
            self._begun.append(datum)
            self._size += len(datum)
            if self._size >= _BLOCK_BYTES:
                self._end_block()

    def end(self) -> bytes:
        """The file over all of them."""
        if self._begun:
            self._end_block()
        return b"".join((_HEAD, self._sync, *[ask() for ask in self._blocks]))

    def _end_block(self) -> None:
        self._blocks.append(self._press(partial(_block, self._begun, self._sync)))
        self._begun, self._size = [], 0


def encode_container(rows: Sequence[tuple[Value, ...]]) -> bytes:
    """The file over these rows; at least one."""
    writer = ContainerWriter()
    writer.add(tuple(zip(*rows, strict=True)))
    return writer.end()


def decode_container(raw: bytes, most: int = FILE_ENTRIES) -> Iterator[tuple[Value, ...]]:
    """The rows of a file, `most` at most; one after the other, however many a block says to hold.

    Raises:
        MalformedError: it is not as `encode_container` writes it.
    """
    place = len(_HEAD) + _SYNC_BYTES
    sync = raw[len(_HEAD) : place]
    if not raw.startswith(_HEAD) or len(sync) < _SYNC_BYTES:
        raise MalformedError("export: no container file of an export")
    total = 0
    while place < len(raw):
        try:
            count, start, end = _read_head(raw, place, most)
            plain = _inflate(raw[start:end], PLAIN_BYTES - total)
            yield from _read_block(plain, count)
        except (ValueError, IndexError, zlib.error) as error:
            raise MalformedError(f"export: the block at byte {place} cannot be read") from error
        if raw[end : end + _SYNC_BYTES] != sync:
            raise MalformedError(f"export: the block at byte {place} does not end with the sync marker")
        most, total, place = most - count, total + len(plain), end + _SYNC_BYTES


def _block(rows: Sequence[bytes], sync: bytes) -> bytes:
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(b"".join(rows)) + packer.flush()
    return b"".join((_long(len(rows)), _long(len(packed)), packed, sync))


def _read_head(raw: bytes, place: int, most: int) -> tuple[int, int, int]:
    """How many rows a block says to hold, and between which bytes it lies."""
    count, start = _read_long(raw, place)
    size, start = _read_long(raw, start)
    if not 0 < count <= most or not 0 <= size <= len(raw) - start:
        raise ValueError("more rows than there can be, or a block that ends behind the file")
    return count, start, start + size


def _inflate(packed: bytes, most: int) -> bytes:
    """A block of `most` bytes at most, and never more than the writer puts in one."""
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    plain = inflater.decompress(packed, max(1, min(most, _BLOCK_BYTES + ROW_BYTES)))
    if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
        raise ValueError("not one stream of deflate, or too large")
    return plain


def _read_block(plain: bytes, count: int) -> Iterator[tuple[Value, ...]]:
    place = 0
    for _ in range(count):
        row, end = _read_datum(plain, place)
        # What another writer may write in two ways, or put into a block, stands here in one.
        if place >= _BLOCK_BYTES or _datum(row) != plain[place:end]:
            raise ValueError("a row behind the block's end, or in another spelling")
        yield row
        place = end
    if place != len(plain):
        raise ValueError("not as many rows as it says")


def _datum(row: tuple[Value, ...]) -> bytes:
    return b"".join([spell(value) for spell, value in zip(_SPELLS, row, strict=True)])


def _flag(value: object) -> bytes:
    return b"\x01" if value else b"\x00"


def _counted(value: Any) -> bytes:
    return _SMALL[value] if 0 <= value < _FEW else _long(int(value))


def _text(value: object) -> bytes:
    raw = str(value).encode()
    size = len(raw)
    return (_SMALL[size] if size < _FEW else _long(size)) + raw


def _or_null(spell: Callable[[Any], bytes]) -> Callable[[Any], bytes]:
    return lambda value: b"\x00" if value is None else b"\x02" + spell(value)


def _read_datum(plain: bytes, place: int) -> tuple[tuple[Value, ...], int]:
    row: list[Value] = []
    for kind, may_lack in _SHAPES:
        if may_lack:
            branch, place = plain[place], place + 1
            if branch == 0:
                row.append(None)
                continue
            if branch != _SECOND:
                raise ValueError("no branch")
        if kind == "flag":
            row.append(plain[place] == 1)
            place += 1
            continue
        number, place = _read_long(plain, place)
        if kind != "text":
            row.append(number)
            continue
        if not 0 <= number <= len(plain) - place:
            raise ValueError("a text longer than its block")
        row.append(plain[place : place + number].decode())
        place += number
    return tuple(row), place


def _long(value: int) -> bytes:
    """Zigzag, then seven bits a byte."""
    rest = value << 1 if value >= 0 else (-value << 1) - 1
    parts = bytearray()
    while rest >= _MORE:
        parts.append(rest & (_MORE - 1) | _MORE)
        rest >>= 7
    parts.append(rest)
    return bytes(parts)


def _read_long(raw: bytes, place: int) -> tuple[int, int]:
    value, place = read_varint(raw, place)
    return (value >> 1) ^ -(value & 1), place


def _string(text: str) -> bytes:
    raw = text.encode()
    return _long(len(raw)) + raw


_FEW: Final = 2_048
_SMALL: Final = tuple(map(_long, range(_FEW)))
_OF: Final[Mapping[Plain, Callable[[Any], bytes]]] = {
    "count": _counted,
    "instant": _counted,
    "flag": _flag,
    "text": _text,
}
_SPELLS: Final = tuple(_or_null(_OF[plain]) if may_lack else _OF[plain] for plain, may_lack in _SHAPES)
_HEAD: Final = (
    b"Obj\x01\x04"
    + _string("avro.codec")
    + _string("deflate")
    + _string("avro.schema")
    + _string(json.dumps(json.loads(SCHEMA), separators=(",", ":")))
    + b"\x00"
)
