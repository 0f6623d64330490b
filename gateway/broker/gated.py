"""A broker that takes nothing before somebody has made sure that its topics are ours.

Doors open while Kafka is still away; whether another gateway owns the topics is known only once it answers.
Until then no record is appended and no topic is made, and so no role has a topic that it could read.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.broker.port import (
    Broker,
    BrokerError,
    Reader,
    Record,
    Refused,
    Stored,
    Topic,
    TopicSpec,
    Unknown,
)

_CLOSED: Final = "it is not known yet whether these topics belong to this gateway"


class GatedBroker:
    """Another broker behind a gate; see `gateway.broker.port.Broker`."""

    def __init__(self, broker: Broker, *, closed_for_ms: Callable[[], int]) -> None:
        """`closed_for_ms`: how long the gate has been shut, at least 1; 0 once it is open. Never blocks."""
        self._broker = broker
        self._closed_for_ms = closed_for_ms

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Make the topics that are missing; `broker_unavailable` while the gate is shut."""
        if self._closed_for_ms():
            raise BrokerError("broker_unavailable", _CLOSED)
        return await self._broker.ensure(topics)

    async def describe(self, names: Sequence[str]) -> Mapping[str, Topic]:
        """The topics among `names` that exist."""
        return await self._broker.describe(names)

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """Append; certainly refused while the gate is shut."""
        if self._closed_for_ms():
            return [Refused("unavailable", _CLOSED)] * len(records)
        return await self._broker.append(records)

    async def bounds(self, partitions: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        """First offset kept and next offset, of each."""
        return await self._broker.bounds(partitions)

    async def offset_at(self, partition: tuple[str, int], at: int) -> int:
        """The first offset whose record time is `at` or later; the end where there is none."""
        return await self._broker.offset_at(partition, at)

    def reader(self) -> Reader:
        """A new reader with nothing assigned."""
        return self._broker.reader()

    def away_for_ms(self) -> int:
        """How long the broker, or the leave to use it, has been away; 0 while both are there."""
        return self._broker.away_for_ms() or self._closed_for_ms()

    def warnings(self) -> Sequence[str]:
        """The broker's."""
        return self._broker.warnings()

    @property
    def max_record_bytes(self) -> int:
        """The largest record that an append may hold."""
        return self._broker.max_record_bytes

    async def close(self) -> None:
        """Flush and let go."""
        await self._broker.close()
