"""How fast one credential may ask for what is read and managed, so that no poller starves the others.

A constant, of each process for itself, and generous: who waits for something asks with `wait`. Events have
what the contract says, streams their turns; monitors read the log's tiles as fast as they can.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.errors import QuotaExceededError
from gateway.ingress.quota import Bucket, Limit, rate_headers

RATE: Final = 100
"""Requests a second, lastingly."""

BURST: Final = 200
"""Requests at once."""

_KNOWN: Final = 10_000


@dataclass(slots=True, eq=False)
class Paces:
    """A bucket for each credential. `ticks`: milliseconds of a clock that nobody sets. For one event loop."""

    ticks: Callable[[], int]
    rate: int = RATE
    burst: int = BURST
    _buckets: dict[str, Bucket] = field(default_factory=dict, init=False)

    def take(self, credential: str) -> dict[str, str]:
        """Let one more request in; the header fields that tell how the credential stands.

        Raises:
            QuotaExceededError: with those fields and how long to wait.
        """
        now = self.ticks()
        bucket = self._buckets.get(credential)
        if bucket is None:
            if len(self._buckets) >= _KNOWN:
                self._forget(now)
            bucket = self._buckets[credential] = Bucket(float(self.burst), now)
        bucket.fill(self.rate, now, most=self.burst)
        wait = bucket.wait_seconds(self.rate)
        if not wait:
            bucket.level -= 1
        # As a window in which so many may come at once.
        window = max(1, self.burst // self.rate)
        reset = bucket.wait_seconds(self.rate) or window
        headers = rate_headers((Limit("requests", self.burst, window, int(bucket.level), reset),))
        if wait:
            text = f"A credential may ask {self.rate} times a second; wait {wait} s."
            headers["Retry-After"] = str(wait)
            raise QuotaExceededError(text, who=credential, headers=headers)
        return headers

    def _forget(self, now: int) -> None:
        """Drop those that owe nothing: made anew they would be the same."""
        for bucket in self._buckets.values():
            bucket.fill(self.rate, now, most=self.burst)
        self._buckets = {name: one for name, one in self._buckets.items() if one.level < self.burst}
