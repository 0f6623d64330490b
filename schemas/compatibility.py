"""May a reader with one schema read what was written with another?

The verdict is that of Apache Avro's own checker. Beside it our own walk names each difference, with a
pointer into the reader's schema, and is stricter about logical types unless told otherwise: with a changed
scale or unit the same bytes read without an error, and wrong. Each pair of types is compared once, so that
unions in unions cost no more than their product.
Source: Apache Avro 1.12 specification, "Schema Resolution".
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from schemas.avro_type import (
    ABSENT,
    Array,
    AvroType,
    Enumeration,
    Field,
    Fixed,
    Map,
    Primitive,
    Record,
    Union,
    describe,
)
from schemas.avro_verdict import avro_accepts
from schemas.difference import Difference, DifferenceKind
from schemas.fault import Path, format_pointer
from schemas.levels import Level
from schemas.schema import Schema

MOST_DIFFERENCES: Final = 100
"""That are told of one pair of types."""

_PROMOTIONS: Mapping[str, frozenset[str]] = {
    "long": frozenset({"int"}),
    "float": frozenset({"int", "long"}),
    "double": frozenset({"int", "long", "float"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
"""Reader to the other primitive types that it may read."""


def check_levels(
    new: Schema, earlier: Sequence[Schema], level: Level, *, is_strict: bool = True
) -> tuple[Difference, ...]:
    """Why a new schema breaks the level against earlier ones (newest first); empty where it does not.

    `is_strict`: changed logical types break it.
    """
    compared = earlier if level.endswith("_TRANSITIVE") else earlier[:1]
    found: dict[Difference, None] = {}
    for old in compared if level != "NONE" else ():
        if level.startswith(("BACKWARD", "FULL")):
            found.update(dict.fromkeys(find_differences(reader=new, writer=old, is_strict=is_strict)))
        if level.startswith(("FORWARD", "FULL")):
            for one in find_differences(reader=old, writer=new, is_strict=is_strict):
                found[Difference(one.pointer, one.text, "forward", one.kind, one.subject)] = None
    return tuple(found)


def find_differences(*, reader: Schema, writer: Schema, is_strict: bool = True) -> tuple[Difference, ...]:
    """Why the reader cannot read what the writer wrote, or would read it wrongly; empty where it can."""
    found = _Walk(is_strict=is_strict).compare(reader.root, writer.root)
    if found or avro_accepts(reader.root, writer.root):
        return tuple(dict.fromkeys(one.difference() for one in found))
    return (Difference("", "Apache Avro's checker finds that the reader cannot read the writer"),)


@dataclass(frozen=True, slots=True)
class _Found:
    """A difference, at a place that is told from the types compared inwards."""

    tokens: tuple[str | int, ...]
    kind: DifferenceKind
    text: str
    subject: str

    def under(self, *outer: str | int) -> "_Found":
        return _Found((*outer, *self.tokens), self.kind, self.text, self.subject)

    def difference(self) -> Difference:
        path: Path = None
        for token in self.tokens:
            path = (path, token)
        return Difference(format_pointer(path), self.text, kind=self.kind, subject=self.subject)


_Differences: TypeAlias = tuple[_Found, ...]


class _Walk:
    def __init__(self, *, is_strict: bool) -> None:
        self.is_strict = is_strict
        self.known: dict[tuple[str | int, str | int], _Differences] = {}
        self.words: dict[int, str] = {}

    def compare(self, reader: AvroType, writer: AvroType) -> _Differences:
        key = (_identity(reader), _identity(writer))
        if key not in self.known:
            self.known[key] = tuple(self._compare(reader, writer))[:MOST_DIFFERENCES]
        return self.known[key]

    def _compare(self, reader: AvroType, writer: AvroType) -> Iterator[_Found]:
        if isinstance(writer, Union):
            for branch in writer.branches:
                yield from self.compare(reader, branch)
            return
        match reader:
            case Union():
                yield from self._into_union(reader, writer)
            case Record() if isinstance(writer, Record):
                yield from self._records(reader, writer)
            case Array() if isinstance(writer, Array):
                yield from (one.under("items") for one in self.compare(reader.items, writer.items))
            case Map() if isinstance(writer, Map):
                yield from (one.under("values") for one in self.compare(reader.values, writer.values))
            case Enumeration() if isinstance(writer, Enumeration):
                yield from _enumerations(reader, writer)
            case Fixed() if isinstance(writer, Fixed):
                yield from _fixed(reader, writer)
                yield from self._logical(reader, writer)
            case Primitive() if isinstance(writer, Primitive) and _reads(reader, writer):
                yield from self._logical(reader, writer)
            case _:
                yield _unreadable(reader, writer)

    def _into_union(self, reader: Union, writer: AvroType) -> Iterator[_Found]:
        """A writer's type needs one branch that reads it; told is what keeps its namesake from it."""
        near: list[_Found] = []
        for index, branch in enumerate(reader.branches):
            differences = self.compare(branch, writer)
            if not differences:
                return
            if not near and _is_near(branch, writer):
                near = [one.under(index) for one in differences]
        if not near:
            lacking = f"no branch of {self._describe(reader)} reads {self._describe(writer)}"
            near = [_Found((), "MISSING_UNION_BRANCH", lacking, self._describe(writer))]
        yield from near

    def _records(self, reader: Record, writer: Record) -> Iterator[_Found]:
        yield from _names(reader, writer)
        written = {field.name: field for field in writer.fields}
        for index, field in enumerate(reader.fields):
            source = _source(field, written)
            if source is not None:
                found = self.compare(field.type, source.type)
                yield from (one.under("fields", index, "type") for one in found)
            elif field.default is ABSENT:
                text = f"{field.name} is not in the writer, and has no default"
                yield _Found(("fields", index), "READER_FIELD_MISSING_DEFAULT_VALUE", text, field.name)

    def _describe(self, kind: AvroType) -> str:
        """A type in words, made once: a union is compared with each branch of another."""
        if id(kind) not in self.words:
            self.words[id(kind)] = describe(kind)
        return self.words[id(kind)]

    def _logical(self, reader: Primitive | Fixed, writer: Primitive | Fixed) -> Iterator[_Found]:
        """Logical types that would turn the same bytes into another value."""
        if self.is_strict and not _means_the_same(reader, writer):
            text = f"{describe(writer)} would be read as {describe(reader)}"
            yield _Found(("logicalType",), "LOGICAL_TYPE_MISMATCH", text, describe(writer))


