"""What is needed to try endpoints, and how often each may be tried."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from gateway.address import AddressPolicy
from gateway.egress.probing import Challenges, Prober
from gateway.errors import CallerError
from gateway.ingress.quota import Bucket

A_MINUTE: Final = 6
"""Probes of one endpoint, lastingly and at once, in each process."""

_KNOWN: Final = 10_000
_UNDER_WAY: Final = 16
OF_ONE: Final = 4
"""Probes of one owner's endpoints at once: slow ones of one take no other's turn."""


@dataclass(slots=True, eq=False)
class ProbeTurns:
    """How often an endpoint may be tried, and how many at a time. `clock`: Unix milliseconds."""

    clock: Callable[[], int]
    _buckets: dict[str, Bucket] = field(default_factory=dict, init=False)
    _busy: Counter[str] = field(default_factory=Counter, init=False)
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_UNDER_WAY), init=False)

    @asynccontextmanager
    async def take(self, endpoint_id: str, owner: str) -> AsyncIterator[None]:
        """One more try, which is under way while this is entered.

        Raises:
            CallerError: `quota_exceeded`.
        """
        if self._busy[owner] >= OF_ONE:
            text = f"{OF_ONE} tries of your endpoints are under way, as many as may be; wait for one of them."
            raise CallerError("quota_exceeded", text, members={"headers": {"Retry-After": "1"}})
        self._spend(endpoint_id)
        self._busy[owner] += 1
        try:
            async with self._free:
                yield
        finally:
            self._busy[owner] -= 1
            if not self._busy[owner]:
                del self._busy[owner]

    def _spend(self, endpoint_id: str) -> None:
        now, rate = self.clock(), A_MINUTE / 60
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
