"""One text for schemas that differ only in how they are written: order of members, white space.

What a reader may use stays in it: documentation, defaults, aliases, logical types.
Source: Confluent Schema Registry API, parameter `normalize`.
"""

import json
from typing import Any, Final

_ORDER: Final = (
    "type", "name", "namespace", "doc", "aliases", "fields", "items", "values", "symbols", "size", "default",
    "order", "logicalType", "precision", "scale",
)  # fmt: skip


def normal_text(text: str) -> str:
    """The normal form of a schema text that was admitted."""
    return json.dumps(_normal(json.loads(text)), ensure_ascii=False, separators=(",", ":"))


def _normal(document: Any) -> Any:
    if isinstance(document, list):
        return [_normal(one) for one in document]
    if not isinstance(document, dict):
        return document
    if set(document) == {"type"} and isinstance(document["type"], str):
        return document["type"]
    order = {name: index for index, name in enumerate(_ORDER)}
    return {
        name: document[name] if name == "default" else _normal(document[name])
        for name in sorted(document, key=lambda name: (order.get(name, len(_ORDER)), name))
    }
