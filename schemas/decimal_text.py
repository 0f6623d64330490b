"""Decimals as exact unscaled integers: from JSON text or number, to text, to and from two's complement."""

import re
from decimal import Decimal
from typing import Final

from schemas.errors import MisfitError

_TEXT = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?")
_LONGEST_TEXT: Final = 1_000


def parse_decimal(value: str | int | Decimal, precision: int, scale: int) -> int:
    """The unscaled integer.

    Raises:
        MisfitError: no decimal text, or more digits before or after the point than the type holds.
    """
    if isinstance(value, str):
        match = _TEXT.fullmatch(value) if len(value) <= _LONGEST_TEXT else None
        if match is None:
            raise MisfitError("format", "is no decimal such as -12.50 (no exponent, no leading zeros)")
        fraction = match[3] or ""
        if fraction[scale:].strip("0"):
            raise MisfitError("precision", f"has more than {scale} digits after the point")
        unscaled = int(match[1] + match[2] + fraction[:scale].ljust(scale, "0"))
    elif isinstance(value, int):
        unscaled = value * 10**scale
    else:
        unscaled = _from_number(value, precision, scale)
    return verify_decimal(unscaled, precision, scale)


def verify_decimal(unscaled: int, precision: int, scale: int) -> int:
    """An unscaled integer of at most `precision` digits.

    Raises:
        MisfitError: it has more.
    """
    if not -(10**precision) < unscaled < 10**precision:
        raise MisfitError("precision", f"has more than {precision - scale} digits before the point")
    return unscaled


def format_decimal(unscaled: int, scale: int) -> str:
    """Plain digits, with exactly `scale` of them after the point."""
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    sign = "-" if unscaled < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else sign + digits


def encode_unscaled(unscaled: int) -> bytes:
    """The shortest two's complement, most significant byte first."""
    bits = (unscaled if unscaled >= 0 else ~unscaled).bit_length()
    return unscaled.to_bytes(bits // 8 + 1, "big", signed=True)


def _from_number(value: Decimal, precision: int, scale: int) -> int:
    if not value:
        return 0
    if value.adjusted() >= precision - scale:
        raise MisfitError("precision", f"has more than {precision - scale} digits before the point")
    sign, digits, exponent = value.as_tuple()
    shift = int(exponent) + scale
    whole = int("".join(map(str, digits)))
    # A shift further left than there are digits drops them all: no power of ten need be made for that.
    unscaled, rest = (whole * 10**shift, 0) if shift >= 0 else divmod(whole, 10 ** min(-shift, len(digits)))
    if rest:
        raise MisfitError("precision", f"has more than {scale} digits after the point")
    return int(-unscaled if sign else unscaled)
