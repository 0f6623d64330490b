"""Erasures and holds over HTTP: what is asked for wrongly is said, and nothing is done."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.builders import House, open_house

REF = "evt_" + "a" * 52
BASIS = {"basis": "case 17"}
ERASURES, HOLDS = "/v1/partners/acme/erasures", "/v1/partners/acme/holds"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder: Path = tmp_path_factory.mktemp("erasures")
    async with open_house(folder) as opened:
        yield opened


@pytest.mark.parametrize(
    "body",
    [
        {},
        BASIS,
        {"refs": [REF]},
        {"refs": [REF], "basis": ""},
        {"refs": [REF], "basis": "two\nlines"},
        {"refs": [REF], "basis": "x" * 501},
        {"refs": [REF], "basis": 17},
        {**BASIS, "refs": []},
        {**BASIS, "refs": REF},
        {**BASIS, "refs": [REF] * 1_001},
        {**BASIS, "refs": [17]},
        {**BASIS, "refs": ["evt_x"]},
        {**BASIS, "refs": [REF], "since": "1h"},
        {**BASIS, "since": "1h"},
        {**BASIS, "until": "1h"},
        {**BASIS, "since": "1h", "until": "2h"},
        {**BASIS, "since": "1h", "until": "2199-01-01T00:00:00Z"},
        {**BASIS, "since": 17, "until": "1h"},
        {**BASIS, "since": "yesterday", "until": "1h"},
        {**BASIS, "refs": [REF], "when_held": "ignore"},
        {**BASIS, "refs": [REF], "when_held": ["wait"]},
        {**BASIS, "since": "2h", "until": "1h", "when_held": "refuse"},
        {**BASIS, "refs": [REF], "why": "because"},
    ],
)
async def test_an_erasure_that_is_asked_for_wrongly_is_none(house: House, body: dict[str, Any]) -> None:
    async with house.client("operator") as client:
        answer = await client.post(ERASURES, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid"), answer.text
        assert (await client.get(ERASURES)).json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"refs": [REF]},
        {**BASIS, "refs": []},
        {**BASIS, "refs": [REF] * 201},
        {**BASIS, "refs": [REF], "until": "1h"},
        {**BASIS, "since": "1h", "until": "1h"},
        {**BASIS, "all": True},
    ],
)
async def test_a_hold_that_is_asked_for_wrongly_is_none(house: House, body: dict[str, Any]) -> None:
    async with house.client("operator") as client:
        answer = await client.post(HOLDS, json=body)
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid"), answer.text
        assert (await client.get(HOLDS)).json()["items"] == []


async def test_a_time_in_which_nothing_was_takes_one_step(house: House) -> None:
    async with house.client("operator") as client:
        made = await client.post(ERASURES, json={**BASIS, "since": "9999d", "until": "9998d"})
        assert (made.status_code, made.json()["total"]) == (202, 0)
        while await house.world.parts.eraser.step():
            pass
        shown = (await client.get(made.headers["location"])).json()
        assert (shown["state"], shown["erased"]) == ("done", 0)
        assert (await client.get(f"{ERASURES}/{'ers_' + 'b' * 26}")).status_code == 404
        assert (await client.get(f"{ERASURES}/x")).status_code == 404


async def test_a_hold_is_lifted_once_for_a_reason_and_stays_listed(house: House) -> None:
    async with house.client("operator") as client:
        before = len((await client.get(HOLDS)).json()["items"])
        dry = await client.post(f"{HOLDS}?dry_run=true", json=BASIS)
        assert (dry.status_code, dry.json()["dry_run"]) == (201, True)
        made = await client.post(HOLDS, json=BASIS, headers={"Idempotency-Key": "h"})
        again = await client.post(HOLDS, json=BASIS, headers={"Idempotency-Key": "h"})
        assert (made.status_code, again.json()) == (201, made.json())
        path = made.headers["location"]
        assert (await client.get(path)).json() == made.json()
        for query in ("", "?basis=", f"?basis={'x' * 501}"):
            assert (await client.delete(f"{path}{query}")).status_code == 400
        assert (await client.delete(f"{path}?basis=over&dry_run=true")).json()["lifted_for"] == "over"
        assert (await client.get(path)).json()["lifted_at"] is None
        lifted = (await client.delete(f"{path}?basis=over")).json()
        assert (lifted["lifted_for"], lifted["lifted_by"]["role"]) == ("over", "operator")
        assert (await client.delete(f"{path}?basis=again")).json() == lifted
        items = (await client.get(HOLDS)).json()["items"]
        assert (len(items), items[0]) == (before + 1, lifted)
        missing = await client.delete(f"{HOLDS}/{'hld_' + 'b' * 26}?basis=over")
        assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
