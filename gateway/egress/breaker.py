"""A circuit breaker as a value: after some failures in a row an endpoint gets one probe at a time, seldom.

A `client_error` says something of one event, not of the endpoint: it neither opens nor closes the breaker.
"""

from dataclasses import dataclass, replace
from typing import Final

OPENS_AFTER: Final = 5
FIRST_WAIT_MS: Final = 10_000
LONGEST_WAIT_MS: Final = 300_000
_MOST_DOUBLINGS: Final = 5


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row; `probe_at`: when the next probe may go (0: closed).

    `failing_since`: the first failure of any sort after which no 2xx came (None: the last answer was a 2xx).
    """

    failures: int = 0
    probe_at: int = 0
    failing_since: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether only probes may go."""
        return self.failures >= OPENS_AFTER

    def succeeded(self) -> "Breaker":
        """After a 2xx: closed."""
        return Breaker()

    def failed(self, now: int) -> "Breaker":
        """After a failure of the endpoint: one more in a row; once open, a probe that fails doubles the wait.

        What fails before the next probe was under way when it opened, and says nothing new: one outage of
        a second fails as many attempts as were sent at once.
        """
        if self.is_open and now < self.probe_at:
            return self
        failures = self.failures + 1
        probe_at = self.probe_at
        if failures >= OPENS_AFTER:
            doublings = min(failures - OPENS_AFTER, _MOST_DOUBLINGS)
            probe_at = now + min(FIRST_WAIT_MS << doublings, LONGEST_WAIT_MS)
        return Breaker(failures, probe_at, self._since(now))

    def rejected(self, now: int) -> "Breaker":
        """After a `client_error`: the endpoint is there, and failing for the clock that disables it."""
        return replace(self, failing_since=self._since(now))

    def _since(self, now: int) -> int:
        return now if self.failing_since is None else self.failing_since
