"""JSON Schema 2020-12 from the types of a schema: what the validator takes, in the words that tools know.

Whatever the validator takes, the JSON Schema takes. What the JSON Schema takes the validator takes too, but
for what JSON Schema cannot say; that is refused by the gateway alone:

* sizes in bytes of UTF-8 (a string and a name have at most 262,144; `maxLength` counts characters), the
  100,000 items that all arrays and maps of one event may have together, and the 1 MiB of Avro that may stand
  for all fields that it leaves out;
* names that stand twice in an object, and lone surrogates;
* how a number is written: `1.0` is a number for JSON Schema and no `int` for Avro; integers beyond 64 bits;
* the last digits of a decimal that is sent as a number, not as text;
* instants that an offset moves out of the years 1 to 9999, or that 64 bits of nanoseconds do not hold, and
  durations beyond 32 bits in a part;
* in the Avro JSON encoding, the value of a decimal's bytes.

A union takes the first branch that fits, in the order of `anyOf`. Where `schemas.branches` lets a value name
its branch, that comes last in `anyOf` and first in the reading.

Source: JSON Schema 2020-12, "Core" and "Validation".
"""

import json
from collections.abc import Sequence
from typing import Any, Final

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
    branch_name,
)
from schemas.branches import is_ambiguous
from schemas.check import when_absent
from schemas.findings import MOST_ITEMS
from schemas.json_schema_scalars import describe_scalar
from schemas.json_writer import compile_writer
from schemas.leaf import LONGEST_TEXT, JsonFlavour

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FIRST_FIT: Final = "The first that fits, in this order."
_NAMED_FIRST: Final = (
    "An object whose member names a branch, if that fits; else the first that fits, in this order."
)
_LARGEST_DEFAULT: Final = 4_096
"""Bytes of Avro; a larger one is left to the schema's own text: names of members might take megabytes."""


def json_schema(root: AvroType, *, flavour: JsonFlavour, address: str = "", title: str = "") -> str:
    """The text of the JSON Schema of a type in one JSON flavour, without white space.

    A type that is used more than once stands in `$defs`, under its full name. `address`: becomes `$id`, an
    absolute URI; `title`: of the whole.
    """
    describer = _Describer(flavour, _used_twice(root, flavour))
    described = describer.describe(root)
    whole: dict[str, Any] = {"$schema": _DIALECT}
    if address:
        whole["$id"] = address
    if title:
        whole["title"] = title
        described.pop("title", None)
    whole |= described
    if describer.shared:
        whole["$defs"] = describer.shared
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


