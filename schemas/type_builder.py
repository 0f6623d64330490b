"""From the JSON of a schema to its types: names resolved, every rule checked, the first refusal raised.

Recurses, but never deeper than the text, whose depth admission has bounded; a type that names itself is
refused.
Source: Apache Avro 1.12 specification, "Schema Declaration".
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from schemas.admission import (
    MOST_BRANCHES,
    MOST_DEFINITIONS,
    MOST_SYMBOLS,
    Measure,
    admit_count,
    admit_full_name,
    admit_items,
    admit_measure,
    admit_name,
    admit_size,
)
from schemas.avro_type import (
    ABSENT,
    PRIMITIVES,
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
from schemas.defaults import Default, parse_default
from schemas.errors import SchemaError
from schemas.logical import parse_logical

_WIDTHS: Mapping[str, int] = {"null": 0, "float": 4, "double": 8}
_ORDERS = ("ascending", "descending", "ignore")
"""No set: what is asked for may be a list."""


class Built(NamedTuple):
    """A type and what it costs."""

    type: AvroType
    measure: Measure


class TypeBuilder:
    """Builds the types of one schema document after another; what one defines, the next may name.

    `named`: by full name, None while a definition is still open; `used`: the names that were looked up.
    """

    def __init__(self) -> None:
        self.named: dict[str, Built | None] = {}
        self.used: set[str] = set()
        self.definitions = 0
        self.default_bytes = 0
        self.aliases: dict[str, tuple[str, str]] = {}
        """Alias to the full name that it stands for, and where it stands."""

    def build_root(self, document: Any) -> AvroType:
        """The type that an admitted schema document describes.

        Raises:
            SchemaError: it breaks a rule; the error names rule and place.
        """
        root = self._build(document, "", "").type
        for alias, (name, pointer) in self.aliases.items():
            if alias in self.named and alias != name:
                text = f"{alias} is the name of another type; {name} may not have it as an alias"
                raise SchemaError("duplicate", text, pointer)
        self.aliases.clear()
        return root

    def _build(self, document: Any, namespace: str, pointer: str) -> Built:
        match document:
            case str():
                return self._named_or_primitive(document, namespace, pointer)
            case list():
                return self._union(document, namespace, pointer)
            case dict():
                return self._object(document, namespace, pointer)
            case _:
                raise SchemaError("shape", "a type is a name, a list (union) or an object", pointer)

    def _named_or_primitive(self, name: str, namespace: str, pointer: str) -> Built:
        if name in PRIMITIVES:
            return _scalar(Primitive(name), _WIDTHS.get(name, 1))
        admit_full_name(name, pointer)
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        built = self.named.get(full, ABSENT)
        if built is None:
            text = (
                f"{full} contains itself; recursive types are not taken: a few bytes could nest without end"
            )
            raise SchemaError("recursion", text, pointer)
        if not isinstance(built, Built):
            raise SchemaError(
                "unknown_name", f"{full} is neither a primitive type nor defined before this place", pointer
            )
        self.used.add(full)
        return built

    def _object(self, document: dict[str, Any], namespace: str, pointer: str) -> Built:
        kind = document.get("type", ABSENT)
        builders: Mapping[str, Callable[[dict[str, Any], str, str], Built]] = {
            "record": self._record,
            "enum": self._enumeration,
            "fixed": self._fixed,
            "array": self._array,
            "map": self._map,
        }
        if not isinstance(kind, str):
            text = (
                "needs a `type` that is a name; write a union or a nested type without this object around it"
            )
            raise SchemaError("shape", text, pointer)
        if kind in builders:
            return builders[kind](document, namespace, pointer)
        if kind in PRIMITIVES:
            logical = parse_logical(document, kind, 0, pointer)
            return _scalar(Primitive(kind, logical), _WIDTHS.get(kind, 1))
        if "logicalType" in document:
            raise SchemaError(
                "logical_type", "belongs to a definition, not to a use of its name", f"{pointer}/logicalType"
            )
        return self._named_or_primitive(kind, namespace, f"{pointer}/type")

    def _array(self, document: dict[str, Any], namespace: str, pointer: str) -> Built:
        built = self._part(document, "items", namespace, pointer)
        return _around(Array(built.type), [built], 1, pointer)

    def _map(self, document: dict[str, Any], namespace: str, pointer: str) -> Built:
        built = self._part(document, "values", namespace, pointer)
        return _around(Map(built.type), [built], 1, pointer)

    def _part(self, document: dict[str, Any], member: str, namespace: str, pointer: str) -> Built:
        _refuse_logical(document, pointer)
        if member not in document:
            raise SchemaError("shape", f"needs `{member}`", pointer)
        built = self._build(document[member], namespace, f"{pointer}/{member}")
        admit_items(built.measure, f"{pointer}/{member}")
        return built

    def _union(self, document: list[Any], namespace: str, pointer: str) -> Built:
        admit_count("branches", len(document), MOST_BRANCHES, pointer)
        parts: list[Built] = []
        names: set[str] = set()
        for index, item in enumerate(document):
            at = f"{pointer}/{index}"
            built = self._build(item, namespace, at)
            name = branch_name(built.type)
            if isinstance(built.type, Union):
                raise SchemaError("union", "a union may not stand directly in a union; merge the two", at)
            if name in names:
                raise SchemaError("union", f"{name} is already a branch; a union may have each only once", at)
            names.add(name)
            parts.append(built)
        width = 1 + min(part.measure.width for part in parts)
        return _around(Union(tuple(part.type for part in parts)), parts, width, pointer)

    def _record(self, document: dict[str, Any], namespace: str, pointer: str) -> Built:
        name = self._open(document, namespace, pointer)
        _refuse_logical(document, pointer)
        fields = document.get("fields")
        if not isinstance(fields, list):
            raise SchemaError("shape", "a record needs a list of `fields`", pointer)
        space = name.rpartition(".")[0]
        parts: list[Built] = []
        found: dict[str, Field] = {}
        for index, item in enumerate(fields):
            at = f"{pointer}/fields/{index}"
            field, built = self._field(item, space, at)
            if field.name in found:
                raise SchemaError(
                    "duplicate", f"{field.name} is already a field of this record", f"{at}/name"
                )
            found[field.name] = field
            parts.append(built)
        _refuse_shared_aliases(found.values(), pointer)
        width = sum(part.measure.width for part in parts)
        kind = Record(
            name, tuple(found.values()), self._aliases(document, name, pointer), _doc(document, pointer)
        )
        return self._close(name, _around(kind, parts, width, pointer))

    def _field(self, document: Any, namespace: str, pointer: str) -> tuple[Field, Built]:
        self._count(pointer)
        if not isinstance(document, dict) or "type" not in document:
            raise SchemaError("shape", "a field is an object with `name` and `type`", pointer)
        name = admit_name(document.get("name"), f"{pointer}/name")
        if "logicalType" in document:
            text = 'belongs inside the type: {"type": {"type": "long", "logicalType": "timestamp-millis"}}'
            raise SchemaError("logical_type", text, f"{pointer}/logicalType")
        if document.get("order", "ascending") not in _ORDERS:
            raise SchemaError("shape", "is none of ascending, descending, ignore", f"{pointer}/order")
        built = self._build(document["type"], namespace, f"{pointer}/type")
        default, size = Default(ABSENT, 0)
        if "default" in document:
            at = f"{pointer}/default"
            default, size = parse_default(built.type, document["default"], at, before=self.default_bytes)
            self.default_bytes += size
        aliases = _aliases(document, pointer, admit_name)
        return Field(name, built.type, default, aliases, _doc(document, pointer), size), built

    def _enumeration(self, document: dict[str, Any], namespace: str, pointer: str) -> Built:
        name = self._open(document, namespace, pointer)
        _refuse_logical(document, pointer)
        symbols = document.get("symbols")
        if not isinstance(symbols, list):
            raise SchemaError("shape", "an enum needs a list of `symbols`", pointer)
        admit_count("symbols", len(symbols), MOST_SYMBOLS, f"{pointer}/symbols")
        found: dict[str, None] = {}
        for index, symbol in enumerate(symbols):
            at = f"{pointer}/symbols/{index}"
            if admit_name(symbol, at) in found:
                raise SchemaError("duplicate", "this symbol stands twice", at)
            found[symbol] = None
        default = document.get("default")
        if "default" in document and (not isinstance(default, str) or default not in found):
            raise SchemaError("default", "is none of the symbols", f"{pointer}/default")
        aliases = self._aliases(document, name, pointer)
        kind = Enumeration(name, tuple(found), default, aliases, _doc(document, pointer))
        return self._close(name, _scalar(kind, 1))

    def _fixed(self, document: dict[str, Any], namespace: str, pointer: str) -> Built:
        name = self._open(document, namespace, pointer)
        size = admit_size(document.get("size"), f"{pointer}/size")
        logical = parse_logical(document, "fixed", size, pointer)
        aliases = self._aliases(document, name, pointer)
        return self._close(name, _scalar(Fixed(name, size, logical, aliases, _doc(document, pointer)), size))

    def _open(self, document: dict[str, Any], namespace: str, pointer: str) -> str:
        """The full name of a definition, from here on known as open."""
        self._count(pointer)
        name = admit_full_name(document.get("name"), f"{pointer}/name")
        space = document.get("namespace", namespace)
        if space != "":
            admit_full_name(space, f"{pointer}/namespace")
        if "." not in name and space:
            name = admit_full_name(f"{space}.{name}", f"{pointer}/name")
        if name.rpartition(".")[2] in PRIMITIVES:
            raise SchemaError("name", "is the name of a primitive type", f"{pointer}/name")
        if name in self.named:
            raise SchemaError("duplicate", f"{name} is already defined", f"{pointer}/name")
        self.named[name] = None
        return name

    def _aliases(self, document: dict[str, Any], name: str, pointer: str) -> tuple[str, ...]:
        """The full names of a type's aliases; none stands for two types."""
        space = name.rpartition(".")[0]
        found = _aliases(document, pointer, admit_full_name)
        aliases = tuple(one if "." in one or not space else f"{space}.{one}" for one in found)
        for index, alias in enumerate(aliases):
            at = f"{pointer}/aliases/{index}"
            other, _ = self.aliases.setdefault(alias, (name, at))
            if other != name:
                raise SchemaError("duplicate", f"{alias} is already an alias of {other}", at)
        return aliases

    def _close(self, name: str, built: Built) -> Built:
        self.named[name] = built
        return built

    def _count(self, pointer: str) -> None:
        self.definitions += 1
        if self.definitions > MOST_DEFINITIONS:
            raise SchemaError("count", f"has more than {MOST_DEFINITIONS} named types and fields", pointer)


