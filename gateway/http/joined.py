"""Writes of one turn of the event loop as one, and nobody who never reads them is waited for.

Head and body of an answer are written one after the other. Sent so, they are two system calls, two TLS
records and mostly two packets: an eighth of the processor time of a small event.

What a peer does not take is memory of ours. So while writers wait for it, or the end of the connection does,
it is looked at every half a minute: a connection of which nothing was taken meanwhile is given up. Slow is
not nothing: a download over a narrow line goes on.
"""

import asyncio
import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

LINGER_SECONDS: Final = 2.0
"""So long a peer that is still sending may take to read its answer before the connection is closed."""

TAKING_SECONDS: Final = 30.0
"""Within so long a peer takes some of what waits for it."""

TAKEN_BYTES: Final = 4_096
"""That is some of it."""

_ACKED: Final = struct.Struct("=120xQ")
"""`tcpi_bytes_acked` in what Linux tells of a connection: what the other end has got."""


class JoinedWrites(asyncio.Transport):
    """A transport before another; what is written goes out with `flush`, else when the loop's turn ends.

    `lingers`: the peer is still sending. Closed at once the connection would be reset by what comes, and a
    reset may overtake the answer (RFC 9112, section 9.6): so it is let send for a while, to nobody.

    `is_judged_elsewhere`: whoever writes has rules of its own for a peer that takes nothing.
    """

    __slots__ = (
        "_held", "_is_leaving", "_loop", "_seconds", "_transport", "_watch", "is_judged_elsewhere", "lingers",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        taking_seconds: float = TAKING_SECONDS,
    ) -> None:
        """`transport`: who sends; nobody else writes to it, or closes it."""
        # The parent's is not called: it makes a dictionary, of which nothing is asked here.
        self._transport = transport
        self._loop = loop
        self._held: Sequence[bytes] = ()
        self._is_leaving = False
        self._seconds = taking_seconds
        self._watch: asyncio.TimerHandle | None = None
        self.lingers = self.is_judged_elsewhere = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it for what may follow."""
        if isinstance(self._held, list):
            self._held.append(bytes(data))
            return
        self._held = [bytes(data)]
        self._loop.call_soon(self.flush)

    def close(self) -> None:
        """Send what was written, and close: at once, or when the peer has ended or its time is up."""
        self.flush()
        if self.lingers and not self.is_closing():
            self._is_leaving = True
            self._transport.resume_reading()
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._loop.call_later(LINGER_SECONDS, self._close)
            return
        self._close()

    def abort(self) -> None:
        """Close without sending what was written."""
        self._held = ()
        self._transport.abort()

    def lost(self) -> None:
        """The connection is gone."""
        self.lingers = False
        self._forget()

    def watch(self) -> None:
        """Writers wait for the peer: give the connection up unless it takes some of what there is in time."""
        if self._watch is None:
            taken = _acknowledged(self._transport), self._transport.get_write_buffer_size()
            self._watch = self._loop.call_later(self._seconds, self._look, *taken)

    def unwatch(self) -> None:
        """Writers go on. What is left when the connection ends is watched on."""
        if not self._transport.is_closing():
            self._forget()

    def hurry(self, seconds: float) -> None:
        """Give whoever takes nothing so many seconds from now on, whatever rules there are elsewhere."""
        self._seconds, self.is_judged_elsewhere = seconds, False
        if self._watch is not None or self._transport.is_closing():
            self._forget()
            self.watch()

    def end(self) -> None:
        """The peer has ended its side: the connection closes by itself once it has taken what there is.

        Nothing more is written then, so whoever writes judges it no longer.
        """
        self.is_judged_elsewhere = False
        self.watch()

    def is_closing(self) -> bool:
        """Whether it is closed, or about to be."""
        return self._is_leaving or self._transport.is_closing()

    def pause_reading(self) -> None:
        """Let nothing more come in."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on after `pause_reading`."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the other transport knows."""
        return self._transport.get_extra_info(name, default)

    def flush(self) -> None:
        """Send what was written."""
        held, self._held = self._held, ()
        if held and not self._transport.is_closing():  # by the peer: what it will not read is dropped
            self._transport.write(b"".join(held))

    def _close(self) -> None:
        if self._transport.is_closing():
            return
        self._transport.close()
        # It ends once all is sent, which is up to the peer.
        self.watch()

    def _look(self, acknowledged: int, left: int) -> None:
        self._watch = None
        taken = max(
            _acknowledged(self._transport) - acknowledged, left - self._transport.get_write_buffer_size()
        )
        if taken >= TAKEN_BYTES or self.is_judged_elsewhere:
            self.watch()
        else:
            self.abort()

    def _forget(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


def _acknowledged(transport: asyncio.Transport) -> int:
    """Bytes that the peer's system has got; 0 where ours does not tell.

    What our buffers hold does not say it: those of TLS stay full while those below them are emptied.
    """
    line = transport.get_extra_info("socket")
    with suppress(OSError, AttributeError, struct.error):
        return int(_ACKED.unpack_from(line.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256))[0])
    return 0
