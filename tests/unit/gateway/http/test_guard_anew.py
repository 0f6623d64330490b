"""What another process has made a moment ago is known here, before anything is refused as unknown."""

import asyncio
import json
import time
from base64 import b32decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from gateway.bootstrap.ground import entropy
from gateway.bootstrap.parts import topic_specs
from gateway.catalog import Catalog
from gateway.errors import StoreError
from gateway.second_looks import APART_SECONDS
from partners.api_key import mint
from tests.builders import CONTRACTS, House, open_house
from tests.world import ORDER

CONTRACT = CONTRACTS.replace("{slug}", "acme")
MORE = CONTRACT + "  order.wanted: {schema: wanted.avsc, id: /order_id}\n"
FILES = {"order.avsc": json.dumps(ORDER), "wanted.avsc": json.dumps({**ORDER, "name": "Wanted"})}
A = {"order_id": "A-1", "qty": 1}


class Counting(Catalog):
    """Counts the looks into the database, and may find it away."""

    looks = 0
    is_away = False

    async def follow(self) -> None:
        self.looks += 1
        if self.is_away:
            raise StoreError("store_unavailable", "the database is away, says the test")
        await super().follow()


@dataclass
class Pair:
    """Two processes of one database: `here` things are made, `there` nothing is followed by itself."""

    here: House
    there: House
    catalog: Counting


@asynccontextmanager
async def pair_of(folder: Path, url: str) -> AsyncIterator[Pair]:
    async with open_house(folder, url=url) as here:
        parts = here.world.parts
        catalog = Counting(
            database=parts.ground.database,
            broker=parts.broker,
            topics=lambda partner: topic_specs(partner, parts.ground.settings),
            event_bytes=1_000,
            refresh_seconds=1,
        )
        await catalog.refresh()
        catalog.looks = 0
        ingress = replace(parts.ingress, catalog=catalog)
        doors = replace(here.doors, catalog=catalog, ingress=ingress)
        yield Pair(here, House(here.world, doors, here.keys), catalog)


async def test_a_key_that_another_process_has_just_made_opens(tmp_path: Path, database_url: str) -> None:
    async with pair_of(tmp_path, database_url) as pair:
        await pair.here.issue("new", "partner", "acme")
        async with pair.there.client("new") as client:
            assert (await client.get("/v1/me")).status_code == 200
            assert (await client.get("/v1/me")).status_code == 200
        assert pair.catalog.looks == 1


async def test_a_partner_that_another_process_has_just_made_is_found(
    tmp_path: Path, database_url: str
) -> None:
    async with pair_of(tmp_path, database_url) as pair:
        await pair.here.world.apply(CONTRACTS.replace("{slug}", "globex"), slug="globex")
        async with pair.there.client("operator") as client:
            assert (await client.get("/v1/partners/globex/types")).status_code == 200
            assert (await client.get("/v1/partners/nobody/types")).status_code == 404


async def test_a_caller_that_was_revoked_hears_it_of_the_look_that_it_caused(
    tmp_path: Path, database_url: str
) -> None:
    async with pair_of(tmp_path, database_url) as pair:
        await pair.here.issue("gone", "operator")
        await pair.catalog.follow()
        async with pair.here.client("operator") as client:
            path = f"/v1/credentials/{pair.here.credentials['gone'].id}"
            assert (await client.delete(path)).status_code < 300
        await pair.here.world.apply(CONTRACTS.replace("{slug}", "globex"), slug="globex")
        async with pair.there.client("gone") as client:
            answer = await client.get("/v1/partners/globex/types")
            assert (answer.status_code, answer.json()["code"]) == (401, "credential_revoked")


async def test_an_event_type_that_another_process_has_just_agreed_is_known(
    tmp_path: Path, database_url: str
) -> None:
    async with pair_of(tmp_path, database_url) as pair:
        await pair.here.world.apply(MORE, FILES)
        async with pair.there.client("operator") as client:
            path = "/v1/partners/acme/events/order.wanted"
            assert (await client.post(path, json=A)).status_code == 201
            assert pair.catalog.looks == 1
            answer = await client.post("/v1/partners/acme/events/order.unheard", json=A)
            assert (answer.status_code, answer.json()["code"]) == (422, "event_type_unknown")


@pytest.mark.parametrize(
    "path", ["/v1/stream?types=order.wanted", "/v1/types/order.wanted", "/v1/types/order.wanted/sample"]
)
async def test_a_new_type_is_known_wherever_it_is_named(tmp_path: Path, database_url: str, path: str) -> None:
    async with pair_of(tmp_path, database_url) as pair:
        await pair.here.world.apply(MORE, FILES)
        async with pair.there.client("acme") as client:
            assert (await client.get(path)).status_code == 200
            assert (await client.get(path.replace("wanted", "unheard"))).status_code in {400, 404}


async def test_a_replay_names_an_endpoint_that_another_process_has_just_made(
    tmp_path: Path, database_url: str
) -> None:
    async with pair_of(tmp_path, database_url) as pair:
        async with pair.here.client("acme") as client:
            wanted = {"url": "https://hooks.acme.example/in", "events": ["order.accepted"]}
            made = (await client.post("/v1/endpoints", json=wanted)).raise_for_status().json()
        async with pair.there.client("acme") as client:
            replay = {"since": "1h", "endpoint": made["id"]}
            answer = await client.post("/v1/replays", json=replay)
            assert answer.status_code == 202, answer.text
            answer = await client.post("/v1/replays", json={**replay, "endpoint": "ep_other"})
            assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid")


async def test_many_strangers_share_few_looks_and_a_new_key_is_heard_among_them(
    tmp_path: Path, database_url: str
) -> None:
    async with pair_of(tmp_path, database_url) as pair:
        pair.there.keys.update({f"stranger-{n}": mint(entropy)[0] for n in range(200)})
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_ask(pair.there, f"stranger-{n}")) for n in range(200)]
            await pair.here.issue("new", "partner", "acme")
            new = tasks.create_task(_ask(pair.there, "new"))
        took = time.monotonic() - began
        assert new.result().status_code == 200
        assert {one.result().status_code for one in asked} == {401}
        assert pair.catalog.looks <= 2 + took / APART_SECONDS


async def test_wrong_and_unknown_keys_cost_the_same_looks(tmp_path: Path, database_url: str) -> None:
    """Else the time of an answer would tell which ids there are."""
    async with pair_of(tmp_path, database_url) as pair:
        key = await pair.here.issue("new", "partner", "acme")
        await pair.catalog.follow()
        pair.there.keys.update(wrong=_with_another_secret(key), unknown=mint(entropy)[0])
        for name in ("wrong", "unknown"):
            before = pair.catalog.looks
            answer = await _ask(pair.there, name)
            assert answer.json()["code"] == "credential_invalid"
            assert pair.catalog.looks == before + 1


async def test_without_the_database_a_stranger_is_refused_as_ever(tmp_path: Path, database_url: str) -> None:
    async with pair_of(tmp_path, database_url) as pair:
        pair.catalog.is_away = True
        await pair.here.issue("new", "partner", "acme")
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(_ask(pair.there, "new")) for _ in range(50)]
        assert {one.result().status_code for one in asked} == {401}
        assert pair.catalog.looks <= 2 + (time.monotonic() - began) / APART_SECONDS


async def _ask(house: House, name: str) -> httpx.Response:
    async with house.client(name) as client:
        return await client.get("/v1/me")


def _with_another_secret(key: str) -> str:
    key_id = b32decode(key.split("_")[1].upper())
    return mint(lambda size: key_id if size == len(key_id) else entropy(size))[0]
