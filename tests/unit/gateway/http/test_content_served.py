"""Content as received: to whom it is given, how, and what the partner's log tells of it."""

import asyncio
import base64
import gzip
import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from gateway.administration.looks import WINDOW_MS, Looks
from gateway.bootstrap.ground import clock
from gateway.database import Database
from tests.builders import House, open_house

BODY = b'{"order_id":  "C-1", "qty": 1}'
CONTENT_ROUTE = "GET /v1/partners/{p}/history/{ref}/content"
STREAM_ROUTE = "GET /v1/partners/{p}/stream?direction=inbound"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex")) as opened:
        yield opened


async def send(house: House, body: bytes = BODY, *, media: str = "application/json", coding: str = "") -> str:
    """Send an event of acme; its path in the history."""
    async with house.client("acme") as client:
        shown = {"Content-Type": media, **({"Content-Encoding": coding} if coding else {})}
        sent = await client.post("/v1/events/order.placed", content=body, headers=shown)
        # In the log before anything else is.
        await client.get(f"{sent.headers['location']}/proof?wait=10")
    return str(sent.headers["location"])


async def reads(house: House, path: str) -> list[tuple[str, str]]:
    """Who has read it, by role and credential, as acme sees it."""
    async with house.client("acme") as client:
        entries = (await client.get(path)).json()["entries"]
    found = [one["evidence"] for one in entries if one["kind"] == "content.read"]
    assert {one["route"] for one in found} <= {CONTENT_ROUTE}
    return [(one["by"]["role"], one["by"]["credential"]) for one in found]


async def until(house: House, path: str, count: int) -> list[tuple[str, str]]:
    for _ in range(500):
        if len(found := await reads(house, path)) >= count:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(await reads(house, path))


def under_acme(path: str) -> str:
    return path.replace("/v1/", "/v1/partners/acme/", 1)


async def test_the_very_bytes_are_given_as_a_file_that_no_browser_runs(house: House) -> None:
    path = await send(house, media="application/json; x=y")
    async with house.client("acme") as client:
        answer = await client.get(f"{path}/content")
        assert answer.content == BODY
        digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
        assert answer.headers["content-digest"] == f"sha-256=:{digest}:"
        assert answer.headers["content-type"] == "application/json; x=y"
        assert answer.headers["content-disposition"].startswith('attachment; filename="evt_')
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        assert answer.headers["cache-control"] == "no-store"
        evidence = (await client.get(path)).json()["entries"][0]["evidence"]
        assert evidence["content"]["sha256"] == hashlib.sha256(BODY).hexdigest()
    assert await reads(house, path) == []


async def test_what_came_compressed_is_given_compressed(house: House) -> None:
    body = gzip.compress(BODY)
    path = await send(house, body, coding="gzip")
    async with house.client("acme") as client, client.stream("GET", f"{path}/content") as answer:
        raw = b"".join([part async for part in answer.aiter_raw()])
    assert (answer.headers["content-encoding"], raw) == ("gzip", body)


async def test_foreign_and_unknown_content_is_not_found(house: House) -> None:
    path = await send(house)
    async with house.client("globex") as client, house.client("operator") as operator:
        foreign = await client.get(f"{path}/content")
        elsewhere = await operator.get(path.replace("/v1/", "/v1/partners/globex/", 1) + "/content")
        unknown = await client.get("/v1/history/evt_" + "a" * 52 + "/content")
    assert {one.status_code for one in (foreign, elsewhere, unknown)} == {404}
    assert foreign.json()["detail"] == unknown.json()["detail"]


