"""The types of a schema as values: names resolved, defaults as data, never recursive.

Data in their *plain form*, shared by reader, checker, encoder and writer of this package and never seen
outside it: null None, boolean bool, int and long int, float and double float, string str, bytes and fixed
bytes, enum its symbol, array list, map dict, record list of values in field order, union `(branch index,
value)`. Logical types: decimal the unscaled int, date, time and timestamp their int, uuid str (on string) or
bytes (on fixed), duration its 12 bytes (months, days, milliseconds, each 32 bits, least significant first).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


class _Absent:
    __slots__ = ()


_SHOWN_NAMES = 10
"""Enough to recognise the list."""
_SHOWN_LEVELS = 4
_SHOWN_CHARACTERS = 300

ABSENT = _Absent()
"""No default: stands apart from a default of null."""


@dataclass(frozen=True, slots=True)
class Logical:
    """A logical type; `precision` and `scale` (digits) belong to decimal alone.

    `name`: decimal, uuid, date, time-millis, time-micros, duration, or timestamp- or local-timestamp- with
    millis, micros or nanos.
    """

    name: str
    precision: int = 0
    scale: int = 0


@dataclass(frozen=True, slots=True)
class Primitive:
    """One of the eight primitive types."""

    name: str
    logical: Logical | None = None


@dataclass(frozen=True, slots=True)
class Fixed:
    """`size` bytes."""

    name: str
    size: int
    logical: Logical | None = None
    aliases: tuple[str, ...] = ()
    doc: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Enumeration:
    """One of some symbols; `default` serves readers of newer data, never the encoder."""

    name: str
    symbols: tuple[str, ...]
    default: str | None = None
    aliases: tuple[str, ...] = ()
    doc: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Array:
    """A list of items."""

    items: "AvroType"


@dataclass(frozen=True, slots=True)
class Map:
    """Values by string."""

    values: "AvroType"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record; `default` in plain form, or `ABSENT`; `default_size`: its bytes, at most."""

    name: str
    type: "AvroType"
    default: Any = field(default=ABSENT, compare=False)
    aliases: tuple[str, ...] = ()
    doc: str = field(default="", compare=False)
    default_size: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Record:
    """Fields in order."""

    name: str
    fields: tuple[Field, ...]
    aliases: tuple[str, ...] = ()
    doc: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Union:
    """One of some types."""

    branches: "tuple[AvroType, ...]"

    def null_branch(self) -> int | None:
        """The index of null, if it is a branch."""
        for index, branch in enumerate(self.branches):
            if isinstance(branch, Primitive) and branch.name == "null":
                return index
        return None


Named: TypeAlias = Fixed | Enumeration | Record
Scalar: TypeAlias = Primitive | Fixed | Enumeration
AvroType: TypeAlias = Primitive | Named | Array | Map | Union

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})


def branch_name(kind: AvroType) -> str:
    """What a union branch is called: the full name, or the name of the unnamed type."""
    match kind:
        case Array():
            return "array"
        case Map():
            return "map"
        case Union():
            return "union"
        case _:
            return kind.name


def describe(kind: AvroType) -> str:
    """A type in a few words, for a fault's `expected`."""
    text = _describe(kind, _SHOWN_LEVELS)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def describe_choice(names: Sequence[str], separator: str = ", ") -> str:
    """The first names of a list, and how many more there are."""
    shown = separator.join(names[:_SHOWN_NAMES])
    rest = len(names) - _SHOWN_NAMES
    return shown + (f" (and {rest} more)" if rest > 0 else "")


def _describe(kind: AvroType, levels: int) -> str:
    if levels == 0:
        return "…"
    match kind:
        case Array():
            return f"array of {_describe(kind.items, levels - 1)}"
        case Map():
            return f"map of {_describe(kind.values, levels - 1)}"
        case Union():
            return describe_choice([_describe(one, levels - 1) for one in kind.branches], " | ")
        case Record():
            return f"record {kind.name.rpartition('.')[2]}"
        case Enumeration():
            return f"one of {describe_choice(kind.symbols)}"
        case _:
            return _describe_scalar(kind)


def _describe_scalar(kind: Primitive | Fixed) -> str:
    if kind.logical is None:
        return f"fixed of {kind.size} bytes" if isinstance(kind, Fixed) else kind.name
    if kind.logical.name == "decimal":
        return f"decimal({kind.logical.precision},{kind.logical.scale})"
    return kind.logical.name
