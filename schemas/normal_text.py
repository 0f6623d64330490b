"""One text for schemas that differ only in how they are written: order of members, white space.

What a reader may use stays in it: documentation, defaults, aliases, logical types.
Source: Confluent Schema Registry API, parameter `normalize`.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

_TYPE: Final = (
    "type", "name", "namespace", "doc", "fields", "symbols", "size", "items", "values", "default", "aliases",
    "logicalType", "precision", "scale",
)  # fmt: skip
_FIELD: Final = ("name", "type", "doc", "default", "order", "aliases")


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
    whole = {name: value if name == "default" else _normal(value) for name, value in document.items()}
    if isinstance(whole.get("fields"), list):
        whole["fields"] = [_ordered(one, _FIELD) if isinstance(one, dict) else one for one in whole["fields"]]
    return _ordered(whole, _TYPE)


def _ordered(document: dict[str, Any], order: Sequence[str]) -> dict[str, Any]:
    """The members in this order, others behind them by name."""
    places = {name: at for at, name in enumerate(order)}
    return {
        name: document[name]
        for name in sorted(document, key=lambda name: (places.get(name, len(order)), name))
    }
