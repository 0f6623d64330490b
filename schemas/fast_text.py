"""The compiled path from Avro to JSON: the walk that checks a datum, and its text put together on the way.

It gives the reference's text or leaves the datum to it, as `fast_avro` does; so data that are legal but not
canonical (several blocks, padded decimals) are printed by the reference. Unions that plain JSON cannot tell
apart, and arrays and maps that hold them, are printed by the reference where they stand: there a value may
have to name its branch.
"""

from collections.abc import Callable, Sequence
from json.encoder import encode_basestring
from typing import Any, NamedTuple, TypeAlias

from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union, branch_name
from schemas.branches import is_ambiguous
from schemas.decimal_text import format_decimal
from schemas.fast_clock import CLOCKS
from schemas.fast_source import Source, Wants, wants_of
from schemas.fast_walk import DEEPEST, Walk, walk_function
from schemas.json_writer import compile_writer
from schemas.leaf import JsonFlavour, leaf_of

PrintAvro: TypeAlias = Callable[[bytes], tuple[bytes, Any] | None]
"""The JSON text of a datum and its plain form as far as pointers lead; None leaves it to the reference."""


class _Constant(str):
    """Text that is always the same; any other piece is an expression."""

    __slots__ = ()


class _Printed(NamedTuple):
    """Pieces of JSON in their order, and an expression for the plain form where it is wanted."""

    pieces: list[str]
    datum: str


def compile_text_path(root: AvroType, flavour: JsonFlavour, pointers: Sequence[str]) -> PrintAvro | None:
    """The compiled printer of a type; None where the schema is too large for one."""
    printer, wants = _Printer(flavour), wants_of(pointers)
    printer.source.constants.update(quote=encode_basestring, join="".join, comma=",".join)

    def body() -> str:
        printed = printer.emit(root, wants, 0)
        datum = "None" if wants is None else printed.datum
        return f"({printer.joined(printed.pieces)}.encode(), {datum})"

    path: PrintAvro | None = walk_function(printer.source, "avro_to_json", body)
    return path


