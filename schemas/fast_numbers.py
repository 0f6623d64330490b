"""Avro's numbers read where they stand, for generated code: in their shortest form and within bounds.

The bounds of dates, times and timestamps are asked from the reference, not repeated here.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from schemas.avro_type import Primitive
from schemas.errors import MisfitError, NotMineError
from schemas.leaf import verifier

Skip = Callable[[bytes, int], int]
"""The bytes, and the place after a first byte with more to come; gives the place after the number."""
ReadNumber = Callable[[bytes, int], tuple[int, int]]
"""The bytes, and the place of a number; gives the number and the place after it."""

_MORE: Final = 0x7F
_SEVEN: Final = 7
_LONGEST: Final = 10
_SHIFTS: Final = tuple(range(_SEVEN, _SEVEN * _LONGEST, _SEVEN))


@lru_cache(1_024)
def reader(least: int, most: int) -> ReadNumber:
    """Reads a number from `least` to `most`."""

    def read(raw: bytes, at: int) -> tuple[int, int]:
        rest = byte = raw[at]
        at += 1
        if byte > _MORE:
            for shift in _SHIFTS:
                byte = raw[at]
                at += 1
                # Less one: that takes away the bit by which the byte before said that there is more.
                rest += (byte - 1) << shift
                if byte <= _MORE:
                    break
            if byte > _MORE or not byte:
                raise NotMineError
        value = (rest >> 1) ^ -(rest & 1)
        if not least <= value <= most:
            raise NotMineError
        return value, at

    return read


@lru_cache(1_024)
def skipper(least: int, most: int) -> Skip:
    """Skips a number from `least` to `most` of more than one byte; short ones are within without a look."""
    read = reader(least, most)
    sure = 0
    while sure < _LONGEST and 1 << (_SEVEN * (sure + 1) - 1) <= min(-least, most + 1):
        sure += 1

    def skip(raw: bytes, at: int) -> int:
        end = at
        while raw[end] > _MORE:
            end += 1
        if end - at + 2 > sure:
            return read(raw, at - 1)[1]
        if not raw[end]:
            raise NotMineError
        return end + 1

    return skip


def bounds(kind: Primitive) -> tuple[int, int]:
    """The least and the largest number of an int or long, with its logical type."""
    half = 1 << (31 if kind.name == "int" else 63)
    return (-half, half - 1) if kind.logical is None else _verified_bounds(kind)


@lru_cache(64)
def _verified_bounds(kind: Primitive) -> tuple[int, int]:
    """Where the reference begins and ends to take a number; it takes zero, and all in between."""
    half = 1 << (31 if kind.name == "int" else 63)
    verify = verifier(kind)

    def last(sign: int, beyond: int) -> int:
        within = 0
        while beyond - within > 1:
            middle = (within + beyond) // 2
            try:
                verify(sign * middle)
            except MisfitError:
                beyond = middle
            else:
                within = middle
        return sign * within

    return last(-1, half + 1), last(1, half)
