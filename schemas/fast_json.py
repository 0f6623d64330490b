"""The compiled path from JSON to Avro: msgspec decodes into Structs, one generated function does the rest.

It never takes what the reference refuses, and gives the same bytes. What it is not sure of, and whatever goes
wrong on the way, it leaves to the reference, which alone names faults. What makes it sure:

* JSON is msgspec's: RFC 8259 strictly, UTF-8, no lone surrogates, no byte order mark, integers kept apart
  from numbers with fraction or exponent, no unknown names. Nothing is skipped, so depth is the schema's.
* Of a name that stands twice msgspec silently drops one. So strings are counted: those that were decoded,
  names among them, account for each quote in the text that is not escaped, or something was dropped.
* The text has at most 100,000 bytes: no string is longer than a string may be, and there are no more items
  in arrays and maps than an event may have.
* What stands for absent fields is counted, and is not put together where it is too much.
* Decimals stay text until their digits are read; floats are asked for integers beyond 64 bits, and for
  numbers longer or with larger exponents than the reference takes.

Left to the reference, as text, are unions in which two branches take one kind of JSON value (two strings, two
records, record and map, integer and double) or a decimal stands beside more than null, arrays and maps that
hold such unions, and what nests deeper than eight arrays, maps and unions. Left to it as a whole are schemas
of more than 500 types, counted where they are used, and events with a fault or of more than 100,000 bytes.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from msgspec import UNSET, Struct
from msgspec.json import Decoder

from schemas.avro_type import AvroType
from schemas.errors import NotMineError
from schemas.fast_node import Node, count_quotes
from schemas.fast_shape import Builder
from schemas.fast_source import Source, Wants, wants_of
from schemas.fast_varint import LAST, PAIRS, SHORT, long_bytes
from schemas.findings import MOST_FILLED_BYTES
from schemas.leaf import JsonFlavour

_MOST_BYTES: Final = 100_000
_NUMBER_BYTES: Final = 1_000
"""Numbers up to here are the reference's, too."""
_WILD: Final = re.compile(rb"[eE][+-]?[0-9]{17}")
"""An exponent that `Decimal` may not hold; a float makes zero of it."""

EncodeJson: TypeAlias = Callable[[bytes], tuple[bytes, Any] | None]
"""The Avro of a JSON text and the plain form as far as pointers lead; None leaves it to the reference."""


def compile_json_path(root: AvroType, flavour: JsonFlavour, pointers: Sequence[str]) -> EncodeJson | None:
    """The compiled encoder of a type; None where the schema is too large for one."""
    builder = Builder(flavour)
    try:
        node = builder.build(root, 0)
    except NotMineError:
        return None
    source = Source()
    source.constants.update(
        decode=Decoder(node.annotation).decode,
        short=SHORT,
        pairs=PAIRS,
        last=LAST,
        long_bytes=long_bytes,
        UNSET=UNSET,
        Struct=Struct,
        has_wild_exponent=_WILD.search,
        count_quotes=count_quotes,
        has_long_number=_has_long_number,
    )
    _write(source, node, wants_of(pointers), has_numbers=builder.has_numbers)
    encode: EncodeJson = source.functions("json_to_avro")["encode_json"]
    return encode


def _write(source: Source, node: Node, wants: Wants, *, has_numbers: bool) -> None:
    guard = f"len(raw) > {_MOST_BYTES}"
    if has_numbers:
        guard += f" or (len(raw) > {_NUMBER_BYTES} and has_long_number(raw))"
    with source.block("def encode_json(raw):"):
        with source.block(f"if {guard}:"):
            source.line("return None")
        with source.block("try:"):
            source.line("value = decode(raw)")
            source.line(f"texts = {node.texts}")
            source.line("filled = 0")
            if has_numbers:
                source.line("has_zero = False")
            emitted = node.emit(source, "value", wants)
            with source.block(f"if 2 * texts != count_quotes(raw) or filled > {MOST_FILLED_BYTES}:"):
                source.line("return None")
            if has_numbers:
                with source.block("if has_zero and has_wild_exponent(raw):"):
                    source.line("return None")
            datum = "None" if wants is None else emitted.datum
            source.line(f"return {source.joined(emitted.pieces)}, {datum}")
        with source.block("except Exception:"):
            source.line("return None")


def _has_long_number(raw: bytes) -> bool:
    """Whether a number may be longer than the reference takes: it would fill one block of half its length."""
    half = _NUMBER_BYTES // 2
    for at in range(0, len(raw) - half + 1, half):
        block = raw[at : at + half]
        if b'"' not in block and not block.translate(None, b"0123456789+-.eE"):
            return True
    return False
