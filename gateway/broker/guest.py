"""A broker for roles that make no topics: who relays or sequences needs no right to make any.

`gateway serve` and `gateway up` make them; until then the others wait.
"""

from collections.abc import Mapping, Sequence

from gateway.broker.passing import PassingBroker
from gateway.broker.port import Topic, TopicSpec


class GuestBroker(PassingBroker):
    """Another broker whose topics are only looked at; see `gateway.broker.port.Broker`."""

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """The topics that are there; makes none, and compares none."""
        return await self._broker.describe([spec.name for spec in topics])

    async def compare(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """As `ensure`."""
        return await self.ensure(topics)
