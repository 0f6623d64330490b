"""The compiled path from JSON to Avro: msgspec decodes into Structs, one generated function checks and encodes.

It never takes what the reference refuses, and gives the same bytes; what it is not sure of it leaves to the
reference, which alone names faults. What makes it sure:

* JSON itself is msgspec's: RFC 8259 strictly, UTF-8 and no lone surrogates, no byte order mark, integers apart
  from numbers with fraction or exponent, no unknown names. Depth is the schema's, since nothing is skipped.
* A name that stands twice is silently dropped by msgspec. So names are counted: where white space never stands
  between a quote and a colon, there are at least as many `":` in the text as names; that many and no more are
  in what was decoded, or the event is left to the reference.
* Texts of at most 200,000 bytes: no string in one is longer than a string may be, and no array or map has more
  items than an event may have.
* Decimals stay text until their digits are read; other numbers stay apart from integers, as the reference has it.

Left to the reference, text by text, are unions in which two branches take the same kind of JSON value (two
strings, two records, record and map, integer and double), and whatever nests too deep for generated code. Left to
it as a whole are schemas of more than `MOST_NODES` types, named ones counted where they are used.
"""

import re
from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import Any, Final

from msgspec import UNSET, MsgspecError, Raw, Struct, defstruct
from msgspec.json import Decoder

from schemas.avro_type import ABSENT, Array, AvroType, Field, Map, Primitive, Record, Union
from schemas.check import compile_check, when_absent
from schemas.encoder import compile_encoder
from schemas.errors import SchemasError
from schemas.fast_encoder import (
    Choice,
    Entries,
    Integer,
    Items,
    Member,
    Node,
    Nothing,
    Object,
    Opaque,
    Scalar,
    Text,
)
from schemas.fast_leaf import NUMBERS, fast_leaf
from schemas.fast_source import NotMineError, Source, wants_of
from schemas.fast_varint import SHORT, long_bytes
from schemas.findings import Findings
from schemas.json_reader import read_with_findings
from schemas.leaf import JsonFlavour, leaf_of

MOST_NODES: Final = 500
_MOST_BYTES: Final = 200_000
_DEEPEST: Final = 8
"""Arrays, maps and unions inside each other; Python nests no more than 20 loops."""
_NUMBER_BYTES: Final = 1_000
"""Numbers up to here are the reference's, too."""

_SPACED: Final = re.compile(rb'"[ \t\n\r]+:')
_WILD: Final = re.compile(rb"[eE][+-]?[0-9]{17}")

Encoded = tuple[bytes, Any]
"""Avro bytes, and the plain form as far as pointers lead."""
EncodeJson = Callable[[bytes], Encoded | None]
"""The Avro of a JSON text; None leaves it to the reference."""

UNSURE: Final = (
    MsgspecError, NotMineError, SchemasError, ValueError, LookupError, ArithmeticError, RecursionError
)  # fmt: skip
"""What a compiled path raises for what it does not take."""


def compile_json_path(root: AvroType, flavour: JsonFlavour, pointers: Sequence[str]) -> EncodeJson | None:
    """The compiled encoder of a type; None where the schema is too large for one."""
    builder = _Builder(flavour)
    node = builder.build(root, 0)
    if builder.nodes > MOST_NODES:
        return None
    source = Source()
    source.constants.update(
        decode=Decoder(node.annotation).decode,
        short=SHORT,
        long_bytes=long_bytes,
        UNSET=UNSET,
        Struct=Struct,
        UNSURE=UNSURE,
        has_wild_exponent=_WILD.search,
        is_spaced=_is_spaced,
        has_long_number=_has_long_number,
    )
    _write(source, node, wants_of(pointers), has_numbers=builder.has_numbers)
    encode: EncodeJson = source.functions("json")["encode_json"]
    return encode


def _write(source: Source, node: Node, wants: Any, *, has_numbers: bool) -> None:
    source.line("def encode_json(raw):")
    source.depth = 1
    guard = f"len(raw) > {_MOST_BYTES} or is_spaced(raw)"
    if has_numbers:
        guard += f" or (len(raw) > {_NUMBER_BYTES} and has_long_number(raw))"
    with source.block(f"if {guard}:"):
        source.line("return None")
    with source.block("try:"):
        source.line("value = decode(raw)")
        source.line("members = 0")
        emitted = node.emit(source, "value", wants)
        with source.block("if members != raw.count(b'\":'):"):
            source.line("return None")
        source.line(f"return {source.joined(emitted.pieces)}, {emitted.datum if wants else None}")
    with source.block("except UNSURE:"):
        source.line("return None")


def _is_spaced(raw: bytes) -> bool:
    """Whether white space may stand between a name and its colon."""
    if b" :" in raw or b"\n" in raw or b"\t" in raw or b"\r" in raw:
        return _SPACED.search(raw) is not None
    return False


def _has_long_number(raw: bytes) -> bool:
    """Whether a number may be longer than the reference takes: it would fill one block of half its length."""
    half = _NUMBER_BYTES // 2
    for at in range(0, len(raw) - half + 1, half):
        block = raw[at : at + half]
        if b'"' not in block and not block.translate(None, b"0123456789+-.eE"):
            return True
    return False


