"""TLS of one connection that was accepted: what comes in for a protocol, what a protocol writes.

Between requests it keeps what OpenSSL keeps, and little beside that. The event loop's own TLS gives each
connection a buffer of 256 KiB, of which an idle one had a page or two in memory: for ten thousand of them a
tenth of all that the process held.

A handshake that fails ends with the alert that TLS has for it, as far as there is one, and is told of. A
connection that fails later is closed without a word. Nothing that was not verified is handed on, and nothing
else is written in clear. An end without `close_notify` ends the connection too: a request
that is not whole then stays so.

Source: RFC 8446, sections 6.1 and 6.2; the order of steps is that of asyncio's own protocol.
"""

import asyncio
import ssl
from collections.abc import Callable
from enum import Enum, auto
from typing import Any, Final, Protocol

from gateway.http.tls_failures import ENDED, TIMEOUT, detail_of, reason_of

HANDSHAKE_SECONDS: Final = 10.0
"""For a handshake, from its beginning to its end."""

GOODBYE_SECONDS: Final = 30.0
"""So long a peer that was told of the end is waited for, once it has what was written."""

LINGER_SECONDS: Final = 2.0
"""So long a peer that was refused may take to read that before the connection is closed."""

WAITING_BYTES: Final = 512 * 1024
"""Writers wait while more than this is not sent, until three quarters of it are."""

UNREAD_BYTES: Final = 256 * 1024
"""While nobody wants to read, so much is taken from the network before it is left to wait there."""

READ_BYTES: Final = 64 * 1024
"""Of the buffer that all lines of a loop share: more at once is memory that is taken anew each time."""

_RECORD_BYTES: Final = 16 * 1024
"""Of one record, in clear."""


Failed = Callable[[str, str, str], None]
"""Told of a handshake that came to nothing: the reason (`tls_failures`), its detail, the client's address."""


def _nobody(_reason: str, _detail: str, _address: str) -> None:
    """Nobody is told."""


class _Phase(Enum):
    SHAKING = auto()
    REFUSED = auto()
    """The handshake has failed, and its alert is on its way; what comes is dropped."""
    OPEN = auto()
    LEAVING = auto()
    """We have said that we end; what comes is dropped."""
    ENDED = auto()


class _Spoken(Protocol):
    """What is spoken over it: a protocol of asyncio."""

    def connection_made(self, transport: asyncio.Transport) -> None: ...
    def connection_lost(self, exc: Exception | None) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> object: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...


