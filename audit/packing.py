"""Columns of values as PostgreSQL's binary arrays, packed here: in the driver's lists they cost thrice that.

An element is its length in four bytes and its bytes, or the length -1 and nothing where it is null.

Source: PostgreSQL, src/backend/utils/adt/arrayfuncs.c, `array_recv`; oids: src/include/catalog/pg_type.dat.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from struct import Struct
from typing import Any, Final

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

_EMPTY: Final = Struct(">iiI")
_HEAD: Final = Struct(">iiIii")
_LENGTH: Final = Struct(">i")
_LONG: Final = Struct(">iq")
_INTEGER: Final = Struct(">ii")
_NULL: Final = _LENGTH.pack(-1)
_BOOLEANS: Final[Mapping[Any, bytes]] = {None: _NULL, False: b"\0\0\0\1\0", True: b"\0\0\0\1\1"}
_LENGTHS: Final = tuple(map(_LENGTH.pack, range(4_096)))
"""Those of most values, packed once."""

Pack = Callable[[Sequence[Any]], list[bytes]]


@dataclass(frozen=True, slots=True)
class Packed:
    """A column, as the parameter `%b` of an array's type."""

    raw: bytes = field(repr=False)


class _PackedDumper(Dumper):
    """Says no type: the statement says which array it is."""

    format = Format.BINARY

    def dump(self, obj: Packed) -> bytes:
        return obj.raw


def pack_column(values: Sequence[Any], type_name: str) -> Packed:
    """The values of one column, None where it is null. `type_name`: the column's, as its DDL has it.

    Raises:
        KeyError: no column of ours has such a type.
    """
    oid, pack = _TYPES[type_name]
    if not values:
        return Packed(_EMPTY.pack(0, 0, oid))
    return Packed(_HEAD.pack(1, int(None in values), oid, len(values), 1) + b"".join(pack(values)))


def teach(connection: psycopg.Connection[Any]) -> None:
    """Let a connection take packed columns."""
    connection.adapters.register_dumper(Packed, _PackedDumper)


def _pack_bytes(values: Sequence[bytes | None]) -> list[bytes]:
    found: list[bytes] = []
    for one in values:
        if one is None:
            found.append(_NULL)
        else:
            size = len(one)
            found.append(_LENGTHS[size] if size < len(_LENGTHS) else _LENGTH.pack(size))
            found.append(one)
    return found


def _pack_texts(values: Sequence[str | None]) -> list[bytes]:
    return _pack_bytes([None if one is None else one.encode() for one in values])


def _pack_longs(values: Sequence[int | None]) -> list[bytes]:
    pack = _LONG.pack
    return [_NULL if one is None else pack(8, one) for one in values]


def _pack_integers(values: Sequence[int | None]) -> list[bytes]:
    pack = _INTEGER.pack
    return [_NULL if one is None else pack(4, one) for one in values]


def _pack_booleans(values: Sequence[bool | None]) -> list[bytes]:
    return [_BOOLEANS[one] for one in values]


_TYPES: Final[Mapping[str, tuple[int, Pack]]] = {
    "BOOLEAN": (16, _pack_booleans),
    "BYTEA": (17, _pack_bytes),
    "BIGINT": (20, _pack_longs),
    "INTEGER": (23, _pack_integers),
    "TEXT": (25, _pack_texts),
    "VARCHAR": (1043, _pack_texts),
}
