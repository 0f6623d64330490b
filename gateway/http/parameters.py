"""Query parameters, read strictly: a name that is not offered, or stands twice, is refused."""

import re
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import parse_qsl

from gateway.errors import CallerError

MAX_LIMIT = 1_000
DEFAULT_LIMIT = 100
MAX_WAIT_SECONDS = 30
_AGO = re.compile(r"([0-9]{1,6})([smhd])\Z", re.ASCII)
_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)\Z", re.ASCII)
_DIGEST = re.compile(r"[0-9A-Fa-f]{64}\Z", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}\Z", re.ASCII)


def read_query(raw: bytes, offered: frozenset[str]) -> Mapping[str, str]:
    """The parameters of a query string, each offered and once.

    Raises:
        CallerError: `parameter_invalid`.
    """
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=50)
    except ValueError as error:
        raise CallerError("parameter_invalid", "The query string cannot be read.") from error
    found: dict[str, str] = {}
    for name, text in pairs:
        if name not in offered:
            names = ", ".join(sorted(offered)) or "none"
            raise CallerError(
                "parameter_invalid", f"There is no such query parameter here; there is: {names}."
            )
        if name in found:
            raise CallerError("parameter_invalid", f"The query parameter {name} stands more than once.")
        found[name] = text
    return found


def flag(query: Mapping[str, str], name: str) -> bool:
    """`true` or `false`; absent is false."""
    text = query.get(name, "false")
    if text not in {"true", "false"}:
        raise _wrong(name, "true or false")
    return text == "true"


def number(query: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    """A whole number within bounds."""
    text = query.get(name)
    if text is None:
        return default
    if not _NUMBER.match(text) or not least <= int(text) <= most:
        raise _wrong(name, f"a whole number from {least} to {most}")
    return int(text)


def limit(query: Mapping[str, str]) -> int:
    """How many items a page has."""
    return number(query, "limit", default=DEFAULT_LIMIT, least=1, most=MAX_LIMIT)


def wait_seconds(query: Mapping[str, str]) -> int:
    """How long the caller is willing to wait, in seconds."""
    return number(query, "wait", default=0, least=0, most=MAX_WAIT_SECONDS)


def instant(query: Mapping[str, str], name: str, now: int) -> int | None:
    """A time as RFC 3339, or as a span before now (`24h`); Unix milliseconds, None where absent."""
    text = query.get(name)
    return None if text is None else parse_instant(text, name, now)


def parse_instant(text: str, name: str, now: int) -> int:
    """As `instant`, of one text. A blank stands for a plus sign that was not percent-encoded.

    A date alone is its first moment in UTC.
    """
    ago = _AGO.match(text)
    if ago:
        return max(0, now - int(ago[1]) * _UNITS_MS[ago[2]])
    text = f"{text}T00:00:00Z" if _DATE.match(text) else text.replace(" ", "+")
    wanted = "an RFC 3339 time such as 2026-11-22T13:00:00Z, a date (UTC), or a span such as 24h"
    if not _TIME.match(text):
        raise _wrong(name, wanted)
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError as error:
        raise _wrong(name, wanted) from error
    return max(0, int(at.timestamp() * 1000))


def coming(query: Mapping[str, str], name: str, now: int) -> int | None:
    """A time as RFC 3339, or as a span from now on (`30d`); Unix milliseconds, None where absent."""
    text = query.get(name)
    span = None if text is None else _AGO.match(text)
    if text is None or span is None:
        return instant(query, name, now)
    return now + int(span[1]) * _UNITS_MS[span[2]]


def choice(query: Mapping[str, str], name: str, offered: tuple[str, ...], default: str | None) -> str | None:
    """One of a few words."""
    text = query.get(name, default)
    if text is not None and text not in offered:
        raise _wrong(name, f"one of {', '.join(offered)}")
    return text


def words(query: Mapping[str, str], name: str, offered: tuple[str, ...]) -> tuple[str, ...] | None:
    """Some of a few words, with commas between; None where absent."""
    text = query.get(name)
    found = None if text is None else tuple(text.split(","))
    if found is not None and not set(found) <= set(offered):
        raise _wrong(name, f"one or more of {', '.join(offered)}, with commas between")
    return found


def one_word(query: Mapping[str, str], name: str) -> str | None:
    """A name without blanks; None where absent."""
    text = query.get(name)
    if text is not None and " " in text:
        raise _wrong(name, "a name without blanks")
    return text


def digest(query: Mapping[str, str], name: str) -> bytes | None:
    """A SHA-256 in hex; None where absent."""
    text = query.get(name)
    if text is not None and not _DIGEST.match(text):
        raise _wrong(name, "the SHA-256 of a content in 64 hex digits")
    return None if text is None else bytes.fromhex(text)


def _wrong(name: str, wanted: str) -> CallerError:
    return CallerError("parameter_invalid", f"The query parameter {name} must be {wanted}.")
