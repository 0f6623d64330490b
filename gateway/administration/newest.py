"""The newest records of a topic: so many at most, so many bytes, and so much time."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.broker.port import Broker, BrokerError, Position, Read, Reader, Start

RECORDS: Final = 200
"""Of a topic; each partition gives its share."""

BYTES: Final = 8 * 1024 * 1024
SECONDS: Final = 5.0
"""For all topics of one plan."""

_CHUNK: Final = 50
_WAIT_MS: Final = 200


@dataclass(frozen=True, slots=True)
class Shelf:
    """A topic: its name, its id, and the partitions that are looked at."""

    topic: str
    topic_id: str
    partitions: tuple[int, ...]


async def read_newest(broker: Broker, shelf: Shelf, *, seconds: float) -> tuple[Read, ...]:
    """Read what came last, in the order of each partition.

    Raises:
        BrokerError: the broker is away, refuses, or gave nothing in time of what it has.
    """
    if broker.away_for_ms():
        raise BrokerError("broker_unavailable", "the broker is away")
    found = _Newest(shelf)
    try:
        async with asyncio.timeout(seconds):
            starts = found.starts(await broker.bounds(found.places()))
            if starts:
                await found.gather(broker, starts)
    except TimeoutError as error:
        if not found.reads:
            raise BrokerError("broker_unavailable", "the broker gave nothing in time") from error
    return tuple(found.reads)


class _Newest:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._bytes = 0
        self._ends: dict[int, int] = {}
        self.reads: list[Read] = []

    async def gather(self, broker: Broker, starts: Sequence[Start]) -> None:
        """Read until the ends that the partitions had, or until it is enough."""
        reader = broker.reader()
        try:
            await self._gather(reader, starts)
        finally:
            await reader.close()

    async def _gather(self, reader: Reader, starts: Sequence[Start]) -> None:
        reader.assign(starts)
        while self._ends and self._bytes < BYTES:
            for one in await reader.poll(_CHUNK, _WAIT_MS):
                if isinstance(one, Read):
                    self.reads.append(one)
                    self._bytes += len(one.record.value or b"")
                else:
                    # Retention or a new topic went by: what is read so far has to do.
                    return
            self._drop_finished(reader)

    def places(self) -> list[tuple[str, int]]:
        """Topic and number of each partition."""
        return [(self._shelf.topic, number) for number in self._shelf.partitions]

    def starts(self, bounds: Sequence[tuple[int, int]]) -> list[Start]:
        """Where to begin in each partition that holds anything; `bounds`: of each."""
        starts = []
        share = max(1, RECORDS // max(1, len(self._shelf.partitions)))
        for number, (first, end) in zip(self._shelf.partitions, bounds, strict=True):
            if first < end:
                self._ends[number] = end
                position = Position(self._shelf.topic_id, number, max(first, end - share))
                starts.append(Start(self._shelf.topic, position))
        return starts

    def _drop_finished(self, reader: Reader) -> None:
        for number, end in list(self._ends.items()):
            if (reader.reached(self._shelf.topic, number) or 0) >= end:
                del self._ends[number]
