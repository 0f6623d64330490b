"""Durations: ISO 8601 text to the twelve bytes that Avro holds, and back, exactly.

Months, days and milliseconds stand apart: no day is ever counted as hours, no month as days.
Source: Apache Avro 1.12 specification, "Duration"; ISO 8601-1, "Duration".
"""

import re
import struct
from typing import Final

from schemas.errors import MisfitError

_PARTS: Final = struct.Struct("<III")
_MOST: Final = (1 << 32) - 1
_TEXT = re.compile(
    r"P(?=[0-9T])(?:([0-9]{1,10})Y)?(?:([0-9]{1,10})M)?(?:([0-9]{1,10})W)?(?:([0-9]{1,10})D)?"
    r"(?:T(?=[0-9])(?:([0-9]{1,10})H)?(?:([0-9]{1,10})M)?(?:([0-9]{1,10})(?:\.([0-9]+))?S)?)?"
)


def parse_duration(text: str) -> bytes:
    """Months, days and milliseconds in twelve bytes; a year is 12 months, a week 7 days, an hour 60 minutes.

    Raises:
        MisfitError: no duration as P1M2DT3.004S, finer than a millisecond, or beyond 32 bits in a part.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise MisfitError("format", "is no duration such as P1M2DT3.004S")
    years, months, weeks, days, hours, minutes, seconds = (int(part or 0) for part in match.groups()[:7])
    fraction = match[8] or ""
    if fraction[3:].strip("0"):
        raise MisfitError("precision", "has more than 3 digits of a second")
    millis = ((hours * 60 + minutes) * 60 + seconds) * 1000 + int(fraction[:3].ljust(3, "0"))
    parts = (years * 12 + months, weeks * 7 + days, millis)
    if max(parts) > _MOST:
        raise MisfitError("range", f"holds more than {_MOST} months, days or milliseconds")
    return _PARTS.pack(*parts)


def format_duration(raw: bytes) -> str:
    """All three parts, the seconds with three digits: P1M2DT3.004S."""
    months, days, millis = _PARTS.unpack(raw)
    return f"P{months}M{days}DT{millis // 1000}.{millis % 1000:03}S"
