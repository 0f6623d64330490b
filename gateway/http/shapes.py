"""JSON Schemas of our own answers and parameters, written short.

Objects are open in what we publish, so that a new member breaks no client; tests close them.
Source: JSON Schema 2020-12.
"""

from collections.abc import Mapping
from typing import Any, Final

Shape = Mapping[str, Any]
"""A JSON Schema."""

ANY: Final[Shape] = {}
FLAG: Final[Shape] = {"type": "boolean"}
TEXT: Final[Shape] = {"type": "string"}
BINARY: Final[Shape] = {"type": "string", "format": "binary"}
INSTANT: Final[Shape] = {"type": "string", "format": "date-time"}
DIGEST: Final[Shape] = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
REF: Final[Shape] = {"type": "string", "pattern": "^evt_[a-z2-7]{52}$"}
SCOPES: Final = ("audit", "manage", "receive", "send")
DIRECTION: Final[Shape] = {"type": "string", "enum": ["inbound", "outbound"]}


def ref(name: str) -> Shape:
    """A named schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def text(pattern: str = "", *, most: int | None = None, least: int = 0) -> Shape:
    """A text. `pattern`: of the whole of it; `least`, `most`: characters."""
    shape: dict[str, Any] = {"type": "string"}
    if pattern:
        shape["pattern"] = f"^{pattern}$"
    if least:
        shape["minLength"] = least
    if most is not None:
        shape["maxLength"] = most
    return shape


def word(*words: str) -> Shape:
    """One of a few words."""
    return {"type": "string", "enum": list(words)}


def whole(least: int = 0, most: int | None = None, default: int | None = None) -> Shape:
    """A whole number within bounds."""
    shape: dict[str, Any] = {"type": "integer", "minimum": least}
    if most is None or most >= 1 << 31:
        shape["format"] = "int64"
    if most is not None:
        shape["maximum"] = most
    if default is not None:
        shape["default"] = default
    return shape


def listed(item: Shape, *, most: int | None = None) -> Shape:
    """A list."""
    return {"type": "array", "items": dict(item), **({} if most is None else {"maxItems": most})}


def mapped(value: Shape) -> Shape:
    """An object whose members all have one shape, whatever their names."""
    return {"type": "object", "additionalProperties": dict(value)}


def maybe(shape: Shape) -> Shape:
    """A shape, or null."""
    if "$ref" in shape or "anyOf" in shape:
        return {"anyOf": [dict(shape), {"type": "null"}]}
    several = {**shape, "type": [shape["type"], "null"]}
    if "enum" in shape:
        several["enum"] = [*shape["enum"], None]
    return several


def record(members: Mapping[str, Shape], *, optional: Mapping[str, Shape] | None = None) -> Shape:
    """An object: members that are always there, and those that may be left out."""
    properties = {name: dict(shape) for name, shape in {**members, **(optional or {})}.items()}
    return {"type": "object", "properties": properties, "required": list(members)}


def page_of(item: Shape) -> Shape:
    """One page of a list; `next` is the cursor of the page after it."""
    return record({"items": listed(item), "next": maybe(TEXT)})


def any_of(*shapes: Shape) -> Shape:
    """One of several shapes."""
    return {"anyOf": [dict(shape) for shape in shapes]}
