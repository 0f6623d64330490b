"""When are two schemas the same to those who exchange data? The canonical form, with logical types.

Documentation, defaults, aliases and the way a schema is written may differ; each datum has the same bytes and
the same meaning under both.
Source: Apache Avro 1.12 specification, "Parsing Canonical Form".
"""

import json
from typing import Any

from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union


def likeness(kind: AvroType) -> str:
    """A text that two types have in common exactly where they are the same."""
    return json.dumps(_document(kind, set()), separators=(",", ":"))


def _document(kind: AvroType, seen: set[str]) -> Any:
    match kind:
        case Primitive():
            return [kind.name, *_logical(kind)]
        case Array():
            return ["array", _document(kind.items, seen)]
        case Map():
            return ["map", _document(kind.values, seen)]
        case Union():
            return ["union", *(_document(branch, seen) for branch in kind.branches)]
        case _:
            return _named(kind, seen)


def _named(kind: Fixed | Enumeration | Record, seen: set[str]) -> Any:
    if kind.name in seen:
        return ["named", kind.name]
    seen.add(kind.name)
    match kind:
        case Fixed():
            return ["fixed", kind.name, kind.size, *_logical(kind)]
        case Enumeration():
            return ["enum", kind.name, *kind.symbols]
        case Record():
            return ["record", kind.name, *([one.name, _document(one.type, seen)] for one in kind.fields)]


def _logical(kind: Primitive | Fixed) -> list[str | int]:
    logical = kind.logical
    return [] if logical is None else [logical.name, logical.precision, logical.scale]
