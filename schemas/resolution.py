"""Data written with one schema, in the form of another: renamed, reordered, promoted, filled with defaults.

Compiled once per pair of schemas. What can never be read is refused then; what depends on the datum (a union
branch or an enum symbol that the reader lacks) is a fault of the datum that has it. Differences are told in
the words of `schemas.compatibility`: where that finds none, a resolution compiles, and fails on no datum but
one whose bytes, read as a string, are no UTF-8, or whose defaults would make it huge.

Two choices that the specification leaves to its readers: of a reader's union, a branch of the writer's own
type is taken before one that it could be promoted to, as in Java, so that no number loses digits without
need; and logical types must agree, since with another scale or unit the same bytes mean something else.
Source: Apache Avro 1.12 specification, "Schema Resolution".
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from schemas.avro_reader import compile_reader
from schemas.avro_type import (
    ABSENT,
    Array,
    AvroType,
    Enumeration,
    Field,
    Fixed,
    Map,
    Named,
    Primitive,
    Record,
    Union,
    describe,
)
from schemas.encoder import compile_encoder
from schemas.errors import SchemaError
from schemas.fault import Path, format_pointer
from schemas.findings import Findings
from schemas.resolution_scalars import (
    SAME,
    Never,
    Outcome,
    Resolved,
    Run,
    is_namesake,
    resolve_enumeration,
    resolve_fixed,
    resolve_primitive,
    unreadable,
)

Resolve: TypeAlias = Callable[[Any], Any]
"""Plain form of the writer's type to plain form of the reader's; raises DatumError for what depends on it."""


def compile_resolution(writer: AvroType, reader: AvroType) -> Resolve:
    """A function from data of the writer's type to data of the reader's, both in plain form.

    Its pointers lead into the datum as it was written.

    Raises:
        SchemaError: no datum of the writer can be read as the reader's type (rule `resolution`, pointer into
            the reader's schema).
    """
    found = _Compiler().compile(writer, reader)
    if isinstance(found, Never):
        raise SchemaError("resolution", found.text, _pointer(found))
    run = found.run
    if run is None:
        return _same

    def resolve(datum: Any) -> Any:
        findings = Findings()
        resolved = run(datum, None, findings)
        findings.verify()
        return resolved

    return resolve


def avro_reader_for(writer: AvroType, reader: AvroType) -> Callable[[bytes], bytes]:
    """A function from the Avro bytes of a writer's datum to the reader's canonical ones.

    It raises DatumError for bytes that are no datum of the writer, and for data that the reader cannot read.

    Raises:
        SchemaError: as `compile_resolution`.
    """
    read, resolve, encode = (
        compile_reader(writer),
        compile_resolution(writer, reader),
        compile_encoder(reader),
    )

    def read_as(raw: bytes) -> bytes:
        out = bytearray()
        encode(resolve(read(raw)), out)
        return bytes(out)

    return read_as


class _Compiler:
    def __init__(self) -> None:
        self.named: dict[tuple[str, str], Outcome] = {}
        """By full names of writer and reader: the work is that of the pairs, not of their uses."""
        self.words: dict[int, str] = {}

    def compile(self, writer: AvroType, reader: AvroType) -> Outcome:
        if isinstance(writer, Union):
            return SAME if writer == reader else self._from_union(writer, reader)
        if isinstance(reader, Union):
            return self._into_union(writer, reader)
        return self._pair(writer, reader)

    def _pair(self, writer: AvroType, reader: AvroType) -> Outcome:
        """Of two types that are no unions."""
        if isinstance(writer, Named) and isinstance(reader, Named):
            names = (writer.name, reader.name)
            if names not in self.named:
                self.named[names] = self._namesakes(writer, reader)
            return self.named[names]
        if isinstance(writer, Array) and isinstance(reader, Array):
            return _array(self.compile(writer.items, reader.items))
        if isinstance(writer, Map) and isinstance(reader, Map):
            return _map(self.compile(writer.values, reader.values))
        if isinstance(writer, Primitive) and isinstance(reader, Primitive):
            return resolve_primitive(writer, reader)
        return unreadable(writer, reader)

    def _namesakes(self, writer: Named, reader: Named) -> Outcome:
        if writer == reader:
            return SAME
        if type(writer) is not type(reader):
            return unreadable(writer, reader)
        if not is_namesake(writer, reader):
            text = f"the reader is named {reader.name}, the writer {writer.name}"
            return Never(("name",), text)
        found = self._same_kind(writer, reader)
        return found.under() if isinstance(found, Never) else found

    def _same_kind(self, writer: Named, reader: Named) -> Outcome:
        if isinstance(writer, Record) and isinstance(reader, Record):
            return self._record(writer, reader)
        if isinstance(writer, Enumeration) and isinstance(reader, Enumeration):
            return resolve_enumeration(writer, reader)
        if isinstance(writer, Fixed) and isinstance(reader, Fixed):
            return resolve_fixed(writer, reader)
        return unreadable(writer, reader)

    def _from_union(self, writer: Union, reader: AvroType) -> Outcome:
        found = [self.compile(branch, reader) for branch in writer.branches]
        refused = [one for one in found if isinstance(one, Never)]
        if len(refused) == len(found):
            return refused[0]
        wanted = self._describe(reader) if refused else ""
        runs = [
            _refusal(branch, wanted) if isinstance(one, Never) else one.run
            for branch, one in zip(writer.branches, found, strict=True)
        ]

        def run(datum: Any, path: Path, findings: Findings) -> Any:
            index, value = datum
            branch = runs[index]
            return value if branch is None else branch(value, path, findings)

        return Resolved(run, all(isinstance(one, Resolved) and one.is_total for one in found))

    def _into_union(self, writer: AvroType, reader: Union) -> Outcome:
        """The best branch: one that reads every datum, then the one nearest to the writer's type."""
        best: tuple[tuple[bool, int, int], Run | None] | None = None
        near: Never | None = None
        for index, branch in enumerate(reader.branches):
            found = self._pair(writer, branch)
            if isinstance(found, Never):
                near = near or (found.under(index) if found.is_near else None)
                continue
            rank = (not found.is_total, _distance(writer, branch), index)
            if best is None or rank < best[0]:
                best = rank, found.run
        if best is None:
            return near or Never((), f"no branch of {self._describe(reader)} reads {self._describe(writer)}")
        (is_partial, _, chosen), inner = best

        def run(datum: Any, path: Path, findings: Findings) -> tuple[int, Any]:
            return (chosen, datum if inner is None else inner(datum, path, findings))

        return Resolved(run, not is_partial)

    def _record(self, writer: Record, reader: Record) -> Outcome:
        slots = {field.name: slot for slot, field in enumerate(writer.fields)}
        defaults: list[Any] = []
        gained = bytearray()
        plan: list[tuple[int, Run | None, str]] = []
        is_total = True
        for index, field in enumerate(reader.fields):
            slot = _slot(field, slots)
            if slot is not None:
                source = writer.fields[slot]
                found = self.compile(source.type, field.type)
                if isinstance(found, Never):
                    return found.under("fields", index, "type")
                plan.append((slot, found.run, source.name))
                is_total = is_total and found.is_total
            elif field.default is ABSENT:
                return Never(("fields", index), f"{field.name} is not in the writer, and has no default")
            else:
                compile_encoder(field.type)(field.default, gained)
                plan.append((len(writer.fields) + len(defaults), None, field.name))
                defaults.append(field.default)
        return Resolved(_record_run(plan, defaults, len(gained)), is_total)

    def _describe(self, kind: AvroType) -> str:
        """A type in words, made once: a union is compared with each branch of another."""
        if id(kind) not in self.words:
            self.words[id(kind)] = describe(kind)
        return self.words[id(kind)]


