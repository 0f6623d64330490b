"""A body that is larger than memory: read, inflated and handed on bit by bit, under the same rules as others.

Its time is counted by what arrives: so many seconds for each mebibyte, not for the whole. What we take to
keep it costs the sender none of them.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import Request

from gateway.errors import CallerError
from gateway.http.framing import PATIENCE
from gateway.http.inflating import CLOSE, Inflater, too_large
from gateway.http.reading import read_coding

WINDOW_BYTES: Final = 2**20
"""Within the time of one window so many bytes arrive, or the body ends."""

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
    inflater = Inflater(cap) if coding == "gzip" else None
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
