"""Lists of all partners at once, `/v1/partners/-/...`: for operators, the items of each partner's list."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import delete, insert, update
from sqlmodel import col

from audit.ref import parse_ref
from gateway.bootstrap.ground import clock
from gateway.egress import traces
from gateway.egress.rows import BreakerRow
from gateway.http.gates import GATES
from gateway.rows import ClaimRow
from partners.credential import DAY_MS
from partners.endpoint import house_of
from partners.rows import EndpointRow
from tests.builders import CONTRACTS, House, open_house
from tests.importing import NDJSON, lines
from tests.tenancy.test_tenancy import owe

pytestmark = pytest.mark.asyncio(loop_scope="module")

SLUGS: Final = ("acme", "globex")
ALL: Final = "/v1/partners/-"
LISTS: Final = [gate.path.rpartition("/")[2] for gate in GATES if gate.path.startswith(f"{ALL}/")]
EXACT: Final = {"history": {"id": "A-1"}}
"""What a list has to be asked with."""

UNDELIVERED: Final = {"state": "pending,held,parked,cancelled"}
"""Deliveries that have ended are listed of each partner alone."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Two of everything that is listed, of two partners, one of which is suspended in the end."""
    folder: Path = tmp_path_factory.mktemp("all")
    async with open_house(folder, partners=SLUGS) as opened:
        for slug in SLUGS:
            found = CONTRACTS.replace("{slug}", slug).replace(
                "id: /order_id,", "id: /order_id, search: [/customer],"
            )
            await opened.world.apply(found, slug=slug)
        await opened.world.parts.catalog.refresh()
        for slug in SLUGS:
            await furnish(opened, slug)
        async with opened.client("operator") as operator:
            assert (
                await operator.post("/v1/partners/globex/suspend", json={"reason": "x"})
            ).status_code == 200
        await opened.world.parts.catalog.refresh()
        yield opened


async def furnish(opened: House, slug: str) -> None:
    async with opened.client(slug) as client:
        for number in (1, 2):
            order = {"order_id": f"A-{number}", "qty": 1, "customer": "Smith"}
            sent = await client.post("/v1/events/order.placed", json=order)
            await client.get(f"{sent.headers['location']}/proof?wait=10")
            opened.keys[f"ref {slug}"] = opened.keys[f"ref {slug} {number}"] = sent.json()["ref"]
            hook = await client.post("/v1/endpoints", json={"url": f"https://{slug}.example/in"})
            opened.keys[f"endpoint {slug} {number}"] = hook.json()["id"]
            for made in (
                await client.post("/v1/replays", json={"since": "1h"}),
                await client.post("/v1/exports", json={}),
                await client.post(
                    "/v1/imports?type=order.placed", content=lines([number], slug), headers=NDJSON
                ),
            ):
                assert made.status_code == 202, made.text
            owe(opened, slug, f"ep_{slug}{number}")
            owe(opened, slug, f"ep_house{slug}{number}", owner=house_of(slug))
    async with opened.client("operator") as operator:
        for _ in range(2):
            base = f"/v1/partners/{slug}"
            wanted = {"refs": [opened.keys[f"ref {slug}"]], "basis": "case 17"}
            for path, body, status in (
                ("holds", wanted, 201),
                ("erasures", {**wanted, "when_held": "wait"}, 202),
                ("house-endpoints", {"url": f"https://{slug}.house.example/in"}, 201),
                ("house-replays", {"since": "1h"}, 202),
            ):
                made = await operator.post(f"{base}/{path}", json=body)
                assert made.status_code == status, made.text
    await opened.issue(f"auditor of {slug}", "auditor", slug, not_after=clock() + 20 * DAY_MS)


