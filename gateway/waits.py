"""Waiting for something, but not for ever.

`asyncio.wait_for` of Python 3.11 forgets a cancellation that comes together with the answer: a role would go
on after it was told to stop. `asyncio.timeout` does not, and is what is used everywhere.
"""

import asyncio
from contextlib import suppress


async def rest(until: asyncio.Event, seconds: float) -> None:
    """Wait until an event is set, at most so many seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await until.wait()
