"""What is needed to try endpoints, and how often each may be tried."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.address import AddressPolicy
from gateway.egress.probing import Challenges, Prober
from gateway.errors import AwayError, CallerError
from gateway.ingress.quota import Bucket

A_MINUTE: Final = 6
"""Probes of one endpoint, lastingly and at once, in each process."""

_KNOWN: Final = 10_000
UNDER_WAY: Final = 16
OF_ONE: Final = 4
"""Probes of one owner that are under way: others' endpoints need not wait for its slow ones."""


@dataclass(slots=True, eq=False)
class ProbeTurns:
    """How often an endpoint may be tried, and how many at a time.

    `ticks`: milliseconds of a clock that nobody sets.
    """

    ticks: Callable[[], int]
    _buckets: dict[str, Bucket] = field(default_factory=dict, init=False)
    _under_way: Counter[str] = field(default_factory=Counter, init=False)

    @contextmanager
    def turn(self, owner: str, endpoint_id: str) -> Iterator[None]:
        """One more try, under way until the block ends. `owner`: of the endpoint. Nobody waits.

        Raises:
            CallerError: `quota_exceeded`: this endpoint was tried as often as may be.
            AwayError: `overloaded`: too many are under way, of this owner or of all.
        """
        if self._under_way[owner] >= OF_ONE or self._under_way.total() >= UNDER_WAY:
            raise AwayError("overloaded", "as many endpoints are being tried as may be; try again")
        self._take(endpoint_id)
        self._under_way[owner] += 1
        try:
            yield
        finally:
            self._under_way[owner] -= 1
            if not self._under_way[owner]:
                del self._under_way[owner]

    def _take(self, endpoint_id: str) -> None:
        now, rate = self.ticks(), A_MINUTE / 60
        bucket = self._buckets.get(endpoint_id)
        if bucket is None:
            if len(self._buckets) >= _KNOWN:
                self._buckets.clear()
            bucket = self._buckets[endpoint_id] = Bucket(float(A_MINUTE), now)
        bucket.fill(rate, now, most=A_MINUTE)
        wait = bucket.wait_seconds(rate)
        if wait:
            text = f"An endpoint is tried {A_MINUTE} times a minute; wait {wait} s."
            raise CallerError("quota_exceeded", text, members={"headers": {"Retry-After": str(wait)}})
        bucket.level -= 1


@dataclass(frozen=True, slots=True)
class Probing:
    """What is needed to try endpoints, and to show what they demand.

    `policy`: which addresses may be dialled. `unseal` opens a secret for its place.
    """

    policy: AddressPolicy = field(repr=False)
    unseal: Callable[[bytes, str], bytes] = field(repr=False)
    prober: Prober = field(repr=False)
    challenges: Challenges = field(repr=False)
    turns: ProbeTurns = field(repr=False)
