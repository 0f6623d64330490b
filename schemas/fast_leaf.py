"""Scalars on the compiled path: from what msgspec made of them to plain form, and on to Avro bytes.

The frequent shapes are read by short cuts, each of which proves the text to be one that the reference takes
with the same meaning; anything else goes to the reference's own leaf, which takes it or raises MisfitError.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from msgspec import Raw

from schemas.avro_type import Enumeration, Fixed, Primitive, Scalar
from schemas.decimal_text import encode_unscaled
from schemas.errors import NotMineError
from schemas.fast_clock import CLOCKS
from schemas.fast_varint import long_bytes
from schemas.json_builder import parse_fraction, parse_integer
from schemas.json_reader import read_json
from schemas.leaf import JsonFlavour, Leaf, leaf_of

_BOUND: Final = 1 << 63
_QUOTE: Final = ord('"')
pack_double: Final = struct.Struct("<d").pack
pack_float: Final = struct.Struct("<f").pack


@dataclass(frozen=True, slots=True)
class FastLeaf:
    """How a scalar is decoded by msgspec, made plain, and encoded.

    `annotation`: the type that msgspec decodes; `parse`: its value to plain form (raises what the reference
    raises, or NotMineError), None where it is plain already; `encode`: plain form to bytes, a function, or a
    table; `is_sized`: whether a length goes before them.
    """

    annotation: Any
    parse: Callable[[Any], Any] | None
    encode: Callable[[Any], bytes] | Mapping[Any, bytes]
    is_sized: bool = False


def fast_leaf(kind: Scalar, flavour: JsonFlavour) -> FastLeaf | None:
    """The scalar on the compiled path; None where JSON's kinds for it are none that msgspec tells apart."""
    leaf = leaf_of(kind, flavour)
    annotation = _ANNOTATIONS.get(leaf.kinds)
    if annotation is None:
        return None
    if isinstance(kind, Enumeration):
        return FastLeaf(str, None, {symbol: long_bytes(index) for index, symbol in enumerate(kind.symbols)})
    if kind.name == "boolean":
        return FastLeaf(bool, None, _BOOLEANS)
    return FastLeaf(annotation, _parser(kind, leaf, flavour), *_encoder(kind))


def _parser(kind: Primitive | Fixed, leaf: Leaf, flavour: JsonFlavour) -> Callable[[Any], Any]:
    logical = kind.logical
    if leaf.kinds == NUMBERS:
        return _parse_number(leaf)
    if logical is None or flavour != "plain":
        return leaf.parse
    if leaf.kinds == _EXACT:
        return _parse_token(leaf)
    if logical.name in CLOCKS:
        return CLOCKS[logical.name].parser(leaf)
    return leaf.parse


def _encoder(kind: Primitive | Fixed) -> tuple[Callable[[Any], bytes], bool]:
    if kind.logical is not None and kind.logical.name == "decimal":
        if isinstance(kind, Fixed):
            size = kind.size
            return lambda unscaled: unscaled.to_bytes(size, "big", signed=True), False
        return encode_unscaled, True
    if isinstance(kind, Fixed):
        return bytes, False
    return _PRIMITIVES[kind.name], kind.name in {"bytes", "string"}


def _parse_token(leaf: Leaf) -> Callable[[bytes], Any]:
    """A decimal from the bytes of its JSON, which is known to be JSON."""
    parse = leaf.parse

    def parse_token(token: bytes) -> Any:
        value: str | int | Decimal | None
        if b"\\" in token:
            value = read_json(token)
        elif token[0] == _QUOTE:
            value = token[1:-1].decode()
        elif b"." in token or b"e" in token or b"E" in token:
            value = parse_fraction(token.decode())
        else:
            value = parse_integer(token.decode())
        if value is None or type(value) not in _EXACT:
            raise NotMineError
        return parse(value)

    return parse_token


def _parse_number(leaf: Leaf) -> Callable[[int | float], float]:
    """What msgspec took for an integer, held to 64 bits as in the reference."""
    parse = leaf.parse

    def parse_number(value: float) -> float:
        if isinstance(value, int) and not -_BOUND <= value < _BOUND:
            raise NotMineError
        return float(parse(value))

    return parse_number


NUMBERS: Final = frozenset({int, Decimal})
"""What the reference takes for a float or double."""
_EXACT: Final = frozenset({str, int, Decimal})
_ANNOTATIONS: Final[dict[frozenset[type], Any]] = {
    frozenset({bool}): bool,
    frozenset({int}): int,
    NUMBERS: int | float,
    frozenset({str}): str,
    frozenset({str, int}): str | int,
    _EXACT: Raw,
}
"""By the Python types that the reference takes: what msgspec decodes them as. It holds `int` to integers."""
_BOOLEANS: Final = {False: b"\x00", True: b"\x01"}
_PRIMITIVES: Final[dict[str, Callable[[Any], bytes]]] = {
    "int": long_bytes,
    "long": long_bytes,
    "float": pack_float,
    "double": pack_double,
    "bytes": bytes,
    "string": str.encode,
}
