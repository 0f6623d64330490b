"""What all nodes of a generated encoder have in common.

Each node knows the type that msgspec decodes for it, and writes the lines that turn a value of that type into
pieces of Avro. On the way the JSON strings that were decoded are counted, names among them, so that the
caller can tell whether any was dropped.
"""

from typing import Any, NamedTuple, Protocol

from schemas.fast_source import Piece, Source, Wants
from schemas.fast_varint import LEAST_LARGE


class Emitted(NamedTuple):
    """Pieces of Avro in their order, and an expression for the plain form where it is wanted."""

    pieces: list[Piece]
    datum: str


class Node(Protocol):
    """A type on the compiled path."""

    @property
    def annotation(self) -> Any:
        """The type that msgspec decodes."""

    @property
    def texts(self) -> int:
        """How many JSON strings each value takes; the lines that it writes count what differs."""

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Write the lines for a value that stands in the variable `value`."""


def sized(source: Source, raw: str) -> list[Piece]:
    """Bytes in the variable `raw` with their length before them."""
    size = source.fresh("n")
    source.line(f"{size} = len({raw})")
    return [f"short[{size}] if {size} < {LEAST_LARGE} else long_bytes({size})", raw]


def count_quotes(raw: bytes) -> int:
    """The quotes of a JSON text that open or close a string: those that no backslash stands before.

    Of a row of backslashes every second one is itself escaped.
    """
    if b"\\" not in raw:
        return raw.count(b'"')
    return raw.count(b'"') - raw.replace(rb"\\", b"").count(rb"\"")
