"""Flow control of one connection, with nothing kept while nothing waits.

As uvicorn's, whose event costs each of thousands of idle connections most of a kilobyte.
"""

import asyncio

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """Whether reading and writing are held up; its event is made when writing is."""

    __slots__ = ("_is_writable_event", "_transport", "read_paused", "write_paused")

    def __init__(self, transport: asyncio.Transport) -> None:
        """`transport`: whose reading is paused. The parent's is not called: it makes the event."""
        self._transport = transport
        self.read_paused = False
        self.write_paused = False

    async def drain(self) -> None:
        """Wait until writing goes on."""
        if self.write_paused:
            await super().drain()

    def pause_writing(self) -> None:
        """Let writers wait."""
        if not self.write_paused:
            self.write_paused = True
            self._is_writable_event = asyncio.Event()