class TlsLine(asyncio.Transport, asyncio.BufferedProtocol):
    """A protocol to the connection below, a transport to what is spoken over it.

    Its limits are attributes, so that a test need not wait.
    """

    __slots__ = (
        "_buffer", "_context", "_failed", "_incoming", "_is_paused", "_is_stopped", "_line", "_outgoing",
        "_phase", "_spoken", "_timer", "_tls",
    )  # fmt: skip

    handshake_seconds = HANDSHAKE_SECONDS
    goodbye_seconds = GOODBYE_SECONDS
    linger_seconds = LINGER_SECONDS

    _line: asyncio.Transport

    def __init__(
        self, spoken: _Spoken, context: ssl.SSLContext, buffer: memoryview, failed: Failed = _nobody
    ) -> None:
        """`spoken`: hears of the connection once the handshake is done; `context`: of a server.

        `buffer`: others of the same loop may have it too, since what is read is taken out of it at once.
        `failed`: told of a handshake that fails, once.
        """
        self._failed = failed
        self._buffer = buffer
        self._spoken: _Spoken | None = spoken
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._context = context
        self._phase = _Phase.SHAKING
        self._timer: asyncio.TimerHandle | None = None
        self._is_paused = self._is_stopped = False

    # Of the connection below.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # it is a stream
        """Wait for the peer's first words; who says none is not waited for for ever."""
        self._line = transport
        transport.set_write_buffer_limits(high=WAITING_BYTES)
        try:
            self._tls = self._context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        except (ssl.SSLError, MemoryError):
            transport.abort()
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.handshake_seconds, self._time_out)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone; whoever has heard of it hears that."""
        self._forget()
        if self._phase is _Phase.SHAKING:
            self._tell_failed(ENDED)
        was_known, self._phase = self._phase is not _Phase.SHAKING, _Phase.ENDED
        spoken, self._spoken = self._spoken, None
        if was_known and spoken is not None:
            spoken.connection_lost(exc)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes of the network go; who asks for more than there is gets less."""
        del sizehint
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So many bytes of the network are there."""
        if self._phase is not _Phase.REFUSED:
            self._incoming.write(self._buffer[:nbytes])
        match self._phase:
            case _Phase.SHAKING:
                self._shake()
            case _Phase.OPEN:
                self._read()
            case _Phase.LEAVING:
                self._leave()
            case _Phase.REFUSED | _Phase.ENDED:
                pass

    def eof_received(self) -> None:
        """The network ends: the connection closes by itself once what was written is sent."""
        was = self._phase
        if was is not _Phase.SHAKING:
            self._phase = _Phase.ENDED
        if was is _Phase.OPEN and self._spoken is not None:
            self._spoken.eof_received()

    def pause_writing(self) -> None:
        """The peer takes less than there is."""
        if self._phase is _Phase.OPEN and self._spoken is not None:
            self._spoken.pause_writing()

    def resume_writing(self) -> None:
        """The peer has taken most of what there was."""
        self._go_on()
        if self._phase is _Phase.OPEN and self._spoken is not None:
            self._spoken.resume_writing()

    # Of what is spoken over it.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt it, and send it; once the end has begun, drop it."""
        if self._phase is not _Phase.OPEN:
            return
        try:
            while data:
                # Piece by piece, so that what waits to be sent is not kept twice; or by the record.
                piece = data if len(data) <= READ_BYTES else memoryview(data)[:READ_BYTES]
                count = self._tls.write(piece)
                data = b"" if count == len(data) else memoryview(data)[count:]
                if self._outgoing.pending >= READ_BYTES:
                    self._send()
        except ssl.SSLError:
            self._drop()
            return
        self._send()

    def close(self) -> None:
        """Send what was written, say that it is the end, and wait for the peer to say so."""
        if self._phase is _Phase.SHAKING:
            self._drop()
        if self._phase is not _Phase.OPEN:
            return
        self._phase = _Phase.LEAVING
        self._wait()
        self._leave()

    def abort(self) -> None:
        """End it at once; what was written and is not sent is dropped."""
        self._drop()

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self._phase is not _Phase.OPEN

    def pause_reading(self) -> None:
        """Hand nothing on."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Go on after `pause_reading`, in a later turn of the loop."""
        if self._is_paused:
            self._is_paused = False
            asyncio.get_running_loop().call_soon(self._read)

    def get_write_buffer_size(self) -> int:
        """Bytes, encrypted, that are not sent."""
        return self._line.get_write_buffer_size()

    def can_write_eof(self) -> bool:
        """Never: TLS ends both sides."""
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What is known of TLS (`ssl_object`, `sslcontext`), or of the connection below."""
        match name:
            case "ssl_object":
                return self._tls
            case "sslcontext":
                return self._tls.context
            case _:
                return self._line.get_extra_info(name, default)

    def _shake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return
        except ssl.SSLError as error:
            self._refuse(error)
            return
        self._send()
        self._forget()
        self._phase = _Phase.OPEN
        if self._spoken is not None:
            self._spoken.connection_made(self)
        self._read()

    def _refuse(self, error: ssl.SSLError) -> None:
        """Send the alert, and close: a client that hears nothing does not know that it was refused.

        It may have sent its first request already: closed at once the connection would be reset by that, and
        a reset may overtake the alert. So it is let send for a while, to nobody.
        """
        self._tell_failed(reason_of(error), detail_of(error))
        has_words = self._outgoing.pending > 0
        self._forget()
        self._phase, self._spoken = _Phase.REFUSED, None
        self._send()
        if not has_words or not self._line.can_write_eof():
            self._line.abort()
            return
        self._line.write_eof()
        self._timer = asyncio.get_running_loop().call_later(self.linger_seconds, self._line.abort)

    def _time_out(self) -> None:
        self._tell_failed(TIMEOUT)
        self._line.abort()

    def _tell_failed(self, reason: str, detail: str = "") -> None:
        """Once: what comes after is no news."""
        failed, self._failed = self._failed, _nobody
        peer = self._line.get_extra_info("peername")
        failed(reason, detail, str(peer[0]) if isinstance(peer, tuple) and peer else "")

    def _read(self) -> None:
        """Hand on what is there."""
        if self._phase is not _Phase.OPEN:
            return
        if self._is_paused:
            if self._incoming.pending >= UNREAD_BYTES and not self._is_stopped:
                self._is_stopped = True
                self._line.pause_reading()
            return
        self._go_on()
        try:
            found, is_end = self._decrypted()
        except ssl.SSLError:
            self._drop()
            return
        is_answered = self._outgoing.pending > 0  # by TLS itself: nothing else leaves anything there
        if found and self._spoken is not None:
            self._spoken.data_received(found)
        self._send()
        if is_answered and not self._is_stopped and self._line.get_write_buffer_size() > WAITING_BYTES:
            # Who takes nothing is not read from while TLS has words for it: these would grow without bound.
            self._is_stopped = True
            self._line.pause_reading()
        if is_end and not self.is_closing() and self._spoken is not None:
            self._spoken.eof_received()
            self.close()

    def _decrypted(self) -> tuple[bytes, bool]:
        """All that can be read now, and whether the peer has said that no more comes.

        What is there is asked before it is read: to find out by an error that there is nothing takes longer
        than to read a small request.
        """
        found: list[bytes] = []
        while left := self._incoming.pending + self._tls.pending():
            try:
                piece = self._tls.read(min(left, _RECORD_BYTES))
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                piece = b""
            if not piece:
                return b"".join(found), True
            found.append(piece)
        return found[0] if len(found) == 1 else b"".join(found), False

    def _leave(self) -> None:
        """Say that we end, once; close the connection where the peer has said so too."""
        self._go_on()
        try:
            self._decrypted()
            self._tls.unwrap()
        except ssl.SSLWantReadError:
            self._send()
        except ssl.SSLError:
            self._drop()
        else:
            self._send()
            self._forget()
            self._phase = _Phase.ENDED
            self._line.close()

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.goodbye_seconds, self._give_up)

    def _give_up(self) -> None:
        """Who has all, and says nothing, is left; how long sending may take is for whoever writes."""
        if self._line.get_write_buffer_size():
            self._wait()
        else:
            self._drop()

    def _send(self) -> None:
        if self._outgoing.pending:
            self._line.write(self._outgoing.read())

    def _go_on(self) -> None:
        if self._is_stopped:
            self._is_stopped = False
            self._line.resume_reading()

    def _drop(self) -> None:
        """End without a word. Whoever has heard of the connection hears of its end from below."""
        self._forget()
        if self._phase is not _Phase.SHAKING:
            self._phase = _Phase.ENDED
        self._line.abort()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
