"""A schema: its text, its types, and the three ways to name it (canonical fingerprint, GUID, full name).

Source: Apache Avro 1.12 specification, "Parsing Canonical Form"; Confluent wire format for the GUID.
"""

import hashlib
import json
from dataclasses import dataclass, field
from uuid import UUID

from schemas.admission import admit_text
from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union
from schemas.errors import SchemaError
from schemas.type_builder import build_type


@dataclass(frozen=True, slots=True)
class Schema:
    """An admitted schema; equal when the text is.

    `text`: as it was given; `name`: full name of the record; `fingerprint`: SHA-256 of the parsing canonical
    form;
    `guid`: MD5 of the text, equal on every registry that stores this text.
    """

    text: str = field(repr=False)
    name: str = field(compare=False)
    fingerprint: bytes = field(repr=False, compare=False)
    guid: UUID = field(compare=False)
    root: Record = field(repr=False, compare=False)


def parse_schema(text: str) -> Schema:
    """Admit and parse a schema text.

    Raises:
        SchemaError: it must not be used; the error names the rule and the place.
    """
    root = build_type(admit_text(text))
    if not isinstance(root, Record):
        raise SchemaError("shape", "an event's schema must be a record at the top; wrap it in one")
    canonical = canonical_form(root)
    return Schema(
        text=text,
        name=root.name,
        fingerprint=hashlib.sha256(canonical.encode()).digest(),
        guid=UUID(bytes=hashlib.md5(text.encode(), usedforsecurity=False).digest()),
        root=root,
    )


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
