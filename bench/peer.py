"""A receiver's side of HTTP/1.1, as far as a benchmark needs it: whole requests with a length, one by one."""

import asyncio
from typing import cast


class Peer(asyncio.Protocol):
    """Cuts what arrives into requests; what is answered is up to `request`."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection, with nothing read yet."""
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        """More bytes, perhaps of several requests."""
        self._buffer += data
        while True:
            head, mark, rest = self._buffer.partition(b"\r\n\r\n")
            if not mark:
                return
            _, named, value = head.lower().partition(b"content-length:")
            length = int(value.split(b"\r\n", 1)[0]) if named else 0
            if len(rest) < length:
                return
            self._buffer = rest[length:]
            self.request(head, rest[:length])

    def request(self, head: bytes, body: bytes) -> None:
        """One whole request."""
        raise NotImplementedError
