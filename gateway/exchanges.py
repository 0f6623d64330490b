"""The other end of an exchange that we began, as far as it may waste our time.

What an answer says is bounded by its caller. What it is wrapped in is bounded here: answers before the answer
(1xx), of which a peer may send any number, and the marks of chunks, which may be five bytes for one. A loop
that takes all of it does nothing else meanwhile: at full speed, seconds for each connection. So what arrives
is looked at in small pieces, and an exchange ends once it has brought too much besides what it says.

Source: RFC 9110, section 15.2; RFC 9112, section 7.1; aiohttp 3.14, `ResponseHandler`.
"""

from typing import Any, Final

from aiohttp import ClientPayloadError, StreamReader
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import RawResponseMessage

HEADER_BYTES: Final = 16 * 1024
"""Of an answer's head."""

MOST_INTERIM: Final = 16
"""Answers before the answer."""

_PIECE: Final = 2 * 1024
_BESIDES_BYTES: Final = HEADER_BYTES + 4 * 1024
_BESIDES_SHARE: Final = 0.125
_FINAL: Final = 200


class Exchange(ResponseHandler):
    """A connection; what is said of it holds of each exchange on it by itself."""

    _arrived = 0
    _interim = 0
    _is_over = False

    def set_response_params(self, **terms: Any) -> None:
        """An exchange begins."""
        self._arrived = self._interim = 0
        super().set_response_params(**terms)

    def data_received(self, data: bytes) -> None:
        """Take what arrived, a piece at a time."""
        if len(data) <= _PIECE:
            self._take(data)
            return
        view = memoryview(data)
        for start in range(0, len(data), _PIECE):
            self._take(bytes(view[start : start + _PIECE]))

    def feed_data(self, data: tuple[RawResponseMessage, StreamReader], size: int = 0) -> None:
        """An answer's head was read; one before the answer tells us nothing."""
        self._interim += data[0].code < _FINAL
        super().feed_data(data, size)

    def _take(self, piece: bytes) -> None:
        if self._is_over:
            return
        self._arrived += len(piece)
        payload = self._payload
        super().data_received(piece)
        payload = self._payload or payload
        said = 0 if payload is None else payload.total_bytes
        if self._interim > MOST_INTERIM or self._arrived - said * (1 + _BESIDES_SHARE) > _BESIDES_BYTES:
            self._end()

    def _end(self) -> None:
        self._is_over = True
        error = ClientPayloadError("the answer is wrapped in more than it says")
        if self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(error)
        self.set_exception(error)
        if self.transport is not None:
            self.transport.abort()
