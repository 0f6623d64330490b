"""Connections to another registry whose every wait ends with the question that it serves.

A time for each read alone is none for the whole: who sends a letter of a header at a time would hold the
caller for ever. Looking up the host's name is the system's, and takes what that takes.
"""

import ssl
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import httpcore
import httpx

FAILURES: Final = (
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.TimeoutException,
    httpcore.UnsupportedProtocol,
)
"""What goes wrong on a connection."""

_PIECE_BYTES: Final = 16_384
"""What is written at once: its peer may take it in drips, too."""

_KEPT_SECONDS: Final = 5.0


class Deadline:
    """Until when the calling thread may wait, on whichever connections of one registry."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        """`ticks`: seconds of a clock that nobody sets."""
        self._ticks = ticks
        self._until: ContextVar[float] = ContextVar("until", default=float("inf"))

    @property
    def seconds(self) -> float:
        """What is left; none where it is past."""
        return max(0.0, self._until.get() - self._ticks())

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Wait no longer than so many seconds until the block ends, nor than was said around it."""
        token = self._until.set(min(self._until.get(), self._ticks() + seconds))
        try:
            yield
        finally:
            self._until.reset(token)

    def cut(self, seconds: float | None) -> float:
        """The shorter of a wait and of what is left.

        Raises:
            httpcore.TimeoutException: nothing is.
        """
        left = self.seconds
        if not left:
            raise httpcore.TimeoutException("too slow as a whole")
        return left if seconds is None else min(seconds, left)


class Transport(httpx.BaseTransport):
    """HTTP/1.1, by no proxy, under a deadline, for several threads. What fails is of `FAILURES`."""

    def __init__(self, deadline: Deadline, tls: ssl.SSLContext) -> None:
        """Connect to nothing yet."""
        network = _Network(deadline)
        self._pool = httpcore.ConnectionPool(tls, keepalive_expiry=_KEPT_SECONDS, network_backend=network)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, of which only the header is read."""
        url = request.url
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method,
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    def close(self) -> None:
        """Let the connections go."""
        self._pool.close()


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    def __iter__(self) -> Iterator[bytes]:
        return self._answer.iter_stream()

    def close(self) -> None:
        self._answer.close()


class _Network(httpcore.NetworkBackend):
    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._system = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        seconds = self._deadline.cut(timeout)
        stream = self._system.connect_tcp(host, port, seconds, local_address, socket_options)
        return _Stream(stream, self._deadline)


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._deadline.cut(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), _PIECE_BYTES):
            self._stream.write(buffer[start : start + _PIECE_BYTES], self._deadline.cut(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        # A handshake has one time for all of it.
        seconds = self._deadline.cut(timeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, seconds), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