class _Describer:
    def __init__(self, flavour: JsonFlavour, repeated: frozenset[str]) -> None:
        self.flavour: JsonFlavour = flavour
        self.repeated = repeated
        self.shared: dict[str, Any] = {}
        """What stands in `$defs`, by key."""
        self.branches = 0
        """How many branches have no name of their own and stand there all the same."""

    def describe(self, kind: AvroType) -> dict[str, Any]:
        key = _key(kind)
        if key not in self.repeated:
            return self._described(kind)
        if key not in self.shared:
            self.shared[key] = self._described(kind)
        return {"$ref": f"#/$defs/{key}"}

    def _described(self, kind: AvroType) -> dict[str, Any]:
        match kind:
            case Record():
                return self._record(kind)
            case Array():
                return {"type": "array", "items": self.describe(kind.items), "maxItems": MOST_ITEMS}
            case Map():
                return {
                    "type": "object",
                    "additionalProperties": self.describe(kind.values),
                    "propertyNames": {"maxLength": LONGEST_TEXT},
                    "maxProperties": MOST_ITEMS,
                }
            case Union():
                return self._union(kind)
            case Enumeration() | Fixed():
                return _titled(kind) | describe_scalar(kind, self.flavour)
            case Primitive():
                return describe_scalar(kind, self.flavour)

    def _record(self, kind: Record) -> dict[str, Any]:
        required = [field.name for field in kind.fields if when_absent(field) is ABSENT]
        return {
            **_titled(kind),
            "type": "object",
            "properties": {field.name: self._field(field) for field in kind.fields},
            **({"required": required} if required else {}),
            "additionalProperties": False,
        }

    def _field(self, field: Field) -> dict[str, Any]:
        described = self.describe(field.type)
        if field.doc:
            described["description"] = field.doc
        absent = when_absent(field)
        if absent is not ABSENT and field.default_size <= _LARGEST_DEFAULT:
            described["default"] = self._default(field.type, absent)
        return described

    def _default(self, kind: AvroType, datum: Any) -> Any:
        """A datum as people write it."""
        if isinstance(kind, Union) and datum[0] == kind.null_branch():
            return None
        return json.loads(compile_writer(kind, self.flavour)(datum))

    def _union(self, kind: Union) -> dict[str, Any]:
        if self.flavour == "avro":
            ways = [self._named([branch], [self.describe(branch)]) for branch in kind.branches]
            return ways[0] if len(ways) == 1 else {"anyOf": ways}
        if is_ambiguous(kind):
            ways = [self._branch(branch) for branch in kind.branches]
            return {"$comment": _NAMED_FIRST, "anyOf": [*ways, self._named(kind.branches, ways)]}
        ways = [self.describe(branch) for branch in kind.branches]
        if len(ways) == 1:
            return ways[0]
        is_open = len(ways) > 2 or kind.null_branch() is None  # noqa: PLR2004 - null and one type
        return {"$comment": _FIRST_FIT, "anyOf": ways} if is_open else {"anyOf": ways}

    def _branch(self, branch: AvroType) -> dict[str, Any]:
        """A branch that is spoken of twice, bare and named: what might be long is written out once."""
        if not isinstance(branch, Array | Map):
            return self.describe(branch)
        self.branches += 1
        key = f"branch-{self.branches}"
        self.shared[key] = self.describe(branch)
        return {"$ref": f"#/$defs/{key}"}

    def _named(self, branches: Sequence[AvroType], ways: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """An object whose one member is named as a branch; null has no name."""
        by_name = {branch_name(branch): way for branch, way in zip(branches, ways, strict=True)}
        if list(by_name) == ["null"]:
            return ways[0]
        by_name.pop("null", None)
        count = {"required": list(by_name)} if len(by_name) == 1 else {"minProperties": 1, "maxProperties": 1}
        return {"type": "object", "properties": by_name, **count, "additionalProperties": False}


def _titled(kind: Record | Enumeration | Fixed) -> dict[str, Any]:
    title = kind.name.rpartition(".")[2]
    return {"title": title, "description": kind.doc} if kind.doc else {"title": title}


def _key(kind: AvroType) -> str:
    """Under which name a type may stand in `$defs`; empty where it is written out wherever it is used.

    No Avro name has a hyphen, so that none is taken for a logical type's.
    """
    match kind:
        case Record() | Enumeration() | Fixed():
            return kind.name
        case Primitive() if kind.logical is not None and kind.logical.name != "decimal":
            return f"logical-{kind.logical.name}"
        case _:
            return ""


def _used_twice(root: AvroType, flavour: JsonFlavour) -> frozenset[str]:
    """The keys of the types that are written more than once; each is looked into once."""
    seen: set[str] = set()
    twice: set[str] = set()
    waiting: list[AvroType] = [root]
    while waiting:
        kind = waiting.pop()
        key = _key(kind)
        if key in seen:
            twice.add(key)
            continue
        seen.update([key] if key else [])
        match kind:
            case Record():
                waiting += [field.type for field in kind.fields]
            case Array():
                waiting.append(kind.items)
            case Map():
                waiting.append(kind.values)
            case Union():
                waiting += kind.branches
                if flavour == "plain" and is_ambiguous(kind):
                    waiting += [one for one in kind.branches if not isinstance(one, Array | Map)]
            case _:
                pass
    return frozenset(twice)
