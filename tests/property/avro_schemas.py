"""Random schemas with random data, over every type that admission takes.

Data stand in the plain form of `schemas.avro_type`: what reader and checker give, what encoder and writer
take. Unions hold whatever Avro allows side by side, also branches that JSON alone cannot tell apart.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_INT64 = st.integers(-(2**63), 2**63 - 1)
_DEEPEST = 3
_YEARS = (-62_135_596_800, 253_402_300_800)
"""Seconds of the years 1 to 9999."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """A type: its document, its data in plain form, and JSON values that may be its default."""

    document: Any
    data: st.SearchStrategy[Any]
    defaults: st.SearchStrategy[Any]


@dataclass(slots=True)
class _Drawing:
    """What one schema has named so far, and the namespace that stands around the next type."""

    count: int = 0
    space: str = ""
    named: dict[str, Sketch] = field(default_factory=dict)

    def full(self, name: str) -> str:
        return name if "." in name or not self.space else f"{self.space}.{name}"

    def nameable(self) -> list[str]:
        """Full names that mean themselves here: one without a namespace does not, inside another's."""
        return [name for name in self.named if "." in name or not self.space]


def _same(document: Any, data: st.SearchStrategy[Any]) -> Sketch:
    return Sketch(document, data, data)


def _raw(document: Any, data: st.SearchStrategy[bytes]) -> Sketch:
    return Sketch(document, data, data.map(lambda raw: raw.decode("latin-1")))


def _logical(carrier: str, name: str, data: st.SearchStrategy[Any]) -> Sketch:
    return _same({"type": carrier, "logicalType": name}, data)


def _moments(digits: int) -> st.SearchStrategy[int]:
    first, end = (bound * 10**digits for bound in _YEARS)
    return st.integers(max(first, -(2**63)), min(end, 2**63) - 1) | st.integers(-2, 2)