class _Builder:
    def __init__(self, flavour: JsonFlavour) -> None:
        self.flavour: JsonFlavour = flavour
        self.nodes = 0
        self.has_numbers = False
        self.records: dict[tuple[str, int], tuple[Object, int]] = {}

    def build(self, kind: AvroType, depth: int) -> Node:
        """The node of a type; `depth`: how many arrays, maps and unions are around it."""
        self.nodes += 1
        if self.nodes > MOST_NODES:
            return Nothing()
        match kind:
            case Record():
                return self._shared_record(kind, depth)
            case Array() | Map() | Union() if depth >= _DEEPEST:
                return self._opaque(kind)
            case Array():
                return Items(self.build(kind.items, depth + 1))
            case Map():
                return Entries(self.build(kind.values, depth + 1))
            case Union():
                return self._union(kind, depth + 1)
            case Primitive(name="null"):
                return Nothing()
            case Primitive(name="string", logical=None):
                return Text()
            case Primitive(name="int" | "long", logical=None):
                return Integer(1 << (31 if kind.name == "int" else 63))
            case _:
                return self._scalar(kind)

    def _shared_record(self, kind: Record, depth: int) -> Node:
        key = (kind.name, depth)
        if key not in self.records:
            before = self.nodes
            node = self._record(kind, depth)
            self.records[key] = (node, self.nodes - before)
            return node
        node, nodes = self.records[key]
        self.nodes += nodes  # its code is written where it is used
        return node

    def _scalar(self, kind: Any) -> Node:
        leaf = fast_leaf(kind, self.flavour)
        if leaf is None:
            return self._opaque(kind)
        is_number = leaf_of(kind, self.flavour).kinds == NUMBERS
        self.has_numbers = self.has_numbers or is_number
        return Scalar(leaf, is_number)

    def _record(self, kind: Record, depth: int) -> Object:
        members = tuple(
            self._member(field, index, depth) for index, field in enumerate(kind.fields)
        )
        struct = defstruct(
            "Record",
            [(one.attribute, one.annotation, *([] if one.absent is None else [UNSET])) for one in members],
            rename={one.attribute: one.name for one in members},
            forbid_unknown_fields=True,
            kw_only=True,
            gc=False,
            eq=False,
        )
        return Object(struct, members)

    def _member(self, field: Field, index: int, depth: int) -> Member:
        datum = when_absent(field)
        absent = None
        if datum is not ABSENT:
            out = bytearray()
            compile_encoder(field.type)(datum, out)
            absent = (bytes(out), datum)
        return Member(field.name, f"f{index}", self.build(field.type, depth), absent)

    def _union(self, kind: Union, depth: int) -> Node:
        if self.flavour == "avro":
            return self._opaque(kind)
        nodes = [self.build(branch, depth) for branch in kind.branches]
        token = _nullable_token(nodes)
        if token is not None:
            return token
        taken: set[type] = set()
        for node in nodes:
            kinds = _kinds_of(node)
            if not kinds or kinds & taken:
                return self._opaque(kind)
            taken |= kinds
        tests = [" or ".join(_TESTS[one] for one in sorted(_kinds_of(node), key=str)) for node in nodes]
        branches = tuple(zip(range(len(nodes)), tests, nodes, strict=True))
        return Choice(reduce(or_, [node.annotation for node in nodes]), branches)

    def _opaque(self, kind: AvroType) -> Node:
        check, encode = compile_check(kind, self.flavour), compile_encoder(kind)

        def encode_text(raw: Raw) -> tuple[Any, bytes, int]:
            text = bytes(raw)
            findings = Findings()
            datum = check(read_with_findings(text, findings), None, findings)
            findings.verify()
            out = bytearray()
            encode(datum, out)
            return datum, bytes(out), text.count(b'":')

        return Opaque(encode_text, Raw)


def _nullable_token(nodes: Sequence[Node]) -> Choice | None:
    """A union of null and what is decoded from its text."""
    if len(nodes) == 2:  # noqa: PLR2004 - null and one type
        for null, other in ((0, 1), (1, 0)):
            if isinstance(nodes[null], Nothing) and nodes[other].annotation is Raw:
                branches = ((null, "bytes({}) == b'null'", nodes[null]), (other, "True", nodes[other]))
                return Choice(Raw, branches)
    return None


def _kinds_of(node: Node) -> frozenset[type]:
    """The Python types that msgspec makes of a node's values; none where it makes none."""
    match node:
        case Items():
            return frozenset({list})
        case Entries() | Object():
            return frozenset({dict})
        case _:
            return _KINDS.get(node.annotation, frozenset())


_KINDS: Final[dict[Any, frozenset[type]]] = {
    None: frozenset({type(None)}),
    bool: frozenset({bool}),
    int: frozenset({int}),
    str: frozenset({str}),
    int | float: frozenset({int, float}),
    str | int: frozenset({str, int}),
}
_TESTS: Final[dict[type, str]] = {
    type(None): "{0} is None",
    bool: "{0}.__class__ is bool",
    int: "{0}.__class__ is int",
    float: "{0}.__class__ is float",
    str: "{0}.__class__ is str",
    list: "{0}.__class__ is list",
    dict: "({0}.__class__ is dict or isinstance({0}, Struct))",
}
