"""Instants as people read them. Inside, an instant is an int: Unix milliseconds."""

from datetime import UTC, datetime


def format_instant(at: int) -> str:
    """Unix milliseconds as `2026-11-22T13:05:00.000Z` (RFC 3339)."""
    seconds, ms = divmod(at, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{ms:03d}Z"
