"""An embedded broker that answers as a test says, once, or for ever."""

from collections.abc import Sequence
from pathlib import Path

from gateway.bootstrap.ground import clock, entropy
from gateway.broker.embedded import EmbeddedBroker, Fate
from gateway.broker.port import AWAY_MS, BrokerError, Record, Refused, Stored, Unknown

TOPIC = "partners.acme.inbound"


class WilfulBroker(EmbeddedBroker):
    """`refusal`: the answer to every append of an event. `fates`: of the next events, one each.

    `end_ahead`, `first_ahead`: how much further a topic is said to end and to begin. `away_ms`: nothing is
    told. `silent`: what asking for the bounds of these topics ends in.
    """

    def __init__(self, folder: Path) -> None:
        """A broker in a folder, for a world in the same one."""
        super().__init__(
            folder / "broker.db", clock=clock, entropy=entropy, limit_bytes=1 << 30, fate=self._next_fate
        )
        self.refusal: Refused | None = None
        self.fates: list[Fate] = []
        self.end_ahead = 0
        self.first_ahead = 0
        self.away_ms = 0
        self.silent: dict[str, BrokerError] = {}

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """As told."""
        if self.refusal is not None and all(one.topic == TOPIC for one in records):
            return [self.refusal] * len(records)
        return await super().append(records)

    async def bounds(self, partitions: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        """As told."""
        if self.away_ms:
            raise BrokerError("broker_unavailable", "the broker is away, says the test")
        for topic, _ in partitions:
            if topic in self.silent:
                raise self.silent[topic]
        found = await super().bounds(partitions)
        return [(first + self.first_ahead, end + self.end_ahead) for first, end in found]

    def away_for_ms(self) -> int:
        """As told."""
        return self.away_ms

    def is_taking(self) -> bool:
        """As told."""
        return self.away_ms <= AWAY_MS

    def _next_fate(self, record: Record) -> Fate:
        return self.fates.pop(0) if record.topic == TOPIC and self.fates else "store"
