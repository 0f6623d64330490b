"""Writes of one turn of the event loop as one.

Head and body of an answer are written one after the other. Sent so, they are two system calls, two TLS
records and mostly two packets: an eighth of the processor time of a small event.
"""

import asyncio
from typing import Any, Final

LINGER_SECONDS: Final = 2.0
"""So long a peer that is still sending may take to read its answer before the connection is closed."""


class JoinedWrites(asyncio.Transport):
    """A transport before another; what is written goes out with `flush`, else when the loop's turn ends.

    `lingers`: the peer is still sending. Closed at once the connection would be reset by what comes, and a
    reset may overtake the answer (RFC 9112, section 9.6): so it is let send for a while, to nobody.
    """

    __slots__ = ("_held", "_is_leaving", "_loop", "_transport", "lingers")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        """`transport`: who sends; nobody else writes to it, or closes it."""
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: list[bytes] = []
        self._is_leaving = False
        self.lingers = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep it for what may follow."""
        if not self._held:
            self._loop.call_soon(self.flush)
        self._held.append(bytes(data))

    def close(self) -> None:
        """Send what was written, and close: at once, or when the peer has ended or its time is up."""
        self.flush()
        if self.lingers and not self.is_closing():
            self._is_leaving = True
            self._transport.resume_reading()
            if self._transport.can_write_eof():
                self._transport.write_eof()
            self._loop.call_later(LINGER_SECONDS, self._transport.close)
            return
        self._transport.close()

    def abort(self) -> None:
        """Close without sending what was written."""
        self._held = []
        self._transport.abort()

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
        held, self._held = self._held, []
        if held and not self._transport.is_closing():  # by the peer: what it will not read is dropped
            self._transport.write(b"".join(held))
