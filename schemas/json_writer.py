"""Plain form to JSON text: the exact inverse of the checker.

Decimals stand as strings, bytes in base64, times in RFC 3339; in a union where the bare value would be read
as another branch, as the number that means the same, or under the name of the branch. Members stand in the
schema's order, null ones too, without white space.
"""

from collections.abc import Callable
from typing import Any, TypeAlias

from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union, branch_name
from schemas.branches import is_ambiguous, json_kinds
from schemas.check import compile_check
from schemas.errors import MisfitError
from schemas.findings import Trial
from schemas.json_reader import read_json
from schemas.leaf import JsonFlavour, leaf_of, quote

Write: TypeAlias = Callable[[Any], str]
"""Datum in plain form to JSON text."""


def compile_writer(kind: AvroType, flavour: JsonFlavour) -> Write:
    """The writer of a type for one JSON flavour."""
    return _Compiler(flavour).compile(kind)


class _Compiler:
    def __init__(self, flavour: JsonFlavour) -> None:
        self.flavour: JsonFlavour = flavour
        self.named: dict[str, Write] = {}

    def compile(self, kind: AvroType) -> Write:
        match kind:
            case Record() | Fixed() | Enumeration():
                if kind.name not in self.named:
                    self.named[kind.name] = (
                        self._record(kind) if isinstance(kind, Record) else leaf_of(kind, self.flavour).json
                    )
                return self.named[kind.name]
            case Array():
                return _array(self.compile(kind.items))
            case Map():
                return _map(self.compile(kind.values))
            case Union():
                return self._union(kind)
            case Primitive():
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
        named = [_named(branch, self.compile(branch)) for branch in kind.branches]
        writers = named if self.flavour == "avro" else self._bare(kind, named)
        return lambda datum: writers[datum[0]](datum[1])

    def _bare(self, kind: Union, named: list[Write]) -> list[Write]:
        """A writer for each branch that names it only where it must."""
        doubtful = [index for index in range(len(kind.branches)) if _is_doubtful(kind, index)]
        reads_back = _reads_back(kind) if doubtful else None
        writers: list[Write] = []
        for index, branch in enumerate(kind.branches):
            ways = [self.compile(branch)]
            if index in doubtful and reads_back is not None:
                number = leaf_of(branch, "plain").number if isinstance(branch, Primitive | Fixed) else None
                ways += [number] if number else []
                writers.append(_first_way(index, ways, named[index], reads_back))
            else:
                writers += ways
        return writers


def _named(branch: AvroType, write: Write) -> Write:
    name = branch_name(branch)
    return write if name == "null" else lambda datum: f"{{{quote(name)}:{write(datum)}}}"


def _is_doubtful(kind: Union, index: int) -> bool:
    """Whether the bare value of a branch might be read as another, or as one that names a branch."""
    branch = kind.branches[index]
    earlier = frozenset[type]().union(*(json_kinds(one, "plain") for one in kind.branches[:index]))
    if not earlier.isdisjoint(json_kinds(branch, "plain")):
        return True
    return is_ambiguous(kind) and isinstance(branch, Record | Map)


def _reads_back(kind: Union) -> Callable[[str, tuple[int, Any]], bool]:
    """Whether the checker takes a text for exactly this datum of a union."""
    check = compile_check(kind, "plain")

    def reads_back(text: str, datum: tuple[int, Any]) -> bool:
        try:
            return bool(check(read_json(text.encode()), None, Trial()) == datum)
        except MisfitError:
            return False

    return reads_back


def _first_way(
    index: int, ways: list[Write], named: Write, reads_back: Callable[[str, tuple[int, Any]], bool]
) -> Write:
    def write(datum: Any) -> str:
        for way in ways:
            text = way(datum)
            if reads_back(text, (index, datum)):
                return text
        return named(datum)

    return write


def _array(write_item: Write) -> Write:
    return lambda datum: "[" + ",".join([write_item(item) for item in datum]) + "]"


def _map(write_value: Write) -> Write:
    return lambda datum: (
        "{" + ",".join([f"{quote(name)}:{write_value(value)}" for name, value in datum.items()]) + "}"
    )
