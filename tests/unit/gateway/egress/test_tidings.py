"""Endpoints are told of when their state changes; the gateway's own events never breed others."""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import col

from gateway.broker.port import Position
from gateway.dialler import Answer, Outgoing
from gateway.egress.breaker import OPENS_AFTER, Breaker
from gateway.egress.delivery import Attempt, Delivered, Delivery
from gateway.egress.reading import Refused, Unreadable
from gateway.egress.tidings import PARKED_AN_HOUR, Tidings
from gateway.egress.wording import Place
from gateway.rows import AnnouncementRow
from tests.unit.gateway.egress.stage import Stage, answer, endpoint, record, stage

BUSY = answer(503, "server_error")
DELIVERY = Delivery(
    endpoint="ep_1",
    ref=b"r" * 32,
    partner="acme",
    source="/house",
    event_id="A-1",
    event_type="order.accepted",
    topic="partners.acme.outbound",
    position=Position("id", 0, 7),
    schema_id=41,
    group=None,
    body=b"{}",
)


def told(on: Stage) -> list[tuple[str, dict[str, Any]]]:
    with on.database.begin() as session:
        rows = session.execute(select(AnnouncementRow).order_by(col(AnnouncementRow.number))).scalars()
        return [(row.event_type.removeprefix("gateway."), json.loads(row.data)) for row in rows]


def types(on: Stage) -> list[str]:
    return [each for each, _ in told(on)]


async def test_an_endpoint_that_goes_on_failing_is_told_of_once(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        on.receiver.reply = lambda _, __: BUSY
        await on.produce(*(f"e{number}" for number in range(20)))
        async with on.relaying():
            await on.until(lambda: types(on) == ["endpoint.failing"], "failing")
            await on.until(lambda: on.position() == 20, "all kept")
        ((_, body),) = told(on)
    assert (body["endpoint"], body["name"], body["reason"]) == ("ep_1", "ep_1", "server_error")


def test_an_endpoint_that_comes_back_is_told_of() -> None:
    hook, failing = endpoint(), Breaker()
    for number in range(OPENS_AFTER):
        failing = failing.failed(100 + number)
    attempt = Attempt("att_1", DELIVERY, hook.url, 1, 200, b"", 0, answer(), Delivered())
    (found,) = Tidings().attempted(hook, failing, failing.succeeded(), attempt, 300)
    body = json.loads(found.data)
    assert found.type == "gateway.endpoint.recovered"
    assert (body["failing_since"], body["recovered_at"]) == (100, 300)
    assert list(Tidings().attempted(hook, Breaker(), Breaker(), attempt, 300)) == []


def test_what_becomes_of_our_own_events_is_not_told() -> None:
    ours = replace(DELIVERY, event_type="gateway.delivery.parked")
    assert list(Tidings().parked(endpoint(), ours, "client_error", 300)) == []
    refused = Refused("event_invalid", b"", None, "gateway.delivery.parked")
    place = Place("partners.acme.outbound", Position("id", 0, 7))
    assert list(Tidings().recorded("acme", refused, place, 300)) == []
    assert list(Tidings().recorded("house/acme", Unreadable("no_value", b""), place, 300)) == []


async def test_an_endpoint_that_answers_410_is_told_of_once(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        on.register(endpoint())
        on.receiver.reply = lambda _, __: answer(410, "gone")
        on.receiver.gate.clear()
        await on.produce(*(f"e{number}" for number in range(4)))
        async with on.relaying():
            await on.until(lambda: on.receiver.flying == 4, "all under way")
            on.receiver.gate.set()
            await on.until(lambda: on.endpoint_state() == "disabled", "disabled")
            await on.until(lambda: len(on.rows()) == 4, "all held")
        ((event_type, body),) = told(on)
    assert (event_type, body["reason"]) == ("endpoint.disabled", "gone")


async def test_of_parked_deliveries_a_few_an_hour_are_told(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url, endpoint(delays=(0,))) as on:
        on.receiver.reply = lambda _, __: answer(400, "client_error")
        await on.produce(*(f"e{number}" for number in range(PARKED_AN_HOUR + 15)))
        async with on.relaying():
            await on.until(lambda: on.position() == PARKED_AN_HOUR + 15, "all parked")
        parked = told(on)
    # The clock may have passed into another hour meanwhile.
    assert PARKED_AN_HOUR <= len(parked) <= 2 * PARKED_AN_HOUR
    assert {each for each, _ in parked} == {"delivery.parked"}
    assert {body["reason"] for _, body in parked} == {"client_error"}


async def test_records_that_are_refused_or_unreadable_are_told_as_a_sample(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url, endpoint()) as on:
        good = record("a")
        wrong = replace(good, value=(good.value or b"") + b"\x00")
        await on.append(*([wrong] * 3), *([replace(good, value=None)] * 3))
        async with on.relaying():
            await on.until(lambda: on.position() == 6, "all settled")
        bodies = dict(told(on))
        assert sorted(set(types(on))) == ["event.refused", "record.unreadable"]
        assert len(types(on)) <= 4
    assert (bodies["event.refused"]["direction"], bodies["event.refused"]["code"]) == (
        "outbound",
        "event_invalid",
    )
    assert bodies["record.unreadable"]["code"] == "no_value"


async def test_nothing_is_told_of_the_houses_endpoints(tmp_path: Path, database_url: str) -> None:
    ours = endpoint("ep_house", side="house", types=frozenset({"gateway.*"}))

    def reply(_: Outgoing, __: int) -> Answer:
        return BUSY

    async with stage(tmp_path, database_url, ours) as on:
        on.receiver.reply = reply
        await on.produce("a")
        async with on.relaying():
            await on.until(lambda: on.position() == 1, "settled")
            await asyncio.sleep(0)
        assert types(on) == []