class _Printer:
    def __init__(self, flavour: JsonFlavour) -> None:
        self.flavour: JsonFlavour = flavour
        self.walk = Walk()
        self.source: Source = self.walk.source
        self.blurred: dict[str, bool] = {}

    def emit(self, kind: AvroType, wants: Wants, depth: int) -> _Printed:
        self.walk.count()
        match kind:
            case Record():
                return self._record(kind, wants, depth)
            case Array() | Map() | Union() if depth >= DEEPEST:
                return self._reference(kind)
            case Union() if self.flavour == "plain" and is_ambiguous(kind):
                return self._reference(kind)
            case Array() | Map():
                return self._reference(kind) if self._is_blurred(kind) else self._items(kind, depth + 1)
            case Union():
                return self._union(kind, wants, depth + 1)
            case Enumeration() | Fixed() | Primitive():
                return self._scalar(kind)

    def _is_blurred(self, kind: AvroType) -> bool:
        """Whether a part of it is left to the reference, so that an array of it is better left as a whole."""
        match kind:
            case Record():
                if kind.name not in self.blurred:
                    self.blurred[kind.name] = any(self._is_blurred(field.type) for field in kind.fields)
                return self.blurred[kind.name]
            case Array():
                return self._is_blurred(kind.items)
            case Map():
                return self._is_blurred(kind.values)
            case Union():
                is_blurred = self.flavour == "plain" and is_ambiguous(kind)
                return is_blurred or any(map(self._is_blurred, kind.branches))
            case _:
                return False

    def joined(self, pieces: Sequence[str]) -> str:
        """One expression for pieces in a row."""
        parts: list[str] = []
        constant = ""
        for piece in [*pieces, None]:
            if isinstance(piece, _Constant):
                constant += piece
                continue
            if constant:
                parts.append(self.source.constant("text", constant))
                constant = ""
            if piece is not None:
                parts.append(piece)
        if len(parts) == 1:
            return parts[0]
        return f"join(({', '.join(parts)}))" if parts else "''"

    def _record(self, kind: Record, wants: Wants, depth: int) -> _Printed:
        pieces: list[str] = [_Constant("{")]
        parts: list[str] = []
        for index, field in enumerate(kind.fields):
            wanted = None if wants is None else wants.get(field.name)
            pieces.append(_Constant(f'{"," if index else ""}"{field.name}":'))
            printed = self.emit(field.type, wanted, depth)
            pieces += printed.pieces
            parts.append("None" if wanted is None else printed.datum)
        return _Printed([*pieces, _Constant("}")], f"[{', '.join(parts)}]")

    def _items(self, kind: Array | Map, depth: int) -> _Printed:
        items = self.source.fresh("x")
        self.source.line(f"{items} = []")
        with self.walk.items(kind) as name:
            inner = self.emit(kind.values if isinstance(kind, Map) else kind.items, None, depth).pieces
            if name:
                inner = [f"quote({name}.decode())", _Constant(":"), *inner]
            self.source.line(f"{items}.append({self.joined(inner)})")
        first, last = "{}" if isinstance(kind, Map) else "[]"
        return _Printed([_Constant(first), f"comma({items})", _Constant(last)], "None")

    def _union(self, kind: Union, wants: Wants, depth: int) -> _Printed:
        text, datum = self.source.fresh("x"), self.source.fresh("d")

        def branch(number: int, one: AvroType) -> None:
            printed = self.emit(one, wants, depth)
            pieces = printed.pieces
            if self.flavour == "avro" and branch_name(one) != "null":
                pieces = [_Constant(f'{{"{branch_name(one)}":'), *pieces, _Constant("}")]
            self.source.line(f"{text} = {self.joined(pieces)}")
            if wants is not None:
                self.source.line(f"{datum} = ({number}, {printed.datum})")

        self.walk.branches(kind, branch)
        return _Printed([text], datum)

    def _scalar(self, kind: Enumeration | Fixed | Primitive) -> _Printed:
        if isinstance(kind, Enumeration):
            read = self.walk.read_enumeration(kind, is_wanted=True)
        else:
            read = self.walk.read_scalar(kind, is_wanted=True)
        if kind == Primitive("null"):
            return _Printed([_Constant("null")], "None")
        datum = self.source.fresh("d")
        self.source.line(f"{datum} = {read}")
        return _Printed([self._text(kind, datum)], datum)

    def _text(self, kind: Enumeration | Fixed | Primitive, datum: str) -> str:
        """An expression for the JSON of a scalar."""
        leaf = leaf_of(kind, self.flavour)
        if isinstance(kind, Enumeration):
            texts = {symbol: leaf.json(symbol) for symbol in kind.symbols}
            return f"{self.source.constant('texts', texts)}[{datum}]"
        if kind.name == "string":
            return f"quote({datum})"
        if kind.name in {"int", "long"} and kind.logical is None:
            return f"str({datum})"
        if self.flavour == "plain" and kind.logical is not None and kind.logical.name in CLOCKS:
            write = CLOCKS[kind.logical.name].writer(leaf)
            return f"{self.source.constant('write', write)}({datum})"
        if self.flavour == "plain" and kind.logical is not None and kind.logical.name == "decimal":
            write = _decimal_writer(kind.logical.scale)
            return f"{self.source.constant('write', write)}({datum})"
        return f"{self.source.constant('write', leaf.json)}({datum})"

    def _reference(self, kind: AvroType) -> _Printed:
        datum = self.walk.read_by_reference(kind)
        write = self.source.constant("write", compile_writer(kind, self.flavour))
        return _Printed([f"{write}({datum})"], datum)


def _decimal_writer(scale: int) -> Callable[[int], str]:
    """The JSON text of a decimal."""

    def write(unscaled: int) -> str:
        digits = str(unscaled)
        if len(digits) <= scale or unscaled < 0 or not scale:
            return f'"{format_decimal(unscaled, scale)}"'
        return f'"{digits[:-scale]}.{digits[-scale:]}"'

    return write
