"""The source of an encoder: what msgspec decoded, to Avro bytes, checked on the way, in one function.

Each node knows the type that msgspec decodes for it and writes the lines that turn a value of that type into
pieces of Avro. Every record counts its members, so that the caller can tell whether a name stood twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from msgspec import UnsetType

from schemas.fast_leaf import FastLeaf
from schemas.fast_source import Piece, Source, Wants
from schemas.fast_varint import LEAST_LARGE


class Emitted(NamedTuple):
    """Pieces of Avro in their order, and an expression for the plain form where it is wanted."""

    pieces: list[Piece]
    datum: str


class Node(Protocol):
    """A type on the compiled path."""

    @property
    def annotation(self) -> Any:
        """The type that msgspec decodes."""

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Write the lines for a value that stands in the variable `value`."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string."""

    annotation: Any = str

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Encode; its length is bounded by that of the event."""
        del wants
        raw = source.fresh("s")
        source.line(f"{raw} = {value}.encode()")
        return Emitted(_sized(source, raw), value)


@dataclass(frozen=True, slots=True)
class Integer:
    """An int or long without logical type; `bound`: 2 to the power of its bits less one."""

    bound: int
    annotation: Any = int

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Hold it to its range."""
        del wants
        raw = source.fresh("s")
        with source.block(f"if -64 <= {value} < {LEAST_LARGE}:"):
            source.line(f"{raw} = short[{value}]")
        with source.block(f"elif {-self.bound} <= {value} < {self.bound}:"):
            source.line(f"{raw} = long_bytes({value})")
        with source.block("else:"):
            source.line("raise NotMineError")
        return Emitted([raw], value)


@dataclass(frozen=True, slots=True)
class Nothing:
    """Null."""

    annotation: Any = None

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """It takes no bytes."""
        del source, wants
        return Emitted([], value)


@dataclass(frozen=True, slots=True)
class Scalar:
    """Any other scalar. `is_number`: a float, whose zero may stand for a number that nobody can hold."""

    leaf: FastLeaf
    is_number: bool

    @property
    def annotation(self) -> Any:
        """The leaf's."""
        return self.leaf.annotation

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Call the leaf."""
        del wants
        datum = value
        if self.is_number:
            with source.block(f"if {value}.__class__ is int:"):
                source.line(f"{value} = {source.constant('parse', self.leaf.parse)}({value})")
            with source.block(f"elif not {value} and has_wild_exponent(raw):"):
                source.line("raise NotMineError")
        elif self.leaf.parse is not None:
            datum = source.fresh("d")
            source.line(f"{datum} = {source.constant('parse', self.leaf.parse)}({value})")
        raw = source.fresh("s")
        encode = self.leaf.encode
        if encode is str.encode:
            source.line(f"{raw} = {datum}.encode()")
        elif isinstance(encode, Mapping):
            source.line(f"{raw} = {source.constant('table', encode)}[{datum}]")
        else:
            source.line(f"{raw} = {source.constant('encode', encode)}({datum})")
        return Emitted(_sized(source, raw) if self.leaf.is_sized else [raw], datum)


@dataclass(frozen=True, slots=True)
class Opaque:
    """What msgspec cannot tell apart: left as JSON text, which the reference reads.

    `encode`: the text to plain form, Avro bytes and the number of names in it.
    """

    encode: Any
    annotation: Any

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Call the reference."""
        del wants
        datum, raw, names = source.fresh("d"), source.fresh("s"), source.fresh("c")
        source.line(f"{datum}, {raw}, {names} = {source.constant('reference', self.encode)}({value})")
        source.line(f"members += {names}")
        return Emitted([raw], datum)


@dataclass(frozen=True, slots=True)
class Items:
    """An array."""

    item: Node

    @property
    def annotation(self) -> Any:
        """A list."""
        return list[self.item.annotation]  # type: ignore[name-defined]  # a type made at run time

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """One block."""
        del wants
        block, item = source.fresh("b"), source.fresh("i")
        source.line(f"{block} = [long_bytes(len({value}))]")
        with source.block(f"for {item} in {value}:"):
            emitted = self.item.emit(source, item, None)
            _append(source, block, emitted.pieces)
        return Emitted(_closed(source, block, value), value)


