"""How an endpoint is doing, on each database."""

from dataclasses import replace

import pytest
from sqlalchemy import update
from sqlmodel import Session

from gateway.database import Database
from gateway.dialler import Answer
from gateway.egress import health
from gateway.egress.delivery import Attempt, Decision, Delivered, RetryAt
from gateway.egress.health import HOUR_MS, Tally
from gateway.errors import StoreError
from gateway.positions import share
from gateway.rows import BacklogRow
from tests.unit.gateway.egress.stage import FlakyDatabase
from tests.unit.gateway.egress.test_lane import delivery

NOW = 500_000 * HOUR_MS
FINE = Answer(200, None, None, b"", b"", 0)


def attempt(ms: int, decision: Decision, at: int = NOW) -> Attempt:
    answer = replace(FINE, ms=ms)
    return Attempt("att_1", delivery(1), "https://a.example/", 1, at, b"", 0, answer, decision)


def seen(database: Database) -> health.Health:
    def read(session: Session) -> health.Health:
        return health.load(session, "ep_1", now=NOW)

    with database.begin() as session:
        return read(session)


async def test_attempts_are_added_up_over_processes_and_outages(database_url: str) -> None:
    database = FlakyDatabase(database_url)
    try:
        one, other = Tally(database), Tally(database)
        for number in range(19):
            (one if number % 2 else other).note(attempt(9, Delivered()))
        other.note(attempt(90_000, RetryAt(0)))
        other.note(attempt(1, Delivered(), at=NOW - 25 * HOUR_MS))
        database.is_away = True
        for tally in (one, other):
            with pytest.raises(StoreError):
                await tally.write()
        database.is_away = False
        for tally in (one, other, one):
            await tally.write()
        found = seen(database)
        assert found.outcomes == {"delivered": 19, "retry": 1, "parked": 0, "held": 0}
        assert (found.p95_ms, found.waiting, found.oldest_at) == (10, 0, None)
        assert (found.breaker, found.failing_since) == ("closed", None)
        with database.begin() as session:
            health.drop_hours(session, now=NOW + 30 * HOUR_MS)
        assert seen(database).outcomes["delivered"] == 0
    finally:
        database.close()


def test_a_range_that_may_hold_nothing_says_of_nothing_how_old_it_is(database_url: str) -> None:
    database = FlakyDatabase(database_url)
    try:
        with database.begin() as session:
            session.add(
                BacklogRow(
                    endpoint="ep_1",
                    topic="t",
                    topic_id="id",
                    partition=0,
                    from_offset=0,
                    to_offset=9,
                    events=0,
                    began_at=NOW - 5,
                )
            )
        assert (seen(database).waiting, seen(database).lag, seen(database).oldest_at) == (0, 9, None)
        with database.begin() as session:
            session.execute(update(BacklogRow).values(events=2, from_offset=4))
        assert (seen(database).waiting, seen(database).lag, seen(database).oldest_at) == (2, 5, NOW - 5)
        with database.begin() as session:
            session.execute(update(BacklogRow).values(topic_id=share("id", "globex")))
        assert (seen(database).waiting, seen(database).lag) == (2, 0)
        with database.begin() as session:
            session.execute(update(BacklogRow).values(topic_id=share("id", "house/acme")))
        assert (seen(database).waiting, seen(database).lag) == (2, 5)
    finally:
        database.close()
