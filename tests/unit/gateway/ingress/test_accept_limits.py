"""What a hostile or clumsy sender may do without hurting the log, the loop or its neighbours."""

import asyncio
import json
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from audit.search import HistoryFilter, find
from gateway.ingress.content import Reading, Received
from gateway.ingress.draft import Draft
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused
from tests.unit.gateway.ingress.brokers import WilfulBroker
from tests.world import CONTRACT, FIRST, ORDER, World, draft, running

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}
LINES = {"type": "array", "items": "int"}
LONG: dict[str, Any] = {
    **ORDER,
    "fields": [*ORDER["fields"], {"name": "lines", "type": LINES, "default": []}],
}


def log_of(world: World) -> str:
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    return f"{world.parts.ground.host}/log/{partner.log}"


async def test_hostile_names_are_refused_and_told_in_the_log(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        body = {**A, **{f"\x01{n}" + "\x00" * 200: 1 for n in range(40)}}
        (one,) = await world.send(body)
        assert isinstance(one, Refused)
        await world.settled(FIRST + 1)
        with world.parts.ground.database.begin() as session:
            rows = find(session, log_of(world), HistoryFilter(state="refused")).rows
        assert len(rows) == 1


async def test_an_id_with_a_nul_is_refused_beside_good_events(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        outcomes = await world.send({**A, "order_id": "A\x00"}, A, strict=False)
        assert [type(one) for one in outcomes] == [Refused, Accepted]


async def test_an_event_with_all_the_attributes_there_may_be_is_sequenced(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        most = {f"a{n}": "x" for n in range(29)}
        event = {"specversion": "1.0", "id": "A-1", "type": "order.placed", **most, "data": A}
        raw = json.dumps(event).encode()
        found = await world.parts.ingress.read(Received(None, "application/cloudevents+json", {}, raw, raw))
        assert isinstance(found, Reading)
        (one,) = found.items
        assert isinstance(one, Draft)
        assert isinstance((await world.submit([one]))[0], Accepted)
        await world.settled(FIRST + 1)


async def test_invented_types_fill_no_log(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        outcomes = await world.submit([draft(A, f"invented.{n}") for n in range(300)], strict=False)
        assert {one.code for one in outcomes if isinstance(one, Refused)} == {"event_type_unknown"}
        await world.send(A)
        await world.settled(FIRST + 2)
        with world.parts.ground.database.begin() as session:
            rows = find(session, log_of(world), HistoryFilter(state="refused")).rows
        assert len(rows) == 1


class Turns:
    """How many turns of the loop others had until the events of a request were signed."""

    def __init__(self) -> None:
        self.count = 0
        self.until_signed = 0

    def step(self, name: str) -> None:
        if name == "inbound.1.signed":
            self.until_signed = self.count

    async def tick(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)

    async def during(self, work: Awaitable[list[Outcome]]) -> list[Outcome]:
        ticking = asyncio.create_task(self.tick())
        outcomes = await work
        ticking.cancel()
        return outcomes


async def test_a_large_event_leaves_the_loop_to_others(tmp_path: Path) -> None:
    turns = Turns()
    async with running(tmp_path, step=turns.step) as world:
        await world.apply(files={"order.avsc": json.dumps(LONG)})
        (one,) = await turns.during(world.send({**A, "lines": list(range(90_000))}))
        assert isinstance(one, Accepted)
        assert turns.until_signed > 5  # none, were it prepared on the loop


async def test_a_batch_is_prepared_in_slices(tmp_path: Path) -> None:
    turns = Turns()
    async with running(tmp_path, step=turns.step) as world:
        await world.apply()
        outcomes = await turns.during(world.send(*({**A, "order_id": f"A-{n}"} for n in range(400))))
        assert all(isinstance(one, Accepted) for one in outcomes)
        assert turns.until_signed > 10


async def test_a_program_that_stops_takes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
    outcomes = await world.send(A, A)
    assert [one.code for one in outcomes if isinstance(one, Failed)] == ["overloaded"] * 2


async def test_a_time_that_is_a_date_makes_no_time_attribute(tmp_path: Path) -> None:
    day = {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None}
    schema = {**ORDER, "fields": [*ORDER["fields"], day]}
    async with running(tmp_path, broker=WilfulBroker(tmp_path)) as world:
        await world.apply(
            CONTRACT.replace("key: /customer}", "time: /day}"), {"order.avsc": json.dumps(schema)}
        )
        (one,) = await world.send({**A, "day": "2026-11-22"})
        assert isinstance(one, Accepted)
        payload = one.receipt.split(".")[1]
        assert "2026-11-22" not in payload
        await world.settled(FIRST + 1)
