"""What was accepted goes out and is shown as it was accepted, whatever becomes of its type."""

import json
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.broker.port import Record
from gateway.ingress.outcome import Accepted
from partners.endpoint import house_of
from partners.onboarding import set_endpoint_state
from schemas.framing import encode_prefix
from tests.unit.gateway.egress.test_feeds import entries, hooks, house_endpoint, relaying, until
from tests.unit.gateway.egress.test_feeds_replayed import asking
from tests.world import ORDER, World, draft, running

LEAVE = frozenset({"destructive", "incompatible"})
OTHER = {**ORDER, "name": "Other"}
OUTBOUND = "partners.acme.outbound"
HEAD = """\
gateway: v1
partner: acme
name: Acme GmbH
sends:
  order.placed: {schema: order.avsc, id: /order_id}
  other.placed: {schema: other.avsc, id: /order_id}
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
  other.accepted: {schema: other.avsc, id: /order_id}
"""
PRUNED = "".join(line for line in HEAD.splitlines(keepends=True) if "order.avsc" not in line)
RENAMED = {**ORDER, "name": "Purchase"}
CHANGED = {
    **RENAMED,
    "fields": [*ORDER["fields"], {"name": "note", "type": ["null", "string"], "default": None}],
}
PATHS = ("/acme", "/desk")


async def put(world: World, url: str, text: str = HEAD, order: dict[str, Any] | None = None) -> None:
    text += f'endpoints:\n  verification: none\n  declared:\n    - {{name: shop, url: "{url}/acme"}}\n'
    files = {"order.avsc": json.dumps(order or ORDER), "other.avsc": json.dumps(OTHER)}
    await world.apply(text, {path: one for path, one in files.items() if path in text}, allow=LEAVE)


async def rename(world: World, url: str) -> None:
    await put(world, url, order=RENAMED)
    await put(world, url, order=CHANGED)


async def prune(world: World, url: str) -> None:
    await put(world, url, PRUNED)


async def rename_and_prune(world: World, url: str) -> None:
    await put(world, url, order=RENAMED)
    await put(world, url, PRUNED)


CHANGES = {one.__name__: one for one in (rename, prune, rename_and_prune)}


async def hold(world: World, state: Any) -> None:
    """Both endpoints, the partner's and ours, into a state."""
    directory = world.parts.catalog.current.directory
    for owner, found in (
        ("acme", directory.endpoints("acme")),
        (house_of("acme"), directory.house_endpoints("acme")),
    ):
        (one,) = found
        change = partial(set_endpoint_state, owner=owner, endpoint_id=one.id, state=state)
        await world.parts.ground.database.write(change)
    await world.parts.catalog.refresh()


async def accepted(world: World, *ids: str) -> None:
    """Each once in either direction."""
    for one in ids:
        data = {"order_id": one, "qty": 1}
        for direction, name in (("inbound", "order.placed"), ("outbound", "order.accepted")):
            (outcome,) = await world.submit([draft(data, name)], direction=direction)  # type: ignore[arg-type]  # both are directions
            assert isinstance(outcome, Accepted), outcome


