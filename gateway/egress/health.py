"""How endpoints are doing: attempts counted by hour, and what waits.

The counts are told, not proved: entries of the log are. They are added up once a second, so that a relay that
is killed takes the last second of them with it.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from sqlalchemy import delete, select, text
from sqlmodel import Session, col

from gateway.database import Database
from gateway.egress.breaker import OPENS_AFTER
from gateway.egress.delivery import Attempt, Delivered, Held, Parked, RetryAt
from gateway.egress.rows import BreakerRow, EndpointHourRow
from gateway.errors import AwayError
from gateway.positions import is_forwarded
from gateway.rows import BacklogRow, DeliveryRow
from gateway.waits import rest
from partners import store
from partners.endpoint import Endpoint

HOUR_MS: Final = 3_600_000
HOURS: Final = 24
BOUNDS_MS: Final = (5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 15_000, 30_000, HOUR_MS)
"""Times of attempts are kept as the smallest of these that is not exceeded."""

_SHARE: Final = 0.95
_KEPT_HOURS: Final = HOURS + 1
_SECONDS: Final = 1.0
_ADD: Final = text(
    "INSERT INTO gateway_endpoint_hour (endpoint, hour, outcome, within_ms, count)"
    " VALUES (:endpoint, :hour, :outcome, :within_ms, :count)"
    " ON CONFLICT (endpoint, hour, outcome, within_ms)"
    " DO UPDATE SET count = gateway_endpoint_hour.count + excluded.count"
)
_WORDS: Final = {Delivered: "delivered", RetryAt: "retry", Parked: "parked", Held: "held"}

Key = tuple[str, int, str, int]
"""Endpoint, hour since 1970, outcome, bound of the time."""


@dataclass(frozen=True, slots=True)
class Health:
    """An endpoint in the last day, and what waits for it now.

    `outcomes`: attempts by what became of them. `p95_ms`: of the answered ones so many took no longer (None:
    there were none). `waiting`: deliveries, of a backlog range as many as are known to be for it. `lag`:
    records of its own partner's topic in such ranges, yet to be read for it, be they for it or not.
    `oldest_at`: since when the oldest of them waits. `failing_since`: since when no attempt succeeded.
    Times are Unix ms.
    """

    outcomes: Mapping[str, int]
    p95_ms: int | None
    waiting: int
    lag: int
    oldest_at: int | None
    breaker: Literal["closed", "open"]
    failing_since: int | None


class Tally:
    """A role: counts the attempts of this process, and adds them to those of all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._counts: Counter[Key] = Counter()

    def note(self, attempt: Attempt) -> None:
        """Count an attempt."""
        within = next((bound for bound in BOUNDS_MS if attempt.answer.ms <= bound), BOUNDS_MS[-1])
        outcome = _WORDS[type(attempt.decision)]
        self._counts[attempt.delivery.endpoint, attempt.at // HOUR_MS, outcome, within] += 1

    async def run(self, stop: asyncio.Event) -> None:
        """Add up once a second, and at the end."""
        while not stop.is_set():
            await rest(stop, _SECONDS)
            with suppress(AwayError):
                await self.write()

    async def write(self) -> None:
        """Add what was counted since.

        Raises:
            AwayError: the database is away; it is added later.
        """
        if not self._counts:
            return
        counts, self._counts = self._counts, Counter()
        try:
            await self._database.write(lambda session: add(session, counts))
        except AwayError:
            self._counts.update(counts)
            raise


def add(session: Session, counts: Mapping[Key, int]) -> None:
    """Add counts to those that there are."""
    names = ("endpoint", "hour", "outcome", "within_ms")
    rows = [{**dict(zip(names, key, strict=True)), "count": count} for key, count in sorted(counts.items())]
    session.connection().execute(_ADD, rows)


def look(session: Session, partner: str, endpoint_id: str, *, now: int) -> tuple[Endpoint, Health] | None:
    """An endpoint of a partner, and how it is doing; None: it has no such endpoint."""
    for one in store.endpoints(session, partner):
        if one.id == endpoint_id:
            return one, load(session, one.id, now=now)
    return None


def load(session: Session, endpoint: str, *, now: int) -> Health:
    """How an endpoint is doing. The hour that began 24 hours ago counts whole."""
    row = EndpointHourRow
    query = select(col(row.outcome), col(row.within_ms), col(row.count)).where(
        col(row.endpoint) == endpoint, col(row.hour) >= now // HOUR_MS - HOURS
    )
    outcomes: Counter[str] = Counter(dict.fromkeys(_WORDS.values(), 0))
    times: Counter[int] = Counter()
    for outcome, within, count in session.execute(query):
        outcomes[outcome] += count
        times[within] += count
    waiting, lag, oldest = _waiting(session, endpoint)
    breaker = session.get(BreakerRow, endpoint)
    is_open = breaker is not None and breaker.failures >= OPENS_AFTER
    return Health(
        dict(outcomes),
        _percentile(times),
        waiting,
        lag,
        oldest,
        "open" if is_open else "closed",
        None if breaker is None else breaker.failing_since,
    )


def drop_hours(session: Session, *, now: int) -> None:
    """Forget hours that nobody asks for any more."""
    session.execute(delete(EndpointHourRow).where(col(EndpointHourRow.hour) < now // HOUR_MS - _KEPT_HOURS))


def _percentile(times: Mapping[int, int]) -> int | None:
    total, seen = sum(times.values()), 0
    for bound in sorted(times):
        seen += times[bound]
        if seen >= total * _SHARE:
            return bound
    return None


def _waiting(session: Session, endpoint: str) -> tuple[int, int, int | None]:
    rows = select(col(DeliveryRow.created_at)).where(
        col(DeliveryRow.endpoint) == endpoint, col(DeliveryRow.state).in_(("pending", "held"))
    )
    saved = session.execute(rows).scalars().all()
    since = list(saved)
    row = BacklogRow
    columns = (
        col(row.events),
        col(row.began_at),
        col(row.topic_id),
        col(row.from_offset),
        col(row.to_offset),
    )
    behind = session.execute(select(*columns).where(col(row.endpoint) == endpoint)).all()
    # A range that an earlier program began does not say when; one of a new endpoint may hold nothing for it.
    since = [*since, *(one.began_at for one in behind if one.began_at and one.events)]
    # How much another partner sends is for nobody whom it forwards some of it to.
    lag = sum(one.to_offset - one.from_offset for one in behind if not is_forwarded(one.topic_id))
    return len(saved) + sum(one.events for one in behind), lag, min(since, default=None)
