"""Numbers of as many bytes as they need, seven bits in each, as Avro and Parquet have them."""

from typing import Final

_BYTES: Final = 10
_MORE: Final = 0x80


def read_varint(raw: bytes, place: int) -> tuple[int, int]:
    """An unsigned number, and the place behind it.

    Raises:
        IndexError: the bytes end before it does.
        ValueError: it is longer than ten bytes.
    """
    value = 0
    for shift in range(0, 7 * _BYTES, 7):
        byte = raw[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            return value, place
    raise ValueError("a number longer than ten bytes")
