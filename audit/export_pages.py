"""The pages of a Parquet file, by their own heads: what they come to, before any of them is unpacked.

What a file's end says of sizes binds nobody; a page is unpacked into as many bytes as its own head says.
Values come out as large as they stand there: no dictionary where the writer makes none, and no encoding by
which a value repeats another.

Source: Apache Parquet format 2.x, `PageHeader`; Thrift compact protocol.
"""

from typing import Any, Final

from audit.varint import read_varint

_DATA, _DICTIONARY = 0, 2
_PLAIN: Final = frozenset({0})
_BY_NUMBER: Final = frozenset({0, 2, 8})
"""Plain, and the two names of numbers that point into a dictionary."""

_OF_PAGE: Final = {_DATA: 5, _DICTIONARY: 7}
"""Which member of a head tells of a page of that kind."""

_TRUE, _FALSE, _TEXT, _STRUCT = 1, 2, 8, 12
_NUMBERS: Final = frozenset({4, 5, 6})
_DEPTH: Final = 3
_LIMIT: Final = 1 << 31


def measure(raw: bytes, start: int, end: int, rows: int, *, has_dictionary: bool) -> int:
    """Bytes that the pages of one column come to. `start`, `end`: where they lie; `rows`: values in them.

    Raises:
        ValueError, TypeError: they are not as our writer makes them.
        IndexError: they end before their end.
    """
    place, values, total = start, 0, 0
    while place < end:
        head, body = _read_struct(raw, place, _DEPTH)
        kind, plain, packed = (_number(head, one) for one in (1, 2, 3))
        if kind not in _OF_PAGE or (kind == _DICTIONARY and (place != start or not has_dictionary)):
            raise ValueError("a page of another kind")
        told = head.get(_OF_PAGE[kind])
        if not isinstance(told, dict):
            raise TypeError("a page that does not tell of itself")
        count, encoding = _number(told, 1), _number(told, 2)
        if count > rows or encoding not in (_BY_NUMBER if has_dictionary else _PLAIN):
            raise ValueError("more values than rows, or another encoding")
        values += count if kind == _DATA else 0
        total += plain
        place = body + packed
    if place != end or values != rows:
        raise ValueError("pages that end elsewhere, or hold other values than rows")
    return total


def _number(of: dict[int, Any], number: int) -> int:
    value = of.get(number)
    if type(value) is not int or not 0 <= value < _LIMIT:
        raise ValueError("no number")
    return value


def _read_struct(raw: bytes, place: int, depth: int) -> tuple[dict[int, Any], int]:
    """The members that are numbers or structures of numbers, and where the structure ends."""
    if not depth:
        raise ValueError("a structure within too many")
    found: dict[int, Any] = {}
    number = 0
    while (byte := raw[place]) != 0:
        step, kind, place = byte >> 4, byte & 15, place + 1
        if step == 0:
            raise ValueError("members out of their order")
        number += step
        if kind in _NUMBERS:
            value, place = read_varint(raw, place)
            found[number] = (value >> 1) ^ -(value & 1)
        elif kind == _TEXT:
            size, place = read_varint(raw, place)
            place += size
        elif kind == _STRUCT:
            found[number], place = _read_struct(raw, place, depth - 1)
        elif kind not in {_TRUE, _FALSE}:
            raise ValueError("a member of another kind")
    return found, place + 1
