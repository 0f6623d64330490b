"""Suspended, resumed, closed: what a partner still may, and what the logs tell of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit.pressing import expand
from audit.ref import format_ref
from tests.builders import House, open_house

ORDER = {"order_id": "S-1", "qty": 1}
REASON = {"reason": "unpaid"}
READS = ("me", "history", "contract", "types", "credentials", "log/consistency?old=0")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def told(house: House) -> list[tuple[str, Any, Any, Any]]:
    """Log, action, reason and author's role of each entry about a partner, in the order of logs."""

    def read(session: Session) -> list[tuple[str, Any, Any, Any]]:
        query = "SELECT log, evidence FROM audit_entry WHERE kind = 'partner.changed' ORDER BY log, \"index\""
        found = [(log, json.loads(expand(bytes(raw)))) for log, raw in session.execute(text(query))]
        return [(log, one["action"], one["reason"], one["by"]["role"]) for log, one in found]

    return await house.doors.database.read(read)


async def test_a_suspended_partner_ends_a_key_of_its_own_that_has_leaked(house: House) -> None:
    async with house.client("operator") as operator, house.client("acme") as acme:
        leaked = (await acme.post("/v1/credentials", json={"name": "leaked"})).json()
        await operator.post("/v1/partners/acme/suspend", json=REASON)
        assert (await acme.patch(f"/v1/credentials/{leaked['id']}", json={"name": "x"})).status_code == 403
        ended = await acme.delete(f"/v1/credentials/{leaked['id']}")
        assert ended.status_code == 200, ended.text
        assert (
            await acme.get("/v1/me", headers={"Authorization": f"Bearer {leaked['secret']}"})
        ).status_code == 401


async def test_a_suspended_partner_reads_its_log_and_nothing_else_until_it_is_resumed(house: House) -> None:
    async with house.client("operator") as operator, house.client("acme") as acme:
        sent = await acme.post("/v1/events/order.placed", json=ORDER)
        proof = f"{sent.headers['location']}/proof?wait=10"
        moved = await operator.post("/v1/partners/acme/suspend", json=REASON)
        assert (moved.status_code, moved.json()["state"], moved.json()["before"]) == (
            200,
            "suspended",
            "active",
        )
        assert (await acme.get(proof)).status_code == 200  # and so there is a checkpoint
        for path in READS:
            assert (await acme.get(f"/v1/{path}")).status_code == 200, path
        refused = [
            await acme.post("/v1/events/order.placed", json=ORDER),
            await acme.get("/v1/stream"),
            await acme.post("/v1/credentials", json={}),
            await operator.post("/v1/partners/acme/events/order.accepted", json=ORDER),
        ]
        assert {(one.status_code, one.json()["code"]) for one in refused} == {(403, "partner_suspended")}
        again = await operator.post("/v1/partners/acme/suspend", json=REASON)
        assert (again.json()["changed"], again.json()["before"]) == (False, "suspended")
        resumed = await operator.post("/v1/partners/acme/resume", json={"reason": "paid"})
        assert resumed.json()["state"] == "active"
        assert (await acme.post("/v1/events/order.placed", json=ORDER)).json()["duplicate"] is True
    partner = house.doors.catalog.current.directory.partner("acme")
    assert partner is not None
    await settled(house, 4)
    logs = {log.rpartition("/")[2] for log, *_ in await told(house)}
    assert logs == {partner.log, house.world.parts.ground.house_log}
    assert [one[1:] for one in await told(house)] == [
        ("suspended", "unpaid", "operator"),
        ("resumed", "paid", "operator"),
    ] * 2


async def settled(house: House, count: int) -> None:
    for _ in range(500):
        if len(await told(house)) >= count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(await told(house))


