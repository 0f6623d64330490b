"""A schema: its text, its types, and the three ways to name it (canonical fingerprint, GUID, full name).

Source: Apache Avro 1.12 specification, "Parsing Canonical Form"; Confluent wire format for the GUID.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from schemas.admission import admit_count, admit_reference, admit_text, admit_texts
from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union, branch_name
from schemas.errors import SchemaError
from schemas.type_builder import TypeBuilder

MOST_REFERENCES = 100
"""Schemas that one schema leans on, those of its references counted too."""


@dataclass(frozen=True, slots=True)
class Schema:
    """An admitted schema; equal when the text and what it refers to are.

    `text`: as it was given; `name`: full name of the type at the top, or the word for one without;
    `fingerprint`: SHA-256 of the parsing canonical form, with what is referred to written out;
    `guid`: MD5 of the text and its references, equal on every registry that stores these;
    `references`: as they were given, in their order.
    """

    text: str = field(repr=False)
    name: str = field(compare=False)
    fingerprint: bytes = field(repr=False, compare=False)
    guid: UUID = field(compare=False)
    root: AvroType = field(repr=False, compare=False)
    references: "tuple[Reference, ...]" = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Reference:
    """A type that a schema takes from another: its full name, and where the other is registered.

    `schema`: what stands there, parsed with references of its own; equality leaves it to subject and version.
    """

    name: str
    subject: str
    version: int
    schema: Schema = field(compare=False)


def parse_schema(text: str, references: Sequence[Reference] = ()) -> Schema:
    """Admit and parse a schema text that may name types of the schemas that it refers to.

    Every limit counts over the text and all that it leans on. Any type may stand at the top.

    Raises:
        SchemaError: it must not be used; the error names the rule and the place, `/references/<n>` where a
            reference is at fault.
    """
    document = admit_text(text)
    parts = _closure(references)
    admit_texts([text, *(one.schema.text for _, one in parts)])
    builder = TypeBuilder()
    defined = {_key(one): _define(builder, at, one) for at, one in parts}
    for index, one in enumerate(references):
        if one.name not in defined[_key(one)]:
            said = f"{one.subject} version {one.version} does not define {one.name}"
            raise SchemaError(
                "reference", f"{said}; name a type by its full name", f"/references/{index}/name"
            )
    builder.used.clear()
    root = builder.build_root(document)
    _refuse_unused(references, defined, builder.used)
    return Schema(
        text=text,
        name=branch_name(root),
        fingerprint=hashlib.sha256(canonical_form(root).encode()).digest(),
        guid=_guid(text, references),
        root=root,
        references=tuple(references),
    )


def verify_event_schema(schema: Schema) -> Schema:
    """A schema that an event may have.

    Raises:
        SchemaError: what stands at its top is no record.
    """
    if not isinstance(schema.root, Record):
        raise SchemaError("shape", "an event's schema must be a record at the top; wrap it in one")
    return schema


def _key(reference: Reference) -> tuple[str, int]:
    return reference.subject, reference.version


def _guid(text: str, references: Sequence[Reference]) -> UUID:
    """Source: Confluent Schema Registry: text, then name, subject and 4-byte version of each reference."""
    digest = hashlib.md5(text.encode(), usedforsecurity=False)
    for one in references:
        digest.update(one.name.encode() + one.subject.encode() + one.version.to_bytes(4, "big"))
    return UUID(bytes=digest.digest())


def _closure(references: Sequence[Reference]) -> list[tuple[str, Reference]]:
    """All that is leant on, each before what leans on it, with the place of the reference that brought it."""
    found: dict[tuple[str, int], tuple[str, Reference]] = {}
    names: set[str] = set()
    for index, reference in enumerate(references):
        at = f"/references/{index}"
        admit_reference(reference.name, reference.subject, reference.version, at)
        if reference.name in names:
            raise SchemaError("reference", f"{reference.name} is already referred to", f"{at}/name")
        names.add(reference.name)
        for one in _reach(reference):
            _, known = found.setdefault(_key(one), (at, one))
            if known.schema != one.schema:
                text = f"{one.subject} version {one.version} stands for two different schemas"
                raise SchemaError("reference", text, at)
            admit_count("references", len(found), MOST_REFERENCES, at)
    return list(found.values())


def _reach(reference: Reference) -> list[Reference]:
    """A reference after all that it leans on itself, each once. Not recursive: texts may chain."""
    found: dict[tuple[str, int, str], Reference] = {}
    waiting = [(reference, False)]
    while waiting:
        one, is_ready = waiting.pop()
        key = (*_key(one), one.schema.text)
        if key in found:
            continue
        if is_ready:
            found[key] = one
        else:
            waiting.append((one, True))
            waiting += [(each, False) for each in reversed(one.schema.references)]
    return list(found.values())


def _define(builder: TypeBuilder, at: str, reference: Reference) -> frozenset[str]:
    """The full names that a referenced schema defines, from here on known to the builder."""
    before = set(builder.named)
    try:
        builder.build_root(admit_text(reference.schema.text))
    except SchemaError as error:
        text = (
            f"{reference.subject} version {reference.version}, {error.pointer or 'the whole'}: {error.text}"
        )
        raise SchemaError(error.rule, text, at) from error
    return frozenset(set(builder.named) - before)


def _refuse_unused(
    references: Sequence[Reference], defined: dict[tuple[str, int], frozenset[str]], used: set[str]
) -> None:
    for index, reference in enumerate(references):
        if all(used.isdisjoint(defined[_key(one)]) for one in _reach(reference)):
            text = f"nothing of {reference.subject} version {reference.version} is used; leave it out"
            raise SchemaError("reference", text, f"/references/{index}")


def canonical_form(kind: AvroType) -> str:
    """The parsing canonical form: what a reader of the bytes must know, and nothing else."""
    return _canonical(kind, set())


def _canonical(kind: AvroType, seen: set[str]) -> str:
    match kind:
        case Primitive():
            return f'"{kind.name}"'
        case Array():
            return f'{{"type":"array","items":{_canonical(kind.items, seen)}}}'
        case Map():
            return f'{{"type":"map","values":{_canonical(kind.values, seen)}}}'
        case Union():
            return "[" + ",".join(_canonical(branch, seen) for branch in kind.branches) + "]"
        case _:
            return _canonical_named(kind, seen)


def _canonical_named(kind: Fixed | Enumeration | Record, seen: set[str]) -> str:
    if kind.name in seen:
        return f'"{kind.name}"'
    seen.add(kind.name)
    match kind:
        case Fixed():
            return f'{{"name":"{kind.name}","type":"fixed","size":{kind.size}}}'
        case Enumeration():
            symbols = json.dumps(kind.symbols, separators=(",", ":"))
            return f'{{"name":"{kind.name}","type":"enum","symbols":{symbols}}}'
        case Record():
            fields = ",".join(
                f'{{"name":"{one.name}","type":{_canonical(one.type, seen)}}}' for one in kind.fields
            )
            return f'{{"name":"{kind.name}","type":"record","fields":[{fields}]}}'
