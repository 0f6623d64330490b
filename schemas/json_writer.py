"""Plain form to JSON text: the exact inverse of the checker.

Decimals stand as strings, bytes in base64, times in RFC 3339; in a union where an earlier branch would
swallow that string, the number that means the same. Members stand in the schema's order, null ones too,
without white space.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from schemas.avro_type import (
    Array,
    AvroType,
    Enumeration,
    Fixed,
    Map,
    Primitive,
    Record,
    Scalar,
    Union,
    branch_name,
)
from schemas.leaf import JsonFlavour, leaf_of, quote

Write: TypeAlias = Callable[[Any], str]
"""Datum in plain form to JSON text."""


def compile_writer(kind: AvroType, flavour: JsonFlavour) -> Write:
    """The writer of a type for one JSON flavour."""
    return _Compiler(flavour).compile(kind)


class _Compiler:
    def __init__(self, flavour: JsonFlavour) -> None:
        self.flavour: JsonFlavour = flavour
        self.records: dict[str, Write] = {}

    def compile(self, kind: AvroType) -> Write:
        match kind:
            case Record():
                if kind.name not in self.records:
                    self.records[kind.name] = self._record(kind)
                return self.records[kind.name]
            case Array():
                return _array(self.compile(kind.items))
            case Map():
                return _map(self.compile(kind.values))
            case Union():
                return self._union(kind)
            case Primitive() | Fixed() | Enumeration():
                return leaf_of(kind, self.flavour).json

    def _record(self, kind: Record) -> Write:
        fields = [(f'"{field.name}":', self.compile(field.type)) for field in kind.fields]

        def write(datum: Any) -> str:
            members = [
                name + write_field(value) for (name, write_field), value in zip(fields, datum, strict=True)
            ]
            return "{" + ",".join(members) + "}"

        return write

    def _union(self, kind: Union) -> Write:
        writers = [self._branch(kind, index) for index in range(len(kind.branches))]
        return lambda datum: writers[datum[0]](datum[1])

    def _branch(self, kind: Union, index: int) -> Write:
        branch = kind.branches[index]
        write = self.compile(branch)
        if self.flavour == "avro":
            name = branch_name(branch)
            return write if name == "null" else lambda datum: f"{{{quote(name)}:{write(datum)}}}"
        if isinstance(branch, Primitive | Fixed) and any(map(_takes_any_text, kind.branches[:index])):
            return leaf_of(branch, self.flavour).number or write
        return write


def _takes_any_text(kind: AvroType) -> bool:
    """Whether a branch might take the text of a decimal or a time for its own."""
    return isinstance(kind, Primitive | Fixed) and kind.name not in _NO_TEXT and _is_open(kind)


def _is_open(kind: Scalar) -> bool:
    logical = None if isinstance(kind, Enumeration) else kind.logical
    return logical is None


_NO_TEXT = frozenset({"null", "boolean", "int", "long", "float", "double"})


def _array(write_item: Write) -> Write:
    return lambda datum: "[" + ",".join([write_item(item) for item in datum]) + "]"


def _map(write_value: Write) -> Write:
    return lambda datum: (
        "{" + ",".join([f"{quote(name)}:{write_value(value)}" for name, value in datum.items()]) + "}"
    )