async def stream(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    """What the stream has of orders, from its beginning on."""
    params = {"from": "earliest", "limit": "100", **query}
    answer = await client.get("/v1/partners/acme/stream", params=params)
    assert answer.status_code == 200, answer.text
    return [one for one in answer.json()["items"] if not one["type"].startswith("gateway.")]


async def begun(stack: AsyncExitStack, folder: Path, url: str) -> World:
    world = await stack.enter_async_context(running(folder))
    await put(world, url)
    await house_endpoint(world, f"{url}/desk")
    return world


@pytest.mark.parametrize("change", CHANGES)
async def test_what_is_held_is_delivered_as_it_was_accepted(tmp_path: Path, change: str) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await begun(stack, tmp_path, at.url)
            await hold(world, "paused")
            await stack.enter_async_context(relaying(world))
            await accepted(world, "A-1", "A-2")
            await CHANGES[change](world, at.url)
            await hold(world, "active")
            await until(lambda: len(at.got) == 4, str(at.got))
            attempts = await entries(world, "delivery.attempted", 4)
            refused = await entries(world, "event.refused")
    assert refused == []
    assert [sorted(at.ids(path)) for path in PATHS] == [["A-1", "A-2"]] * 2
    assert {one.members["schema"]["subject"].rpartition("-")[2] for one in attempts} == {"com.acme.Order"}
    assert {one.members["schema"]["version"] for one in attempts} == {1}


@pytest.mark.parametrize("change", CHANGES)
async def test_what_a_stream_showed_it_goes_on_to_show_with_its_schema(tmp_path: Path, change: str) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await begun(stack, tmp_path, at.url)
            client = await stack.enter_async_context(asking(world))
            await accepted(world, "A-1")
            ways = ({"direction": "inbound"}, {"direction": "outbound"})
            before = [await stream(client, **way) for way in ways]
            await CHANGES[change](world, at.url)
            assert [await stream(client, **way) for way in ways] == before
            for way, (one,) in zip(ways, before, strict=True):
                assert await stream(client, types=one["type"], **way) == [one]
                schema = await client.get(
                    httpx.URL(one["dataschema"]).path.replace("/v1/", "/v1/partners/acme/")
                )
                assert (schema.status_code, schema.json()["name"]) == (200, "Order")


async def produce(world: World, event_id: str, event_type: str | None, schema_id: int, datum: bytes) -> None:
    """A record as a team's own producer writes one; without a type, one that names its schema alone."""
    headers = {"ce_specversion": "1.0", "ce_id": event_id, "ce_source": "/erp"}
    headers |= {} if event_type is None else {"ce_type": event_type}
    named = tuple((name, value.encode()) for name, value in headers.items())
    value = encode_prefix(schema_id, datum)
    await world.parts.broker.append([Record(OUTBOUND, 0, None, value, named, world.parts.ground.clock())])


@pytest.mark.parametrize("event_type", ["order.accepted", None])
async def test_a_producers_own_event_counts_by_the_contract_that_was_in_force_when_it_came(
    tmp_path: Path, event_type: str | None
) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await begun(stack, tmp_path, at.url)
            client = await stack.enter_async_context(asking(world))
            line = world.parts.catalog.current.channel("acme", "order.accepted", "outbound")
            assert line is not None
            newest = line.versions[0]
            datum = newest.codec.avro_from_json(b'{"order_id":"A-1","qty":1}').avro
            await hold(world, "paused")
            await stack.enter_async_context(relaying(world))
            await produce(world, "early", event_type, newest.schema_id, datum)
            await prune(world, at.url)
            await produce(world, "late", event_type, newest.schema_id, datum)
            (refused,) = await entries(world, "event.refused", 1)
            await hold(world, "active")
            await until(lambda: len(at.got) == 1, str(at.got))
            shown = await stream(client, direction="outbound")
    assert at.ids("/acme") == ["early"]
    assert [one["id"] for one in shown] == ["early"]
    told = [refused.text(name) for name in ("id", "source", "code")]
    assert told == ["late", "/erp", "event_type_unknown"]
    assert refused.members.get("type") == event_type


async def test_a_type_that_is_there_again_is_read_by_its_own_line(tmp_path: Path) -> None:
    with hooks() as at:
        async with AsyncExitStack() as stack:
            world = await begun(stack, tmp_path, at.url)
            await accepted(world, "A-1")
            await prune(world, at.url)
            current = world.parts.catalog.current
            assert current.gone_by("acme", "order.placed", "inbound") is not None
            assert "order.placed" not in current.types("acme", "inbound")
            await put(world, at.url, order=CHANGED)
            current = world.parts.catalog.current
            line = current.channel("acme", "order.placed", "inbound")
            assert line is not None
            assert current.gone_by("acme", "order.placed", "inbound") is None
            assert [one.schema.name for one in line.former] == ["com.acme.Order"]
        async with running(tmp_path) as world:
            again = world.parts.catalog.current.channel("acme", "order.placed", "inbound")
            assert again is not None
            assert replace(again, versions=(), former=()) == replace(line, versions=(), former=())
            assert [one.schema_id for one in again.former] == [one.schema_id for one in line.former]