@pytest_asyncio.fixture(loop_scope="module")
async def operator(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client("operator") as opened:
        yield opened


async def listed(client: httpx.AsyncClient, path: str, **query: str | int) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        answer = await client.get(path, params={**query, **cursor})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        found += body["items"]
        if body["next"] is None:
            return found
        cursor = {"cursor": body["next"]}


def asked(things: str) -> dict[str, str]:
    return EXACT.get(things, UNDELIVERED if things.endswith("deliveries") else {})


@pytest.mark.parametrize("things", LISTS)
async def test_all_partners_things_are_those_of_each_with_the_same_members(
    operator: httpx.AsyncClient, things: str
) -> None:
    own = {slug: await listed(operator, f"/v1/partners/{slug}/{things}", **asked(things)) for slug in SLUGS}
    everybody = await listed(operator, f"{ALL}/{things}", **asked(things))
    assert all(len(each) > (things != "history") for each in own.values())
    assert {one["partner"] for one in everybody} == set(SLUGS)
    for slug, each in own.items():
        assert [one for one in everybody if one["partner"] == slug] == each
    assert len(everybody) == sum(map(len, own.values()))
    assert await listed(operator, f"{ALL}/{things}", limit=1, **asked(things)) == everybody


@pytest.mark.parametrize("things", LISTS)
async def test_they_are_for_operators_alone(house: House, things: str) -> None:
    for name, status in (("team", 403), ("acme", 403), ("auditor of acme", 403)):
        async with house.client(name) as client:
            assert (await client.get(f"{ALL}/{things}", params=asked(things))).status_code == status


@pytest.mark.parametrize("things", LISTS)
async def test_newest_comes_first_where_each_list_has_it_so(operator: httpx.AsyncClient, things: str) -> None:
    everybody = await listed(operator, f"{ALL}/{things}", **asked(things))
    at = next((name for name in ("created_at", "set_at", "at") if name in everybody[0]), "")
    if things.endswith(("endpoints", "credentials")):
        assert [one["id"] for one in everybody] == sorted(one["id"] for one in everybody)
    else:
        assert [one[at] for one in everybody] == sorted((one[at] for one in everybody), reverse=True)


async def test_what_is_linked_is_found_there(operator: httpx.AsyncClient) -> None:
    for things in ("replays", "house-replays", "imports", "exports", "holds", "erasures", "deliveries"):
        for one in await listed(operator, f"{ALL}/{things}", **asked(things)):
            assert one["links"]["self"].startswith(f"/v1/partners/{one['partner']}/")
            if things != "deliveries":
                assert (await operator.get(one["links"]["self"])).json()["id"] == one["id"]


async def test_endpoints_are_found_by_their_state_and_whether_they_fail(
    house: House, operator: httpx.AsyncClient
) -> None:
    disabled, failing = house.keys["endpoint globex 1"], house.keys["endpoint acme 2"]
    with house.world.parts.ground.database.begin() as session:
        session.execute(update(EndpointRow).where(col(EndpointRow.id) == disabled).values(state="disabled"))
        paused = update(EndpointRow).where(col(EndpointRow.id) == house.keys["endpoint acme 1"])
        session.execute(paused.values(state="unverified+pause"))
        row = {"failures": 3, "probe_at": 0}
        session.execute(
            insert(BreakerRow),
            [
                {"endpoint": failing, **row, "failing_since": 1_000},
                {"endpoint": disabled, **row, "failing_since": None},
            ],
        )
    for base in (ALL, "/v1/partners/globex"):
        assert [one["id"] for one in await listed(operator, f"{base}/endpoints", state="disabled")] == [
            disabled
        ]
    several = await listed(operator, f"{ALL}/endpoints", state="unverified,disabled")
    assert {one["id"] for one in several} == {
        house.keys[f"endpoint {slug} {n}"] for slug in SLUGS for n in (1, 2)
    }
    (found,) = await listed(operator, f"{ALL}/endpoints", failing="true")
    assert (found["id"], found["failing_since"]) == (failing, "1970-01-01T00:00:01.000Z")
    assert await listed(operator, f"{ALL}/house-endpoints", failing="true") == []
    assert await listed(operator, "/v1/partners/globex/endpoints", failing="true") == []
    for wrong in ({"state": "broken"}, {"failing": "yes"}):
        answer = await operator.get(f"{ALL}/endpoints", params=wrong)
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid")


async def test_a_page_of_endpoints_asks_about_its_own_alone_whether_they_fail(
    house: House, operator: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_all, read = traces.load_failing, list[dict[str, int]]()

    def load(*given: Any) -> dict[str, int]:
        read.append(of_all(*given))
        return read[-1]

    monkeypatch.setattr(traces, "load_failing", load)
    mine, other = house.keys["endpoint acme 1"], house.keys["endpoint globex 2"]
    with house.world.parts.ground.database.begin() as session:
        session.execute(delete(BreakerRow))
        row = {"failures": 3, "probe_at": 0, "failing_since": 2_000}
        session.execute(insert(BreakerRow), [{"endpoint": one, **row} for one in (mine, other)])
    items = await listed(operator, "/v1/partners/acme/endpoints")
    assert {one["id"] for one in items if one["failing_since"]} == {mine}
    assert [set(one) for one in read] == [{mine}]
    (found,) = await listed(operator, "/v1/partners/globex/endpoints", failing="true")
    assert found["id"] == other


async def test_which_keys_end_soon_is_asked_of_all_or_of_one(
    house: House, operator: httpx.AsyncClient
) -> None:
    soon = {"state": "active", "expires_before": "30d"}
    found = await listed(operator, f"{ALL}/credentials", **soon)
    assert {one["id"] for one in found} == {house.credentials[f"auditor of {slug}"].id for slug in SLUGS}
    (one,) = await listed(operator, "/v1/partners/acme/credentials", **soon)
    assert one["id"] == house.credentials["auditor of acme"].id
    assert await listed(operator, f"{ALL}/credentials", expires_before="2020-01-01") == []
    assert await listed(operator, "/v1/credentials", expires_before="30d") == []
    assert all(one["partner"] is None for one in await listed(operator, "/v1/credentials"))
    ended = await operator.delete(f"/v1/partners/acme/credentials/{one['id']}")
    assert ended.status_code == 200
    for state, slugs in (
        ("active", {"globex"}),
        ("revoked", {"acme"}),
        ("expired", set()),
        ("expired,revoked", {"acme"}),
    ):
        left = await listed(operator, f"{ALL}/credentials", state=state, expires_before="30d")
        assert {each["partner"] for each in left} == slugs
    wrong = await operator.get(f"{ALL}/credentials", params={"expires_before": "soon"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "parameter_invalid")


async def test_whose_event_is_it(house: House, operator: httpx.AsyncClient) -> None:
    ref = house.keys["ref globex 1"]
    (found,) = await listed(operator, f"{ALL}/history", ref=ref)
    assert (found["partner"], found["ref"], found["id"], found["state"]) == ("globex", ref, "A-1", "accepted")
    by_value = await listed(operator, f"{ALL}/history", key="Smith")
    assert [(one["partner"], one["id"]) for one in by_value] == [
        ("globex", "A-2"), ("globex", "A-1"), ("acme", "A-2"), ("acme", "A-1"),
    ]  # fmt: skip
    some = await listed(operator, f"{ALL}/history", key="Smith", source="/partners/acme", limit=1)
    assert [(one["partner"], one["id"]) for one in some] == [("acme", "A-2"), ("acme", "A-1")]
    assert await listed(operator, f"{ALL}/history", ref="nonsense") == []
    assert await listed(operator, f"{ALL}/history", id="B-1") == []


async def test_without_anything_exact_all_logs_are_not_read(operator: httpx.AsyncClient) -> None:
    for query in ({}, {"state": "refused"}, {"type": "order.placed", "since": "1h"}):
        answer = await operator.get(f"{ALL}/history", params=query)
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid")
        assert "give id, ref, key or digest" in answer.json()["detail"]
    unknown = await operator.get(f"{ALL}/history", params={"id": "A-1", "kind": "all"})
    assert unknown.status_code == 400


async def test_what_no_log_has_yet_is_found_among_the_rest(house: House, operator: httpx.AsyncClient) -> None:
    ref = house.keys["ref acme 1"]
    (entry,) = await listed(operator, f"{ALL}/history", ref=ref)
    with house.world.parts.ground.database.begin() as session:
        waits = {
            "ref": b"\x01" * 32,
            "leaf_index": None,
            "state": "confirmed",
            "event_id": "W-1",
            "topic_id": "none",
        }
        row = session.get(ClaimRow, parse_ref(ref))
        assert row is not None
        values = {name: getattr(row, name) for name in ClaimRow.model_fields} | waits | {"at": row.at - 1}
        session.execute(insert(ClaimRow), [values])
        second = {**values, "ref": b"\x02" * 32, "event_id": "A-1", "source": "/elsewhere"}
        session.execute(insert(ClaimRow), [second])
    (found,) = await listed(operator, f"{ALL}/history", id="W-1")
    assert (found["partner"], found["state"], found["log"]) == ("acme", "accepted", None)
    for limit in (1, 2, 100):
        both = await listed(operator, f"{ALL}/history", id="A-1", limit=limit)
        assert [(one["partner"], one["log"] is None) for one in both] == [
            ("globex", False), ("acme", False), ("acme", True),
        ]  # fmt: skip
    assert entry in both
