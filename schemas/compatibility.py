"""May a reader with one schema read what was written with another?

The verdict is that of Apache Avro's own checker. Beside it our own walk names each difference, with a
pointer into the reader's schema, and is stricter about logical types: with a changed scale or unit
the same bytes read without an error, and wrong.
Source: Apache Avro 1.12 specification, "Schema Resolution".
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.name import Names
from avro.schema import make_avsc_object

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
from schemas.fault import Path, format_pointer
from schemas.schema import Schema

Level: TypeAlias = Literal[
    "NONE", "BACKWARD", "BACKWARD_TRANSITIVE", "FORWARD", "FORWARD_TRANSITIVE", "FULL", "FULL_TRANSITIVE"
]

_PROMOTIONS: Mapping[str, frozenset[str]] = {
    "long": frozenset({"int"}),
    "float": frozenset({"int", "long"}),
    "double": frozenset({"int", "long", "float"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}
"""Reader to the other primitive types that it may read."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One reason why a reader cannot read a writer.

    `pointer`: into the reader's schema (`/fields/2/type`, what a name stands for is written out).
    `direction`: `backward` where the new schema fails to read old data, `forward` where the old one fails to
    read new data.
    """

    pointer: str
    text: str
    direction: Literal["backward", "forward"] = "backward"

    def __str__(self) -> str:
        """One line for a plan."""
        return f"{self.direction} {self.pointer or '/'}: {self.text}"


def check_levels(new: Schema, earlier: Sequence[Schema], level: Level) -> tuple[Difference, ...]:
    """Why a new schema breaks the level against earlier ones (newest first); empty where it does not."""
    compared = earlier if level.endswith("_TRANSITIVE") else earlier[:1]
    found: dict[Difference, None] = {}
    for old in compared if level != "NONE" else ():
        if level.startswith(("BACKWARD", "FULL")):
            found.update(dict.fromkeys(find_differences(reader=new, writer=old)))
        if level.startswith(("FORWARD", "FULL")):
            for one in find_differences(reader=old, writer=new):
                found[Difference(one.pointer, one.text, "forward")] = None
    return tuple(found)


def find_differences(*, reader: Schema, writer: Schema) -> tuple[Difference, ...]:
    """Why the reader cannot read what the writer wrote, or would read it wrongly; empty where it can."""
    found = tuple(dict.fromkeys(_Walk().compare(reader.root, writer.root, None)))
    if found or _avro_accepts(reader, writer):
        return found
    return (Difference("", "Apache Avro's checker finds that the reader cannot read the writer"),)


class _Walk:
    def __init__(self) -> None:
        self.seen: set[tuple[str, str]] = set()

    def compare(self, reader: AvroType, writer: AvroType, path: Path) -> Iterator[Difference]:
        if isinstance(writer, Union):
            for branch in writer.branches:
                yield from self.compare(reader, branch, path)
            return
        match reader:
            case Union():
                yield from self._into_union(reader, writer, path)
            case Record() if isinstance(writer, Record):
                yield from self._records(reader, writer, path)
            case Array() if isinstance(writer, Array):
                yield from self.compare(reader.items, writer.items, (path, "items"))
            case Map() if isinstance(writer, Map):
                yield from self.compare(reader.values, writer.values, (path, "values"))
            case Enumeration() if isinstance(writer, Enumeration):
                yield from _enumerations(reader, writer, path)
            case Fixed() if isinstance(writer, Fixed):
                yield from _fixed(reader, writer, path)
            case Primitive() if isinstance(writer, Primitive):
                yield from _primitives(reader, writer, path)
            case _:
                yield _unreadable(reader, writer, path)

    def _into_union(self, reader: Union, writer: AvroType, path: Path) -> Iterator[Difference]:
        """A writer's type needs one branch that reads it; a named type is compared with its namesake."""
        for index, branch in enumerate(reader.branches):
            differences = list(_Walk().compare(branch, writer, (path, index)))
            if not differences:
                return
            if _is_namesake(branch, writer):
                yield from differences
                return
        yield _unreadable(reader, writer, path)

    def _records(self, reader: Record, writer: Record, path: Path) -> Iterator[Difference]:
        yield from _names(reader, writer, path)
        if (reader.name, writer.name) in self.seen:
            return
        self.seen.add((reader.name, writer.name))
        written = {field.name: field for field in writer.fields}
        for index, field in enumerate(reader.fields):
            at: Path = ((path, "fields"), index)
            source = _source(field, written)
            if source is not None:
                yield from self.compare(field.type, source.type, (at, "type"))
            elif field.default is ABSENT:
                yield _difference(at, f"{field.name} is not in the writer, and has no default")


