"""What is registered over HTTP proves a caller: each kind, from its making to its revocation."""

import json
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.auth.request import Shown
from gateway.bootstrap.ground import clock
from gateway.errors import CallerError
from gateway.standard_webhooks import parse_secret, sign
from tests.builders import CONTRACTS, ORIGIN, House, make_doors
from tests.certificates import Certified, certified, public_pem
from tests.signing import Draft
from tests.world import running

BEGINS = datetime.now(UTC) - timedelta(days=1)
LEAF = certified(begins=BEGINS, days=30)
ROOT = certified("root", is_authority=True, usages=(), begins=BEGINS, days=30)
URI = "spiffe://acme.example/gateway"
ISSUED = certified("any", issuer=ROOT, uri=URI, begins=BEGINS, days=30)
ACCEPT = "authentication: {accept: [api_key, mtls, message_signature, hmac, jwt]}\n"
EVENT = "/v1/events/order.placed"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """As `open_house`, with a contract that takes every way."""
    async with running(tmp_path) as world:
        await world.apply(CONTRACTS.replace("{slug}", "acme") + ACCEPT)
        opened = House(world, make_doors(world))
        await opened.issue("acme", "partner", "acme")
        await opened.issue("operator", "operator")
        yield opened


async def make(house: House, **body: Any) -> dict[str, Any]:
    async with house.client("operator") as client:
        made = await client.post("/v1/partners/acme/credentials", json=body)
    assert made.status_code == 201, made.text
    document: dict[str, Any] = made.json()
    return document


async def posted(house: House, secret: str, credential: str, number: int) -> httpx.Response:
    body = json.dumps({"order_id": f"W-{number}", "qty": number}).encode()
    at = int(time.time())
    headers = {
        "webhook-id": f"w{number}",
        "webhook-timestamp": str(at),
        "webhook-signature": sign([parse_secret(secret)], f"w{number}", at, body),
        "content-type": "application/json",
    }
    async with house.client() as client:
        return await client.post(f"{EVENT}?credential={credential}", content=body, headers=headers)


async def proved(house: House, made: Certified) -> str:
    """The credential that a client's certificate proves, or the code of the refusal."""
    parts = house.world.parts
    shown = Shown(certificate=made.der)
    try:
        found = await parts.callers.identify(shown, parts.catalog.current.directory, now=clock())
    except CallerError as error:
        return error.code
    return found.confirm(b"").credential.id


async def revoke(house: House, credential: str) -> None:
    async with house.client("acme") as client:
        assert (await client.delete(f"/v1/credentials/{credential}")).status_code == 200


async def last_use(house: House, credential: str) -> str | None:
    async with house.client("acme") as client:
        used: str | None = (await client.get(f"/v1/credentials/{credential}")).json()["last_used_at"]
    return used


async def test_webhook_secrets_made_here_and_given_sign_events(house: House) -> None:
    given = "whsec_c2VjcmV0LW9mLWEtc2VuZGVyLW9mLXdlYmhvb2tzLi4="
    fresh = await make(house, kind="webhook_secret")
    other = await make(house, kind="webhook_secret", secret=given)
    assert await last_use(house, fresh["id"]) is None
    assert (await posted(house, fresh["secret"], fresh["id"], 1)).status_code == 201
    assert (await posted(house, given, other["id"], 2)).status_code == 201
    wrong = await posted(house, given, fresh["id"], 3)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "signature_invalid")
    assert await last_use(house, fresh["id"]) is not None
    await revoke(house, fresh["id"])
    ended = await posted(house, fresh["secret"], fresh["id"], 4)
    assert (ended.status_code, ended.json()["code"]) == (401, "credential_revoked")


async def test_a_public_key_signs_requests_under_the_id_of_its_credential(house: House) -> None:
    key = Ed25519PrivateKey.generate()
    made = await make(house, kind="public_key", public_key=public_pem(key), scopes=["send"])
    body = json.dumps({"order_id": "S-1", "qty": 1}).encode()
    draft = Draft(authority=ORIGIN.removeprefix("http://"), body=body, created=int(time.time()))
    async with house.client() as client:
        sent = await client.post(EVENT, content=body, headers=draft.signed(key, made["key_id"]))
        await revoke(house, made["id"])
        ended = await client.post(EVENT, content=body, headers=draft.signed(key, made["key_id"]))
    assert sent.status_code == 201, sent.text
    assert (ended.status_code, ended.json()["code"]) == (401, "credential_revoked")
    assert await last_use(house, made["id"]) is not None


async def test_certificates_are_taken_as_pinned_and_by_who_issued_them(house: House) -> None:
    assert await proved(house, LEAF) == "credential_invalid"
    pinned = await make(house, kind="certificate", certificate=LEAF.pem)
    issued = await make(house, kind="certificate", ca=ROOT.pem, uri=URI)
    assert await proved(house, LEAF) == pinned["id"]
    assert await proved(house, ISSUED) == issued["id"]
    stranger = certified(
        "any", issuer=certified("root", is_authority=True, usages=()), uri=URI, begins=BEGINS
    )
    assert await proved(house, stranger) == "credential_invalid"
    for one in (pinned, issued):
        await revoke(house, one["id"])
    assert [await proved(house, one) for one in (LEAF, ISSUED)] == ["credential_revoked"] * 2
