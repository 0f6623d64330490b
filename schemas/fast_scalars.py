"""The nodes of scalars: frequent ones as lines of their own, the rest as calls of their leaf."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Raw

from schemas.decimal_text import encode_unscaled
from schemas.fast_leaf import FastLeaf
from schemas.fast_node import Emitted, sized
from schemas.fast_source import Source, Wants
from schemas.fast_varint import LEAST_LARGE, LEAST_LONG, LEAST_MIDDLE, long_bytes

_QUOTE: Final = ord('"')
_ZERO: Final = ord("0")


@dataclass(frozen=True, slots=True)
class Text:
    """A string; its length is bounded by that of the event."""

    annotation: Any = str
    texts: int = 1

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Encode it."""
        del wants
        raw = source.fresh("s")
        source.line(f"{raw} = {value}.encode()")
        return Emitted(sized(source, raw), value)


@dataclass(frozen=True, slots=True)
class Nothing:
    """Null."""

    annotation: Any = None
    texts: int = 0

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """It takes no bytes."""
        del source, wants
        return Emitted([], value)


@dataclass(frozen=True, slots=True)
class Integer:
    """An int or long without logical type; `bound`: 2 to the power of its bits less one."""

    bound: int
    annotation: Any = int
    texts: int = 0

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Hold it to its range."""
        del wants
        raw = source.fresh("s")
        with source.block(f"if -64 <= {value} < {LEAST_LARGE}:"):
            source.line(f"{raw} = short[{value}]")
        with source.block(f"elif {LEAST_LARGE} <= {value} < {LEAST_MIDDLE}:"):
            source.line(f"{raw} = {_MIDDLE.format(value)}")
        with source.block(f"elif {-self.bound} <= {value} < {self.bound}:"):
            source.line(f"{raw} = long_bytes({value})")
        with source.block("else:"):
            source.line("raise NotMineError")
        return Emitted([raw], value)


_MIDDLE: Final = "pairs[{0} << 1 & 16383] + last[{0} >> 13]"
"""The varint of a number of 14 to 27 bits."""
_LONG: Final = "pairs[{0} << 1 & 16383] + pairs[{0} >> 13 & 16383] + last[{0} >> 27]"
"""Of one of 28 to 41 bits."""


@dataclass(frozen=True, slots=True)
class Number:
    """A float or double; a zero may stand for a number that nobody can hold."""

    leaf: FastLeaf
    annotation: Any = int | float
    texts: int = 0

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Pack it."""
        del wants
        with source.block(f"if {value}.__class__ is int:"):
            source.line(f"{value} = {source.constant('parse', self.leaf.parse)}({value})")
        with source.block(f"elif not {value}:"):
            source.line("has_zero = True")
        raw = source.fresh("s")
        source.line(f"{raw} = {source.constant('encode', self.leaf.encode)}({value})")
        return Emitted([raw], value)


@dataclass(frozen=True, slots=True)
class Digits:
    """A decimal on bytes, from the token itself: no digit of a number is lost in a float on the way."""

    parse: Callable[[bytes], Any]
    precision: int
    scale: int
    annotation: Any = Raw
    texts: int = 0

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Take digits alone, with all of the fraction and no zero in front, for what they spell."""
        del wants
        raw, digits, datum = source.fresh("s"), source.fresh("w"), source.fresh("d")
        point, last, least = -2 - self.scale, -1 - self.scale, self.scale + 1
        source.line(f"{value} = bytes({value})")
        usual = f"{value}[0] == {_QUOTE}"
        if self.scale:
            source.line(f"{digits} = {value}[1:{point}] + {value}[{last}:-1]")
            usual += f" and {value}[{point}:{last}] == b'.'"
        else:
            source.line(f"{digits} = {value}[1:-1]")
        usual += f" and {digits}.isdigit() and {least} <= len({digits}) <= {self.precision}"
        usual += f" and ({digits}[0] != {_ZERO} or len({digits}) == {least})"
        with source.block(f"if {usual}:"):
            source.line("texts += 1")
            source.line(f"{datum} = int({digits})")
            source.line(f"{raw} = {datum}.to_bytes({datum}.bit_length() // 8 + 1, 'big')")
        with source.block("else:"):
            source.line(f"if {value}[0] == {_QUOTE}: texts += 1")
            source.line(f"{datum} = {source.constant('parse', self.parse)}({value})")
            source.line(f"{raw} = {source.constant('encode', encode_unscaled)}({datum})")
        return Emitted([f"short[len({raw})]", raw], datum)


@dataclass(frozen=True, slots=True)
class Scalar:
    """Any other scalar."""

    leaf: FastLeaf

    @property
    def annotation(self) -> Any:
        """The leaf's."""
        return self.leaf.annotation

    @property
    def texts(self) -> int:
        """One where it is always a string."""
        return int(self.annotation is str)

    def emit(self, source: Source, value: str, wants: Wants) -> Emitted:
        """Call the leaf."""
        del wants
        datum = value
        if self.annotation is Raw:
            source.line(f"{value} = bytes({value})")
            source.line(f"if {value}[0] == {_QUOTE}: texts += 1")
        elif self.annotation == str | int:
            source.line(f"if {value}.__class__ is str: texts += 1")
        if self.leaf.parse is not None:
            datum = source.fresh("d")
            source.line(f"{datum} = {source.constant('parse', self.leaf.parse)}({value})")
        raw = source.fresh("s")
        source.line(f"{raw} = {self._encoded(source, datum)}")
        return Emitted(sized(source, raw) if self.leaf.is_sized else [raw], datum)

    def _encoded(self, source: Source, datum: str) -> str:
        encode = self.leaf.encode
        if encode is str.encode:
            return f"{datum}.encode()"
        if encode is long_bytes:
            return (
                f"{_LONG.format(datum)} if {LEAST_MIDDLE} <= {datum} < {LEAST_LONG} else long_bytes({datum})"
            )
        if isinstance(encode, Mapping):
            return f"{source.constant('table', encode)}[{datum}]"
        return f"{source.constant('encode', encode)}({datum})"