def _source(field: Field, written: Mapping[str, Field]) -> Field | None:
    """The writer's field of this name, or of one of the reader's aliases."""
    names = (field.name, *field.aliases)
    return next((written[name] for name in names if name in written), None)


def _enumerations(reader: Enumeration, writer: Enumeration, path: Path) -> Iterator[Difference]:
    yield from _names(reader, writer, path)
    missing = [symbol for symbol in writer.symbols if symbol not in reader.symbols]
    if missing and reader.default is None:
        shown = ", ".join(missing[:10])
        yield _difference(
            (path, "symbols"), f"the reader lacks {len(missing)} symbols and has no default: {shown}"
        )


def _fixed(reader: Fixed, writer: Fixed, path: Path) -> Iterator[Difference]:
    yield from _names(reader, writer, path)
    if reader.size != writer.size:
        yield _difference(
            (path, "size"), f"the reader wants {reader.size} bytes, the writer has {writer.size}"
        )
    yield from _logical(reader, writer, path)


def _primitives(reader: Primitive, writer: Primitive, path: Path) -> Iterator[Difference]:
    if reader.name != writer.name and writer.name not in _PROMOTIONS.get(reader.name, frozenset()):
        yield _unreadable(reader, writer, path)
    else:
        yield from _logical(reader, writer, path)


def _logical(reader: Primitive | Fixed, writer: Primitive | Fixed, path: Path) -> Iterator[Difference]:
    """Logical types that would turn the same bytes into another value. Precision may grow, never shrink."""
    ours, theirs = reader.logical, writer.logical
    if ours is None and theirs is None:
        return
    is_same = (
        ours is not None and theirs is not None and (ours.name, ours.scale) == (theirs.name, theirs.scale)
    )
    if not is_same or (ours and theirs and ours.precision < theirs.precision):
        text = f"{describe(writer)} would be read as {describe(reader)}"
        yield _difference((path, "logicalType"), text)


def _names(
    reader: Record | Enumeration | Fixed, writer: Record | Enumeration | Fixed, path: Path
) -> Iterator[Difference]:
    if not _is_namesake(reader, writer):
        yield _difference((path, "name"), f"the reader is named {reader.name}, the writer {writer.name}")


def _is_namesake(reader: AvroType, writer: AvroType) -> bool:
    """Whether both are of one kind and one name, namespaces aside, or the writer's is a reader's alias."""
    if not isinstance(reader, Record | Enumeration | Fixed) or not isinstance(
        writer, Record | Enumeration | Fixed
    ):
        return False
    if not isinstance(writer, type(reader)):
        return False
    simple = reader.name.rpartition(".")[2] == writer.name.rpartition(".")[2]
    return simple or writer.name in reader.aliases


def _unreadable(reader: AvroType, writer: AvroType, path: Path) -> Difference:
    return _difference(path, f"{describe(writer)} cannot be read as {describe(reader)}")


def _difference(path: Path, text: str) -> Difference:
    return Difference(format_pointer(path), text)


def _avro_accepts(reader: Schema, writer: Schema) -> bool:
    """Apache Avro's verdict on the physical types."""
    checker: Any = ReaderWriterCompatibilityChecker
    result = checker().get_compatibility(_foreign(reader), _foreign(writer))
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def _foreign(schema: Schema) -> Any:
    """The schema as Apache Avro's library has it; without logical types, of which its parser only warns."""
    return make_avsc_object(_without_logical(json.loads(schema.text)), Names())


def _without_logical(document: Any) -> Any:
    if isinstance(document, list):
        return [_without_logical(item) for item in document]
    if isinstance(document, dict):
        return {
            name: value if name in {"default", "doc"} else _without_logical(value)
            for name, value in document.items()
            if name != "logicalType"
        }
    return document
