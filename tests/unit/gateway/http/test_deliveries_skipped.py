"""Deliveries that were given up with a backlog, and those that wait for their turn in an order."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from audit.ref import format_ref
from gateway.bootstrap.ground import clock
from gateway.egress.delivery import Delivered, Delivery, format_delivery
from gateway.rows import DeliveryRow
from partners.endpoint import Skip
from tests.builders import CONTRACTS, House, open_house
from tests.following import until
from tests.unit.gateway.http.test_deliveries_over_http import (
    DELIVERIES,
    ENDPOINTS,
    delivery,
    enter,
    keep,
    listed,
    tried,
    voice,
    walked,
)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        await opened.world.apply(CONTRACTS.replace("{slug}", "acme") + ENDPOINTS)
        await opened.world.parts.catalog.refresh()
        yield opened


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client("acme") as opened:
        yield opened


def skipped(house: House, event_id: str) -> Delivery:
    """What the relay enters of a delivery that a resumption gave up; it has no row."""
    of = delivery(house, event_id)
    enter(house, voice(house).cancelled(of, Skip("t", 0, 9, "partner", "crd_1", clock()), clock()))
    return of


async def test_what_was_given_up_with_a_backlog_is_listed_and_never_sent_again(
    house: House, client: httpx.AsyncClient
) -> None:
    of = skipped(house, "skipped")
    name = format_delivery(of.endpoint, of.ref)
    row = keep(house, delivery(house, "row"), "pending", "timed_out")
    assert (await client.post(f"{DELIVERIES}/{row}/cancel")).status_code == 200
    late = delivery(house, "late")
    skipped(house, "late")
    tried(house, late, Delivered())

    async def entered() -> bool:
        return len(await listed(client, state="delivered")) == 1

    await until(entered)
    found = {one["id"]: one for one in await listed(client, state="cancelled")}
    assert set(found) == {name, row}
    shown = found[name]
    assert (shown["state"], shown["reason"], shown["event"]["id"]) == ("cancelled", None, "skipped")
    assert (shown["ref"], shown["attempt_count"]) == (format_ref(of.ref), 0)
    assert [one["id"] for one in await listed(client, state="cancelled", reason="timed_out")] == [row]
    everything = [one["id"] for one in await walked(client, limit="1")]
    assert sorted(everything) == sorted([name, row, format_delivery(late.endpoint, late.ref)])
    refused = await client.post(f"{DELIVERIES}/{name}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    again = await client.post(f"{DELIVERIES}/{name}/cancel")
    assert (again.status_code, again.json()["state"]) == (200, "cancelled")


def ordered(house: House, number: int, order: str | None = "") -> str:
    """A delivery that waits in the order of its endpoint, at this offset; its id."""
    of = delivery(house, f"in-order-{number}")
    name = keep(house, of, "pending", None)
    with house.world.parts.ground.database.begin() as session:
        row = session.get_one(DeliveryRow, (of.endpoint, of.ref))
        row.offset, row.order_key, row.next_at = number, order, 0 if number else clock() + 60_000
    return name


async def test_who_waits_for_a_turn_is_told_for_whose(house: House, client: httpx.AsyncClient) -> None:
    head, second, third = (ordered(house, number) for number in range(3))
    items = {one["id"]: one["next_at"] for one in await listed(client, state="pending")}
    assert items[head] is not None
    assert (items[second], items[third]) == (None, None)
    shown = [(await client.get(f"{DELIVERIES}/{one}")).json()["waits_for"] for one in (head, second, third)]
    assert shown == [None, head, head]
    asked = await client.post(f"{DELIVERIES}/{third}/retry")
    assert (asked.status_code, asked.json()["waits_for"]) == (202, head)
    after = (await client.get(f"{DELIVERIES}/{third}")).json()
    assert (after["next_at"], after["waits_for"]) == (None, head)
    asked = await client.post(f"{DELIVERIES}/{head}/retry")
    assert (asked.status_code, asked.json()["waits_for"]) == (202, None)
    free = ordered(house, 9, None)
    assert (await client.get(f"{DELIVERIES}/{free}")).json()["waits_for"] is None
