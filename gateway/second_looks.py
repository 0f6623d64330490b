"""Looks that are asked for by what is not known: one serves all that ask meanwhile, and they are not many."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from gateway.errors import AwayError

APART_SECONDS: Final = 0.1
"""How far apart they begin: strangers ask as often as they like."""

PATIENCE_SECONDS: Final = 1.0
"""So long is one waited for; then what was not known stays so."""


class SecondLooks:
    """`ticks`: seconds of a clock that nobody sets."""

    def __init__(self, ticks: Callable[[], float]) -> None:
        """None was asked for yet."""
        self._ticks = ticks
        self._turn = asyncio.Lock()
        self._began_at = self._missed_at = -math.inf
        self._looking: asyncio.Future[None] | None = None

    async def after(self, looked_at: Callable[[], float], look: Callable[[], Awaitable[None]]) -> None:
        """Return once a look that began after the call has ended, or was waited for in vain.

        `looked_at`: when the last look that went well began, by `ticks`. `look` raises AwayError.
        """
        asked = self._ticks()
        with suppress(AwayError, TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS), self._turn:
                # One that nobody waits for any more goes on to its end: half a look would be a wrong one.
                if self._looking is not None:
                    await asyncio.shield(self._looking)
                if max(looked_at(), self._missed_at) <= asked:
                    await self._look_in_turn(look)

    async def _look_in_turn(self, look: Callable[[], Awaitable[None]]) -> None:
        await asyncio.sleep(max(0.0, min(APART_SECONDS, self._began_at + APART_SECONDS - self._ticks())))
        self._began_at = self._ticks()
        try:
            self._looking = asyncio.ensure_future(look())  # noqa: TID251 - it outlives whoever waits for it
            self._looking.add_done_callback(self._end)
            await asyncio.shield(self._looking)
        except AwayError:
            # Those who wait for this look need not find out once more, one after the other.
            self._missed_at = self._began_at
            raise

    def _end(self, looking: "asyncio.Future[None]") -> None:
        self._looking = None
        if not looking.cancelled():
            looking.exception()  # told to those who wait for it, if there are any
