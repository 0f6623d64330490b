"""Random pairs of schemas, one evolved from the other, with data of the first."""

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from schemas.encoder import compile_encoder
from schemas.errors import SchemaError
from schemas.schema import Schema, parse_schema
from tests.property.avro_schemas import LOGICAL, PRIMITIVES, Sketch, schemas_and_data

_PROMOTIONS = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
}


@dataclass(slots=True)
class _Evolution:
    """How a document is changed: `tame` what Apache Avro's reader follows, `fair` what the specification says
    must be readable, `wild` anything.
    """

    draw: st.DrawFn
    mood: str
    renamed: dict[str, str] = field(default_factory=dict)
    added: int = 0

    def chance(self, percent: int) -> bool:
        return self.draw(st.integers(0, 99)) < percent

    def type(self, document: Any, *, in_union: bool = False, in_items: bool = False) -> Any:
        if self.mood == "wild" and self.chance(3):
            return self._other()
        changed = self._inner(document, in_items=in_items)
        is_open = not in_union and not (in_items and self.mood == "tame")
        if is_open and not isinstance(changed, list) and changed != "null" and self.chance(12):
            return self.draw(st.sampled_from([["null", changed], [changed, "null"]]))
        return changed

    def _other(self) -> Any:
        return self.draw(st.sampled_from([one.document for one in PRIMITIVES + LOGICAL]))

    def _inner(self, document: Any, *, in_items: bool) -> Any:
        if isinstance(document, list):
            return self._union(document)
        if isinstance(document, str):
            return self._word(document, in_items=in_items)
        match document["type"]:
            case "array":
                return {**document, "items": self.type(document["items"], in_items=True)}
            case "map":
                return {**document, "values": self.type(document["values"], in_items=True)}
            case "record":
                return self._record(document)
            case "enum":
                return self._enumeration(document)
            case "fixed":
                return self._fixed(document)
            case _:
                return self._logical(document)

    def _word(self, name: str, *, in_items: bool) -> str:
        promotions = _PROMOTIONS.get(name, ())
        if self.mood == "tame":
            promotions = () if in_items or name == "string" else promotions
        if self.mood == "wild" and name == "bytes":
            promotions = ("string",)
        if promotions and self.chance(20):
            return self.draw(st.sampled_from(promotions))
        return self.renamed.get(name, name)

    def _logical(self, document: dict[str, Any]) -> dict[str, Any]:
        if "precision" in document and self.chance(30):
            most = 38 if self.mood != "wild" else 37
            return {**document, "precision": min(most, document["precision"] + 1)}
        if self.mood == "wild" and self.chance(10):
            return {"type": document["type"]}
        return document

    def _union(self, branches: list[Any]) -> Any:
        if self.mood == "wild" and self.chance(20):
            branches = self.draw(st.lists(st.sampled_from(branches), min_size=1, unique_by=repr))
            if len(branches) == 1 and self.chance(50):
                return self.type(branches[0])
        changed = [self.type(branch, in_union=True) for branch in branches]
        if self.chance(25):
            changed += [more for more in ("null", "boolean") if more not in changed]
        return self.draw(st.permutations(changed)) if self.chance(25) else changed

    def _named(self, document: dict[str, Any]) -> dict[str, Any]:
        if self.mood == "tame" or not self.chance(15):
            return document
        name = document["name"]
        self.renamed[name] = f"{name}x"
        changed = {**document, "name": f"{name}x"}
        return changed if self.mood == "wild" and self.chance(40) else {**changed, "aliases": [name]}

    def _fixed(self, document: dict[str, Any]) -> dict[str, Any]:
        changed = self._named(document)
        if self.mood == "wild" and "logicalType" not in document and self.chance(20):
            changed = {**changed, "size": document["size"] + 1}
        return changed

    def _enumeration(self, document: dict[str, Any]) -> dict[str, Any]:
        changed = self._named(document)
        symbols = list(document["symbols"])
        if self.chance(30):
            symbols = self.draw(st.permutations([*symbols, "added"]))
        if self.mood != "tame" and len(symbols) > 1 and self.chance(30):
            default = symbols[1]
            changed = {**changed, "symbols": symbols[1:], "default": default}
            if self.mood == "wild" and self.chance(50):
                changed.pop("default")
            return changed
        return {**changed, "symbols": symbols}

    def _record(self, document: dict[str, Any]) -> dict[str, Any]:
        changed = self._named(document)
        fields = [self._field(one) for one in document["fields"]]
        kept = [one for one in fields if '"name"' in json.dumps(one["type"]) or not self.chance(12)]
        if self.chance(35):
            kept.append(self._gained())
        if self.chance(25):
            kept = self.draw(st.permutations(kept))
        return {**changed, "fields": list(kept)}

    def _field(self, document: dict[str, Any]) -> dict[str, Any]:
        changed = {"name": document["name"], "type": self.type(document["type"])}
        if self.mood != "tame" and self.chance(12):
            changed |= {"name": f"{document['name']}x", "aliases": ["unknown", document["name"]]}
        return changed

    def _gained(self) -> dict[str, Any]:
        self.added += 1
        sketch: Sketch = self.draw(st.sampled_from(PRIMITIVES + LOGICAL))
        gained = {"name": f"n{self.added}", "type": sketch.document}
        if self.mood == "wild" and self.chance(30):
            return gained
        default = self.draw(sketch.defaults)
        if self.chance(30):
            text = sketch.document if isinstance(sketch.document, str) else sketch.document["type"]
            array = {"type": "array", "items": "string" if text == "null" else sketch.document}
            return {**gained, "type": array, "default": [] if text == "null" else [default]}
        return {**gained, "default": default}


@dataclass(frozen=True, slots=True)
class Pair:
    """A writer with the Avro bytes of some of its data, and a reader."""

    writer: Schema
    reader: Schema
    data: list[Any]
    raws: list[bytes]


@st.composite
def pairs(draw: st.DrawFn, mood: str) -> Pair:
    text, data = draw(schemas_and_data())
    evolved = _Evolution(draw, mood).type(json.loads(text), in_union=True)
    writer = parse_schema(text)
    try:
        reader = parse_schema(json.dumps(evolved))
    except SchemaError:
        assume(False)  # noqa: FBT003 - how Hypothesis is told to draw again
        raise
    encode = compile_encoder(writer.root)
    raws = []
    for datum in data:
        out = bytearray()
        encode(datum, out)
        raws.append(bytes(out))
    return Pair(writer, reader, data, raws)
