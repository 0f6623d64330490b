"""JSON Schema 2020-12 from the types of a schema: what the validator takes, in the words that tools know.

Whatever the validator takes, the JSON Schema takes. What the JSON Schema takes the validator takes too, but
for what JSON Schema cannot say; that is refused by the gateway alone:

* sizes in bytes of UTF-8 (a string and a name have at most 262,144; `maxLength` counts characters), and the
  100,000 items that all arrays and maps of one event may have together;
* names that stand twice in an object, and lone surrogates;
* how a number is written: `1.0` is a number for JSON Schema and no `int` for Avro; integers beyond 64 bits;
* the last digits of a decimal that is sent as a number, not as text;
* instants that an offset moves out of the years 1 to 9999, or that 64 bits of nanoseconds do not hold, and
  durations beyond 32 bits in a part;
* in the Avro JSON encoding, the value of a decimal's bytes.

A union takes the first branch that fits, in the order of `anyOf`.

Source: JSON Schema 2020-12, "Core" and "Validation".
"""

import json
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
from schemas.findings import MOST_ITEMS
from schemas.json_schema_scalars import describe_scalar
from schemas.json_writer import compile_writer
from schemas.leaf import LONGEST_TEXT, JsonFlavour

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_FIRST_FIT: Final = "The first that fits, in this order."


def json_schema(root: AvroType, *, flavour: JsonFlavour, address: str = "", title: str = "") -> str:
    """The text of the JSON Schema of a type in one JSON flavour.

    A type that is used more than once stands in `$defs`, under its full name. `address`: becomes `$id`, an
    absolute URI; `title`: of the whole.
    """
    describer = _Describer(flavour, _used_twice(root))
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
    return json.dumps(whole, ensure_ascii=False, indent=2)


class _Describer:
    def __init__(self, flavour: JsonFlavour, repeated: frozenset[str]) -> None:
        self.flavour: JsonFlavour = flavour
        self.repeated = repeated
        self.shared: dict[str, Any] = {}
        """What stands in `$defs`, by key."""

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
        required = [field.name for field in kind.fields if _when_absent(field) is ABSENT]
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
        absent = _when_absent(field)
        if absent is not ABSENT:
            described["default"] = json.loads(compile_writer(field.type, self.flavour)(absent))
        return described

    def _union(self, kind: Union) -> dict[str, Any]:
        ways = [self._branch(branch) for branch in kind.branches]
        if len(ways) == 1:
            return ways[0]
        is_open = len(ways) > 2 or kind.null_branch() is None  # noqa: PLR2004 - null and one type
        comment = {"$comment": _FIRST_FIT} if is_open and self.flavour == "plain" else {}
        return {**comment, "anyOf": ways}

    def _branch(self, branch: AvroType) -> dict[str, Any]:
        described = self.describe(branch)
        name = branch_name(branch)
        if self.flavour == "plain" or name == "null":
            return described
        return {
            "type": "object",
            "properties": {name: described},
            "required": [name],
            "additionalProperties": False,
        }


def _titled(kind: Record | Enumeration | Fixed) -> dict[str, Any]:
    title = kind.name.rpartition(".")[2]
    return {"title": title, "description": kind.doc} if kind.doc else {"title": title}


def _when_absent(field: Field) -> Any:
    """The datum of a field that is not sent, as the validator sees it; ABSENT where it must be sent."""
    if field.default is not ABSENT:
        return field.default
    if isinstance(field.type, Union):
        index = field.type.null_branch()
        return ABSENT if index is None else (index, None)
    return None if field.type == Primitive("null") else ABSENT


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


def _used_twice(root: AvroType) -> frozenset[str]:
    """The keys of the types that are used more than once; each is looked into once."""
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
            case _:
                pass
    return frozenset(twice)