async def test_a_closed_partner_reads_what_was_and_is_never_opened_again(house: House) -> None:
    async with house.client("operator") as operator, house.client("acme") as acme:
        dry = await operator.delete("/v1/partners/acme", params={"reason": "over", "dry_run": "true"})
        assert (dry.json()["state"], dry.json()["dry_run"]) == ("closed", True)
        assert (await acme.post("/v1/events/order.placed", json=ORDER)).status_code == 201
        assert (await operator.delete("/v1/partners/acme", params={"reason": "over"})).status_code == 200
        assert (await acme.get("/v1/history")).status_code == 200
        assert (await acme.post("/v1/events/order.placed", json=ORDER)).status_code == 403
        for answer in (
            await operator.post("/v1/partners/acme/resume", json=REASON),
            await operator.post("/v1/partners/acme/suspend", json=REASON),
            await operator.put("/v1/partners/acme/contract", json=await contract(house)),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
        listed = (await operator.get("/v1/partners")).json()["items"]
        assert [one["state"] for one in listed] == ["closed"]


async def contract(house: House) -> dict[str, object]:
    async with house.client("operator") as operator:
        shown = (await operator.get("/v1/partners/acme/contract")).json()
    return {"contract": shown["contract"], "files": shown["files"]}


async def test_who_has_seen_another_state_changes_nothing(house: House) -> None:
    async with house.client("operator") as operator:
        seen = (await operator.get("/v1/partners/acme")).headers["etag"]
        suspended = await operator.post("/v1/partners/acme/suspend", json=REASON, headers={"If-Match": seen})
        stale = await operator.delete(
            "/v1/partners/acme", params={"reason": "over"}, headers={"If-Match": seen}
        )
        fresh = (await operator.get("/v1/partners/acme")).headers["etag"]
        assert (suspended.headers["etag"], fresh) == (fresh, '"suspended.1"')
        assert (stale.status_code, stale.json()["code"]) == (412, "precondition_failed")
        odd = await operator.post("/v1/partners/acme/resume", json=REASON, headers={"If-Match": "7"})
        assert odd.status_code == 400
        assert "active.7" in odd.json()["detail"]
        assert (await operator.get("/v1/partners/acme")).json()["state"] == "suspended"


async def test_partner_and_contract_have_one_etag_and_take_it_in_one_form(house: House) -> None:
    async with house.client("operator") as operator:
        partner, agreed = "/v1/partners/acme", "/v1/partners/acme/contract"
        seen = (await operator.get(partner)).headers["etag"]
        assert (await operator.get(agreed)).headers["etag"] == seen == '"active.1"'
        same = await operator.put(agreed, json=await contract(house), headers={"If-Match": seen})
        assert (same.status_code, same.headers["etag"]) == (200, seen)
        for known in (seen, '"1"'):
            dry = await operator.post(
                f"{partner}/suspend?dry_run=true", json=REASON, headers={"If-Match": known}
            )
            assert dry.status_code == 200
        suspended = await operator.post(f"{partner}/suspend", json=REASON, headers={"If-Match": '"1"'})
        late = await operator.put(agreed, json=await contract(house), headers={"If-Match": seen})
        anyhow = await operator.put(agreed, json=await contract(house), headers={"If-Match": '"1"'})
    assert suspended.headers["etag"] == '"suspended.1"'
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert (anyhow.status_code, anyhow.headers["etag"]) == (200, '"suspended.1"')


async def test_without_a_reason_nothing_is_changed(house: House) -> None:
    bodies: tuple[dict[str, object], ...] = (
        {},
        {"reason": " "},
        {"reason": 7},
        {"reason": "x" * 1_001},
        {"reason": "a\0b"},  # PostgreSQL keeps none
        {"reason": "x", "why": "x"},
    )
    async with house.client("operator") as operator:
        for body in bodies:
            assert (await operator.post("/v1/partners/acme/suspend", json=body)).status_code == 400, body
        for query in ({}, {"reason": "a\0b"}):
            assert (await operator.delete("/v1/partners/acme", params=query)).status_code == 400
        assert (await operator.get("/v1/partners/acme")).json()["state"] == "active"


async def test_a_reader_that_waits_when_its_partner_is_suspended_gets_nothing(house: House) -> None:
    async with house.client("operator") as operator, house.client("acme") as acme:
        waiting = asyncio.ensure_future(acme.get("/v1/stream", params={"wait": 20}))
        await asyncio.sleep(0.2)
        await operator.post("/v1/partners/acme/suspend", json=REASON)
        await house.world.send(ORDER, direction="outbound")
        answer = await waiting
        assert (answer.status_code, answer.json()["code"]) == (403, "partner_suspended")
        await operator.post("/v1/partners/acme/resume", json=REASON)
        page = (await acme.get("/v1/stream", params={"wait": 5})).json()
        assert [one["data"]["order_id"] for one in page["items"]] == ["S-1"]


async def test_a_partner_that_is_suspended_while_its_body_arrives_brings_nothing(house: House) -> None:
    raw = json.dumps(ORDER).encode()

    async with house.client("operator") as operator, house.client("acme") as acme:

        async def body() -> AsyncIterator[bytes]:
            yield raw[:5]
            await operator.post("/v1/partners/acme/suspend", json=REASON)
            yield raw[5:]

        headers = {"Content-Type": "application/json"}
        answer = await acme.post("/v1/events/order.placed", content=body(), headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (403, "partner_suspended")
        assert (await acme.get("/v1/history", params={"id": "S-1"})).json()["items"] == []


async def test_a_reader_whose_key_is_revoked_while_it_waits_gets_nothing(house: House) -> None:
    async with house.client("operator") as operator, house.client("acme") as acme:
        waiting = asyncio.ensure_future(acme.get("/v1/stream", params={"wait": 20}))
        asked = asyncio.ensure_future(acme.get(f"/v1/history/{format_ref(bytes(32))}", params={"wait": 20}))
        await asyncio.sleep(0.2)
        revoked = await operator.delete(f"/v1/partners/acme/credentials/{house.credentials['acme'].id}")
        assert revoked.status_code == 200
        await house.world.send(ORDER, direction="outbound")
        for answer in (await waiting, await asked):
            assert (answer.status_code, answer.json()["code"]) == (401, "credential_revoked")
