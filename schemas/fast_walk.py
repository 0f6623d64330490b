"""The source of a walk over an Avro datum that checks all that the reference checks, step by step.

Bytes behind the end need no check at each step: a slice that is too short is followed by a place behind the
end, where no byte is found, or where the datum does not end.
"""

import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from schemas.avro_input import Input
from schemas.avro_reader import compile_read
from schemas.avro_type import Array, AvroType, Enumeration, Fixed, Map, Primitive, Record, Union
from schemas.encoder import compile_encoder
from schemas.errors import NotMineError
from schemas.fast_numbers import bounds, reader, skipper
from schemas.fast_source import Source, Wants
from schemas.findings import MOST_ITEMS, Findings
from schemas.leaf import LONGEST_TEXT

MOST_NODES: Final = 500
DEEPEST: Final = 8
"""Arrays, maps and unions inside each other; Python nests no more than 20 loops."""
_ONE_BYTE: Final = 64
"""Numbers from zero up that take one byte, and how far below zero they do."""
_UUID: Final = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UUID_BYTES: Final = 36
_KNOWN: Final = re.compile(r"decimal|duration|uuid|date|time-\w+|(local-)?timestamp-\w+")
"""Logical types whose check is written here, or asked from the reference as bounds."""
_PLAIN: Final = {
    "boolean": ("raw[at] > 1", 1, "raw[at] == 1"),
    "float": ("raw[at + 3] & 127 == 127 and raw[at + 2] > 127", 4, "unpack_float(raw, at)[0]"),
    "double": ("raw[at + 7] & 127 == 127 and raw[at + 6] > 239", 8, "unpack_double(raw, at)[0]"),
}
"""When a value is wrong (not finite), its bytes, and how it is read."""


_MOST_BYTES: Final = 4 * 1024 * 1024


def walk_function(source: Source, title: str, body: Callable[[], str]) -> Any:
    """The function from Avro bytes whose lines `body` writes; None where they would be too many.

    `body` gives an expression for the function's result. It returns None for what it does not take; whatever
    else goes wrong on the way means the same, since the reference is asked then.
    """
    with source.block("def walk(raw):"):
        source.line("size = len(raw)")
        with source.block(f"if size > {_MOST_BYTES}:"):
            source.line("return None")
        source.line("at = items = 0")
        with source.block("try:"):
            try:
                result = body()
            except NotMineError:
                return None
            with source.block("if at != size:"):
                source.line("return None")
            source.line(f"return {result}")
        with source.block("except Exception:"):
            source.line("return None")
    return source.functions(title)["walk"]


