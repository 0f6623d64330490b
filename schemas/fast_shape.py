"""From a type to the nodes of its encoder, and with them the types that msgspec decodes.

Unions in which two branches take one kind of JSON value, and whatever nests too deep for code, become
`Opaque`: text that the reference reads. Records become Structs that take no unknown name.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any, Final

from msgspec import UNSET, Raw, defstruct

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
from schemas.check import compile_check, when_absent
from schemas.encoder import compile_encoder
from schemas.errors import NotMineError
from schemas.fast_encoder import Choice, Entries, Items, Member, Object, Opaque, Tagged
from schemas.fast_leaf import NUMBERS, fast_leaf
from schemas.fast_node import Node, count_quotes
from schemas.fast_scalars import Digits, Integer, Nothing, Number, Scalar, Text
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.leaf import JsonFlavour, leaf_of

MOST_NODES: Final = 500
_DEEPEST: Final = 8
"""Arrays, maps and unions inside each other; Python nests no more than 20 loops."""


class Builder:
    """Builds nodes for one JSON flavour, and counts them; a record is counted wherever it is used."""

    def __init__(self, flavour: JsonFlavour) -> None:
        self.flavour: JsonFlavour = flavour
        self.nodes = 0
        self.has_numbers = False
        self.records: dict[tuple[str, int], tuple[Object, int]] = {}

    def build(self, kind: AvroType, depth: int) -> Node:
        """The node of a type; `depth`: how many arrays, maps and unions are around it.

        Raises:
            NotMineError: the schema is too large for generated code.
        """
        self._count(1)
        match kind:
            case Record():
                return self._shared_record(kind, depth)
            case Array() | Map() | Union():
                return self._opaque(kind) if depth >= _DEEPEST else self._around(kind, depth + 1)
            case Primitive(name="null"):
                return Nothing()
            case Primitive(name="string", logical=None):
                return Text()
            case Primitive(name="int" | "long", logical=None):
                return Integer(1 << (31 if kind.name == "int" else 63))
            case Primitive() | Fixed() | Enumeration():
                return self._scalar(kind)

    def _around(self, kind: Array | Map | Union, depth: int) -> Node:
        match kind:
            case Union():
                return self._union(kind, depth)
            case Array():
                return self._items(kind, kind.items, depth)
            case Map():
                return self._items(kind, kind.values, depth)

    def _items(self, kind: Array | Map, item: AvroType, depth: int) -> Node:
        """An array or map; one with opaque parts is read by the reference at once, not part by part."""
        node = self.build(item, depth)
        if _has_opaque(node):
            return self._opaque(kind)
        return Items(node) if isinstance(kind, Array) else Entries(node)

    def _shared_record(self, kind: Record, depth: int) -> Node:
        key = (kind.name, depth)
        if key not in self.records:
            before = self.nodes
            node = self._record(kind, depth)
            self.records[key] = (node, self.nodes - before)
            return node
        node, nodes = self.records[key]
        self._count(nodes)  # its code is written where it is used
        return node

    def _count(self, nodes: int) -> None:
        self.nodes += nodes
        if self.nodes > MOST_NODES:
            raise NotMineError

    def _scalar(self, kind: Primitive | Fixed | Enumeration) -> Node:
        leaf = fast_leaf(kind, self.flavour)
        if leaf is None:
            return self._opaque(kind)
        if leaf_of(kind, self.flavour).kinds == NUMBERS:
            self.has_numbers = True
            return Number(leaf)
        if leaf.annotation is Raw and isinstance(kind, Primitive) and kind.logical and leaf.parse:
            return Digits(leaf.parse, kind.logical.precision, kind.logical.scale)
        return Scalar(leaf)

    def _record(self, kind: Record, depth: int) -> Object:
        members = tuple(self._member(field, index, depth) for index, field in enumerate(kind.fields))
        return Object(_struct(members), members)

    def _member(self, field: Field, index: int, depth: int) -> Member:
        datum = when_absent(field)
        absent = None if datum is ABSENT else (_encoded(field.type, datum), datum)
        return Member(field.name, f"f{index}", self.build(field.type, depth), absent)

    def _union(self, kind: Union, depth: int) -> Node:
        if self.flavour == "avro":
            return self._tagged(kind, depth)
        if is_ambiguous(kind):
            return self._opaque(kind)
        nodes = [self.build(branch, depth) for branch in kind.branches]
        token = _nullable_token(nodes)
        if token is not None:
            return token
        if any(node.annotation is Raw for node in nodes):
            return self._opaque(kind)
        branches = tuple((index, _test(node), node) for index, node in enumerate(nodes))
        return Choice(reduce(or_, [node.annotation for node in nodes]), branches)

    def _tagged(self, kind: Union, depth: int) -> Node:
        null = kind.null_branch()
        members = [
            (index, Member(branch_name(branch), f"f{index}", self.build(branch, depth), (b"", None)))
            for index, branch in enumerate(kind.branches)
            if index != null
        ]
        struct = _struct([one for _, one in members])
        return Tagged(struct if null is None else struct | None, tuple(members), null)

    def _opaque(self, kind: AvroType) -> Node:
        check, encode = compile_check(kind, self.flavour), compile_encoder(kind)

        def encode_text(raw: Raw) -> tuple[Any, bytes, int]:
            text = bytes(raw)
            findings = Findings()
            datum = check(read_with_findings(text, findings), None, findings)
            findings.verify()
            out = bytearray()
            encode(datum, out)
            return datum, bytes(out), count_quotes(text) // 2

        return Opaque(encode_text)


def _encoded(kind: AvroType, datum: Any) -> bytes:
    if isinstance(kind, Union) and datum[1] is None:
        return bytes([2 * datum[0]])  # null, as most that may be absent
    out = bytearray()
    compile_encoder(kind)(datum, out)
    return bytes(out)


def _struct(members: Sequence[Member]) -> Any:
    """The type that msgspec decodes a record into: no name but these, UNSET where one may be absent."""
    return defstruct(
        "Record",
        [(one.attribute, one.annotation, *([] if one.absent is None else [UNSET])) for one in members],
        rename={one.attribute: one.name for one in members},
        forbid_unknown_fields=True,
        kw_only=True,
        gc=False,
        eq=False,
    )


def _nullable_token(nodes: Sequence[Node]) -> Choice | None:
    """A union of null and what is decoded from its text."""
    if len(nodes) == 2:  # noqa: PLR2004 - null and one type
        for null, other in ((0, 1), (1, 0)):
            if isinstance(nodes[null], Nothing) and nodes[other].annotation is Raw:
                branches = ((null, "bytes({}) == b'null'", nodes[null]), (other, "True", nodes[other]))
                return Choice(Raw, branches)
    return None


def _has_opaque(node: Node) -> bool:
    match node:
        case Object():
            return any(_has_opaque(one.node) for one in node.members)
        case Choice():
            return any(_has_opaque(one) for _, _, one in node.branches)
        case Tagged():
            return any(_has_opaque(one.node) for _, one in node.members)
        case _:  # an array or map with opaque parts is opaque itself
            return isinstance(node, Opaque)


def _test(node: Node) -> str:
    """An expression that is true of the node's values, and of no others that a union may hold."""
    match node:
        case Items():
            return "{0}.__class__ is list"
        case Entries():
            return "{0}.__class__ is dict"
        case Object():
            return "isinstance({0}, Struct)"
        case _:
            return _TESTS[node.annotation]


_TESTS: Final[dict[Any, str]] = {
    None: "{0} is None",
    bool: "{0}.__class__ is bool",
    int: "{0}.__class__ is int",
    str: "{0}.__class__ is str",
    int | float: "{0}.__class__ is int or {0}.__class__ is float",
    str | int: "{0}.__class__ is str or {0}.__class__ is int",
}
