"""What is refused before an event of it is read is in the partner's history all the same, folded."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.http.crowd import BEGINNING, Crowd
from tests.builders import CONTRACTS, House, open_house

PATH = "/v1/events/order.placed"
JSON = {"Content-Type": "application/json"}
GZIP = {**JSON, "Content-Encoding": "gzip"}
NOW = 1_795_353_600_000
SIGNED = "authentication: {accept: [api_key, message_signature], require_signature: true}\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex", "signs")) as opened:
        slow = "limits: {events_per_second: 2}\n"
        await opened.world.apply(CONTRACTS.replace("{slug}", "acme") + slow)
        await opened.world.apply(CONTRACTS.replace("{slug}", "signs") + SIGNED, slug="signs")
        await opened.world.parts.catalog.refresh()
        # It stands still: how fast this machine answers must not matter.
        opened.world.parts.quotas.ticks = lambda: 0
        yield opened


def order(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": 1}


async def refused(client: httpx.AsyncClient, count: int, path: str = "/v1/history") -> list[dict[str, Any]]:
    """What history has that was refused, once it is so much."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(60):
        while len(found) < count:
            found = (await client.get(f"{path}?state=refused")).json()["items"]
    return found


async def test_what_is_beyond_the_quota_is_one_entry_and_a_count(house: House) -> None:
    async with house.client("acme") as client:
        answers = [await client.post(PATH, json=order(number)) for number in range(10)]
        assert [one.status_code for one in answers] == [201] * 2 + [429] * 8
        (first,) = await refused(client, 1)
        assert (first["code"], first["type"], first["id"]) == ("quota_exceeded", "order.placed", None)
        fold = house.world.parts.ingress.refusals.fold
        (rest,) = [one.members for one in fold.due(1 << 62)]
    assert (rest["code"], rest["count"], rest["content"]) == ("quota_exceeded", 7, None)


async def test_bodies_that_are_refused_unread_are_entries(house: House) -> None:
    bomb = gzip.compress(bytes(900_000))
    async with house.client("globex") as client:
        answers = [
            await client.post(PATH, content=b" " * 1_100_000, headers=JSON),
            await client.post(PATH, content=bomb, headers=GZIP),
            await client.post(PATH, content=b"{}", headers={**JSON, "Content-Encoding": "br"}),
            await client.post(PATH, content=b"{}", headers={"Content-Type": "text/plain"}),
            await client.post("/v1/events/no.such", content=b"{}", headers={"Content-Type": "text/html"}),
            await client.post(PATH, content=b"no gzip", headers=GZIP),
        ]
        assert [one.status_code for one in answers] == [413, 413, 415, 415, 415, 400]
        found = await refused(client, 5)
    assert sorted((one["code"], one["type"] or "") for one in found) == [
        ("body_malformed", "order.placed"),
        ("body_too_large", "order.placed"),
        ("content_encoding_unsupported", "order.placed"),
        ("media_type_unsupported", ""),
        ("media_type_unsupported", "order.placed"),
    ]


async def test_an_event_without_the_signature_that_was_agreed_is_an_entry(house: House) -> None:
    async with house.client("signs") as client:
        assert (await client.post(PATH, json=order(1))).status_code == 401
        (found,) = await refused(client, 1)
    assert found["code"] == "signature_invalid"


async def test_our_own_sides_are_entries_of_that_direction(house: House) -> None:
    async with house.client("team") as client:
        path = "/v1/partners/globex/events/order.accepted"
        assert (await client.post(path, content=b" " * 1_100_000, headers=JSON)).status_code == 413
        (found,) = await refused(client, 1, "/v1/partners/globex/history")
    assert (found["code"], found["direction"]) == ("body_too_large", "outbound")


async def test_who_tries_out_or_is_unknown_or_came_when_we_were_too_busy_leaves_no_entry(
    house: House,
) -> None:
    noted: list[object] = []

    async def note(early: object) -> None:
        noted.append(early)

    house.doors = replace(house.doors, refused=note)
    large = b" " * 1_100_000
    async with house.client("globex") as client, house.client() as nobody:
        assert (await client.post(f"{PATH}?dry_run=true", content=large, headers=JSON)).status_code == 413
        assert (await nobody.post(PATH, content=large, headers=JSON)).status_code == 401
        with ExitStack() as stack:
            fill(house.doors.crowd, stack)
            assert (await client.post(PATH, json=order(1))).status_code == 503
    assert noted == []


def fill(crowd: Crowd, stack: ExitStack) -> None:
    """There is no room, until the stack ends."""
    crowd._late, crowd._pace = 0.0, 0.0
    for _ in range(BEGINNING):
        stack.enter_context(crowd.place())
    crowd._late = 1.0
    stack.callback(lambda: setattr(crowd, "_late", 0.0))


EVENT = b'{"specversion": "1.0", "type": "order.placed", "source": "/a", "id": "1",\n "data": }'
BROKEN = {
    "typed": ("/order.placed", "application/json", b'{"order_id": "a",\n}'),
    "cloud event": ("", "application/cloudevents+json", EVENT),
    "batch": ("", "application/cloudevents-batch+json", b"[\n" + EVENT + b"]"),
    "binary": ("", "application/json", b'{"order_id": "a",\n}'),
}


@pytest.mark.parametrize(("where", "media_type", "body"), BROKEN.values(), ids=list(BROKEN))
async def test_a_body_that_is_no_json_says_where_it_breaks(
    house: House, where: str, media_type: str, body: bytes
) -> None:
    headers = {"Content-Type": media_type}
    if media_type == "application/json" and not where:
        headers |= {"ce-specversion": "1.0", "ce-type": "order.placed", "ce-source": "/a", "ce-id": "1"}
    async with house.client("globex") as client:
        problem = (await client.post(f"/v1/events{where}", content=body, headers=headers)).json()
    assert (problem["code"], problem["offset"]) == ("body_malformed", body.index(b"}"))
    assert problem["line"] == body[: body.index(b"}")].count(b"\n") + 1
    assert f"(byte {problem['offset']}, line {problem['line']})" in problem["detail"]


@pytest.mark.parametrize("where", ["/order.placed", ""])
async def test_a_line_that_is_no_json_says_where_it_breaks(house: House, where: str) -> None:
    headers = {"Content-Type": "application/x-ndjson", "Prefer": "handling=lenient"}
    async with house.client("globex") as client:
        answer = await client.post(f"/v1/events{where}", content=b'{"a": ]\n', headers=headers)
    (result,) = answer.json()["results"]
    problem = result["problem"]
    assert (problem["code"], problem["offset"], problem["line"]) == ("body_malformed", 6, 1)
