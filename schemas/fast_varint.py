"""Avro's numbers, prepared: bytes of the frequent ones in a table, of the rest put together from two tables.

Source: Apache Avro 1.12 specification, "Binary Encoding".
"""

from typing import Final

LEAST_LARGE: Final = 8_192
"""The first integer from zero up that is not in the table."""
LEAST_MIDDLE: Final = 1 << 27
"""The first number from zero up whose zig-zag takes more than twice 14 bits."""
LEAST_LONG: Final = 1 << 41
"""The first whose zig-zag takes more than three times 14 bits."""
_PAIR: Final = 1 << 14
_PAIR_BITS: Final = 14
_PAIR_MASK: Final = _PAIR - 1


def _plain(rest: int) -> bytes:
    """Seven bits a byte, least significant first."""
    out = bytearray()
    while rest > 0x7F:  # noqa: PLR2004 - seven bits
        out.append((rest & 0x7F) | 0x80)
        rest >>= 7
    out.append(rest)
    return bytes(out)


PAIRS: Final = [bytes((bits & 0x7F | 0x80, bits >> 7 | 0x80)) for bits in range(_PAIR)]
"""Fourteen bits with more to come."""
LAST: Final = [_plain(bits) for bits in range(_PAIR)]
"""The last one to fourteen bits."""


def long_bytes(value: int) -> bytes:
    """The varint of a 64-bit integer in zig-zag."""
    rest = (value << 1) ^ (value >> 63)
    if rest < _PAIR:
        return LAST[rest]
    first = PAIRS[rest & _PAIR_MASK]
    rest >>= _PAIR_BITS
    if rest < _PAIR:
        return first + LAST[rest]
    second = PAIRS[rest & _PAIR_MASK]
    rest >>= _PAIR_BITS
    if rest < _PAIR:
        return first + second + LAST[rest]
    return first + second + _plain(rest)


SHORT: Final = [
    *(long_bytes(value) for value in range(LEAST_LARGE)),
    *(long_bytes(value) for value in range(-64, 0)),
]
"""By integer from -64 to `LEAST_LARGE` less one (Python counts from the end below zero): its varint."""