async def test_what_is_dropped_is_gone_and_what_was_refused_was_never_kept(house: House) -> None:
    path = await send(house)
    async with house.client("acme") as client:
        refused = await client.post("/v1/events/order.placed", json={"order_id": "C-2", "qty": "many"})
        assert refused.status_code == 422
        await house.doors.database.write(
            lambda session: session.execute(text("UPDATE gateway_claim SET content = NULL"))
        )
        answer = await client.get(f"{path}/content")
        assert (answer.status_code, answer.json()["code"]) == (410, "content_expired")
        await house.doors.database.write(lambda session: session.execute(text("DELETE FROM gateway_claim")))
        later = await client.get(f"{path}/content")
        assert (later.status_code, later.json()["code"]) == (410, "content_expired")
        await house.doors.database.write(
            lambda session: session.execute(text("UPDATE audit_entry SET evidence = NULL"))
        )
        erased = await client.get(f"{path}/content")
        assert (erased.status_code, erased.json()["code"]) == (410, "content_erased")
        await house.doors.database.write(
            lambda session: session.execute(
                text(
                    'INSERT INTO audit_erasure (log, epoch, first, "end", at, basis) '
                    "SELECT log, epoch, 0, 99, 9, '' FROM audit_entry WHERE kind = 'event.accepted'"
                )
            )
        )
        past = await client.get(f"{path}/content")
        assert (past.status_code, past.json()["code"]) == (410, "content_expired"), "its evidence has expired"


async def test_our_side_s_look_is_an_entry_once_an_hour_for_each_credential(house: House) -> None:
    path = await send(house)
    async with house.client("operator") as operator, house.client("team") as team:
        for client in (operator, operator, team):
            answer = await client.get(f"{under_acme(path)}/content")
            assert answer.content == BODY
    ids = house.credentials
    expected = {("operator", ids["operator"].id), ("team", ids["team"].id)}
    assert set(await until(house, path, 2)) == expected
    later = replace(house, doors=replace(house.doors, looks=looks_at(house, clock() + WINDOW_MS)))
    async with later.client("operator") as operator:
        await operator.get(f"{under_acme(path)}/content")
    assert len(await until(house, path, 3)) == 3
    async with house.client("acme") as client:
        [item] = (await client.get("/v1/history", params={"id": "C-1"})).json()["items"]
        assert item["state"] == "accepted"


def looks_at(house: House, now: int) -> Looks:
    return Looks(house.doors.database, house.world.parts.administration.scribe, lambda: now)


async def listed(house: House) -> list[dict[str, Any]]:
    async with house.client("acme") as client:
        items: list[dict[str, Any]] = (await client.get("/v1/history", params={"state": "read"})).json()[
            "items"
        ]
    return items


async def test_who_follows_a_stream_has_one_entry_that_the_partner_finds(house: House) -> None:
    await send(house)
    query: dict[str, str | int] = {"direction": "inbound", "limit": 1}
    async with house.client("operator") as operator, house.client("acme") as acme:
        for _ in range(3):
            page = await operator.get("/v1/partners/acme/stream", params=query)
            assert len(page.json()["items"]) == 1
        await operator.get("/v1/partners/globex/stream", params=query)  # where there is nothing to read
        await acme.get("/v1/stream")
    for _ in range(500):
        if await listed(house):
            break
        await asyncio.sleep(0.02)
    [item] = await listed(house)
    assert (item["ref"], item["state"], item["route"]) == (None, "read", STREAM_ROUTE)
    assert item["by"] == {"role": "operator", "credential": house.credentials["operator"].id}


async def test_where_the_entry_cannot_be_made_nothing_is_given_out(house: House, tmp_path: Path) -> None:
    path = await send(house)
    away = Database(f"sqlite:///{tmp_path / 'away.db'}")
    away.close()
    looks = Looks(away, house.world.parts.administration.scribe, clock)
    blind = replace(house, doors=replace(house.doors, looks=looks))
    async with blind.client("operator") as operator, blind.client("acme") as acme:
        answers: list[httpx.Response] = [
            await operator.get(f"{under_acme(path)}/content"),
            await operator.get("/v1/partners/acme/stream", params={"direction": "inbound"}),
        ]
        assert (await acme.get(f"{path}/content")).content == BODY
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable")
        assert b"C-1" not in answer.content
