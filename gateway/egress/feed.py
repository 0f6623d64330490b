"""One stream, whoever reads it: pages as long as it is behind, then its seat at the tail, without a gap.

Where it is is in `places` after each `next`, so that it can go on from there in any process.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from gateway.broker.port import BrokerError
from gateway.egress.stream import PAGE_BYTES, Bounds, Places, StreamPage, Tap, UntoldError, read_page
from gateway.egress.tail import Bell, Seat, Streamed
from gateway.egress.tails import Tails
from gateway.errors import AwayError, CallerError

_TOLD_SECONDS: Final = 3.0
"""How long whoever reads on waits for the external registry."""

_AGAIN_SECONDS: Final = 0.2
"""Between two pages at the end of a topic that nobody can follow just now."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The next events, if there are any; `caught_up`: nothing was behind them."""

    items: tuple[Streamed, ...]
    caught_up: bool


class Feed:
    """See the module. Close it, or others wait for its reader for ever.

    `places`: the next event wanted of each partition.
    """

    __slots__ = ("_is_at_end", "_is_sure", "_page_bytes", "_seat", "_tails", "_tap", "places")

    def __init__(
        self, tails: Tails, tap: Tap, start: Places, *, is_at_end: bool, page_bytes: int | None = None
    ) -> None:
        """`is_at_end`: the start was the end of the topic a moment ago. `page_bytes`: of a page."""
        self._tails = tails
        self._tap = tap
        self._page_bytes = page_bytes
        self._is_sure = self._is_at_end = is_at_end
        self._seat: Seat | None = None
        self.places = start

    async def page(self, limit: int) -> Batch:
        """What lies on the topic now, whoever follows it.

        Raises:
            CallerError: `cursor_expired`.
            AwayError, BrokerError: registry or broker are away, or too much is read at once.
        """
        items: tuple[Streamed, ...] = ()
        left = self._page_bytes or PAGE_BYTES
        while True:
            try:
                page = await self._read_page(limit - len(items), left)
            except (AwayError, BrokerError, CallerError) as error:
                # While the registry is waited for, others have their turns, and their readers.
                if isinstance(error, UntoldError):
                    self.places, self._is_at_end = error.places, False
                    if await _is_told(error):
                        continue
                if items:
                    return Batch(items, caught_up=False)
                raise
            more = _items(page, self.places)
            items, left = (*items, *more), left - sum(len(one.body) for one in more)
            self.places = page.next
            self._is_sure, self._is_at_end = True, page.caught_up
            if not page.is_untold or len(items) >= limit or left <= 0:
                return Batch(items, page.caught_up)

    async def _read_page(self, limit: int, most_bytes: int) -> StreamPage:
        bounds = Bounds(limit, 0, self._tails.stop, self._tails.look_anew)
        async with self._tails.page():
            return await read_page(
                self._tails.broker,
                self._tap,
                self._tails.snapshot,
                self.places,
                bounds,
                most_bytes=most_bytes,
            )

    async def begin(self, limit: int, bell: Bell) -> Batch:
        """Take a seat at the tail if there is one; else what lies on the topic. Raises: as `page`."""
        return await self.page(limit) if self._take_seat(bell) is None else Batch((), caught_up=True)

    async def next(self, limit: int, bell: Bell, is_enough: Callable[[], bool]) -> Batch:
        """Events as soon as there are some; none once the bell was rung and it `is_enough`.

        Raises: as `page`.
        """
        while not is_enough():
            seat = self._take_seat(bell)
            if seat is None:
                batch = await self.page(limit)
                if batch.items:
                    return batch
                if batch.caught_up and self._take_seat(bell) is None:
                    await _pause(bell)
                continue
            items = seat.take(limit)
            if items:
                self.places = seat.places if seat.has_all else items[-1].places
                return Batch(tuple(items), seat.has_all)
            if seat.is_over:
                self.close()
                continue
            self.places = seat.places
            await bell.wait()
        return Batch((), caught_up=self._seat is not None or self._is_at_end)

    def close(self) -> None:
        """Follow no more; idempotent."""
        if self._seat is not None:
            self._seat.leave()
            self._seat = None
            self._is_sure = self._is_at_end = False

    def _take_seat(self, bell: Bell) -> Seat | None:
        if self._seat is None:
            found = self._tails.join(self._tap, self.places, is_sure=self._is_sure, is_at_end=self._is_at_end)
            if found is not None:
                found.bell = bell
                self._seat = found
        return self._seat


async def _is_told(untold: UntoldError) -> bool:
    """Whether the external registry has said soon what it was asked."""
    outside = untold.outside
    if outside is None:
        return False
    return outside.find(untold.schema) is not None or await outside.told(_TOLD_SECONDS)


async def _pause(bell: Bell) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_AGAIN_SECONDS):
            await bell.wait()


def _items(page: StreamPage, start: Places) -> tuple[Streamed, ...]:
    offsets, items = dict(start.offsets), []
    for body, at, (partition, offset) in zip(page.items, page.times, page.marks, strict=True):
        offsets[partition] = offset + 1
        places = Places(page.next.topic_id, dict(offsets))
        items.append(Streamed("", body, at, places, partition, offset))
    return tuple(items)
