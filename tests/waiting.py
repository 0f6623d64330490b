"""Waits of tests: for what comes by itself, and in words where it never does."""

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any, Final

LONG_SECONDS: Final = 60.0
"""What a moment may take: others use the machine too, and it may stand still for seconds."""


async def until(
    look: Callable[[], Any],
    words: Callable[[], object],
    *,
    seconds: float = LONG_SECONDS,
    pause: float = 0.02,
) -> Any:
    """The first answer of `look` that is not empty; it may be one to be awaited.

    Raises:
        AssertionError: there was none in so many `seconds`; it says `words()`.
    """
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while True:
        found = look()
        if isawaitable(found):
            found = await found
        if found:
            return found
        if clock() >= end:
            raise AssertionError(f"not within {seconds:g} s: {words()}")
        await asyncio.sleep(pause)
