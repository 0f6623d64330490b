"""Opaque page tokens: where to go on, bound by a MAC to what they were made for.

A token is no secret and hides nothing; it cannot be made by others, nor carried to another partner or filter.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence

from gateway.errors import CallerError

_TAG_BYTES = 16
_MAX_CHARACTERS = 8_192
"""Enough for a stream of four hundred partitions."""


def seal_cursor(key: bytes, bound: Sequence[str], state: Sequence[int | str]) -> str:
    """Make a token that opens to `state` for the same `bound` (route, partner, filter) alone."""
    payload = json.dumps(list(state), separators=(",", ":")).encode()
    return _text(_tag(key, bound, payload) + payload)


def open_cursor(key: bytes, bound: Sequence[str], token: str) -> list[int | str]:
    """The state inside a token.

    Raises:
        CallerError: `cursor_invalid`: not a token of ours, or one for another partner, list or filter.
    """
    refusal = CallerError(
        "cursor_invalid", "The cursor is not one that this list gave for this filter; start without one."
    )
    if len(token) > _MAX_CHARACTERS:
        raise refusal
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise refusal from error
    tag, payload = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(_tag(key, bound, payload), tag) or _text(raw) != token:
        raise refusal
    state: list[int | str] = json.loads(payload)
    return state


def _text(raw: bytes) -> str:
    """The one spelling of a token; base64 alone has several."""
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _tag(key: bytes, bound: Sequence[str], payload: bytes) -> bytes:
    message = json.dumps(list(bound), separators=(",", ":")).encode() + b"\x00" + payload
    return hmac.new(key, b"gateway/cursor/v1\x00" + message, hashlib.sha256).digest()[:_TAG_BYTES]
