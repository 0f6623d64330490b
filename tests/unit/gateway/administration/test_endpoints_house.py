"""The house's endpoints have rules of their own, and what happens to them is told in the house's log."""

from pathlib import Path

import pytest
from sqlalchemy import select
from sqlmodel import Session, col

from gateway.address import AddressPolicy
from gateway.administration.endpoints import Asked, Backlog, Endpoints
from gateway.errors import CallerError
from gateway.rows import AnnouncementRow, ClaimRow
from partners import store
from partners.endpoint import house_of
from tests.unit.gateway.ingress.brokers import WilfulBroker
from tests.world import CONTRACT, OPERATOR, World, running

CHECKED = (
    CONTRACT + "endpoints:\n  verification: none\n  hosts: [hooks.acme.example]\nlimits: {endpoints: 1}\n"
)


def endpoints(world: World) -> Endpoints:
    return Endpoints(world.parts.administration, AddressPolicy((), (), loopback=True))


def asked(owner: str, endpoint: str = "") -> Asked:
    return Asked(owner, endpoint, OPERATOR)


async def test_the_house_has_endpoints_of_its_own_under_rules_of_its_own(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(CHECKED)
        desk, owner = endpoints(world), house_of("acme")
        await desk.create(asked("acme"), {"url": "https://hooks.acme.example/in", "name": "orders"})
        for name in ("orders", "other"):
            url = f"https://{name}.intern.example:8443/in"
            made = await desk.create(asked(owner), {"url": url, "name": name, "events": ["order.placed"]})
            assert (made.endpoint.state, made.endpoint.side, made.endpoint.partner) == (
                "active",
                "house",
                "acme",
            )
        with pytest.raises(CallerError) as wrong:
            await desk.create(asked(owner), {"url": url, "events": ["order.accepted"]})
        assert wrong.value.code == "endpoint_invalid"
        with pytest.raises(CallerError) as full:
            await desk.create(asked("acme"), {"url": "https://hooks.acme.example/in"})
        assert full.value.code == "limit_reached"
        with pytest.raises(CallerError) as foreign:
            await desk.remove(asked("acme", made.endpoint.id))
        assert foreign.value.code == "not_found"
        database = world.parts.ground.database
        theirs = await database.read(lambda session: store.endpoints(session, "acme"))
        ours = await database.read(lambda session: store.endpoints(session, owner))
        await world.parts.catalog.refresh()
        directory = world.parts.catalog.current.directory
    assert [one.name for one in theirs] == ["orders"]
    assert sorted(one.name for one in ours) == ["orders", "other"]
    assert [one.name for one in directory.endpoints("acme")] == ["orders"]
    assert len(directory.house_endpoints("acme")) == 2


async def test_a_token_server_of_the_house_may_be_any_and_one_of_the_partners_not(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(CHECKED)
        desk = endpoints(world)
        auth = {
            "kind": "oauth2",
            "token_url": "https://login.intern.example:8443/token",
            "client_id": "gateway",
            "client_secret": "s",
        }
        wanted = {"url": "https://desk.intern.example/in", "auth": auth}
        made = await desk.create(asked(house_of("acme")), wanted)
        with pytest.raises(CallerError) as foreign:
            await desk.create(asked("acme"), {"url": "https://hooks.acme.example/in", "auth": auth})
        for wrong in ({**auth, "token_url": "http://login.intern.example/"}, {**auth, "token_url": 1}, "x"):
            with pytest.raises(CallerError) as refused:
                await desk.create(asked(house_of("acme")), {**wanted, "auth": wrong})
            assert refused.value.code == "endpoint_invalid"
    assert made.endpoint.access is not None
    assert foreign.value.code == "endpoint_invalid"


async def test_another_secret_of_the_partners_is_told_and_of_ours_is_not(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(CHECKED)
        desk, owner = endpoints(world), house_of("acme")
        theirs = await desk.create(asked("acme"), {"url": "https://hooks.acme.example/in"})
        ours = await desk.create(asked(owner), {"url": "https://desk.intern.example/in"})
        database = world.parts.ground.database
        with_secret = await desk.add_secret(asked("acme", theirs.endpoint.id), None, 60_000)
        await desk.add_secret(asked(owner, ours.endpoint.id), None, 60_000)
        found = await database.read(_claimed_or_waiting)
    assert found == {f"gateway.endpoint.secret_rotated/{theirs.endpoint.id}/{with_secret.secret_id}/added"}


def _claimed_or_waiting(session: Session) -> set[str]:
    waiting = session.execute(select(col(AnnouncementRow.event_id))).scalars()
    claimed = session.execute(select(col(ClaimRow.event_id))).scalars()
    return {*waiting, *claimed}


async def test_what_is_given_up_of_ours_is_what_the_partner_sent(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        desk, owner = endpoints(world), house_of("acme")
        made = await desk.create(asked(owner), {"url": "https://desk.intern.example/in"})
        await desk.pause(asked(owner, made.endpoint.id))
        await world.send({"order_id": "A-1", "qty": 1})
        await world.parts.catalog.refresh()
        partner = world.parts.catalog.current.directory.partner("acme")
        assert partner is not None
        edit = await desk.resume(asked(owner, made.endpoint.id), partner, Backlog("skip"))
    places = {(one.topic_id.partition(">")[2], one.offset) for one in edit.endpoint.skips}
    assert places == {("", 0), ("house/acme", 1)}


async def test_one_of_the_house_begins_where_the_topic_ends_as_far_as_the_broker_says(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply(CHECKED)
        await world.send({"order_id": "A-1", "qty": 1}, {"order_id": "A-2", "qty": 1})
        desk, owner = endpoints(world), house_of("acme")
        for name, away_ms in (("known", 0), ("away", 2_000)):
            broker.away_ms = away_ms
            await desk.create(asked(owner), {"url": "https://desk.intern.example/in", "name": name})
            broker.away_ms = 0
        await desk.create(asked("acme"), {"url": "https://hooks.acme.example/in", "name": "theirs"})
        await world.parts.catalog.refresh()
        current = world.parts.catalog.current
        there = (*current.directory.house_endpoints("acme"), *current.directory.endpoints("acme"))
        found = {one.name: one.begins for one in there}
        topic_id = current.topic_ids["partners.acme.inbound"]
    assert found == {"known": (topic_id, 2), "away": None, "theirs": None}
