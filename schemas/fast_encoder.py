"""The source of an encoder: what msgspec decoded, to Avro bytes, checked on the way, in one function.

Here are the nodes that hold others; `fast_scalars` has the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from msgspec import Raw, UnsetType

from schemas.fast_node import Emitted, Node, sized
from schemas.fast_source import Piece, Source, Wants
from schemas.fast_varint import LEAST_LARGE
from schemas.findings import MOST_FILLED_BYTES


@dataclass(frozen=True, slots=True)
class Opaque:
    """What msgspec cannot tell apart: left as JSON text, which the reference reads.

    `encode`: the text to plain form, Avro bytes and the number of strings in it.
    """

    encode: Any
    annotation: Any = Raw
    texts: int = 0

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Call the reference."""
        del wants
        datum, raw, texts = source.fresh("d"), source.fresh("s"), source.fresh("c")
        source.line(f"{datum}, {raw}, {texts} = {source.constant('reference', self.encode)}({value})")
        source.line(f"texts += {texts}")
        return Emitted([raw], datum)


@dataclass(frozen=True, slots=True)
class Items:
    """An array."""

    item: Node
    texts: int = 0

    @property
    def annotation(self) -> Any:
        """A list."""
        return list[self.item.annotation]  # type: ignore[name-defined]  # a type made at run time

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """One block."""
        del wants
        block, item = source.fresh("b"), source.fresh("i")
        if self.item.texts:
            source.line(f"texts += {self.item.texts} * len({value})")
        source.line(f"{block} = [{_count(source, value)}]")
        with source.block(f"for {item} in {value}:"):
            emitted = self.item.emit(source, item, None)
            _append(source, block, emitted.pieces)
        return Emitted(_closed(source, block, value), value)


@dataclass(frozen=True, slots=True)
class Entries:
    """A map."""

    item: Node
    texts: int = 0

    @property
    def annotation(self) -> Any:
        """A dict."""
        return dict[str, self.item.annotation]  # type: ignore[name-defined]  # a type made at run time

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """One block."""
        del wants
        block, name, item = source.fresh("b"), source.fresh("s"), source.fresh("i")
        source.line(f"texts += {1 + self.item.texts} * len({value})")
        source.line(f"{block} = [{_count(source, value)}]")
        with source.block(f"for {name}, {item} in {value}.items():"):
            source.line(f"{name} = {name}.encode()")
            emitted = self.item.emit(source, item, None)
            _append(source, block, [*sized(source, name), *emitted.pieces])
        return Emitted(_closed(source, block, value), value)


def _count(source: Source, value: str) -> str:
    """The number of items, which is 0 and the end at once where there are none."""
    size = source.fresh("n")
    source.line(f"{size} = len({value})")
    return f"short[{size}] if {size} < {LEAST_LARGE} else long_bytes({size})"


def _append(source: Source, block: str, pieces: Sequence[Piece]) -> None:
    parts = source.merged(pieces)
    source.line(f"{block} += ({', '.join(parts)},)")


def _closed(source: Source, block: str, value: str) -> list[Piece]:
    """The pieces of a block; an empty one is its end alone. Before they take memory they are counted."""
    with source.block(f"if filled > {MOST_FILLED_BYTES}:"):
        source.line("return None")
    with source.block(f"if {value}:"):
        source.line(f"{block}.append(b'\\0')")
    source.line(f"{block} = join({block})")
    return [block]


@dataclass(frozen=True, slots=True)
class Member:
    """A field of a record; `absent`: Avro bytes and plain form where it was not sent, if it may be absent."""

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

    @property
    def texts(self) -> int:
        """Its names, and what its fields always take; of fields that may be absent, their lines count."""
        return sum(1 + member.node.texts for member in self.members if member.absent is None)

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Field by field."""
        pieces: list[Piece] = []
        parts: list[str] = []
        for member in self.members:
            wanted = None if wants is None else wants.get(member.name)
            variable = source.fresh("v")
            source.line(f"{variable} = {value}.{member.attribute}")
            if member.absent is None:
                emitted = member.node.emit(source, variable, wanted)
            else:
                emitted = _optional(source, variable, member.absent, member.node, wanted)
            pieces += emitted.pieces
            parts.append("None" if wanted is None else emitted.datum)
        return Emitted(pieces, f"[{', '.join(parts)}]")


def _optional(source: Source, value: str, absent: tuple[bytes, Any], node: Node, wants: Wants) -> Emitted:
    """A field that may be absent."""
    raw, datum = source.fresh("x"), source.fresh("d")
    default, plain = absent
    with source.block(f"if {value} is UNSET:"):
        source.line(f"{raw} = {default!r}")
        source.line(f"filled += {len(default)}")
        if wants is not None:
            source.line(f"{datum} = {source.constant('default', plain)}")
    with source.block("else:"):
        source.line(f"texts += {1 + node.texts}")
        emitted = node.emit(source, value, wants)
        source.line(f"{raw} = {source.joined(emitted.pieces)}")
        if wants is not None:
            source.line(f"{datum} = {emitted.datum}")
    return Emitted([raw], datum)


@dataclass(frozen=True, slots=True)
class Choice:
    """A union whose branches msgspec and Python tell apart by their type.

    `branches`: index, how the type is asked for (an expression of `{0}`), and node.
    """

    annotation: Any
    branches: tuple[tuple[int, str, Node], ...]
    texts: int = 0

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """The index, and the branch."""
        raw, datum = source.fresh("x"), source.fresh("d")
        keyword = "if"
        for index, test, node in self.branches:
            with source.block(f"{keyword} {test.format(value)}:"):
                if node.texts:
                    source.line(f"texts += {node.texts}")
                emitted = node.emit(source, value, wants)
                source.line(f"{raw} = {source.joined([bytes([2 * index]), *emitted.pieces])}")
                if wants is not None:
                    source.line(f"{datum} = ({index}, {emitted.datum})")
            keyword = "elif"
        with source.block("else:"):
            source.line("raise NotMineError")
        return Emitted([raw], datum)


@dataclass(frozen=True, slots=True)
class Tagged:
    """A union of the Avro JSON encoding: null, or an object with one member named as the branch.

    `annotation`: a Struct of all branches but null, each of which may be absent, beside null where that is
    one; `null`: its index.
    """

    annotation: Any
    members: tuple[tuple[int, Member], ...]
    null: int | None
    texts: int = 0

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """The index, and the one branch that is there."""
        raw, datum = source.fresh("x"), source.fresh("d")

        def give(index: int, emitted: Emitted) -> None:
            source.line(f"{raw} = {source.joined([bytes([2 * index]), *emitted.pieces])}")
            if wants is not None:
                source.line(f"{datum} = ({index}, {emitted.datum})")

        with source.block(f"if {value} is None:"):
            if self.null is None:
                source.line("raise NotMineError")
            else:
                give(self.null, Emitted([], "None"))
        present = " + ".join(f"({value}.{one.attribute} is not UNSET)" for _, one in self.members)
        with source.block(f"elif {present or 0} != 1:"):
            source.line("raise NotMineError")
        for index, one in self.members:
            branch = source.fresh("v")
            with source.block(f"elif {value}.{one.attribute} is not UNSET:"):
                source.line(f"texts += {1 + one.node.texts}")
                source.line(f"{branch} = {value}.{one.attribute}")
                give(index, one.node.emit(source, branch, wants))
        return Emitted([raw], datum)