def _refuse_logical(document: dict[str, Any], pointer: str) -> None:
    if "logicalType" in document:
        raise SchemaError("logical_type", f"none may stand on {document['type']}", f"{pointer}/logicalType")


def _aliases(document: dict[str, Any], pointer: str, admit: Callable[[Any, str], str]) -> tuple[str, ...]:
    names = document.get("aliases", [])
    if not isinstance(names, list):
        raise SchemaError("shape", "is a list of names", f"{pointer}/aliases")
    found: dict[str, None] = {}
    for index, name in enumerate(names):
        at = f"{pointer}/aliases/{index}"
        if admit(name, at) in found:
            raise SchemaError("duplicate", "this alias stands twice", at)
        found[name] = None
    return tuple(found)


def _refuse_shared_aliases(fields: Iterable[Field], pointer: str) -> None:
    """Refuse an alias that is the name or an alias of another field: a reader would have the choice."""
    owners = {field.name: field.name for field in fields}
    for index, field in enumerate(fields):
        for place, alias in enumerate(field.aliases):
            if owners.setdefault(alias, field.name) != field.name:
                text = f"{alias} already stands for the field {owners[alias]}"
                raise SchemaError("duplicate", text, f"{pointer}/fields/{index}/aliases/{place}")


def _doc(document: dict[str, Any], pointer: str) -> str:
    doc = document.get("doc", "")
    if not isinstance(doc, str):
        raise SchemaError("shape", "is a text", f"{pointer}/doc")
    return doc


def _scalar(kind: AvroType, width: int) -> Built:
    return Built(kind, Measure(nesting=0, expanded=1, width=width, hollow=int(width == 0)))


def _around(kind: AvroType, parts: list[Built], width: int, pointer: str) -> Built:
    nesting = 1 + max((part.measure.nesting for part in parts), default=0)
    expanded = 1 + sum(part.measure.expanded for part in parts)
    hollow = int(width == 0) + sum(part.measure.hollow for part in parts)
    return Built(kind, admit_measure(Measure(nesting, expanded, width, hollow), pointer))
