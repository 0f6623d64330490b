"""Credentials that may send less than their partner: made, narrowed, never widened, and written down."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit.pressing import expand
from tests.builders import House, open_house

ORDERS = frozenset({"order.placed", "order.changed"})
OURS, THEIRS = "/v1/credentials", "/v1/partners/acme/credentials"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def entries(house: House) -> list[dict[str, Any]]:
    """The evidence of changes of credentials, oldest first."""

    def read(session: Session) -> list[dict[str, Any]]:
        query = "SELECT raw FROM audit_pending UNION ALL SELECT evidence FROM audit_entry"
        found = [row[0] for row in session.execute(text(query))]
        read = [json.loads(raw if bytes(raw).startswith(b"{") else expand(bytes(raw))) for raw in found]
        return sorted((one for one in read if one["kind"] == "credential.changed"), key=lambda one: one["at"])

    return await house.world.parts.ground.database.read(read)


async def test_it_is_made_shown_listed_and_written_down(house: House) -> None:
    wanted = {"send_types": ["order.placed", "order.changed", "order.placed"], "events_per_second": 50}
    async with house.client("acme") as client:
        dry = await client.post(f"{OURS}?dry_run=true", json=wanted)
        made = await client.post(OURS, json=wanted)
        shown = await client.get(made.headers["location"])
        listed = (await client.get(OURS)).json()["items"]
    expected = (sorted(ORDERS), 50)
    for one in (dry.json(), made.json(), shown.json()):
        assert (one["send_types"], one["events_per_second"]) == expected
    assert {(one["send_types"] is None, one["events_per_second"]) for one in listed} == {
        (True, None),
        (False, 50),
    }
    (entry,) = [one for one in await entries(house) if one["credential"] == made.json()["id"]]
    assert (entry["action"], entry["send_types"], entry["events_per_second"]) == ("created", *expected)


async def test_nobody_makes_one_that_may_send_more_than_its_own(house: House) -> None:
    await house.issue("bounded", "operator", send_types=ORDERS, events_per_second=50)
    async with house.client("bounded") as client:
        wide = [
            await client.post(THEIRS, json={"send_types": ["order.placed", "invoice.issued"]}),
            await client.post(THEIRS, json={"events_per_second": 51}),
            await client.post(OURS, json={"role": "team", "send_types": ["invoice.issued"]}),
        ]
        usual = await client.post(THEIRS, json={"send_types": None})
        fewer = await client.post(OURS, json={"role": "team", "send_types": ["order.placed"]})
        reader = await client.post(THEIRS, json={"role": "auditor"})
    assert [(one.status_code, one.json()["code"]) for one in wide] == [(403, "scope_missing")] * 3
    assert wide[0].json()["detail"].endswith("only types that yours may: order.changed, order.placed.")
    assert wide[1].json()["detail"].endswith("at most the rate of yours: 50 events a second.")
    assert (usual.json()["send_types"], usual.json()["events_per_second"]) == (sorted(ORDERS), 50)
    assert (fewer.json()["send_types"], fewer.json()["events_per_second"]) == (["order.placed"], 50)
    assert (reader.json()["send_types"], reader.json()["events_per_second"]) == (None, None)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("send_types", []),
        ("send_types", "order.placed"),
        ("send_types", [1]),
        ("send_types", ["Order Placed"]),
        ("send_types", ["gateway.quota.near"]),
        ("events_per_second", 0),
        ("events_per_second", -1),
        ("events_per_second", "50/s"),
        ("events_per_second", 1.5),
        ("events_per_second", True),
        ("events_per_second", 1_000_001),
    ],
)
async def test_what_is_no_list_and_no_rate_is_refused(house: House, member: str, value: object) -> None:
    async with house.client("acme") as client:
        path = f"{OURS}/{house.credentials['acme'].id}"
        answers = [
            await client.post(OURS, json={member: value}),
            await client.patch(path, json={member: value}),
        ]
    assert [(one.status_code, one.json()["code"]) for one in answers] == [(400, "parameter_invalid")] * 2
    assert all(member in one.json()["detail"] for one in answers)


async def test_a_change_takes_away_and_is_written_down(house: House) -> None:
    path = f"{OURS}/{house.credentials['acme'].id}"
    async with house.client("acme") as client:
        done = await client.patch(path, json={"send_types": sorted(ORDERS), "events_per_second": 50})
        named = await client.patch(path, json={"name": "erp"})
        fewer = await client.patch(path, json={"send_types": ["order.placed"], "events_per_second": 5})
        refused = [
            await client.patch(path, json={"send_types": sorted(ORDERS)}),
            await client.patch(path, json={"events_per_second": 6}),
        ]
    assert (done.json()["send_types"], done.json()["events_per_second"]) == (sorted(ORDERS), 50)
    assert (named.json()["send_types"], named.json()["events_per_second"]) == (sorted(ORDERS), 50)
    assert (fewer.json()["send_types"], fewer.json()["events_per_second"]) == (["order.placed"], 5)
    assert [(one.status_code, one.json()["code"]) for one in refused] == [(400, "parameter_invalid")] * 2
    changed = [one for one in await entries(house) if one["action"] == "changed"]
    assert [(one["send_types"], one["events_per_second"]) for one in changed] == [
        (sorted(ORDERS), 50),
        (sorted(ORDERS), 50),
        (["order.placed"], 5),
    ]


async def test_the_longest_list_there_may_be_fits_its_entries(house: House) -> None:
    types = [f"{number:024}" for number in range(500)]
    async with house.client("acme") as client:
        made = await client.post(OURS, json={"send_types": types, "events_per_second": 1_000_000})
        longer = await client.post(OURS, json={"send_types": [*types[1:], "0" * 25]})
        over = await client.delete(made.headers["location"], params={"reason": "\N{SNOWMAN}" * 200})
    assert (made.status_code, over.status_code) == (201, 200)
    assert (longer.status_code, longer.json()["code"]) == (400, "parameter_invalid")
    found = [one for one in await entries(house) if one["credential"] == made.json()["id"]]
    assert [(one["action"], one["send_types"]) for one in found] == [("created", types), ("revoked", types)]
