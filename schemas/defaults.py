"""Defaults of a schema: from the JSON that stands in it to plain form, and how much Avro that is.

A default may lean on the defaults of other records, and those on others: a short text could stand for endless
data. What is put together is counted on the way, and the counting ends it.
Source: Apache Avro 1.12 specification, "Complex types", table of field defaults. A union's default must fit
its first branch, as every version of the specification and every stock reader understands it.
"""

from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from schemas.avro_type import (
    ABSENT,
    Array,
    AvroType,
    Enumeration,
    Fixed,
    Map,
    Primitive,
    Record,
    Scalar,
    Union,
    describe,
)
from schemas.encoder import compile_encoder
from schemas.errors import MisfitError, SchemaError
from schemas.fault import Path, format_pointer
from schemas.leaf import avro_leaf

MOST_DEFAULT_BYTES = 256 * 1024
"""What all defaults of a schema take in Avro together, at most; a value of no bytes counts as one."""
_BLOCK_BYTES = 4
"""Count and end of an array or map, at most: there is no room for more items."""


class Default(NamedTuple):
    """A default in plain form, and at most how many bytes of Avro it takes."""

    datum: Any
    size: int


def parse_default(kind: AvroType, value: Any, pointer: str, *, before: int = 0) -> Default:
    """The default that a JSON value is for a type; `before`: bytes of the defaults that came earlier.

    Raises:
        SchemaError: it is no datum of its type, or takes too many bytes of Avro.
    """
    parser = _Parser(pointer, before)
    datum = parser.parse(kind, value, None)
    return Default(datum, parser.size - before)


class _Parser:
    """Puts one default together; `size`: bytes of it and of those before, so far."""

    def __init__(self, pointer: str, size: int) -> None:
        self.pointer = pointer
        self.size = size
        self.scalars: dict[int, Callable[[Any, Path], Any]] = {}
        self.names: dict[int, frozenset[str]] = {}

    def parse(self, kind: AvroType, value: Any, path: Path) -> Any:
        match kind:
            case Union():
                self._spend(1)
                return (0, self.parse(kind.branches[0], value, path))
            case Array():
                if not isinstance(value, list):
                    self._refuse(kind, path)
                self._spend(_BLOCK_BYTES)
                return [self.parse(kind.items, item, (path, index)) for index, item in enumerate(value)]
            case Map():
                if not isinstance(value, dict):
                    self._refuse(kind, path)
                self._spend(_BLOCK_BYTES + sum(_BLOCK_BYTES + len(name.encode()) for name in value))
                return {name: self.parse(kind.values, item, (path, name)) for name, item in value.items()}
            case Record():
                if not isinstance(value, dict):
                    self._refuse(kind, path)
                return self._parse_record(kind, value, path)
            case Primitive() | Fixed() | Enumeration():
                parse = self.scalars.get(id(kind)) or self.scalars.setdefault(id(kind), self._scalar(kind))
                return parse(value, path)

    def _parse_record(self, kind: Record, value: dict[str, Any], path: Path) -> list[Any]:
        names = self.names.get(id(kind)) or frozenset(field.name for field in kind.fields)
        self.names[id(kind)] = names
        unknown = value.keys() - names
        if unknown:
            self._fail(f"names fields that the record does not have: {len(unknown)}", path)
        values: list[Any] = []
        for field in kind.fields:
            if field.name in value:
                values.append(self.parse(field.type, value[field.name], (path, field.name)))
            elif field.default is ABSENT:
                self._fail(f"leaves out {field.name}, which has no default of its own", path)
            else:
                self._spend(field.default_size)
                values.append(field.default)
        return values

    def _scalar(self, kind: Scalar) -> Callable[[Any, Path], Any]:
        leaf, encode = avro_leaf(kind), compile_encoder(kind)
        takes_fractions = kind.name in {"float", "double"}

        def parse(value: Any, path: Path) -> Any:
            if type(value) not in leaf.kinds or (type(value) is Decimal and not takes_fractions):
                self._refuse(kind, path)
            try:
                datum = leaf.parse(value)
            except MisfitError as error:
                self._fail(f"{error.text}; wanted: {describe(kind)}", path)
            out = bytearray()
            encode(datum, out)
            self._spend(len(out))
            return datum

        return parse

    def _spend(self, size: int) -> None:
        self.size += max(size, 1)
        if self.size > MOST_DEFAULT_BYTES:
            text = f"brings the defaults to more than {MOST_DEFAULT_BYTES} bytes of Avro together"
            self._fail(text, None)

    def _refuse(self, kind: AvroType, path: Path) -> NoReturn:
        self._fail(f"is no {describe(kind)} (of a union: of its first branch)", path)

    def _fail(self, text: str, path: Path) -> NoReturn:
        raise SchemaError("default", text, self.pointer + format_pointer(path))
