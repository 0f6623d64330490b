"""The answers of one append to Kafka, collected on the thread that serves librdkafka's delivery reports."""

import asyncio
import contextlib
import threading

from gateway.broker.port import Refused, Stored, Unknown

Answer = Stored | Refused | Unknown


class Batch:
    """See the module. Made, and waited for, on the event loop."""

    __slots__ = ("_answers", "_future", "_left", "_lock", "_loop")

    def __init__(self, count: int) -> None:
        """`count`: how many records, at least one."""
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[None] = self._loop.create_future()
        self._answers: list[Answer | None] = [None] * count
        self._left = count
        self._lock = threading.Lock()

    def settle(self, index: int, answer: Answer) -> None:
        """Keep the answer of one record; the last one wakes the append."""
        with self._lock:
            self._answers[index] = answer
            self._left -= 1
            is_last = not self._left
        if is_last:
            # A loop that is closed has nobody left who waits; the serving thread must go on.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._wake)

    async def answers(self, seconds: float) -> list[Answer]:
        """All of them, or what is known after so many seconds."""
        # The future itself is waited for: what waits in between costs each event a turn of the loop.
        late = self._loop.call_later(seconds, self._wake)
        try:
            await self._future
        finally:
            late.cancel()
        return [answer or Unknown("Kafka did not answer in time") for answer in self._answers]

    def _wake(self) -> None:
        if not self._future.done():
            self._future.set_result(None)