def _identity(kind: AvroType) -> str | int:
    """What tells a type from the others of its schema, cheaply: its name, or which object it is."""
    return kind.name if isinstance(kind, Record | Enumeration | Fixed) else id(kind)


def _source(field: Field, written: Mapping[str, Field]) -> Field | None:
    """The writer's field of this name, or of one of the reader's aliases."""
    names = (field.name, *field.aliases)
    return next((written[name] for name in names if name in written), None)


def _enumerations(reader: Enumeration, writer: Enumeration) -> Iterator[_Found]:
    yield from _names(reader, writer)
    held = frozenset(reader.symbols)
    missing = [symbol for symbol in writer.symbols if symbol not in held]
    if missing and reader.default is None:
        shown = ", ".join(missing[:10])
        text = f"the reader lacks {len(missing)} symbols and has no default: {shown}"
        yield _Found(("symbols",), "MISSING_ENUM_SYMBOLS", text, shown)


def _fixed(reader: Fixed, writer: Fixed) -> Iterator[_Found]:
    yield from _names(reader, writer)
    if reader.size != writer.size:
        text = f"the reader wants {reader.size} bytes, the writer has {writer.size}"
        yield _Found(("size",), "FIXED_SIZE_MISMATCH", text, f"{writer.size}")


def _reads(reader: Primitive, writer: Primitive) -> bool:
    return reader.name == writer.name or writer.name in _PROMOTIONS.get(reader.name, frozenset())


def _means_the_same(reader: Primitive | Fixed, writer: Primitive | Fixed) -> bool:
    """Whether logical types agree. Precision may grow, never shrink."""
    ours, theirs = reader.logical, writer.logical
    if ours is None or theirs is None:
        return ours is theirs
    is_same = (ours.name, ours.scale) == (theirs.name, theirs.scale)
    return is_same and ours.precision >= theirs.precision


def _names(reader: Record | Enumeration | Fixed, writer: Record | Enumeration | Fixed) -> Iterator[_Found]:
    if not _is_namesake(reader, writer):
        text = f"the reader is named {reader.name}, the writer {writer.name}"
        yield _Found(("name",), "NAME_MISMATCH", text, writer.name)


def _is_namesake(reader: Record | Enumeration | Fixed, writer: Record | Enumeration | Fixed) -> bool:
    """Whether both have one name, namespaces aside, or the writer's is a reader's alias."""
    simple = reader.name.rpartition(".")[2] == writer.name.rpartition(".")[2]
    return simple or writer.name in reader.aliases


def _is_near(reader: AvroType, writer: AvroType) -> bool:
    """Whether a branch is the one that a writer's type was meant for, though it does not read it."""
    match reader:
        case Record() | Enumeration() | Fixed():
            return isinstance(writer, type(reader)) and _is_namesake(reader, writer)
        case Primitive():
            return isinstance(writer, Primitive) and _reads(reader, writer)
        case _:
            return isinstance(writer, type(reader))


def _unreadable(reader: AvroType, writer: AvroType) -> _Found:
    text = f"{describe(writer)} cannot be read as {describe(reader)}"
    return _Found(
        (), "TYPE_MISMATCH", text, f"reader type: {describe(reader)}, writer type: {describe(writer)}"
    )
