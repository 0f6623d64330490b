"""Apache Avro's own verdict on whether a reader can read a writer: the only door to its library.

Its checker compares physical types. It is shown types without logical types (of which its parser only
warns) and with aliases in full (which it compares as they are written).
Source: Apache Avro 1.12 specification, "Schema Resolution".
"""

from typing import Any

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
)


def avro_accepts(reader: AvroType, writer: AvroType) -> bool:
    """Whether Apache Avro's checker finds that the reader can read the writer."""
    checker: Any = ReaderWriterCompatibilityChecker
    result = checker().get_compatibility(_foreign(reader), _foreign(writer))
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def _foreign(kind: AvroType) -> Any:
    """The type as the library has it."""
    return make_avsc_object(_document(kind, set()), Names())


def _document(kind: AvroType, seen: set[str]) -> Any:
    match kind:
        case Primitive():
            return kind.name
        case Array():
            return {"type": "array", "items": _document(kind.items, seen)}
        case Map():
            return {"type": "map", "values": _document(kind.values, seen)}
        case Union():
            return [_document(branch, seen) for branch in kind.branches]
        case _:
            return _named(kind, seen)


def _named(kind: Fixed | Enumeration | Record, seen: set[str]) -> Any:
    if kind.name in seen:
        return kind.name
    seen.add(kind.name)
    named: dict[str, Any] = {"name": kind.name, "aliases": list(kind.aliases)}
    match kind:
        case Fixed():
            return {**named, "type": "fixed", "size": kind.size}
        case Enumeration():
            default = {} if kind.default is None else {"default": kind.default}
            return {**named, "type": "enum", "symbols": list(kind.symbols), **default}
        case Record():
            return {**named, "type": "record", "fields": [_field(one, seen) for one in kind.fields]}


def _field(one: Field, seen: set[str]) -> dict[str, Any]:
    """A field; the checker asks only whether there is a default, not which."""
    whole = {"name": one.name, "type": _document(one.type, seen), "aliases": list(one.aliases)}
    return whole if one.default is ABSENT else {**whole, "default": None}
