"""A broker that takes nothing before somebody has made sure that its topics are ours.

Doors open while Kafka is still away; whether another gateway owns the topics is known only once it answers.
Until then no record is appended and no topic is made, and so no role has a topic that it could read.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from gateway.broker.passing import PassingBroker
from gateway.broker.port import (
    AWAY_MS,
    Broker,
    BrokerError,
    Record,
    Refused,
    Stored,
    Topic,
    TopicSpec,
    Unknown,
)

_CLOSED: Final = "it is not known yet whether these topics belong to this gateway"


class GatedBroker(PassingBroker):
    """Another broker behind a gate; see `gateway.broker.port.Broker`."""

    def __init__(self, broker: Broker, *, closed_for_ms: Callable[[], int]) -> None:
        """`closed_for_ms`: how long the gate has been shut, at least 1; 0 once it is open. Never blocks."""
        super().__init__(broker)
        self._closed_for_ms = closed_for_ms

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Make the topics that are missing; `broker_unavailable` while the gate is shut."""
        if self._closed_for_ms():
            raise BrokerError("broker_unavailable", _CLOSED)
        return await self._broker.ensure(topics)

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """Append; certainly refused while the gate is shut."""
        if self._closed_for_ms():
            return [Refused("unavailable", _CLOSED)] * len(records)
        return await self._broker.append(records)

    def away_for_ms(self) -> int:
        """How long the broker, or the leave to use it, has been away; 0 while both are there."""
        return self._broker.away_for_ms() or self._closed_for_ms()

    def is_taking(self) -> bool:
        """Whether an append is worth a try."""
        return self._closed_for_ms() <= AWAY_MS and self._broker.is_taking()
