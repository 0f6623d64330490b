"""Dates, times, timestamps and durations: text to exact integers and back. No clock, no float, no rounding.

Dates and timestamps lie in the years 1 to 9999, those in nanoseconds where 64 bits hold them (1677 to 2262).

Source: RFC 3339, section 5.6 (leap seconds are refused: no Avro timestamp can hold one).
"""

import re
from datetime import date
from typing import Final

from schemas.errors import MisfitError

_EPOCH: Final = date(1970, 1, 1).toordinal()
_FIRST_DAY: Final = 1 - _EPOCH
_LAST_DAY: Final = date(9999, 12, 31).toordinal() - _EPOCH
_DAY_SECONDS: Final = 86_400
_INT64: Final = 1 << 63
_BEYOND_NANOS: Final = (
    "is beyond what 64 bits of nanoseconds hold: "
    "1677-09-21T00:12:43.145224192 to 2262-04-11T23:47:16.854775807"
)

_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_TIME = re.compile(r"([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?")
_ZONE = re.compile(r"[Zz]|([+-])([0-9]{2}):([0-9]{2})")


def parse_date(text: str) -> int:
    """Days since 1970-01-01.

    Raises:
        MisfitError: no date as YYYY-MM-DD.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise MisfitError("format", "is no date as YYYY-MM-DD")
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).toordinal() - _EPOCH
    except ValueError as error:
        raise MisfitError("format", "is no day of the calendar") from error


def format_date(days: int) -> str:
    """YYYY-MM-DD."""
    return date.fromordinal(days + _EPOCH).isoformat()


def verify_date(days: int) -> int:
    """Days within the years 1 to 9999.

    Raises:
        MisfitError: beyond them.
    """
    if not _FIRST_DAY <= days <= _LAST_DAY:
        raise MisfitError("range", "is beyond the years 1 to 9999")
    return days


def parse_time(text: str, digits: int) -> int:
    """Units of 10**-digits seconds since midnight.

    Raises:
        MisfitError: no time as HH:MM:SS with a fraction that the unit holds.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise MisfitError("format", "is no time as HH:MM:SS.sss")
    hour, minute, second = int(match[1]), int(match[2]), int(match[3])
    if hour > 23 or minute > 59 or second > 59:  # noqa: PLR2004 - the clock's own numbers
        raise MisfitError("format", "is no time of the day")
    fraction = match[4] or ""
    if fraction[digits:].strip("0"):
        raise MisfitError("precision", f"has more than {digits} digits of a second")
    units: int = (hour * 3600 + minute * 60 + second) * 10**digits + int(fraction[:digits].ljust(digits, "0"))
    return units


def format_time(units: int, digits: int) -> str:
    """HH:MM:SS and the fraction with all its digits."""
    seconds, fraction = divmod(units, 10**digits)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:0{digits}}"


def verify_time(units: int, digits: int) -> int:
    """Units within one day.

    Raises:
        MisfitError: beyond it.
    """
    if not 0 <= units < _DAY_SECONDS * 10**digits:
        raise MisfitError("range", "is no time of one day")
    return units


def parse_timestamp(text: str, digits: int, *, zoned: bool) -> int:
    """Units of 10**-digits seconds since 1970-01-01T00:00:00 (UTC where `zoned`).

    Raises:
        MisfitError: no RFC 3339 text (without offset, where not `zoned`), too fine, or beyond the years.
    """
    if len(text) < 19 or text[10] not in "Tt":  # noqa: PLR2004 - YYYY-MM-DDTHH:MM:SS
        raise MisfitError("format", _wanted(zoned=zoned))
    days = parse_date(text[:10])
    clock, minutes = (text[11:], 0) if not zoned else _split_zone(text[11:])
    units = parse_time(clock, digits) + (days * _DAY_SECONDS - minutes * 60) * 10**digits
    return verify_timestamp(units, digits)


def format_timestamp(units: int, digits: int, *, zoned: bool) -> str:
    """RFC 3339 with all digits of the unit, and Z where `zoned`."""
    days, rest = divmod(units, _DAY_SECONDS * 10**digits)
    return f"{format_date(days)}T{format_time(rest, digits)}{'Z' if zoned else ''}"


def verify_timestamp(units: int, digits: int) -> int:
    """Units within the years 1 to 9999, and within 64 bits: nanoseconds reach from 1677 to 2262 alone.

    Raises:
        MisfitError: beyond them.
    """
    verify_date(units // (_DAY_SECONDS * 10**digits))
    if not -_INT64 <= units < _INT64:
        raise MisfitError("range", _BEYOND_NANOS)
    return units


def _split_zone(text: str) -> tuple[str, int]:
    """The time, and the offset in minutes east of UTC."""
    clock, zone = (text[:-1], text[-1:]) if text[-1:] in "Zz" else (text[:-6], text[-6:])
    match = _ZONE.fullmatch(zone)
    if match is None:
        raise MisfitError("format", _wanted(zoned=True))
    if match[1] is None:
        return clock, 0
    hours, minutes = int(match[2]), int(match[3])
    if hours > 23 or minutes > 59:  # noqa: PLR2004 - the clock's own numbers
        raise MisfitError("format", "has no valid offset from UTC")
    return clock, (hours * 60 + minutes) * (-1 if match[1] == "-" else 1)


def _wanted(*, zoned: bool) -> str:
    return (
        "is no RFC 3339 time, such as 2026-11-22T13:05:00Z" if zoned else "is no time as YYYY-MM-DDTHH:MM:SS"
    )
