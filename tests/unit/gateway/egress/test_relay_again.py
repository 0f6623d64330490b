"""Retries that are due beside what is new."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert, select
from sqlmodel import col

from gateway.egress import asking, tempo
from gateway.egress.tempo import LEAST, Tempo
from gateway.rows import DeliveryRow
from partners.endpoint import Endpoint
from tests.unit.gateway.egress.stage import Stage, endpoint, now, stage
from tests.unit.gateway.egress.test_relay_many import waiting

ROWS = 40


def at_rate(monkeypatch: pytest.MonkeyPatch, rate: float) -> None:
    """While something new was ever sent, retries begin so many a second."""
    monkeypatch.setattr(tempo, "QUIET_SECONDS", 1e9)
    monkeypatch.setattr("gateway.egress.turnstile.Tempo", lambda: Tempo(rate=rate))


def fail_before(on: Stage) -> None:
    """Rows of an endpoint of its own, tried once, due much later."""
    with on.database.begin() as session:
        rows = [waiting(number, endpoint="ep_2", topic_id=on.topic_id) for number in range(ROWS)]
        session.execute(insert(DeliveryRow), rows)


def make_due(on: Stage) -> None:
    with on.database.begin() as session:
        for row in session.execute(select(DeliveryRow).where(col(DeliveryRow.endpoint) == "ep_2")).scalars():
            asking.ask(session, row, state="pending", now=now())


async def begin(on: Stage) -> None:
    """Something new is sent, then the rows are due, and one of them begins."""
    await on.produce("first")
    await on.until(lambda: new(on) == 1, "something new was sent")
    make_due(on)
    await on.until(lambda: again(on) >= 1, "one began at once")


def again(on: Stage) -> int:
    return sum(one.url == "https://ep-2.example/in" for one in on.receiver.seen)


def new(on: Stage) -> int:
    return sum(one.url == "https://ep-1.example/in" for one in on.receiver.seen)


def listening() -> tuple[Endpoint, ...]:
    """One endpoint that gets what is new, and one that only has rows."""
    return endpoint(), endpoint("ep_2", types=frozenset({"nothing.new"}))


async def test_what_is_new_goes_before_retries_that_are_due_and_these_go_once_nothing_new_comes(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rate(monkeypatch, 0.001)
    async with stage(tmp_path, database_url, *listening()) as on:
        fail_before(on)
        async with on.relaying(duration_ms=10_000):
            await begin(on)
            await on.produce(*(f"n{number}" for number in range(100)))
            await on.until(lambda: new(on) == 101, "all that is new was sent")
            assert again(on) <= 2
            monkeypatch.setattr(tempo, "QUIET_SECONDS", 0.0)
            await on.until(lambda: on.rows() == [], "nothing waits any more")
        assert again(on) == ROWS


async def test_at_the_least_rate_all_are_delivered_while_something_new_always_comes(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rate(monkeypatch, LEAST)
    async with stage(tmp_path, database_url, *listening()) as on:
        fail_before(on)
        async with on.relaying(duration_ms=10_000):
            await on.produce("first")
            await on.until(lambda: new(on) == 1, "something new was sent")
            make_due(on)
            number = 0
            while on.rows():
                number += 1
                await on.produce(f"n{number}")
                await asyncio.sleep(0.01)
            await on.until(lambda: new(on) == number + 1, "all that is new was sent")
        assert again(on) == ROWS


async def test_a_stop_waits_for_no_retry_that_has_not_begun(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rate(monkeypatch, 0.001)
    monkeypatch.setattr("gateway.egress.relay._GRACE_SECONDS", 60.0)
    async with stage(tmp_path, database_url, *listening()) as on:
        fail_before(on)
        async with asyncio.timeout(50):
            async with on.relaying(duration_ms=10_000):
                await begin(on)
        left = ROWS - again(on)
        assert left >= ROWS - 2
        assert len(on.rows()) == left


async def test_what_waits_for_its_turn_stays_where_its_endpoint_is_paused_meanwhile(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_rate(monkeypatch, 0.001)
    monkeypatch.setattr(Tempo, "stock", lambda _self, _now: 20)
    async with stage(tmp_path, database_url, *listening()) as on:
        fail_before(on)
        async with on.relaying(duration_ms=10_000):
            await begin(on)
            begun = again(on)
            awake, asleep = listening()
            on.have(awake, replace(asleep, state="paused"))
            await on.produce("second")
            await on.until(lambda: new(on) == 2, "the relay has heard of it")
            monkeypatch.setattr(tempo, "QUIET_SECONDS", 0.0)
            await on.produce("third")
            await on.until(lambda: new(on) == 3, "nothing is held back any more")
            await on.until(lambda: len(on.rows()) == ROWS - begun, "a tick was written with what had begun")
            assert again(on) == begun
            on.have(*listening())
            await on.until(lambda: on.rows() == [], "all of it is sent once it takes some")
        assert again(on) == ROWS
