"""A gateway with an event in every table that can hold one, and shorthands for erasing it."""

import asyncio
import hashlib
from typing import Any

import httpx
from sqlmodel import Session

from audit import log
from audit.ref import parse_ref
from gateway.egress.rows import AttemptRow
from gateway.rows import DeliveryRow, RepeatRow
from tests.builders import House

MARK = "MARKED-4711"
BODY = b'{"order_id": "' + MARK.encode() + b'", "customer": "MARKED customer", "qty": 1}'
WORDS = (MARK.encode(), b"MARKED", hashlib.sha256(BODY).digest(), hashlib.sha256(BODY).hexdigest().encode())


async def send(house: House, body: bytes = BODY, *, by: str = "acme") -> str:
    """Send an event of a partner; its ref, once the log has it."""
    async with house.client(by) as client:
        sent = await client.post("/v1/events/order.placed", content=body, headers=_JSON)
        assert sent.status_code == 201, sent.text
        proof = await client.get(f"{sent.headers['location']}/proof?wait=20")
        assert proof.status_code == 200, proof.text
    return str(sent.json()["ref"])


_JSON = {"Content-Type": "application/json"}


def owe(
    house: House, ref: str, endpoint: str = "ep_1", *, state: str = "pending", owner: str = "acme"
) -> None:
    """Let a delivery of the event wait, with an excerpt of an answer, and the answer to a change of it."""
    raw = parse_ref(ref)
    assert raw is not None
    row = DeliveryRow(
        endpoint=endpoint,
        ref=raw,
        partner=owner,
        source="/MARKED",
        event_id=MARK,
        event_type="order.accepted",
        topic="partners.acme.outbound",
        topic_id="none",
        partition=0,
        offset=0,
        order_key=MARK,
        payload=BODY,
        schema_id=1,
        attempts=1,
        next_at=1 << 60,
        state=state,
        reason="timed_out",
        created_at=5,
        updated_at=5,
    )
    excerpt = AttemptRow(id=f"att_{endpoint}", endpoint=endpoint, ref=raw, at=5, excerpt=b"no " + BODY)
    answer = b'[200,{},{"ref":"' + ref.encode() + b'","event":{"id":"' + MARK.encode() + b'"}}]'
    repeat = RepeatRow(
        credential="crd_1",
        key=endpoint,
        digest=bytes(32),
        token=bytes(16),
        answer=answer,
        open_until=0,
        until=1 << 60,
    )
    with house.world.parts.ground.database.begin() as session:
        for one in (row, excerpt, repeat):
            session.add(one)


async def erase(house: House, *, slug: str = "acme", **wanted: Any) -> httpx.Response:
    """Ask for an erasure as the operator."""
    dry_run = {"dry_run": "true"} if wanted.pop("dry_run", False) else {}
    headers = {"Idempotency-Key": key} if (key := wanted.pop("key", None)) else {}
    async with house.client("operator") as client:
        return await client.post(
            f"/v1/partners/{slug}/erasures",
            json={"basis": "case 17", **wanted},
            params=dry_run,
            headers=headers,
        )


async def hold(house: House, *, slug: str = "acme", **scope: Any) -> str:
    """Put a hold on something; its id."""
    async with house.client("operator") as client:
        made = await client.post(f"/v1/partners/{slug}/holds", json={"basis": "case 1", **scope})
        assert made.status_code == 201, made.text
    return str(made.json()["id"])


async def lift(house: House, hold_id: str, *, slug: str = "acme") -> None:
    """Lift a hold."""
    async with house.client("operator") as client:
        path = f"/v1/partners/{slug}/holds/{hold_id}"
        done = await client.delete(path, params={"basis": "over"})
        assert done.status_code == 200, done.text


async def worked_off(house: House) -> None:
    """Do all steps of erasures that are due."""
    while await house.world.parts.eraser.step():
        pass


async def settled(house: House, erasure: str) -> dict[str, Any]:
    """An erasure once nothing is left to do but what is held."""
    for _ in range(1_000):
        await worked_off(house)
        found = await shown(house, erasure)
        if found["state"] != "waiting":
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(found)


async def shown(house: House, erasure: str) -> dict[str, Any]:
    """An erasure as it stands."""
    async with house.client("operator") as client:
        answer = await client.get(f"/v1/partners/acme/erasures/{erasure}")
    found: dict[str, Any] = answer.json()
    return found


async def entries(house: House, kind: str, count: int, *, slug: str = "acme") -> list[dict[str, Any]]:
    """The evidence of a kind in a partner's log, once there is so much of it."""
    partner = house.doors.catalog.current.directory.partner(slug)
    name = house.world.parts.ground.house_log if partner is None else partner.log
    origin = f"{house.doors.values.log_host}/log/{name}/1"

    def look(session: Session) -> list[dict[str, Any]]:
        size = log.state(session, origin).head.size
        told = [log.entry(session, origin, index) for index in range(size)]
        said = [one.evidence() for one in told if one.kind.value == kind]
        return [dict(one.members) for one in said if one is not None]

    for _ in range(1_000):
        found = await house.doors.database.read(look)
        if len(found) >= count:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{len(found)} of {kind}")
