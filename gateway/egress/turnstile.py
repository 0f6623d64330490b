"""Lets deliveries that are tried again begin evenly, so that very many which are due delay nothing new.

An endpoint that was away for an hour, or a relay that starts after a night, makes a hundred thousand retries
due in one moment. Each costs as much as a new event; begun together they would stand before all that comes.
So they begin at a steady rate for the whole relay, some at a time, each shard in its turn; at twice that rate
while nothing new is sent. Those that have their turn in their lane, before something new, wait for nobody
here; the others wait for them.
"""

import asyncio
from typing import Final, Protocol

RETRIES_A_SECOND: Final = 600
"""Of one relay, while it sends what is new."""

_SOME: Final = 6
_QUIET_MS: Final = 1_000
_PAUSE_SECONDS: Final = _SOME / RETRIES_A_SECOND


class Waiting(Protocol):
    """A shard at work. `granted`: how many retries it may begin; `wake` makes it look."""

    granted: int
    wake: asyncio.Event


class Turnstile:
    """One a relay."""

    def __init__(self) -> None:
        self._waiting: dict[Waiting, None] = {}
        self._comes = asyncio.Event()
        self._new_at = self._now = -_QUIET_MS
        self._ahead = 0

    def note_new(self, now: int) -> None:
        """Something new was sent (Unix milliseconds)."""
        self._new_at = self._now = now

    def note_ahead(self, count: int) -> None:
        """So many more retries were sent than might begin: at most half the rate is theirs."""
        self._ahead = min(self._ahead + max(0, count), _SOME)

    def join(self, waiting: Waiting, now: int) -> None:
        """It has retries that may not begin yet; once, however often it says so."""
        self._now = now
        self._waiting[waiting] = None
        self._comes.set()

    async def run(self) -> None:
        """Let some begin, shard by shard, until cancelled."""
        loop = asyncio.get_running_loop()
        free_at = loop.time()
        while True:
            await self._comes.wait()
            first = next(iter(self._waiting))
            del self._waiting[first]
            if not self._waiting:
                self._comes.clear()
            is_quiet = self._now - self._new_at >= _QUIET_MS
            first.granted = 2 * _SOME if is_quiet else _SOME
            first.wake.set()
            # What the loop was late by is caught up with, but for no more than one pause.
            pause, self._ahead = (_SOME + self._ahead) / RETRIES_A_SECOND, 0
            free_at = max(free_at, loop.time() - _PAUSE_SECONDS) + pause
            await asyncio.sleep(max(0.0, free_at - loop.time()))