def _pointer(never: Never) -> str:
    path: Path = None
    for token in never.tokens:
        path = (path, token)
    return format_pointer(path)


def _record_run(plan: list[tuple[int, Run | None, str]], defaults: list[Any], gained: int) -> Run:
    def run(datum: Any, path: Path, findings: Findings) -> list[Any]:
        if gained:
            findings.fill(path, gained)
        pool = [*datum, *defaults]
        return [
            pool[slot] if resolve is None else resolve(pool[slot], (path, name), findings)
            for slot, resolve, name in plan
        ]

    return run


def _slot(field: Field, slots: Mapping[str, int]) -> int | None:
    """Where the writer has the field of this name, or of one of the reader's aliases."""
    return next((slots[name] for name in (field.name, *field.aliases) if name in slots), None)


def _array(items: Outcome) -> Outcome:
    if isinstance(items, Never):
        return items.under("items")
    if items.run is None:
        return items
    resolve = items.run

    def run(datum: Any, path: Path, findings: Findings) -> list[Any]:
        return [resolve(item, (path, index), findings) for index, item in enumerate(datum)]

    return Resolved(run, items.is_total)


def _map(values: Outcome) -> Outcome:
    if isinstance(values, Never):
        return values.under("values")
    if values.run is None:
        return values
    resolve = values.run

    def run(datum: Any, path: Path, findings: Findings) -> dict[str, Any]:
        return {name: resolve(item, (path, name), findings) for name, item in datum.items()}

    return Resolved(run, values.is_total)


def _refusal(branch: AvroType, wanted: str) -> Run:
    """What is run for a writer's branch that the reader cannot read."""
    text = f"is {describe(branch)}, which cannot be read as {wanted}"

    def run(_: Any, path: Path, findings: Findings) -> None:
        findings.add(path, "union", text, wanted)

    return run


def _distance(writer: AvroType, reader: AvroType) -> int:
    """How far a type is from one that reads it: same name, a name that stands for it, a promotion."""
    if isinstance(writer, Array | Map | Union) or isinstance(reader, Array | Map | Union):
        return 0
    if writer.name == reader.name:
        return 0
    if isinstance(reader, Primitive):
        return 3
    return 1 if writer.name in reader.aliases else 2


def _same(datum: Any) -> Any:
    return datum
