"""Instants as people read them. Inside, an instant is an int: Unix milliseconds."""

from datetime import UTC, datetime
from functools import lru_cache


def format_instant(at: int) -> str:
    """Unix milliseconds as `2026-11-22T13:05:00.000Z` (RFC 3339)."""
    seconds, ms = divmod(at, 1000)
    return f"{_format_second(seconds)}.{ms:03d}Z"


@lru_cache(64)
def _format_second(at: int) -> str:
    # Most of what is formatted is of this very second.
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}"
