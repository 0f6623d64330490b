"""Who is answered, by how many questions to the database."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gateway.database import Database
from gateway.egress import bodies
from gateway.egress.bodies import Bodies
from gateway.egress.locking import Place
from gateway.errors import AwayError, StoreError


@dataclass
class Rows:
    """A database that answers once it may. `asked`: the places of each question."""

    monkeypatch: pytest.MonkeyPatch
    asked: list[list[Place]] = field(default_factory=list)
    go: asyncio.Event = field(default_factory=asyncio.Event)
    is_away: bool = False

    def __post_init__(self) -> None:
        self.go.set()
        self.monkeypatch.setattr(bodies, "load_bodies", self._load)

    async def read(self, work: Callable[[Any], Any]) -> Any:
        await self.go.wait()
        if self.is_away:
            raise StoreError("store_unavailable", "away")
        return work(None)

    def _load(self, _: Any, places: list[Place]) -> dict[Place, bytes]:
        self.asked.append(places)
        return {place: place[1] for place in places}


def places(start: int, count: int) -> list[Place]:
    return [("ep_1", bytes([number])) for number in range(start, start + count)]


async def test_those_who_ask_within_a_moment_are_answered_together(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = Rows(monkeypatch)
    made = Bodies(cast("Database", rows))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        asking = [group.create_task(made.of(places(number * 2, 2))) for number in range(5)]
        reading = group.create_task(made.run())
        for number, one in enumerate(asking):
            found = await one
            assert {place: found[place] for place in places(number * 2, 2)} == {
                place: place[1] for place in places(number * 2, 2)
            }
        reading.cancel()
    assert rows.asked == [places(0, 10)]


async def test_no_question_is_about_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_MOST", 3)
    rows = Rows(monkeypatch)
    made = Bodies(cast("Database", rows))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        asking = [group.create_task(made.of(places(*some))) for some in ((0, 2), (2, 1), (3, 5), (8, 1))]
        reading = group.create_task(made.run())
        await asyncio.wait(asking)
        reading.cancel()
    assert rows.asked == [places(0, 3), places(3, 5), places(8, 1)]


async def test_where_the_database_is_away_all_who_asked_hear_of_it_and_the_next_are_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = Rows(monkeypatch, is_away=True)
    made = Bodies(cast("Database", rows))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        reading = group.create_task(made.run())
        for one in await asyncio.gather(made.of(places(0, 1)), made.of(places(1, 1)), return_exceptions=True):
            assert isinstance(one, AwayError)
        rows.is_away = False
        assert await made.of(places(0, 1)) == {("ep_1", b"\0"): b"\0"}
        reading.cancel()


async def test_who_has_left_is_not_read_for_and_at_the_end_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = Rows(monkeypatch)
    rows.go.clear()
    made = Bodies(cast("Database", rows))
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        left, stays = (asyncio.ensure_future(made.of(places(number, 1))) for number in range(2))
        await asyncio.sleep(0)
        left.cancel()
        reading = group.create_task(made.run())
        await asyncio.sleep(0.05)
        later = asyncio.ensure_future(made.of(places(2, 1)))
        await asyncio.sleep(0)
        reading.cancel()
        for one in await asyncio.gather(stays, later, return_exceptions=True):
            assert isinstance(one, AwayError)
    with pytest.raises(AwayError):
        await made.of(places(3, 1))
