"""The part of schema resolution that looks at one type alone: names, enums, fixed, primitives, logical types.

Source: Apache Avro 1.12 specification, "Schema Resolution".
"""

import struct
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from schemas.avro_type import AvroType, Enumeration, Fixed, Named, Primitive, describe
from schemas.fault import Path
from schemas.findings import Findings

_FLOAT: Final = struct.Struct("<f")
_SHOWN_SYMBOLS: Final = 10


Run: TypeAlias = Callable[[Any, Path, Findings], Any]
"""Datum of the writer, where it stands, where faults go; gives the reader's, or None after a fault."""


class Resolved(NamedTuple):
    """How a datum is resolved (None: it stays as it is), and whether that works for each."""

    run: Run | None
    is_total: bool


class Never(NamedTuple):
    """Why no datum can be resolved: where in the reader's schema, told from the types compared inwards.

    `is_near`: the types are of one kind and name, and meant for each other. A value and not an error: of two
    unions most pairs of branches have nothing in common.
    """

    tokens: tuple[str | int, ...]
    text: str
    is_near: bool = False

    def under(self, *outer: str | int) -> "Never":
        """The same, told from the types around."""
        return Never((*outer, *self.tokens), self.text, is_near=True)


Outcome: TypeAlias = Resolved | Never

SAME: Final = Resolved(None, is_total=True)


def resolve_enumeration(writer: Enumeration, reader: Enumeration) -> Outcome:
    """How symbols are resolved; one that the reader lacks is its default."""
    known, default = frozenset(reader.symbols), reader.default
    missing = [symbol for symbol in writer.symbols if symbol not in known]
    if not missing:
        return SAME
    if default is None and len(missing) == len(writer.symbols):
        shown = ", ".join(missing[:_SHOWN_SYMBOLS])
        text = f"the reader lacks {len(missing)} symbols and has no default: {shown}"
        return Never(("symbols",), text)

    def run(datum: Any, path: Path, findings: Findings) -> str | None:
        if datum in known:
            return str(datum)
        if default is None:
            findings.add(path, "enum", "is a symbol that the reader lacks", describe(reader))
        return default

    return Resolved(run, default is not None)


def resolve_fixed(writer: Fixed, reader: Fixed) -> Outcome:
    """How bytes of a fixed size are resolved."""
    if writer.size != reader.size:
        text = f"the reader wants {reader.size} bytes, the writer has {writer.size}"
        return Never(("size",), text)
    return _other_meaning(writer, reader) or SAME


def resolve_primitive(writer: Primitive, reader: Primitive) -> Outcome:
    """How a value is resolved, promoted where the types differ."""
    if writer.name != reader.name and (writer.name, reader.name) not in _PROMOTIONS:
        return unreadable(writer, reader)
    found = Resolved(_PROMOTIONS.get((writer.name, reader.name)), is_total=True)
    return _other_meaning(writer, reader) or found


def is_namesake(writer: Named, reader: Named) -> bool:
    """Whether both are of one kind and one name, namespaces aside, or the writer's is a reader's alias."""
    if type(writer) is not type(reader):
        return False
    return writer.name.rpartition(".")[2] == reader.name.rpartition(".")[2] or writer.name in reader.aliases


def _other_meaning(writer: Primitive | Fixed, reader: Primitive | Fixed) -> Never | None:
    """Logical types that would turn the same bytes into another value. Precision may grow."""
    ours, theirs = reader.logical, writer.logical
    if ours is None and theirs is None:
        return None
    if ours is not None and theirs is not None:
        is_same = (ours.name, ours.scale) == (theirs.name, theirs.scale)
        if is_same and ours.precision >= theirs.precision:
            return None
    text = f"{describe(writer)} would be read as {describe(reader)}"
    return Never(("logicalType",), text, is_near=True)


def unreadable(writer: AvroType, reader: AvroType) -> Never:
    """The outcome for types that have nothing in common."""
    return Never((), f"{describe(writer)} cannot be read as {describe(reader)}")


def _to_float(datum: Any, _: Path, __: Findings) -> float:
    """Rounded to the 32 bits that a float has: plain form is what its bytes give back."""
    return float(_FLOAT.unpack(_FLOAT.pack(datum))[0])


def _to_double(datum: Any, _: Path, __: Findings) -> float:
    return float(datum)


def _to_bytes(datum: Any, _: Path, __: Findings) -> bytes:
    return bytes(datum.encode())


def _to_string(datum: Any, path: Path, findings: Findings) -> str | None:
    try:
        return str(datum, "utf-8")
    except UnicodeDecodeError:
        findings.add(path, "encoding", "is not UTF-8", "string")
        return None


_PROMOTIONS: Final[Mapping[tuple[str, str], Run | None]] = {
    ("int", "long"): None,
    ("int", "float"): _to_float,
    ("int", "double"): _to_double,
    ("long", "float"): _to_float,
    ("long", "double"): _to_double,
    ("float", "double"): None,
    ("string", "bytes"): _to_bytes,
    ("bytes", "string"): _to_string,
}
"""Writer and reader; None: the plain form stays as it is."""
