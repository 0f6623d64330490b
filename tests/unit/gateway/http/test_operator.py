import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.http.reading import CONTRACT_BYTES, JSON_BYTES
from tests.builders import House, open_house
from tests.world import CONTRACT, ORDER

FILES = {"order.avsc": json.dumps(ORDER)}
PATH = "/v1/partners/newco/contract"
NEWCO = CONTRACT.replace("acme", "newco")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex")) as opened:
        yield opened


def sent(text: str, **members: object) -> dict[str, object]:
    return {"contract": text, "files": FILES, **members}


async def test_a_contract_has_a_bound_of_its_own_as_json(house: House) -> None:
    async with house.client("operator") as client:
        within = await client.put(PATH, json=sent(NEWCO + "#" * JSON_BYTES))
        announced = {"content-length": str(CONTRACT_BYTES + 1), "content-type": "application/json"}
        beyond = await client.put(PATH, content=b"{}", headers=announced)
        elsewhere = await client.post("/v1/partners/acme/credentials", content=b"{}", headers=announced)
    # It was read; its text alone is larger than a contract's file may be.
    assert (within.status_code, within.json()["code"]) == (422, "contract_invalid")
    assert (beyond.status_code, beyond.json()["code"]) == (413, "body_too_large")
    assert str(CONTRACT_BYTES) in beyond.json()["detail"]
    assert str(JSON_BYTES) in elsewhere.json()["detail"]


async def test_a_new_partner_is_made_and_can_send_at_once(house: House) -> None:
    async with house.client("operator") as client:
        dry = await client.put(f"{PATH}?dry_run=true", json=sent(NEWCO))
        missing = await client.get("/v1/partners/newco")
        made = await client.put(PATH, json=sent(NEWCO))
        again = await client.put(PATH, json=sent(NEWCO))
        shown = await client.get("/v1/partners/newco")
        key = await client.post("/v1/partners/newco/credentials", json={})
    assert (dry.status_code, dry.json()["created"], missing.status_code) == (200, True, 404)
    assert (made.status_code, made.headers["etag"], made.json()["revision"]) == (201, '"active.1"', 1)
    assert (again.status_code, again.json()["changed"]) == (200, False)
    assert shown.json()["contract"] == 1
    house.keys["newco"] = key.json()["secret"]
    async with house.client("newco") as client:
        answer = await client.post("/v1/events/order.placed", json={"order_id": "1", "qty": 1})
    assert answer.status_code == 201


async def test_a_contract_with_errors_tells_file_line_and_pointer_of_each(house: House) -> None:
    text = NEWCO.replace("name: Newco", "nme: x").replace("id: /order_id", "id: 7", 1)
    async with house.client("operator") as client:
        answer = await client.put(PATH, json=sent(text + "colour: red\n", file_name="newco.yaml"))
    assert (answer.status_code, answer.json()["code"]) == (422, "contract_invalid")
    errors = answer.json()["errors"]
    assert {one["file"] for one in errors} == {"newco.yaml"}
    assert {"/colour", "/sends/order.placed/id"} <= {one["pointer"] for one in errors}
    assert all(one["line"] > 0 and one["detail"] for one in errors)


async def test_somebody_elses_change_is_not_written_over(house: House) -> None:
    acme = "/v1/partners/acme/contract"
    async with house.client("operator") as client:
        etag = (await client.get(acme)).headers["etag"]
        named = sent(CONTRACT.replace("Acme GmbH", "Acme AG"))
        first = await client.put(acme, json=named, headers={"If-Match": etag})
        second = await client.put(acme, json=named, headers={"If-Match": etag})
        new = await client.put(acme, json=named, headers={"If-None-Match": "*"})
        bad = await client.put(acme, json=named, headers={"If-Match": "W/7"})
    assert (first.status_code, second.status_code, new.status_code) == (200, 412, 412)
    assert (bad.status_code, bad.json()["code"]) == (400, "request_malformed")


async def test_what_takes_something_away_must_be_allowed(house: House) -> None:
    acme = "/v1/partners/acme/contract"
    text = CONTRACT.partition("receives:")[0]
    async with house.client("operator") as client:
        refused = await client.put(acme, json=sent(text))
        planned = await client.put(f"{acme}?dry_run=true", json=sent(text))
        allowed = await client.put(f"{acme}?allow=destructive", json=sent(text))
        unknown = await client.put(f"{acme}?allow=all", json=sent(text))
    assert (refused.status_code, refused.json()["code"]) == (409, "change_destructive")
    assert planned.json()["blocked"] == ["destructive"]
    assert (allowed.status_code, unknown.status_code) == (200, 400)


MISFITS: list[dict[str, object]] = [
    {},
    {"contract": 7},
    {"contract": "a", "files": []},
    {"contract": "a", "files": {"a": 1}},
    {"contract": "a", "other": 1},
    {"contract": "a", "file_name": "a\nb"},
    {"contract": "a", "file_name": ""},
]


async def test_members_that_do_not_fit_are_refused(house: House) -> None:
    async with house.client("operator") as client:
        for body in MISFITS:
            answer = await client.put(PATH, json=body)
            assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid"), body


async def test_partners_are_listed_in_pages(house: House) -> None:
    async with house.client("operator") as client:
        first = await client.get("/v1/partners?limit=1")
        second = await client.get("/v1/partners", params={"limit": 1, "cursor": first.json()["next"]})
    assert [one["slug"] for one in first.json()["items"]] == ["acme"]
    assert [one["slug"] for one in second.json()["items"]] == ["globex"]
    assert second.json()["next"] is None
    assert "rel=next" in first.headers["link"]


async def test_status_names_logs_and_broker(house: House) -> None:
    async with house.client("operator") as client:
        body = (await client.get("/v1/status")).json()
    assert body["broker"]["state"] == "up"
    assert body["partners"] == 2
