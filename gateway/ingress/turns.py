"""Long work on the event loop in slices, so that nobody else waits for all of it."""

import asyncio

SLICE_SECONDS = 0.002


async def take_turns(begun: float) -> float:
    """Let others have a turn where this slice, begun at `begun` of the loop's clock, has lasted long enough.

    Returns when the slice under way began.
    """
    loop = asyncio.get_running_loop()
    if loop.time() - begun <= SLICE_SECONDS:
        return begun
    await asyncio.sleep(0)
    return loop.time()
