"""A sample datum of any type: small, always the same, and always taken by the validator of its type.

Every field is there, an array and a map with one item, a union with its first branch that is not null, an
enum with its first symbol. A string is the name of its field, so that no two ids of one record are alike.
"""

import json
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from schemas.avro_type import (
    ABSENT,
    Array,
    AvroType,
    Enumeration,
    Fixed,
    Logical,
    Map,
    Primitive,
    Record,
    Scalar,
    Union,
    branch_name,
)
from schemas.check import when_absent
from schemas.errors import SchemaError
from schemas.leaf import JsonFlavour, leaf_of

MOST_BYTES: Final = 1024 * 1024
"""Characters of values and names: beyond it what may be left out is left out."""

_DAY: Final = 20_468
"""2026-01-15."""
_SECONDS: Final = 45_045
"""12:30:45."""
_DIGITS: Final = "12345678901234567890123456789012345678"
_UNITS: Final = {"millis": 3, "micros": 6, "nanos": 9}
_UUID: Final = UUID("0123abcd-4567-4e89-8abc-0123456789ab")
_DURATION: Final = b"".join(part.to_bytes(4, "little") for part in (1, 2, 3_004))
"""P1M2DT3.004S."""
_STRING: Final = "string"
_KEY: Final = "key"
_PRIMITIVES: Final[Mapping[str, Any]] = {
    "null": None,
    "boolean": True,
    "int": 1,
    "long": 1,
    "float": 1.5,
    "double": 1.5,
}


class _TooLargeError(Exception):
    """The sample would be larger than any event."""


def sample(root: AvroType, *, flavour: JsonFlavour) -> bytes:
    """The JSON text of a sample in one JSON flavour, indented, with a line end.

    Raises:
        SchemaError: even the smallest datum of this type would be larger than 1 MiB.
    """
    try:
        value = _Maker(flavour, is_lean=False).value(root, _STRING)
    except _TooLargeError:
        value = _smallest(root, flavour)
    return json.dumps(value, ensure_ascii=False, indent=2).encode() + b"\n"


def _smallest(root: AvroType, flavour: JsonFlavour) -> Any:
    try:
        return _Maker(flavour, is_lean=True).value(root, _STRING)
    except _TooLargeError as error:
        raise SchemaError(
            "size", "its smallest event is larger than 1 MiB, which no gateway takes"
        ) from error


class _Maker:
    """Makes JSON values, and stops where they become too large together.

    `is_lean`: what may be absent or empty is.
    """

    def __init__(self, flavour: JsonFlavour, *, is_lean: bool) -> None:
        self.flavour: JsonFlavour = flavour
        self.is_lean = is_lean
        self.left = MOST_BYTES

    def value(self, kind: AvroType, name: str) -> Any:
        """The sample of a type, as a JSON value; `name`: of the field that it stands in."""
        match kind:
            case Record():
                return {
                    field.name: self.value(field.type, field.name)
                    for field in kind.fields
                    if (not self.is_lean or when_absent(field) is ABSENT) and self._spend(field.name)
                }
            case Array():
                return [] if self.is_lean else [self.value(kind.items, name)]
            case Map():
                return {} if self.is_lean else {_KEY: self.value(kind.values, name)}
            case Union():
                return self._union(kind, name)
            case Primitive() | Fixed() | Enumeration():
                text = leaf_of(kind, self.flavour).json(_datum(kind, name))
                self._spend(text)
                return json.loads(text)

    def _union(self, kind: Union, name: str) -> Any:
        null = kind.null_branch()
        first = next((branch for index, branch in enumerate(kind.branches) if index != null), None)
        if first is None or (self.is_lean and null is not None):
            return None
        if self.flavour == "plain":
            return self.value(first, name)
        return {branch_name(first): self.value(first, name)}

    def _spend(self, text: str) -> bool:
        self.left -= len(text)
        if self.left < 0:
            raise _TooLargeError
        return True


def _datum(kind: Scalar, name: str) -> Any:
    """A datum in plain form."""
    if isinstance(kind, Enumeration):
        return kind.symbols[0]
    if kind.logical is not None:
        return _logical(kind, kind.logical)
    if isinstance(kind, Fixed):
        return (b"bytes" * (kind.size // 5 + 1))[: kind.size]
    if kind.name == "bytes":
        return b"bytes"
    return name if kind.name == "string" else _PRIMITIVES[kind.name]


def _logical(kind: Primitive | Fixed, logical: Logical) -> Any:
    match logical.name:
        case "decimal":
            # One digit before the point where there may be one, and all after it.
            return int(_DIGITS[: min(logical.scale + 1, logical.precision)])
        case "uuid":
            return _UUID.bytes if isinstance(kind, Fixed) else str(_UUID)
        case "duration":
            return _DURATION
        case "date":
            return _DAY
        case _:
            digits = _UNITS[logical.name.rpartition("-")[2]]
            days = 0 if logical.name.startswith("time-") else _DAY
            return (days * 86_400 + _SECONDS) * 10**digits + int(_DIGITS[:digits])
