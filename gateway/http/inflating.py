"""One gzip coding of a body, inflated under caps: of its size, and of how much it may expand."""

import zlib
from collections.abc import Iterator
from typing import Any, Final

from gateway.errors import CallerError

RATIO: Final = 100
RATIO_FREE_BYTES: Final = 65_536
CLOSE: Final[dict[str, Any]] = {"headers": {"Connection": "close"}}
"""Members of a refusal after which nothing more is read."""

GATEWAY: Final = "the gateway"
"""Whose limit it is where nothing was agreed."""

_OUT_BYTES: Final = 256 * 1024
"""What is inflated at a time."""


def too_large(cap: int, whose: str = GATEWAY) -> CallerError:
    """The refusal of a body beyond `cap` bytes. `whose`: who says so."""
    text = f"The body may have {cap} bytes here, before and after decoding (a limit of {whose})."
    return CallerError("body_too_large", text, members=CLOSE)


class Inflater:
    """One gzip member, given out in bounded bits; stops at the first byte too many."""

    def __init__(self, cap: int, whose: str = GATEWAY) -> None:
        """`cap`: bytes before decoding and after, at most; `whose`: who says so."""
        self._cap = cap
        self._whose = whose
        self._taken = 0
        self._given = 0
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Give out what came with a piece of the body.

        Raises:
            CallerError: `body_malformed`, `body_too_large`.
        """
        if self._stream.eof and chunk:
            raise _followed()
        self._taken += len(chunk)
        is_more = True
        while is_more:
            try:
                plain = self._stream.decompress(chunk, _OUT_BYTES)
            except zlib.error as error:
                raise CallerError("body_malformed", "The body is no gzip stream.") from error
            if self._stream.unused_data:
                raise _followed()
            chunk = self._stream.unconsumed_tail
            # What has no room in the output yet may also wait inside, with nothing left of the input.
            is_more = bool(chunk) or len(plain) == _OUT_BYTES
            self._given += len(plain)
            if self._given > self._cap:
                raise too_large(self._cap, self._whose)
            if self._given > max(RATIO_FREE_BYTES, RATIO * self._taken):
                text = f"The body expands more than {RATIO}:1; send it less compressed, or plain."
                raise CallerError("body_too_large", text, members=CLOSE)
            if plain:
                yield plain

    def finish(self) -> None:
        """Make sure that the member is whole.

        Raises:
            CallerError: `body_malformed`: it is not.
        """
        if not self._stream.eof:
            raise CallerError("body_malformed", "The gzip stream ends too early.")


def _followed() -> CallerError:
    return CallerError("body_malformed", "Bytes follow the end of the gzip member.")