@dataclass(frozen=True, slots=True)
class Entries:
    """A map; a name that stands twice is told by the number of names."""

    item: Node

    @property
    def annotation(self) -> Any:
        """A dict."""
        return dict[str, self.item.annotation]  # type: ignore[name-defined]  # a type made at run time

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """One block."""
        del wants
        block, name, item = source.fresh("b"), source.fresh("s"), source.fresh("i")
        source.line(f"members += len({value})")
        source.line(f"{block} = [long_bytes(len({value}))]")
        with source.block(f"for {name}, {item} in {value}.items():"):
            source.line(f"{name} = {name}.encode()")
            emitted = self.item.emit(source, item, None)
            _append(source, block, [*_sized(source, name), *emitted.pieces])
        return Emitted(_closed(source, block, value), value)


def _sized(source: Source, raw: str) -> list[Piece]:
    """Bytes with their length before them."""
    size = source.fresh("n")
    source.line(f"{size} = len({raw})")
    return [f"short[{size}] if {size} < {LEAST_LARGE} else long_bytes({size})", raw]


def _append(source: Source, block: str, pieces: Sequence[Piece]) -> None:
    parts = source.merged(pieces)
    source.line(f"{block} += ({', '.join(parts)},)")


def _closed(source: Source, block: str, value: str) -> list[Piece]:
    """The pieces of a block; an empty one is its end alone."""
    with source.block(f"if {value}:"):
        source.line(f"{block}.append(b'\\0')")
    source.line(f"{block} = join({block})")
    return [block]


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a record; `absent`: Avro bytes and plain form of one that was not sent, if it may be absent."""

    name: str
    attribute: str
    node: Node
    absent: tuple[bytes, Any] | None

    @property
    def annotation(self) -> Any:
        """With UNSET where it may be absent."""
        return self.node.annotation if self.absent is None else self.node.annotation | UnsetType


@dataclass(frozen=True, slots=True)
class Object:
    """A record; `annotation`: a Struct."""

    annotation: Any
    members: tuple[Member, ...]

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Field by field."""
        if self.members:
            source.line(f"members += {len(self.members)}")
        pieces: list[Piece] = []
        parts: list[str] = []
        for member in self.members:
            wanted = None if wants is None else wants.get(member.name)
            variable = source.fresh("v")
            source.line(f"{variable} = {value}.{member.attribute}")
            if member.absent is None:
                emitted = member.node.emit(source, variable, wanted)
            else:
                emitted = _optional(source, variable, member, wanted)
            pieces += emitted.pieces
            parts.append("None" if wanted is None else emitted.datum)
        return Emitted(pieces, f"[{', '.join(parts)}]")


def _optional(source: Source, value: str, member: Member, wants: Wants) -> Emitted:
    raw, datum = source.fresh("x"), source.fresh("d")
    assert member.absent is not None  # noqa: S101 - TODO
    default, plain = member.absent
    with source.block(f"if {value} is UNSET:"):
        source.line("members -= 1")
        source.line(f"{raw} = {default!r}")
        if wants is not None:
            source.line(f"{datum} = {source.constant('default', plain)}")
    if isinstance(member.node, Choice):
        member.node.branches_into(source, value, wants, raw, datum, "elif")
    else:
        with source.block("else:"):
            emitted = member.node.emit(source, value, wants)
            source.line(f"{raw} = {source.joined(emitted.pieces)}")
            if wants is not None:
                source.line(f"{datum} = {emitted.datum}")
    return Emitted([raw], datum)


@dataclass(frozen=True, slots=True)
class Choice:
    """A union whose branches msgspec and Python tell apart by their type.

    `branches`: index, how the type is asked for (an expression of `{}`), and node.
    """

    annotation: Any
    branches: tuple[tuple[int, str, Node], ...]

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """The index, and the branch."""
        raw, datum = source.fresh("x"), source.fresh("d")
        self.branches_into(source, value, wants, raw, datum, "if")
        return Emitted([raw], datum)

    def branches_into(
        self, source: Source, value: str, wants: Wants, raw: str, datum: str, keyword: str
    ) -> None:
        for index, test, node in self.branches:
            with source.block(f"{keyword} {test.format(value)}:"):
                emitted = node.emit(source, value, wants)
                source.line(f"{raw} = {source.joined([bytes([2 * index]), *emitted.pieces])}")
                if wants is not None:
                    source.line(f"{datum} = ({index}, {emitted.datum})")
            keyword = "elif"
        with source.block("else:"):
            source.line("raise NotMineError")
