"""Deliveries to the house's endpoints: our side's to see and to ask for, and nobody else's."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import update
from sqlmodel import col

from audit import log
from audit.ref import format_ref
from gateway.bootstrap.ground import clock, entropy
from gateway.broker.port import Position
from gateway.dialler import Answer
from gateway.egress.delivery import Attempt, Delivered, Delivery, format_delivery
from gateway.egress.wording import Voice
from gateway.event import EventKey
from gateway.positions import share
from gateway.rows import BacklogRow, DeliveryRow
from partners.endpoint import house_of
from partners.rows import EndpointRow
from partners.store import bump_partner
from tests.builders import House, open_house
from tests.following import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

OURS = "/v1/partners/acme/house-deliveries"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("ours"), partners=("acme", "globex")) as opened:
        async with opened.client("team") as team:
            for slug in ("acme", "globex"):
                made = await team.post(
                    f"/v1/partners/{slug}/house-endpoints", json={"url": f"https://desk.example/{slug}"}
                )
                opened.keys[f"endpoint {slug}"] = made.json()["id"]
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def team(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client("team") as opened:
        yield opened


async def test_status_warns_of_an_endpoint_of_the_house_that_is_disabled(house: House) -> None:
    catalog, endpoint = house.doors.catalog, house.keys["endpoint acme"]

    async def state(wanted: str) -> list[str]:
        with house.world.parts.ground.database.begin() as session:
            session.execute(update(EndpointRow).where(col(EndpointRow.id) == endpoint).values(state=wanted))
            bump_partner(session, "acme")
        await catalog.refresh()
        async with house.client("operator") as operator:
            warnings = (await operator.get("/v1/status")).json()["warnings"]
        return [one for one in warnings if endpoint in one]

    (told,) = await state("disabled")
    assert f"({endpoint}) of acme is disabled" in told
    assert f"gateway endpoints resume {endpoint} --partner acme --house" in told
    assert await state("active") == []


def owed(house: House, event_id: str, slug: str = "acme") -> Delivery:
    return Delivery(
        endpoint=house.keys[f"endpoint {slug}"],
        ref=EventKey(slug, "inbound", f"/partners/{slug}", event_id).ref(),
        partner=house_of(slug),
        source=f"/partners/{slug}",
        event_id=event_id,
        event_type="order.placed",
        topic=f"partners.{slug}.inbound",
        position=Position("t", 0, 0),
        schema_id=1,
        group=None,
        body=b"{}",
        attempts=1,
    )


def keep(house: House, of: Delivery, state: str, reason: str) -> str:
    row = DeliveryRow(
        endpoint=of.endpoint,
        ref=of.ref,
        partner=of.partner,
        source=of.source,
        event_id=of.event_id,
        event_type=of.event_type,
        topic=of.topic,
        topic_id="t",
        partition=0,
        offset=0,
        payload=b"{}",
        schema_id=1,
        attempts=of.attempts,
        next_at=clock() + 60_000,
        state=state,
        reason=reason,
        created_at=clock(),
        updated_at=clock(),
    )
    with house.world.parts.ground.database.begin() as session:
        session.add(row)
    return format_delivery(of.endpoint, of.ref)


async def listed(client: httpx.AsyncClient, path: str = OURS, **query: str) -> list[dict[str, Any]]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def test_what_the_house_waits_for_is_in_its_own_list_and_in_no_other(
    house: House, team: httpx.AsyncClient
) -> None:
    mine = keep(house, owed(house, "mine"), "parked", "timed_out")
    keep(house, owed(house, "theirs", "globex"), "parked", "timed_out")
    (found,) = await listed(team, state="parked", reason="timed_out")
    assert (found["id"], found["partner"], found["event"]["id"]) == (mine, "acme", "mine")
    assert found["links"]["self"] == f"{OURS}/{mine}"
    shown = (await team.get(found["links"]["self"])).json()
    assert {name: shown[name] for name in found} == found
    assert (await team.get(f"/v1/partners/globex/house-deliveries/{mine}")).status_code == 404
    async with house.client("operator") as operator:
        for path in ("/v1/partners/-/deliveries", "/v1/partners/acme/deliveries"):
            assert mine not in {one["id"] for one in await listed(operator, path)}
    async with house.client("acme") as partner:
        assert await listed(partner, "/v1/deliveries") == []
        assert (await partner.get(f"/v1/deliveries/{mine}")).status_code == 404
        assert (await partner.post(f"/v1/deliveries/{mine}/retry")).status_code == 404
        assert (await partner.get(OURS)).status_code == 404


async def test_a_range_of_the_house_is_told_under_its_partner(house: House, team: httpx.AsyncClient) -> None:
    topic_id = share("t", house_of("acme"))
    row = BacklogRow(
        endpoint=house.keys["endpoint acme"],
        topic_id=topic_id,
        partition=0,
        topic="partners.acme.inbound",
        from_offset=3,
        to_offset=103,
        events=100,
        began_at=clock(),
    )
    with house.world.parts.ground.database.begin() as session:
        session.add(row)
    (found,) = [one for one in await listed(team) if one["range"] is not None]
    assert (found["partner"], found["events"], found["range"]["from"]) == ("acme", 100, 3)
    assert [one for one in await listed(team, "/v1/partners/globex/house-deliveries") if one["range"]] == []
    async with house.client("operator") as operator:
        assert [one for one in await listed(operator, "/v1/partners/-/deliveries") if one["range"]] == []


async def test_retried_and_given_up_it_is_told_in_the_house_log(
    house: House, team: httpx.AsyncClient
) -> None:
    of = owed(house, "again")
    name = keep(house, of, "parked", "timed_out")
    tried_out = await team.post(f"{OURS}/{name}/retry?dry_run=true")
    assert (tried_out.status_code, tried_out.json()["dry_run"]) == (200, True)
    asked = await team.post(f"{OURS}/{name}/retry")
    assert (asked.status_code, asked.json()["state"]) == (202, "pending")
    given_up = await team.post(f"{OURS}/{name}/cancel")
    assert (given_up.status_code, given_up.json()["state"]) == (200, "cancelled")
    assert (await team.post(f"{OURS}/{name}/retry")).status_code == 409
    host, ours = house.doors.values.log_host, house.doors.values.house_log
    await house.world.settled(1)
    with house.world.parts.ground.database.begin() as session:
        waiting = log.pending(session, f"{host}/log/{ours}", 100)
        size = log.state(session, f"{host}/log/{ours}/1").head.size
        entered = [log.entry(session, f"{host}/log/{ours}/1", index) for index in range(size)]
    said = [one.evidence for one in waiting]
    said += [evidence for one in entered if (evidence := one.evidence()) is not None]
    kinds = [one.kind.value for one in said if one.ref == of.ref]
    assert sorted(kinds) == ["delivery.cancelled", "delivery.retried"]
    assert {one.text("partner") for one in said if one.ref == of.ref} == {"acme"}
    async with house.client("acme") as partner:
        assert (await partner.get(f"/v1/history/{format_ref(of.ref)}")).status_code == 404


async def test_a_suspended_partner_does_not_hold_up_the_house(house: House, team: httpx.AsyncClient) -> None:
    name = keep(house, owed(house, "suspended"), "pending", "server_error")
    async with house.client("operator") as operator:
        for word in ("suspend", "resume"):
            moved = await operator.post(f"/v1/partners/acme/{word}", json={"reason": "a test"})
            assert moved.status_code == 200
            assert (await team.get(f"{OURS}/{name}")).json()["state"] == "pending"
            assert (await team.post(f"{OURS}/{name}/retry")).status_code == 202


async def test_what_was_delivered_to_the_house_is_found_by_its_entries_and_by_its_partner_alone(
    house: House, team: httpx.AsyncClient
) -> None:
    values, of = house.doors.values, owed(house, "done")
    voice = Voice(values.origin, f"{values.log_host}/log/{values.house_log}", "acme", entropy)
    answer = Answer(200, None, None, b"\x11" * 32, b"", 7)
    made = Attempt("att_1", of, "https://desk.example/acme", 1, clock(), b"\x22" * 32, 2, answer, Delivered())
    with house.world.parts.ground.database.begin() as session:
        log.submit_all(session, [voice.attempted(made)])
    name = format_delivery(of.endpoint, of.ref)
    shown = (await team.get(f"{OURS}/{name}")).json()
    assert (shown["state"], shown["partner"], len(shown["attempts"])) == ("delivered", "acme", 1)
    assert (await team.get(f"/v1/partners/globex/house-deliveries/{name}")).status_code == 404
    assert (await team.post(f"{OURS}/{name}/cancel")).status_code == 409

    async def entered() -> list[str]:
        return [one["id"] for one in await listed(team, state="delivered")]

    assert await until(entered) == [name]
    assert await listed(team, "/v1/partners/globex/house-deliveries", state="delivered") == []
