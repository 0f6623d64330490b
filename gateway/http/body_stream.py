"""A body that is larger than memory: read, inflated and handed on bit by bit, under the same rules as others.

Its time is counted by what arrives: so many seconds for each mebibyte, not for the whole. What we take to
keep it costs the sender none of them.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from starlette.requests import Request

from gateway.errors import CallerError
from gateway.http.framing import PATIENCE
from gateway.http.reading import CLOSE, RATIO, RATIO_FREE_BYTES, read_coding, too_large

WINDOW_BYTES: Final = 2**20
"""Within the time of one window so many bytes arrive, or the body ends."""

_OUT_BYTES: Final = 256 * 1024
"""What is inflated at a time."""

_KEEPING_SECONDS: Final = 120.0
"""The longest that the database may take for a piece, before the connection is given up."""


async def read_stream(request: Request, *, cap: int, seconds: float) -> AsyncIterator[bytes]:
    """The body after content decoding, at most `cap` bytes before it and after.

    Raises:
        CallerError: `body_too_large`, `content_encoding_unsupported`, `body_malformed`, `request_malformed`.
        ClientDisconnect: the sender went away.
    """
    coding = read_coding(request.headers.getlist("content-encoding"))
    announced = request.headers.get("content-length", "")
    if announced.isascii() and announced.isdigit() and int(announced[:19]) > cap:
        raise too_large(cap)
    inflater = _Inflater(cap) if coding == "gzip" else None
    taken = 0
    async for chunk in _arriving(request, seconds):
        taken += len(chunk)
        if taken > cap:
            raise too_large(cap)
        if inflater is None:
            yield chunk
        else:
            for plain in inflater.feed(chunk):
                yield plain
    if inflater is not None:
        inflater.finish()


async def _arriving(request: Request, seconds: float) -> AsyncIterator[bytes]:
    loop = asyncio.get_running_loop()
    patience = request.scope.get(PATIENCE, lambda _seconds: None)
    stream = aiter(request.stream())
    left, window = seconds, 0
    while True:
        patience(left + _KEEPING_SECONDS)
        began = loop.time()
        try:
            async with asyncio.timeout(left):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            text = f"Less than {WINDOW_BYTES >> 20} MiB of the body arrived within {seconds:g} s."
            raise CallerError("request_malformed", text, members=CLOSE) from error
        if chunk is None:
            return
        left -= loop.time() - began
        window += len(chunk)
        if window >= WINDOW_BYTES:
            left, window = seconds, 0
        if chunk:
            yield chunk


class _Inflater:
    """One gzip member, given out in bounded bits; stops at the first byte too many."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._taken = 0
        self._given = 0
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._stream.eof:
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
                raise too_large(self._cap)
            if self._given > max(RATIO_FREE_BYTES, RATIO * self._taken):
                text = f"The body expands more than {RATIO}:1; send it less compressed, or plain."
                raise CallerError("body_too_large", text, members=CLOSE)
            if plain:
                yield plain

    def finish(self) -> None:
        if not self._stream.eof:
            raise CallerError("body_malformed", "The gzip stream ends too early.")


def _followed() -> CallerError:
    return CallerError("body_malformed", "Bytes follow the end of the gzip member.")
