"""What a round of the sequencer works on: all that comes until it begins, or as many records as it takes.

A round has a price of its own, one transaction, one signature and one checkpoint for each log, whether it
holds one record or a thousand. So rounds begin apart, by half a tick to a whole one, and what comes after a
rest begins one at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from gateway.broker.port import BrokerError, Read, Reader, ReadEvent

_PAUSE_SECONDS: Final = 0.02
"""After a look that found nothing more; a backlog fills a round long before the tick is over."""

_BYTES: Final = 8 * 2**20


def next_round(begun: float, now: float, *, tick_ms: int) -> float:
    """When to begin the round that follows one which began at `begun` and is over `now`; by the loop's clock.

    Whoever waits for a proof waits for that, and then for a round: where rounds are over quickly, little is
    gained by waiting for long. A round has as much time after it as it took, within half a tick and a whole.
    """
    tick = tick_ms / 1000
    return begun + min(tick, max(tick / 2, 2 * (now - begun)))


async def gather(
    reader: Reader, *, limit: int, tick_ms: int, until: float, told: Callable[[BrokerError], None]
) -> list[ReadEvent]:
    """Up to `limit` events; returns when there are so many, or some megabytes of them, or at `until`.

    `tick_ms`: how long the first may take. `until`, by the loop's clock, may be over: then all that is there
    is enough.

    Trouble that comes after the first events ends the round and is only `told`: what was read is never
    dropped.

    Raises:
        BrokerError: as `Reader.poll`; nothing had been read yet.
    """
    loop = asyncio.get_running_loop()
    events = await reader.poll(limit, tick_ms)
    size, is_open = _size(events), until > loop.time()
    while events and is_open and len(events) < limit and size < _BYTES:
        # What came during the last pause is of this round too: it would wait for a whole tick otherwise.
        is_open = until > loop.time()
        try:
            more = await reader.poll(limit - len(events), 0)
        except BrokerError as error:
            told(error)
            break
        events += more
        size += _size(more)
        if not more and (left := until - loop.time()) > 0:
            await asyncio.sleep(min(left, _PAUSE_SECONDS))
    return events


def _size(events: Sequence[ReadEvent]) -> int:
    return sum(len(event.record.value or b"") for event in events if isinstance(event, Read))
