"""Partitions that are read no further: nobody knows yet what their next record is.

Its schema is one that only an external registry knows, which was not asked or has not answered. The offset
stays unsettled, and the reader begins with it again once the answer is there.
"""

from collections.abc import Container

from gateway.broker.port import Read, Reader, Start
from gateway.egress.debts import Spot
from gateway.egress.intake import Unasked
from gateway.external_registry import ExternalRegistry


class HeldBack:
    """Those of one reader."""

    def __init__(self) -> None:
        self._held: dict[Spot, tuple[Start, Unasked]] = {}

    @property
    def has_any(self) -> bool:
        """Whether somebody's answer is waited for."""
        return bool(self._held)

    def hold(self, reader: Reader, read: Read, why: Unasked) -> None:
        """Read no more of the record's partition."""
        topic, at = read.record.topic, read.position
        self._held[at.topic_id, at.partition] = (Start(topic, at), why)
        reader.release([(topic, at.partition)])

    def go_on(self, reader: Reader, outside: ExternalRegistry | None) -> None:
        """Read on where the registry has answered, or there is none any more."""
        for spot, (start, why) in list(self._held.items()):
            if outside is None or outside.find(why.schema) is not None:
                del self._held[spot]
                reader.assign([start])

    def keep(self, spots: Container[Spot]) -> None:
        """Forget all others: they are somebody else's, or gone."""
        self._held = {spot: each for spot, each in self._held.items() if spot in spots}
