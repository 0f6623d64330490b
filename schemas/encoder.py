"""Plain form to Avro bytes: canonical (one block an array, shortest numbers), trusting what the checker gave.

Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

import struct
from collections.abc import Callable
from typing import Any, TypeAlias

from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Named, Primitive, Record, Union
from schemas.decimal_text import encode_unscaled

Encode: TypeAlias = Callable[[Any, bytearray], None]
"""Datum in plain form, and where its bytes are appended."""

_FLOAT = struct.Struct("<f").pack
_DOUBLE = struct.Struct("<d").pack


def compile_encoder(kind: AvroType) -> Encode:
    """The encoder of a type. Its input has passed the checker or the reader of the same type."""
    return _Compiler().compile(kind)


def append_long(value: int, out: bytearray) -> None:
    """Zig-zag, seven bits a byte."""
    rest = (value << 1) ^ (value >> 63)
    while rest > 0x7F:  # noqa: PLR2004 - seven bits
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)


class _Compiler:
    def __init__(self) -> None:
        self.named: dict[str, Encode] = {}

    def compile(self, kind: AvroType) -> Encode:
        match kind:
            case Record() | Enumeration() | Fixed():
                if kind.name not in self.named:
                    self.named[kind.name] = self._named(kind)
                return self.named[kind.name]
            case Array():
                return _array(self.compile(kind.items))
            case Map():
                return _map(self.compile(kind.values))
            case Union():
                return _union([self.compile(branch) for branch in kind.branches])
            case Primitive():
                return _primitive(kind)

    def _named(self, kind: Named) -> Encode:
        match kind:
            case Record():
                return _record([self.compile(field.type) for field in kind.fields])
            case Enumeration():
                return _enumeration(kind)
            case Fixed():
                return _fixed(kind)


def _record(encoders: list[Encode]) -> Encode:
    def encode(datum: Any, out: bytearray) -> None:
        for encode_field, value in zip(encoders, datum, strict=True):
            encode_field(value, out)

    return encode


def _array(encode_item: Encode) -> Encode:
    def encode(datum: Any, out: bytearray) -> None:
        if datum:
            append_long(len(datum), out)
            for item in datum:
                encode_item(item, out)
        out.append(0)

    return encode


def _map(encode_value: Encode) -> Encode:
    def encode(datum: Any, out: bytearray) -> None:
        if datum:
            append_long(len(datum), out)
            for name, value in datum.items():
                _string(name, out)
                encode_value(value, out)
        out.append(0)

    return encode


def _union(encoders: list[Encode]) -> Encode:
    indexed = [
        (2 * index, encode) for index, encode in enumerate(encoders)
    ]  # zig-zag of a branch index below 32

    def encode(datum: Any, out: bytearray) -> None:
        branch, encode_branch = indexed[datum[0]]
        out.append(branch)
        encode_branch(datum[1], out)

    return encode


def _enumeration(kind: Enumeration) -> Encode:
    indexes = {symbol: index for index, symbol in enumerate(kind.symbols)}
    return lambda datum, out: append_long(indexes[datum], out)


def _fixed(kind: Fixed) -> Encode:
    size = kind.size
    if kind.logical is not None and kind.logical.name == "decimal":
        return lambda datum, out: out.extend(datum.to_bytes(size, "big", signed=True))
    return lambda datum, out: out.extend(datum)


def _primitive(kind: Primitive) -> Encode:
    if kind.logical is not None and kind.logical.name == "decimal":
        return lambda datum, out: _bytes(encode_unscaled(datum), out)
    return _PRIMITIVES[kind.name]


def _null(_: Any, __: bytearray) -> None:
    """Null takes no bytes."""


def _boolean(datum: Any, out: bytearray) -> None:
    out.append(1 if datum else 0)


def _bytes(datum: bytes, out: bytearray) -> None:
    append_long(len(datum), out)
    out += datum


def _string(datum: str, out: bytearray) -> None:
    raw = datum.encode()
    size = len(raw)
    if size < 64:  # noqa: PLR2004 - its length takes one byte
        out.append(size << 1)
    else:
        append_long(size, out)
    out += raw


_PRIMITIVES: dict[str, Encode] = {
    "null": _null,
    "boolean": _boolean,
    "int": append_long,
    "long": append_long,
    "float": lambda datum, out: out.extend(_FLOAT(datum)),
    "double": lambda datum, out: out.extend(_DOUBLE(datum)),
    "bytes": _bytes,
    "string": _string,
}
