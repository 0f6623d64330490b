"""Credentials that may send less than their partner: types that they may not, and a rate of their own."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.standard_webhooks import parse_secret, sign
from tests.builders import House, open_house
from tests.importing import NDJSON, all_results, ended, until, working
from tests.world import ORDER

CONTRACT = """\
gateway: v1
partner: acme
authentication: {accept: [api_key, hmac]}
sends:
  order.placed: {schema: order.avsc, id: /order_id}
  order.changed: {schema: change.avsc, id: /order_id}
receives:
  order.accepted: {schema: order.avsc, id: /order_id}
"""
FILES = {"order.avsc": json.dumps(ORDER), "change.avsc": json.dumps({**ORDER, "name": "com.acme.Change"})}
PLACED, CHANGED = "/v1/events/order.placed", "/v1/events/order.changed"
ONE = frozenset({"order.placed"})
DETAIL = "The credential may not send order.changed; it may send order.placed."
HINT = "Send it with a credential that may, or ask for one."
EVENT = {"specversion": "1.0", "source": "/acme", "datacontenttype": "application/json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        await opened.world.apply(CONTRACT, FILES)
        await opened.issue("erp", "partner", "acme", send_types=ONE)
        await opened.world.parts.catalog.refresh()
        # They stand still: how fast this machine answers must not matter.
        opened.world.parts.quotas.ticks = lambda: 0
        yield opened


def order(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": 1}


def event(event_type: str, number: int) -> dict[str, object]:
    return {**EVENT, "id": f"A-{number}", "type": event_type, "data": order(number)}


def told(answer: httpx.Response) -> tuple[int, str, str, str]:
    body = answer.json()
    return answer.status_code, body["code"], body["detail"], body["hint"]


async def test_a_type_that_the_credential_may_not_send_is_refused_and_named(house: House) -> None:
    async with house.client("erp") as client:
        answers = [
            await client.post(CHANGED, json=order(1)),
            await client.post(f"{CHANGED}?dry_run=true", json=order(1)),
            await client.post("/v1/events", json=event("order.changed", 1), headers=cloud("structured")),
            await client.post(
                "/v1/events", json=order(1), headers={**binary("order.changed"), "ce-id": "A-1"}
            ),
        ]
        assert (await client.post(PLACED, json=order(1))).status_code == 201
    assert [told(one) for one in answers] == [(403, "scope_missing", DETAIL, HINT)] * 4
    async with house.client("acme") as client:
        assert (await client.post(CHANGED, json=order(2))).status_code == 201


def cloud(mode: str) -> dict[str, str]:
    return {"Content-Type": "application/cloudevents+json"} if mode == "structured" else BATCH


def binary(event_type: str) -> dict[str, str]:
    return {"ce-specversion": "1.0", "ce-source": "/acme", "ce-type": event_type}


async def test_its_refusal_is_an_entry_of_the_history(house: House) -> None:
    async with house.client("erp") as client:
        assert (await client.post(CHANGED, json=order(1))).status_code == 403
    found: list[dict[str, Any]] = []
    async with house.client("acme") as client, asyncio.timeout(60):
        while not found:
            found = (await client.get("/v1/history?state=refused")).json()["items"]
    (row,) = found
    assert (row["code"], row["type"]) == ("scope_missing", "order.changed")


async def test_each_item_of_a_batch_is_judged_by_itself(house: House) -> None:
    batch = [event("order.placed", 1), event("order.changed", 2), event("order.placed", 3)]
    async with house.client("erp") as client:
        strict = await client.post("/v1/events", content=json.dumps(batch), headers=BATCH)
        lenient = await client.post(
            "/v1/events", content=json.dumps(batch), headers={**BATCH, "Prefer": "handling=lenient"}
        )
    assert (strict.status_code, strict.json()["code"]) == (422, "batch_refused")
    assert "order.changed" in json.dumps(strict.json())
    assert lenient.status_code == 207
    items = lenient.json()["results"]
    assert [one["status"] for one in items] == [201, 403, 201]
    assert (items[1]["problem"]["code"], items[1]["problem"]["detail"]) == ("scope_missing", DETAIL)


async def test_a_text_that_is_no_type_is_not_repeated(house: House) -> None:
    async with house.client("erp") as client:
        answer = await client.post("/v1/events/%22no%20type%22", json=order(1))
        missing = await client.post("/v1/events", json=order(1))
    assert told(answer)[:2] == (403, "scope_missing")
    assert "may not send this type" in answer.json()["detail"]
    assert missing.json()["code"] != "scope_missing"


async def test_a_type_of_the_list_that_the_contract_has_not_yet_is_unknown(house: House) -> None:
    await house.issue("early", "auditor", "acme")
    async with house.client("operator") as client:
        path = f"/v1/partners/acme/credentials/{house.credentials['erp'].id}"
        await client.delete(path)
        wanted = {"send_types": ["order.placed", "order.shipped"]}
        made = await client.post("/v1/partners/acme/credentials", json=wanted)
    house.keys["early"] = made.json()["secret"]
    async with house.client("early") as client:
        answer = await client.post("/v1/events/order.shipped", json=order(1))
        assert answer.json()["code"] == "event_type_unknown"
        await house.world.apply(
            CONTRACT.replace("order.changed", "order.shipped"), FILES, allow=frozenset({"destructive"})
        )
        await house.world.parts.catalog.refresh()
        assert (await client.post("/v1/events/order.shipped", json=order(1))).status_code == 201


async def test_our_own_side_is_bounded_by_its_credential_too(house: House) -> None:
    await house.issue("billing", "team", send_types=frozenset({"bill.made"}), events_per_second=2)
    await house.issue("orders", "team", send_types=frozenset({"order.accepted"}), events_per_second=2)
    path = "/v1/partners/acme/events/order.accepted"
    async with house.client("billing") as client:
        refused = await client.post(path, json=order(1))
    async with house.client("orders") as client:
        answers = [await client.post(path, json=order(number)) for number in range(4)]
    assert told(refused)[:2] == (403, "scope_missing")
    assert [one.status_code for one in answers] == [201, 201, 429, 429]
    assert "itself is 2 events a second" in answers[3].json()["detail"]
    assert answers[0].headers["ratelimit"] == '"events";r=1;t=1'
    async with house.client("team") as client:
        assert (await client.post(path, json=order(9))).status_code == 201


async def test_inbound_webhooks_are_bounded_too(house: House) -> None:
    async with house.client("operator") as client:
        wanted = {"kind": "webhook_secret", "send_types": ["order.placed"], "events_per_second": 1}
        made = (await client.post("/v1/partners/acme/credentials", json=wanted)).json()

    async def posted(path: str, number: int) -> httpx.Response:
        body, at = json.dumps(order(number)).encode(), int(time.time())
        headers = {
            "webhook-id": f"w{number}",
            "webhook-timestamp": str(at),
            "webhook-signature": sign([parse_secret(made["secret"])], f"w{number}", at, body),
            "content-type": "application/json",
        }
        async with house.client() as client:
            return await client.post(f"{path}?credential={made['id']}", content=body, headers=headers)

    assert told(await posted(CHANGED, 1))[:2] == (403, "scope_missing")
    assert (await posted(PLACED, 2)).status_code == 429
    house.world.parts.quotas.ticks = lambda: 1_000
    assert (await posted(PLACED, 3)).status_code == 201


async def test_beyond_its_own_rate_one_waits_and_the_partner_does_not(house: House) -> None:
    await house.world.apply(CONTRACT + "limits: {events_per_second: 6}\n", FILES)
    async with house.client("operator") as client:
        path = f"/v1/partners/acme/credentials/{house.credentials['erp'].id}"
        assert (await client.patch(path, json={"events_per_second": 2})).status_code == 200
    async with house.client("erp") as client:
        answers = [await client.post(PLACED, json=order(number)) for number in range(10)]
        me = (await client.get("/v1/me")).json()
    async with house.client("acme") as client:
        others = [await client.post(CHANGED, json=order(number)) for number in range(20, 26)]
    assert [one.status_code for one in answers] == [201, 201] + [429] * 8
    body = answers[9].json()
    assert (body["code"], body["retry"]) == ("quota_exceeded", "later")
    assert body["detail"] == "The rate of this credential itself is 2 events a second; wait 1 s."
    assert answers[9].headers["ratelimit-policy"] == '"events";q=2;w=1'
    assert [one.status_code for one in others] == [201] * 4 + [429] * 2
    assert others[0].headers["ratelimit-policy"] == '"events";q=6;w=1'
    assert (me["send_types"], me["events_per_second"]) == (["order.placed"], 2)
    assert (me["limits"]["left"]["events"]["left"], me["limits"]["events_per_second"]) == (0, 6)


async def test_who_has_neither_is_told_of_neither(house: House) -> None:
    async with house.client("acme") as client:
        answer = await client.post(PLACED, json=order(1))
        me = (await client.get("/v1/me")).json()
    assert "ratelimit" not in answer.headers
    assert (me["send_types"], me["events_per_second"]) == (None, None)


async def test_an_import_is_bounded_as_its_sender_is_by_now(house: House) -> None:
    body = b"".join(
        json.dumps(event(name, number)).encode() + b"\n"
        for number, name in enumerate(("order.placed", "order.changed"))
    )
    async with house.client("erp") as client:
        early = await client.post("/v1/imports?type=order.changed", content=body, headers=NDJSON)
        mixed = await client.post("/v1/imports", content=body, headers=NDJSON)
        async with working(house.world.parts.importer):
            done = await ended(client, mixed.headers["location"])
        results = await all_results(client, mixed.headers["location"])
    assert told(early) == (403, "scope_missing", DETAIL, HINT)
    assert (done["state"], done["accepted"], done["refused"]) == ("done", 1, 1)
    assert "scope_missing" in json.dumps(results[1])
    async with house.client("acme") as client:
        lines = json.dumps(order(7)).encode() + b"\n"
        typed = await client.post("/v1/imports?type=order.changed", content=lines, headers=NDJSON)
        path = f"/v1/credentials/{house.credentials['acme'].id}"
        assert (await client.patch(path, json={"send_types": ["order.placed"]})).status_code == 200
        async with working(house.world.parts.importer):
            over = await ended(client, typed.headers["location"])
    assert (over["state"], over["error"]["code"]) == ("failed", "scope_missing")
    assert over["error"]["detail"] == "The credential of the sender may send order.changed no longer."


async def test_an_import_keeps_to_the_rate_of_its_sender(house: House) -> None:
    await house.issue("slow", "team", send_types=frozenset({"order.accepted"}), events_per_second=3)
    lines = b"".join(json.dumps(order(number)).encode() + b"\n" for number in range(4))
    async with house.client("slow") as client:
        path = "/v1/partners/acme/imports?type=order.accepted"
        made = await client.post(path, content=lines, headers=NDJSON)
        importer = house.world.parts.importer
        importer.longest_wait_seconds = 0.05
        async with working(importer):
            await until(client, made.headers["location"], lambda one: one["waits_for"] == "quota_exceeded")
            house.world.parts.quotas.ticks = lambda: 2_000
            done = await ended(client, made.headers["location"])
    assert (done["state"], done["accepted"]) == ("done", 4)
