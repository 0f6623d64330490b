"""Scalars between JSON and plain form: which JSON values a type takes, how they are read and written.

Two tables, one per JSON flavour: `plain` (what people write: dates as text, decimals as text or number,
bytes in base64) and
`avro` (the Avro JSON encoding: physical values, bytes as characters U+0000 to U+00FF).
"""

import base64
import json
import math
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, TypeAlias
from uuid import UUID

from schemas.avro_type import Enumeration, Fixed, Logical, Primitive, Scalar
from schemas.decimal_text import encode_unscaled, format_decimal, parse_decimal, verify_decimal
from schemas.duration import format_duration, parse_duration
from schemas.errors import MisfitError
from schemas.temporal import (
    format_date,
    format_time,
    format_timestamp,
    parse_date,
    parse_time,
    parse_timestamp,
    verify_date,
    verify_time,
    verify_timestamp,
)

JsonFlavour: TypeAlias = Literal["plain", "avro"]

LONGEST_TEXT: Final = 256 * 1024
"""UTF-8 bytes of a string, bytes of a bytes value."""
_INT32: Final = 1 << 31
_INT64: Final = 1 << 63
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
quote: Final[Callable[[str], str]] = json.JSONEncoder(ensure_ascii=False).encode
"""A JSON string."""
_UNITS: Final = {"millis": 3, "micros": 6, "nanos": 9}
_DECIMAL_BYTES: Final = 16
"""A fixed decimal may be so long, however few its digits."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """How one scalar type stands in JSON.

    `kinds`: the Python types of JSON values it may take; `parse`: such a value to plain form (raises
    MisfitError);
    `text`: plain form to bare text; `is_quoted`: whether that text is a JSON string; `number`: plain form to
    a JSON number that `parse` takes too, where there is one.
    """

    kinds: frozenset[type]
    parse: Callable[[Any], Any]
    text: Callable[[Any], str]
    is_quoted: bool
    number: Callable[[Any], str] | None = None

    def json(self, datum: Any) -> str:
        """The JSON text of a datum."""
        return quote(self.text(datum)) if self.is_quoted else self.text(datum)


def leaf_of(kind: Scalar, flavour: JsonFlavour) -> Leaf:
    """The leaf of a scalar type in one JSON flavour."""
    return plain_leaf(kind) if flavour == "plain" else avro_leaf(kind)


def plain_leaf(kind: Scalar) -> Leaf:
    """As people write it."""
    if isinstance(kind, Enumeration):
        return _enumeration(kind)
    if kind.logical is not None:
        return _logical(kind, kind.logical)
    if isinstance(kind, Fixed) or kind.name == "bytes":
        length = kind.size if isinstance(kind, Fixed) else None
        return Leaf(_STR, lambda text: _sized(_parse_base64(text), length), _format_base64, is_quoted=True)
    return _PRIMITIVES[kind.name]


def avro_leaf(kind: Scalar) -> Leaf:
    """As the Avro JSON encoding has it: physical values; a logical type still bounds them.

    Source: Apache Avro 1.12 specification, "JSON Encoding".
    """
    if isinstance(kind, Enumeration):
        return _enumeration(kind)
    if isinstance(kind, Fixed) or kind.name == "bytes":
        return _avro_bytes(kind)
    if kind.logical is None or kind.logical.name == "uuid":
        return plain_leaf(kind)
    verify = verifier(kind)
    physical = _PRIMITIVES[kind.name]
    return Leaf(physical.kinds, lambda value: verify(physical.parse(value)), str, is_quoted=False)


def verifier(kind: Scalar) -> Callable[[Any], Any]:
    """A function that returns a datum read from Avro, or raises MisfitError where its type forbids it."""
    logical = kind.logical if not isinstance(kind, Enumeration) else None
    if logical is None:
        return _verify_finite if kind.name in {"float", "double"} else _same
    if logical.name == "decimal":
        return lambda value: verify_decimal(value, logical.precision, logical.scale)
    if logical.name == "date":
        return verify_date
    if logical.name == "duration" or (logical.name == "uuid" and isinstance(kind, Fixed)):
        return _same
    if logical.name == "uuid":
        return _parse_uuid
    digits = _UNITS[logical.name.rpartition("-")[2]]
    if logical.name.startswith("time-"):
        return lambda value: verify_time(value, digits)
    return lambda value: verify_timestamp(value, digits)


def _logical(kind: Primitive | Fixed, logical: Logical) -> Leaf:
    if logical.name == "decimal":
        return _decimal(logical)
    if logical.name == "date":
        return Leaf(_STR, parse_date, format_date, is_quoted=True)
    if logical.name == "uuid":
        if isinstance(kind, Fixed):
            return Leaf(
                _STR,
                lambda text: UUID(_parse_uuid(text)).bytes,
                lambda raw: str(UUID(bytes=raw)),
                is_quoted=True,
            )
        return Leaf(_STR, _parse_uuid, str, is_quoted=True)
    if logical.name == "duration":
        return Leaf(_STR, parse_duration, format_duration, is_quoted=True)
    digits = _UNITS[logical.name.rpartition("-")[2]]
    if logical.name.startswith("time-"):
        return _temporal(
            lambda text: parse_time(text, digits), verifier(kind), lambda units: format_time(units, digits)
        )
    zoned = not logical.name.startswith("local-")
    return _temporal(
        lambda text: parse_timestamp(text, digits, zoned=zoned),
        verifier(kind),
        lambda units: format_timestamp(units, digits, zoned=zoned),
    )


def _temporal(parse: Callable[[str], int], verify: Callable[[int], int], text: Callable[[int], str]) -> Leaf:
    def either(value: str | int) -> int:
        return parse(value) if isinstance(value, str) else verify(value)

    return Leaf(frozenset({str, int}), either, text, is_quoted=True, number=str)


def _decimal(logical: Logical) -> Leaf:
    precision, scale = logical.precision, logical.scale

    def number(unscaled: int) -> str:
        # Always with a point: an integer might be taken by an earlier int or long, or be beyond 64 bits.
        text = format_decimal(unscaled, scale)
        return text if scale else f"{text}.0"

    return Leaf(
        frozenset({str, int, Decimal}),
        lambda value: parse_decimal(value, precision, scale),
        lambda unscaled: format_decimal(unscaled, scale),
        is_quoted=True,
        number=number,
    )


def _enumeration(kind: Enumeration) -> Leaf:
    symbols = frozenset(kind.symbols)

    def parse(text: str) -> str:
        if text not in symbols:
            raise MisfitError("enum", "is none of the symbols")
        return text

    return Leaf(_STR, parse, str, is_quoted=True)


def _avro_bytes(kind: Primitive | Fixed) -> Leaf:
    length = kind.size if isinstance(kind, Fixed) else None
    logical = kind.logical
    if logical is None or logical.name != "decimal":
        return Leaf(
            _STR,
            lambda text: _sized(_parse_latin(text), length),
            lambda raw: str(raw, "latin-1"),
            is_quoted=True,
        )

    def parse(text: str) -> int:
        raw = _sized(_parse_latin(text), length)
        verify_decimal_bytes(raw, max(logical.precision, _DECIMAL_BYTES))
        return verify_decimal(int.from_bytes(raw, "big", signed=True), logical.precision, logical.scale)

    def text(unscaled: int) -> str:
        raw = unscaled.to_bytes(length, "big", signed=True) if length else encode_unscaled(unscaled)
        return raw.decode("latin-1")

    return Leaf(_STR, parse, text, is_quoted=True)


def verify_decimal_bytes(raw: bytes, precision: int) -> bytes:
    """Two's complement bytes of a sane length: at least one, and few more than `precision` digits need.

    Raises:
        MisfitError: none or far too many; reading those would cost quadratic time.
    """
    if not raw or len(raw) > precision + 2:
        raise MisfitError("precision", f"takes {len(raw)} bytes, which no decimal of {precision} digits does")
    return raw


def _parse_integer(name: str, bound: int) -> Callable[[int], int]:
    def parse(value: int) -> int:
        if not -bound <= value < bound:
            raise MisfitError("range", f"is beyond {name}")
        return value

    return parse


def _parse_double(value: float | Decimal) -> float:
    return _verify_finite(float(value))


def _parse_float(value: float | Decimal) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", float(value)))[0])
    except OverflowError as error:
        raise MisfitError("range", "is beyond float") from error


def _format_float(value: float) -> str:
    """The shortest text that gives the same 32 bits back."""
    raw = struct.pack("<f", value)
    for digits in range(6, 9):
        text = repr(float(f"{value:.{digits}g}"))
        if struct.pack("<f", float(text)) == raw:
            return text
    return repr(value)


def _verify_finite(value: float) -> float:
    if not math.isfinite(value):
        raise MisfitError("range", "is not a finite number")
    return value


def _parse_string(text: str) -> str:
    # A character takes at most four bytes: most strings need no second look.
    if len(text) > LONGEST_TEXT // 4 and len(text.encode()) > LONGEST_TEXT:
        raise MisfitError("length", f"is longer than {LONGEST_TEXT} bytes")
    return text


def _parse_uuid(text: str) -> str:
    if not _UUID.fullmatch(text):
        raise MisfitError("format", "is no UUID")
    return text


def _parse_base64(text: str) -> bytes:
    wrong = "is no base64 (standard alphabet, with padding)"
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise MisfitError("format", wrong) from error
    if len(text) != (len(raw) + 2) // 3 * 4:
        raise MisfitError("format", wrong)  # more padding than there is to pad, which the library lets pass
    return raw


def _format_base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _parse_latin(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise MisfitError(
            "format", "holds a character beyond U+00FF, where each stands for a byte"
        ) from error


def _sized(raw: bytes, length: int | None) -> bytes:
    if length is not None and len(raw) != length:
        raise MisfitError("length", f"is {len(raw)} bytes long")
    if len(raw) > LONGEST_TEXT:
        raise MisfitError("length", f"is longer than {LONGEST_TEXT} bytes")
    return raw


def _same(value: Any) -> Any:
    return value


_STR = frozenset({str})
_NUMBER = frozenset({int, Decimal})
_PRIMITIVES: Final = {
    "null": Leaf(frozenset({type(None)}), _same, lambda _: "null", is_quoted=False),
    "boolean": Leaf(frozenset({bool}), _same, lambda value: "true" if value else "false", is_quoted=False),
    "int": Leaf(frozenset({int}), _parse_integer("int", _INT32), str, is_quoted=False),
    "long": Leaf(frozenset({int}), _parse_integer("long", _INT64), str, is_quoted=False),
    "float": Leaf(_NUMBER, _parse_float, _format_float, is_quoted=False),
    "double": Leaf(_NUMBER, _parse_double, repr, is_quoted=False),
    "string": Leaf(_STR, _parse_string, str, is_quoted=True),
}