def _decimal(precision: int, scale: int, size: int | None, name: str = "") -> Sketch:
    largest = 10**precision - 1
    document: dict[str, Any] = {"logicalType": "decimal", "precision": precision, "scale": scale}
    document |= {"type": "bytes"} if size is None else {"type": "fixed", "name": name, "size": size}

    def literal(unscaled: int) -> str:
        bits = (unscaled if unscaled >= 0 else ~unscaled).bit_length()
        return unscaled.to_bytes(size or bits // 8 + 1, "big", signed=True).decode("latin-1")

    data = st.integers(-largest, largest) | st.integers(-min(9, largest), min(9, largest))
    return Sketch(document, data, data.map(literal))


PRIMITIVES: tuple[Sketch, ...] = (
    _same("null", st.none()),
    _same("boolean", st.booleans()),
    _same("int", st.integers(-(2**31), 2**31 - 1)),
    _same("long", _INT64),
    _same("float", st.floats(width=32, allow_nan=False, allow_infinity=False)),
    _same("double", st.floats(allow_nan=False, allow_infinity=False)),
    _same("string", TEXTS | st.sampled_from(["A", "AAAA", "1.50", "1970-01-01", "P0M0DT0.000S"])),
    _raw("bytes", st.binary(max_size=6)),
)
_NULL = PRIMITIVES[0]
_STRING = PRIMITIVES[6]
LOGICAL: tuple[Sketch, ...] = (
    _logical("string", "uuid", st.uuids().map(str) | st.uuids().map(lambda one: str(one).upper())),
    _logical("int", "date", st.integers(-719_162, 2_932_896)),
    _logical("int", "time-millis", st.integers(0, 86_400_000 - 1)),
    _logical("long", "time-micros", st.integers(0, 86_400_000_000 - 1)),
    *(
        _logical("long", f"{stem}{unit}", _moments(digits))
        for stem in ("timestamp-", "local-timestamp-")
        for unit, digits in (("millis", 3), ("micros", 6), ("nanos", 9))
    ),
    _decimal(9, 2, None),
    _decimal(38, 0, None),
    _decimal(38, 38, None),
)


@st.composite
def _fixed(draw: st.DrawFn, drawing: _Drawing) -> Sketch:
    name = draw(_names(drawing, "fix"))
    choice = draw(st.sampled_from(["plain", "decimal", "uuid", "duration"]))
    if choice == "decimal":
        return _decimal(*draw(st.sampled_from([(9, 2, 4), (38, 10, 16), (2, 2, 1)])), name=name)
    size = {"uuid": 16, "duration": 12}.get(choice) or draw(st.integers(1, 6))
    document: dict[str, Any] = {"type": "fixed", "name": name, "size": size}
    if choice != "plain":
        document["logicalType"] = choice
    return _raw(document, st.binary(min_size=size, max_size=size))


@st.composite
def _enumerations(draw: st.DrawFn, drawing: _Drawing) -> Sketch:
    symbols = draw(st.lists(st.sampled_from(["A", "B", "AAAA", "_c", "true"]), min_size=1, unique=True))
    document = {"type": "enum", "name": draw(_names(drawing, "enum")), "symbols": symbols}
    if draw(st.booleans()):
        document["default"] = symbols[0]
    return _same(document, st.sampled_from(symbols))


@st.composite
def _names(draw: st.DrawFn, drawing: _Drawing, stem: str) -> str:
    drawing.count += 1
    return draw(st.sampled_from(["", "", "", "a.", "a.b."])) + f"{stem}{drawing.count}"


@st.composite
def _records(draw: st.DrawFn, drawing: _Drawing, depth: int) -> Sketch:
    name, outer = draw(_names(drawing, "rec")), drawing.space
    drawing.space = drawing.full(name).rpartition(".")[0]
    fields: list[dict[str, Any]] = []
    parts: list[Sketch] = []
    for index in range(draw(st.integers(0 if depth else 1, 4))):
        part = draw(_types(drawing, depth + 1))
        fields.append({"name": f"f{index}", "type": part.document})
        if draw(st.integers(0, 3)) == 0:
            fields[-1]["default"] = draw(part.defaults)
        if draw(st.integers(0, 7)) == 0:
            fields[-1] |= {"doc": "why", "aliases": [f"g{index}"], "order": "ignore"}
        parts.append(part)
    drawing.space = outer
    document = {"type": "record", "name": name, "fields": fields}
    defaults = st.fixed_dictionaries({f"f{index}": part.defaults for index, part in enumerate(parts)})
    return Sketch(document, st.tuples(*(part.data for part in parts)).map(list), defaults)


@st.composite
def _unions(draw: st.DrawFn, drawing: _Drawing, depth: int) -> Sketch:
    branches: dict[str, Sketch] = {}
    for _ in range(draw(st.integers(1, 4))):
        known = dict(drawing.named)
        part = _NULL if draw(st.integers(0, 3)) == 0 else draw(_types(drawing, depth + 1))
        name = _branch_name(part.document, drawing)
        if name == "union" or name in branches:
            drawing.named = known
        else:
            branches[name] = part
    parts = list(branches.values()) or [_NULL]
    tagged = [st.tuples(st.just(index), part.data) for index, part in enumerate(parts)]
    return Sketch([part.document for part in parts], st.one_of(tagged), parts[0].defaults)


def _branch_name(document: Any, drawing: _Drawing) -> str:
    if isinstance(document, list):
        return "union"
    if isinstance(document, dict):
        return drawing.full(document["name"]) if "name" in document else str(document["type"])
    return str(document)


def _needs_bytes(document: Any, drawing: _Drawing) -> bool:
    """Whether each datum takes at least one byte, so that it may be an item."""
    if isinstance(document, list):
        return True
    if isinstance(document, dict) and document["type"] == "record":
        return any(_needs_bytes(one["type"], drawing) for one in document["fields"])
    if isinstance(document, str) and document in drawing.named:
        return _needs_bytes(drawing.named[document].document, drawing)
    return bool(document != "null")


_SIMPLE = ("primitive", "logical", "primitive", "logical", "enum", "fixed")
_NESTED = (*_SIMPLE, "known", "union", "union", "collection", "collection", "record", "record")


@st.composite
def _types(draw: st.DrawFn, drawing: _Drawing, depth: int) -> Sketch:
    choice = draw(st.sampled_from(_NESTED if depth <= _DEEPEST else _SIMPLE))
    if choice == "known" and drawing.nameable():
        name = draw(st.sampled_from(drawing.nameable()))
        return Sketch(name, drawing.named[name].data, drawing.named[name].defaults)
    if choice == "union":
        return draw(_unions(drawing, depth))
    if choice == "collection":
        return draw(_collections(drawing, depth))
    if choice not in {"enum", "fixed", "record"}:
        return draw(st.sampled_from(PRIMITIVES if choice == "primitive" else LOGICAL))
    if choice == "record":
        part = draw(_records(drawing, depth))
    else:
        part = draw(_enumerations(drawing) if choice == "enum" else _fixed(drawing))
    drawing.named[drawing.full(part.document["name"])] = part
    return part


@st.composite
def _collections(draw: st.DrawFn, drawing: _Drawing, depth: int) -> Sketch:
    known = dict(drawing.named)
    item = draw(_types(drawing, depth + 1))
    if not _needs_bytes(item.document, drawing):
        item, drawing.named = _STRING, known
    if draw(st.booleans()):
        document = {"type": "array", "items": item.document}
        return Sketch(document, st.lists(item.data, max_size=3), st.lists(item.defaults, max_size=2))
    document = {"type": "map", "values": item.document}
    data = st.dictionaries(TEXTS, item.data, max_size=3)
    return Sketch(document, data, st.dictionaries(TEXTS, item.defaults, max_size=2))


@st.composite
def schemas_and_data(draw: st.DrawFn, *, any_root: bool = False, most: int = 3) -> tuple[str, list[Any]]:
    """A schema text, and one to `most` data of it in plain form; a record is at the top unless `any_root`."""
    drawing = _Drawing()
    sketch = draw(_types(drawing, 0) if any_root else _records(drawing, 0))
    return json.dumps(sketch.document), draw(st.lists(sketch.data, min_size=1, max_size=most))
