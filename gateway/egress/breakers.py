"""Breakers that outlive a relay: whoever takes a shard over knows what its endpoints last answered.

Without this, an endpoint would have as many days to fail in as there are restarts.
"""

from collections.abc import Mapping
from typing import Protocol

from gateway.egress.breaker import Breaker

CLOSED = Breaker()


class Breaks(Protocol):
    """What has a breaker; `gateway.egress.lane.Lane` fits."""

    breaker: Breaker


class Breakers:
    """What the database has, or gets with the next tick; nothing of an endpoint whose last answer was 2xx."""

    def __init__(self) -> None:
        self._known: dict[str, Breaker] = {}
        self._ours: set[str] = set()

    def adopt(self, stored: Mapping[str, Breaker]) -> None:
        """What a former owner left."""
        self._known.update(stored)

    def of(self, endpoint: str) -> Breaker:
        """What was last known of an endpoint, whose lane is opened here."""
        self._ours.add(endpoint)
        return self._known.get(endpoint, CLOSED)

    def changes(self, lanes: Mapping[str, Breaks]) -> tuple[tuple[str, Breaker], ...]:
        """What the database is to have instead, by endpoint; one that is closed has no row."""
        found = []
        for endpoint, lane in lanes.items():
            known, now = self._known.get(endpoint, CLOSED), lane.breaker
            if now is not known and now != known:
                found.append((endpoint, now))
        gone = self._ours - lanes.keys()
        self._ours -= gone
        found += [(endpoint, CLOSED) for endpoint in sorted(gone) if endpoint in self._known]
        for endpoint, now in found:
            if now == CLOSED:
                self._known.pop(endpoint, None)
            else:
                self._known[endpoint] = now
        return tuple(found)
