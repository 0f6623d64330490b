"""Changes under an Idempotency-Key: asked for twice, made once."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from tests.builders import House, open_house

KEY = {"Idempotency-Key": '"order-of-keys-1"'}
WANTED = {"role": "auditor", "name": "audit", "expires_at": "30d"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def names(house: House) -> list[str]:
    async with house.client("acme") as client:
        items = (await client.get("/v1/credentials")).json()["items"]
    return sorted(one["name"] for one in items)


async def test_a_repeat_is_answered_alike_and_names_no_secret(house: House) -> None:
    async with house.client("acme") as client:
        first = await client.post("/v1/credentials", json=WANTED, headers=KEY)
        # The same JSON in another spelling, and the key without its quotes.
        spelled = json.dumps(dict(reversed(WANTED.items())), indent=2).encode()
        shown = {"Idempotency-Key": "order-of-keys-1", "Content-Type": "application/json"}
        again = await client.post("/v1/credentials", content=spelled, headers=shown)
    assert (first.status_code, "idempotent-replayed" in first.headers) == (201, False)
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    assert again.headers["location"] == first.headers["location"]
    made = first.json()
    secret = made.pop("secret")
    assert again.json() == {**made, "secret_shown_before": True}
    assert await names(house) == ["acme", "audit"]
    kept = await house.doors.database.read(
        lambda session: bytes(session.execute(text("SELECT answer FROM gateway_repeat")).scalar_one())
    )
    assert secret.encode() not in kept


async def test_a_key_stands_for_one_request_of_one_credential(house: House) -> None:
    await house.issue("second", "partner", "acme")
    async with house.client("acme") as client, house.client("second") as second:
        made = await client.post("/v1/credentials", json=WANTED, headers=KEY)
        other = await client.post("/v1/credentials", json={**WANTED, "name": "other"}, headers=KEY)
        elsewhere = await client.delete(made.headers["location"], headers=KEY)
        theirs = await second.post("/v1/credentials", json=WANTED, headers=KEY)
    for answer in (other, elsewhere):
        assert (answer.status_code, answer.json()["code"]) == (409, "idempotency_conflict")
        assert answer.json()["retry"] == "no"
    assert (theirs.status_code, "secret" in theirs.json()) == (201, True)


async def test_what_was_refused_or_only_tried_out_uses_no_key_up(house: House) -> None:
    async with house.client("acme") as client:
        dry = await client.post("/v1/credentials?dry_run=true", json=WANTED, headers=KEY)
        refused = await client.post("/v1/credentials", json={**WANTED, "expires_at": "900d"}, headers=KEY)
        made = await client.post("/v1/credentials", json=WANTED, headers=KEY)
    assert [one.status_code for one in (dry, refused, made)] == [200, 400, 201]


async def test_what_changed_nothing_is_answered_alike_too(house: House) -> None:
    async with house.client("operator") as client:
        shown = (await client.get("/v1/partners/acme/contract")).json()
        body = {"contract": shown["contract"], "files": shown["files"]}
        first, again = [
            await client.put("/v1/partners/acme/contract", json=body, headers=KEY) for _ in range(2)
        ]
    assert (first.status_code, first.json()["changed"]) == (200, False)
    assert (again.status_code, again.headers.get("idempotent-replayed")) == (200, "true")
    assert again.json() == first.json()


async def test_of_two_at_once_one_is_made(house: House) -> None:
    async with house.client("acme") as client:
        answers = await asyncio.gather(
            *(client.post("/v1/credentials", json=WANTED, headers=KEY) for _ in range(4))
        )
    assert await names(house) == ["acme", "audit"]
    assert len([one for one in answers if one.status_code == 201 and "secret" in one.json()]) == 1
    for answer in answers:
        if answer.status_code != 201:
            assert (answer.status_code, answer.json()["retry"]) == (409, "later")
            assert answer.headers["retry-after"] == "1"


async def test_every_kind_of_change_takes_a_key(house: House) -> None:
    async with house.client("operator") as client:
        shown = (await client.get("/v1/partners/acme/contract")).json()
        contract = {"contract": shown["contract"] + "contacts: {technical: a@acme.example}\n"}
        body = {**contract, "files": shown["files"]}
        crd = f"/v1/partners/acme/credentials/{house.credentials['acme'].id}"
        for method, path, sent in (
            ("PUT", "/v1/partners/acme/contract", body),
            ("PATCH", crd, {"name": "renamed"}),
            ("DELETE", f"{crd}?reason=leaked", None),
            ("POST", "/v1/partners/acme/suspend", {"reason": "unpaid"}),
            ("POST", "/v1/partners/acme/resume", {"reason": "paid"}),
            ("DELETE", "/v1/partners/acme?reason=over", None),
        ):
            headers = {"Idempotency-Key": f"{method}-{path[-20:]}"}
            first, again = [await client.request(method, path, json=sent, headers=headers) for _ in range(2)]
            assert (first.status_code, again.headers.get("idempotent-replayed")) == (200, "true"), first.text
            assert (again.json(), again.headers.get("etag")) == (first.json(), first.headers.get("etag"))


async def test_a_contract_that_was_in_force_is_answered_alike_and_not_applied_again(house: House) -> None:
    path = "/v1/partners/acme/contract"
    async with house.client("operator") as client:
        shown = (await client.get(path)).json()
        body = {"contract": shown["contract"], "files": shown["files"]}
        other = {**body, "contract": body["contract"] + "contacts: {technical: a@acme.example}\n"}
        first = await client.put(path, json=body, headers=KEY)
        assert (await client.put(path, json=other)).json()["changed"]
        again = await client.put(path, json=body, headers=KEY)
        in_force = (await client.get(path)).json()["contract"]
    assert (first.status_code, first.json()["changed"]) == (200, False)
    assert (again.status_code, again.headers.get("idempotent-replayed")) == (200, "true")
    assert (again.json(), again.headers["etag"]) == (first.json(), first.headers["etag"])
    assert in_force == other["contract"]


async def test_what_is_no_key_is_refused(house: House) -> None:
    wrong = [[""], ['""'], ["x" * 257], ["a\x7fb"], ["a", "b"]]
    async with house.client("acme") as client:
        for keys in wrong:
            headers = httpx.Headers([("Idempotency-Key", key) for key in keys])
            answer = await client.post("/v1/credentials", json=WANTED, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (400, "request_malformed"), keys
    assert await names(house) == ["acme"]