class Walk:
    """Writes the lines; `at` is the place of the next byte, `size` that of the end."""

    def __init__(self) -> None:
        self.source = Source()
        self.nodes = 0
        self.source.constants.update(
            read_size=reader(0, LONGEST_TEXT),
            is_uuid=_UUID.match,
            from_bytes=int.from_bytes,
            unpack_float=struct.Struct("<f").unpack_from,
            unpack_double=struct.Struct("<d").unpack_from,
        )

    def emit(self, kind: AvroType, wants: Wants, depth: int) -> str:
        """The lines for a type; gives an expression for its plain form, where that is wanted.

        Raises:
            NotMineError: the schema is too large for generated code.
        """
        self.count()
        match kind:
            case Record():
                return self._record(kind, wants, depth)
            case Array() | Map() | Union():
                return (
                    self.read_by_reference(kind) if depth >= DEEPEST else self._around(kind, wants, depth + 1)
                )
            case Enumeration():
                return self.read_enumeration(kind, is_wanted=wants is not None)
            case Fixed() | Primitive():
                return self.read_scalar(kind, is_wanted=wants is not None)

    def count(self) -> None:
        """Count a type where it is used.

        Raises:
            NotMineError: there are too many.
        """
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise NotMineError

    def _record(self, kind: Record, wants: Wants, depth: int) -> str:
        parts: list[str] = []
        for field in kind.fields:
            wanted = None if wants is None else wants.get(field.name)
            part = self.emit(field.type, wanted, depth)
            parts.append("None" if wanted is None else part)
        return f"[{', '.join(parts)}]"

    def _around(self, kind: Array | Map | Union, wants: Wants, depth: int) -> str:
        if isinstance(kind, Union):
            return self._union(kind, wants, depth)
        with self.items(kind):
            self.emit(kind.values if isinstance(kind, Map) else kind.items, None, depth)
        return "None"

    @contextmanager
    def items(self, kind: Array | Map) -> Iterator[str]:
        """The lines around those for an item of an array or map; gives the variable of a map's name."""
        line, block = self.source.line, self.source.block
        count, names = self.source.fresh("n"), self.source.fresh("s")
        self.read_size(count)
        with block(f"if {count}:"):
            line(f"items += {count}")
            with block(f"if {count} > size - at or items > {MOST_ITEMS}:"):
                line("raise NotMineError")
            wrong = "raw[at]"
            if isinstance(kind, Map):
                line(f"{names} = set()")
                wrong += f" or len({names}) != {count}"
            with block(f"for _ in range({count}):"):
                name = self.read_bytes(is_text=True) if isinstance(kind, Map) else ""
                if name:
                    line(f"{names}.add({name})")
                yield name
            with block(f"if {wrong}:"):
                line("raise NotMineError")
            line("at += 1")

    def _union(self, kind: Union, wants: Wants, depth: int) -> str:
        datum = self.source.fresh("d")

        def branch(number: int, one: AvroType) -> None:
            inner = self.emit(one, wants, depth)
            self.source.line("pass" if wants is None else f"{datum} = ({number}, {inner})")

        self.branches(kind, branch)
        return datum

    def branches(self, kind: Union, branch: Callable[[int, AvroType], None]) -> None:
        """The lines around those for each branch of a union, which `branch` writes."""
        index = self.source.fresh("b")
        self.source.line(f"{index} = raw[at]")
        self.source.line("at += 1")
        for number, one in enumerate(kind.branches):
            with self.source.block(f"{'elif' if number else 'if'} {index} == {2 * number}:"):
                branch(number, one)
        with self.source.block("else:"):
            self.source.line("raise NotMineError")

    def read_size(self, name: str) -> None:
        """A length or count from zero up; no more than the bytes of the longest text."""
        line, block = self.source.line, self.source.block
        line(f"{name} = raw[at]")
        with block(f"if {name} & 129:"):
            line(f"{name}, at = read_size(raw, at)")
        with block("else:"):
            line(f"{name} >>= 1")
            line("at += 1")

    def read_bytes(self, *, is_text: bool) -> str:
        """A length and as many bytes; gives the variable that holds them."""
        line = self.source.line
        size, value = self.source.fresh("n"), self.source.fresh("s")
        self.read_size(size)
        line(f"{value} = raw[at:at + {size}]")
        line(f"at += {size}")
        if is_text:
            with self.source.block(f"if not {value}.isascii():"):
                line(f"{value}.decode()")
        return value

    def read_enumeration(self, kind: Enumeration, *, is_wanted: bool) -> str:
        """The lines for an enum; gives its symbol."""
        index = self.source.fresh("b")
        if len(kind.symbols) <= _ONE_BYTE:
            self.source.line(f"{index} = raw[at]")
            with self.source.block(f"if {index} & 1 or {index} > {2 * len(kind.symbols) - 2}:"):
                self.source.line("raise NotMineError")
            if is_wanted:
                self.source.line(f"{index} >>= 1")
            self.source.line("at += 1")
        else:
            read = self.source.constant("read", reader(0, len(kind.symbols) - 1))
            self.source.line(f"{index}, at = {read}(raw, at)")
        return f"{self.source.constant('symbols', kind.symbols)}[{index}]"

    def read_scalar(self, kind: Fixed | Primitive, *, is_wanted: bool) -> str:
        """The lines for any other scalar; gives its plain form."""
        logical = "" if kind.logical is None else kind.logical.name
        if logical and not _KNOWN.fullmatch(logical):
            return self.read_by_reference(kind)
        if kind.logical is not None and logical == "decimal":
            return self._decimal(kind, kind.logical.precision)
        if isinstance(kind, Fixed):
            return self._fixed(kind.size, is_wanted=is_wanted)
        match kind.name:
            case "int" | "long":
                return self._number(kind, is_wanted=is_wanted)
            case "string" if logical == "uuid":
                return self._uuid()
            case "string":
                return f"{self.read_bytes(is_text=True)}.decode()"
            case "bytes":
                return self.read_bytes(is_text=False)
            case _:
                return self._plain(kind.name, is_wanted=is_wanted)

    def _fixed(self, size: int, *, is_wanted: bool) -> str:
        value = self.source.fresh("s")
        self.source.line(f"at += {size}")
        if is_wanted:
            with self.source.block("if at > size:"):  # whoever wants it counts on its length
                self.source.line("raise NotMineError")
            self.source.line(f"{value} = raw[at - {size}:at]")
        return value

    def _number(self, kind: Primitive, *, is_wanted: bool) -> str:
        least, most = bounds(kind)
        value = self.source.fresh("v")
        read = self.source.constant("read", reader(least, most))
        if least > -_ONE_BYTE or most < _ONE_BYTE - 1:
            self.source.line(f"{value}, at = {read}(raw, at)")
        elif is_wanted:
            self.source.line(f"{value} = raw[at]")
            with self.source.block(f"if {value} > 127:"):
                self.source.line(f"{value}, at = {read}(raw, at)")
            with self.source.block("else:"):
                self.source.line(f"{value} = ({value} >> 1) ^ -({value} & 1)")
                self.source.line("at += 1")
        else:
            self.source.line("at += 1")
            with self.source.block("if raw[at - 1] > 127:"):
                self.source.line(f"at = {self.source.constant('skip', skipper(least, most))}(raw, at)")
        return value

    def _uuid(self) -> str:
        value = self.source.fresh("s")
        with self.source.block(f"if raw[at] != {2 * _UUID_BYTES} or not is_uuid(raw, at + 1):"):
            self.source.line("raise NotMineError")
        self.source.line(f"{value} = at + 1")
        self.source.line(f"at += {1 + _UUID_BYTES}")
        return f"raw[{value}:{value} + {_UUID_BYTES}].decode()"

    def _decimal(self, kind: Fixed | Primitive, precision: int) -> str:
        line = self.source.line
        value, size = self.source.fresh("d"), self.source.fresh("n")
        bound = 10**precision
        wrong = f"not {-bound} < {value} < {bound}"
        if isinstance(kind, Fixed):
            line(f"{size} = {kind.size}")
        else:
            self.read_size(size)
            # Shortest: as many bytes as the number and its sign need.
            wrong += f" or {size} != ({value} if {value} >= 0 else ~{value}).bit_length() // 8 + 1"
        with self.source.block(f"if {size} > 20:"):
            line("raise NotMineError")
        line(f"{value} = from_bytes(raw[at:at + {size}], 'big', signed=True)")
        line(f"at += {size}")
        with self.source.block(f"if {wrong}:"):
            line("raise NotMineError")
        return value

    def _plain(self, name: str, *, is_wanted: bool) -> str:
        """Null, a boolean, a finite float or double."""
        if name not in _PLAIN:
            return "None"
        wrong, size, read = _PLAIN[name]
        value = self.source.fresh("v")
        with self.source.block(f"if {wrong}:"):
            self.source.line("raise NotMineError")
        if is_wanted:
            self.source.line(f"{value} = {read}")
        self.source.line(f"at += {size}")
        return value

    def read_by_reference(self, kind: AvroType) -> str:
        """One part as the reference reads it, if it would write it so."""
        read, encode = compile_read(kind), compile_encoder(kind)

        def read_part(raw: bytes, at: int, items: int) -> tuple[Any, int, int]:
            findings = Findings()
            findings.items = items
            source = Input(raw, findings, at)
            datum = read(source, None)
            findings.verify()
            out = bytearray()
            encode(datum, out)
            if out != raw[at : source.at]:
                raise NotMineError
            return datum, source.at, findings.items

        value = self.source.fresh("d")
        self.source.line(
            f"{value}, at, items = {self.source.constant('reference', read_part)}(raw, at, items)"
        )
        return value
