"""A broker that passes everything on to another: what stands in front of one overrides what it changes."""

from collections.abc import Mapping, Sequence

from gateway.broker.port import Broker, Reader, Record, Refused, Stored, Topic, TopicSpec, Unknown


class PassingBroker:
    """Another broker as it is; see `gateway.broker.port.Broker`."""

    def __init__(self, broker: Broker) -> None:
        """`broker`: who does the work."""
        self._broker = broker

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Make the topics that are missing; by name, what is there now."""
        return await self._broker.ensure(topics)

    async def describe(self, names: Sequence[str]) -> Mapping[str, Topic]:
        """The topics among `names` that exist."""
        return await self._broker.describe(names)

    async def compare(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """How those of the topics differ that exist."""
        return await self._broker.compare(topics)

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """Append."""
        return await self._broker.append(records)

    async def bounds(self, partitions: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        """First offset kept and next offset, of each."""
        return await self._broker.bounds(partitions)

    async def offset_at(self, partition: tuple[str, int], at: int) -> int:
        """The first offset whose record time is `at` or later; the end where there is none."""
        return await self._broker.offset_at(partition, at)

    def reader(self, *, patience_ms: int = 0) -> Reader:
        """A new reader with nothing assigned."""
        return self._broker.reader(patience_ms=patience_ms)

    def away_for_ms(self) -> int:
        """How long the broker has been away; 0 while it answers."""
        return self._broker.away_for_ms()

    def is_taking(self) -> bool:
        """Whether an append is worth a try."""
        return self._broker.is_taking()

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
