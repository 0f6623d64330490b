"""Event types of one contract as operations of their own: the schema of the data, and a sample.

Whatever the gateway takes, the schema takes; what it cannot say is in `schemas.json_schema`.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.channels import Channel
from gateway.http.shapes import ref
from gateway.http.told import JSON
from schemas.errors import SchemaError
from schemas.json_schema import json_schema
from schemas.sample import sample

MOST_CHARACTERS: Final = 4 * 1024 * 1024
"""Of all schemas of a document together; types beyond it are left to the generic route."""

LARGEST_SAMPLE: Final = 64 * 1024
"""Characters of an example."""

_SEND: Final = "send"
"""What ids of operations that send begin with."""
_PLAIN: Final = re.compile(r"[a-z0-9]+(\.[a-z][a-z0-9]*)*")
"""Types that no two of have one name in camel case."""
_DEFINED: Final = "#/$defs/"
_NULL: Final[Mapping[str, Any]] = {"type": "null"}
_NULL_AND_ONE: Final = 2


@dataclass(frozen=True, slots=True)
class TypedEvents:
    """Operations and named schemas of some event types. `left_out`: types whose schemas were too large."""

    paths: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    schemas: Mapping[str, Any] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def describe_types(
    channels: Sequence[Channel],
    generic: Mapping[str, Any],
    base: str,
    *,
    taken: Collection[str] = (),
    most: int = MOST_CHARACTERS,
) -> TypedEvents:
    """A path for each type, after the operation that takes any. `base`: of the partner's paths.

    `taken`: ids that other operations have; `most`: characters that the schemas may have together.
    """
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    left_out: list[str] = []
    spent = 0
    ordered = sorted(channels, key=lambda one: one.event_type)
    stems = _stems([one.event_type for one in ordered], taken)
    for channel, stem in zip(ordered, stems, strict=True):
        newest = channel.versions[0].schema.root
        flavour = channel.line.terms.json
        text = "" if spent > most else json_schema(newest, flavour=flavour)
        spent += len(text)
        if not text or spent > most:
            left_out.append(channel.event_type)
            continue
        name = f"{stem}Data"
        schemas |= _hoisted(json.loads(text), name)
        paths[f"{base}/events/{channel.event_type}"] = {
            "post": _operation(generic, _SEND + stem, name, channel, _sample(channel))
        }
    return TypedEvents(paths, schemas, tuple(left_out))


def _operation(
    generic: Mapping[str, Any], operation_id: str, name: str, channel: Channel, example: Any
) -> dict[str, Any]:
    body = generic["requestBody"]
    media = dict(body["content"])
    media[JSON] = {"schema": dict(ref(name)), **({} if example is None else {"example": example})}
    version = channel.versions[0].number
    return {
        **generic,
        "operationId": operation_id,
        "summary": f"Send {channel.event_type}",
        "description": f"{_identity(channel)} The schema is version {version}. {generic['description']}",
        "parameters": [one for one in generic["parameters"] if one["in"] != "path"],
        "requestBody": {**body, "content": media},
    }


def _identity(channel: Channel) -> str:
    rule = channel.line.terms.id
    match rule.mode:
        case "pointers":
            return f"The event's id stands in the data, at {', '.join(f'`{one}`' for one in rule.pointers)}."
        case "required":
            return "The event's id is named by `Idempotency-Key` or `ce-id`."
        case _:
            return "Where no id is given, one is made."


def _sample(channel: Channel) -> Any:
    try:
        text = sample(channel.versions[0].schema.root, flavour=channel.line.terms.json)
    except SchemaError:
        return None
    return json.loads(text) if len(text) <= LARGEST_SAMPLE else None


def _stems(types: Sequence[str], taken: Collection[str]) -> list[str]:
    """A name in camel case for each type.

    Where several read alike (`order.placed`, `order_placed`), the one without underscores has the plain name,
    whatever comes beside it later; all others, and those whose operation would be called as another is, have
    their digests in it.
    """
    plain = ["".join(word.capitalize() for word in one.replace("_", ".").split(".")) for one in types]
    others = {one.removeprefix(_SEND) for one in taken if one.startswith(_SEND)}
    times = Counter(plain)
    return [
        stem
        if stem not in others and (times[stem] == 1 or _PLAIN.fullmatch(one))
        else stem + hashlib.sha256(one.encode()).hexdigest()[:8]
        for one, stem in zip(types, plain, strict=True)
    ]


def _hoisted(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """A JSON Schema, and what it defines, as named schemas of the document."""
    defined = whole.pop("$defs", {})
    whole.pop("$schema", None)
    found = {name: _moved(whole, name)}
    found |= {f"{name}.{key}": _moved(schema, name) for key, schema in defined.items()}
    return found


def _moved(schema: Any, name: str) -> Any:
    """A schema whose references lead to where the definitions went; its data stay as they are."""
    if isinstance(schema, list):
        return [_moved(one, name) for one in schema]
    if not isinstance(schema, dict):
        return schema
    moved: dict[str, Any] = {}
    for key, inner in schema.items():
        if key == "$ref":
            moved[key] = f"#/components/schemas/{name}.{inner.removeprefix(_DEFINED)}"
        elif key == "properties":
            moved[key] = {one: _moved(shape, name) for one, shape in inner.items()}
        elif key in {"default", "enum", "const", "required"}:
            moved[key] = inner
        else:
            moved[key] = _moved(inner, name)
    return _with_null_last(moved)


def _with_null_last(schema: dict[str, Any]) -> dict[str, Any]:
    """Null and one other type as generators of clients know it; it takes the same."""
    ways = schema.get("anyOf", ())
    if len(ways) != _NULL_AND_ONE or _NULL not in ways:
        return schema
    [other] = [one for one in ways if one != _NULL]
    if not isinstance(other.get("type"), str) or "enum" in other:
        return {**schema, "anyOf": [other, _NULL]}
    rest = {key: inner for key, inner in schema.items() if key != "anyOf"}
    return {**other, **rest, "type": [other["type"], "null"]}
