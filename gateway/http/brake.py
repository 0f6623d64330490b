"""Slows down who goes on beyond its quota, so that refusing it costs others little.

The first refusals of a second are answered at once. Whoever asks on gets its answers a second later, which is
no later than `Retry-After` let it come again: a connection that waits for an answer asks nothing. It is the
answer that waits and not the connection, since a proxy may send others' requests on the same one. Nobody
waits longer, and only so many wait: beyond that they are refused at once, as ever.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

FREE: Final = 10
"""Refusals of one caller in a second that are answered at once."""

HOLD_SECONDS: Final = 1.0
MOST_HELD: Final = 256
"""Answers of one caller that wait."""

MOST: Final = 1_024
"""Answers that wait, of all."""

_KNOWN: Final = 10_000


@dataclass(slots=True)
class _Second:
    """What one caller was refused in a second. `held`: answers that wait."""

    begun: float
    count: int = 0
    held: int = 0


@dataclass(slots=True, eq=False)
class Brake:
    """Of one process, for one event loop. `ticks`: seconds of a clock that nobody sets."""

    ticks: Callable[[], float] = field(default=lambda: asyncio.get_running_loop().time())
    pause: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep)
    _callers: dict[str, _Second] = field(default_factory=dict, init=False)
    _held: int = field(default=0, init=False)

    async def hold(self, who: str) -> None:
        """Wait before one more refusal of a caller is answered, if it has had many."""
        now = self.ticks()
        found = self._callers.get(who)
        if found is None:
            if len(self._callers) >= _KNOWN:
                self._callers = {name: one for name, one in self._callers.items() if one.held}
            found = self._callers[who] = _Second(now)
        if now - found.begun >= HOLD_SECONDS:
            found.begun, found.count = now, 0
        found.count += 1
        if found.count <= FREE or found.held >= MOST_HELD or self._held >= MOST:
            return
        found.held += 1
        self._held += 1
        try:
            await self.pause(HOLD_SECONDS)
        finally:
            found.held -= 1
            self._held -= 1
