import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import Session, col

from audit import log, search
from audit.evidence import Kind, make_evidence
from audit.proof import parse_proof
from audit.receipt import parse_receipt
from audit.ref import format_ref
from audit.store import Pending
from gateway.egress.delivery import Delivered, RetryAt
from gateway.ingress.claims import Claim
from gateway.rows import ClaimRow
from tests.builders import CONTRACTS, ORIGIN, House, open_house
from tests.unit.gateway.http.test_deliveries_over_http import ENDPOINTS, delivery, tried
from tests.unit.gateway.ingress.test_unsequenced import take

PATH = "/v1/events/order.placed"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def send(house: House, count: int) -> list[str]:
    async with house.client("acme") as client:
        return [
            (await client.post(PATH, json={"order_id": f"H-{n}", "qty": 1})).json()["ref"]
            for n in range(count)
        ]


async def test_an_event_is_found_the_moment_it_was_accepted(house: House) -> None:
    async with house.client("acme") as client:
        for number in range(10):
            sent = await client.post(PATH, json={"order_id": f"R-{number}", "qty": 1})
            one = await client.get(sent.headers["location"])
            listed = await client.get("/v1/history", params={"id": f"R-{number}"})
            assert one.json()["receipt"] == sent.json()["receipt"]
            assert [item["ref"] for item in listed.json()["items"]] == [sent.json()["ref"]]


HOOKED = (
    CONTRACTS.replace("{slug}", "acme")
    + """\
endpoints:
  verification: none
  declared: [{name: hook, url: "http://127.0.0.1:9/hook"}]
"""
)


async def test_a_delivery_is_told_by_its_endpoints_name(house: House) -> None:
    await house.world.apply(HOOKED)
    await house.world.parts.catalog.refresh()
    directory = house.doors.catalog.current.directory
    partner, (endpoint,) = directory.partner("acme"), directory.endpoints("acme")
    assert partner is not None
    (ref,) = await send(house, 1)
    about = {"partner": "acme", "ref": ref, "source": "/partners/acme", "id": "H-0", "type": "order.placed"}
    name = f"{house.doors.values.log_host}/log/{partner.log}"
    parked = [
        make_evidence(
            Kind.PARKED,
            about | {"endpoint": one, "attempts": 9, "reason": "gone"},
            iss=ORIGIN,
            log=name,
            at=1,
            salt=bytes(32),
        )
        for one in (endpoint.id, "ep_gone")
    ]
    waiting = [Pending(bytes([number]) * 16, one) for number, one in enumerate(parked)]
    await house.doors.database.write(lambda session: log.submit_all(session, waiting))
    async with house.client("acme") as client:
        for _ in range(500):
            found = (await client.get(f"/v1/history/{ref}")).json()["deliveries"]
            if len(found) == 2:
                break
            await asyncio.sleep(0.02)
    assert {(one["endpoint"], one["name"]) for one in found} == {(endpoint.id, "hook"), ("ep_gone", None)}


async def test_a_waiting_caller_sees_the_entry_and_its_proof(house: House) -> None:
    (ref,) = await send(house, 1)
    async with house.client("acme") as client:
        timeline = await client.get(f"/v1/history/{ref}?wait=10")
        proof = await client.get(f"/v1/history/{ref}/proof?wait=10")
    body = timeline.json()
    assert body["proof"] == "logged"
    (entry,) = body["entries"]
    assert entry["kind"] == "event.accepted"
    assert "salt" not in entry["evidence"]
    assert proof.headers["content-type"] == "text/plain; charset=utf-8"
    assert parse_proof(proof.content).index == entry["log"]["index"]


async def test_a_proof_that_is_not_there_yet_says_when_to_ask_again(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house, house.client("acme") as client:
        outcomes = await house.world.send({"order_id": "P-1", "qty": 1}, dry_run=False)
        ref = (await client.get("/v1/history")).json()["items"][0]["ref"]
        answers = [await client.get(f"/v1/history/{ref}/proof")]
        while answers[-1].status_code != 200:
            assert answers[-1].json()["code"] == "proof_pending"
            assert int(answers[-1].headers["retry-after"]) >= 1
            await asyncio.sleep(0.02)
            answers.append(await client.get(f"/v1/history/{ref}/proof"))
    assert len(outcomes) == 1


async def test_pages_show_what_waits_however_much_it_is_and_then_the_log(house: House) -> None:
    logged = await send(house, 3)
    async with house.client("acme") as client:
        assert (await client.get(f"/v1/history/{logged[-1]}?wait=10")).json()["proof"] == "logged"
        names = tuple(f"W-{number}" for number in range(5))
        made = await house.doors.database.write(lambda session: take(session, *names))
        for most in (1, 2, 5, 100):
            seen, query = list[str](), {"limit": str(most), "direction": "inbound"}
            for _ in range(20):
                page = (await client.get("/v1/history", params=query)).json()
                seen += [item["ref"] for item in page["items"]]
                if page["next"] is None:
                    break
                query = {**query, "cursor": page["next"]}
            assert seen[5:] == logged[::-1]
            assert sorted(seen[:5]) == sorted(format_ref(one.ref) for one in made)


async def enter(house: House, claim: Claim) -> None:
    """Give the log the entry of an event that waited."""
    partner = house.doors.catalog.current.directory.partner("acme")
    assert partner is not None
    name = f"{house.doors.values.log_host}/log/{partner.log}"
    said = parse_receipt(claim.receipt.encode()).evidence
    own = {member: said.members[member] for member in said.members if member not in {"log", "iss"}}
    accepted = make_evidence(Kind.ACCEPTED, own, iss=ORIGIN, log=name, at=claim.at, salt=bytes(32))

    def give(session: Session) -> None:
        log.submit(session, accepted, id=claim.ref[:16])
        mine = update(ClaimRow).where(col(ClaimRow.ref) == claim.ref)
        session.execute(mine.values(state="confirmed", leaf_index=1, log=name))

    await house.doors.database.write(give)
    while True:
        if await house.doors.database.read(lambda session: search.timeline(session, name, claim.ref)):
            return
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("most", [1, 3])
async def test_what_gets_its_entry_between_two_pages_is_shown_once(house: House, most: int) -> None:
    """Whether it was shown while it waited, or not yet."""
    logged = await send(house, 2)
    async with house.client("acme") as client:
        await client.get(f"/v1/history/{logged[-1]}?wait=10")
        made = await house.doors.database.write(lambda session: take(session, *"VWXYZ"))
        left = sorted(made, key=lambda one: (one.at, one.ref), reverse=True)
        seen, query = list[str](), {"limit": str(most), "direction": "inbound"}
        for _ in range(20):
            page = (await client.get("/v1/history", params=query)).json()
            seen += [item["ref"] for item in page["items"]]
            if page["next"] is None:
                break
            query = {**query, "cursor": page["next"]}
            for one in (*left[:1], *left[1:][-1:]):
                await enter(house, one)
                left.remove(one)
        assert sorted(seen) == sorted([*logged, *(format_ref(one.ref) for one in made)])


async def test_pages_show_every_event_once(house: House) -> None:
    refs = await send(house, 7)
    async with house.client("acme") as client:
        await client.get(f"/v1/history/{refs[-1]}?wait=10")
        found: list[str] = []
        path = "/v1/history?limit=3"
        while path:
            page = await client.get(path)
            found += [item["ref"] for item in page.json()["items"]]
            link = page.headers.get("link", "")
            path = link.partition(">")[0].removeprefix("<")
            assert (page.json()["next"] is None) == (not path)
    assert found == refs[::-1]


async def test_a_cursor_is_bound_to_its_filter_and_partner(tmp_path: Path) -> None:
    async with open_house(tmp_path, partners=("acme", "globex")) as house:
        refs = await send(house, 3)
        async with house.client("acme") as client, house.client("globex") as other:
            await client.get(f"/v1/history/{refs[-1]}?wait=10")
            token = (await client.get("/v1/history?limit=1")).json()["next"]
            answers = [
                await client.get("/v1/history", params={"cursor": token, "direction": "inbound"}),
                await other.get("/v1/history", params={"cursor": token}),
                await client.get("/v1/history?cursor=x"),
            ]
    assert [one.json()["code"] for one in answers] == ["cursor_invalid"] * 3


SENT = sha256(b'{"order_id":"H-2","qty":1}').hexdigest()
FILTERS = [
    ("id=H-1", 1),
    ("type=order.placed", 3),
    ("type=other", 0),
    ("direction=outbound", 0),
    ("since=1h", 3),
    ("until=1h", 0),
    ("state=accepted", 3),
    ("state=refused", 0),
    ("source=/partners/acme", 3),
    ("ref=evt_nonsense", 0),
    ("key=H-1", 1),
    ("key=1", 3),
    ("key=H-9", 0),
    ("key=H-1&since=1h&state=accepted&direction=inbound", 1),
    ("key=H-1&direction=outbound", 0),
    (f"digest={SENT}", 1),
    (f"digest={SENT}&key=H-1", 0),
    (f"digest={sha256(b'').hexdigest().upper()}", 0),
    ("kind=event.accepted", 3),
    ("kind=event.accepted,event.refused&key=H-0", 1),
    ("kind=event.refused", 0),
    ("kind=delivery.attempted,delivery.acknowledged", 0),
    ("endpoint=ep_1", 0),
]
SEARCHED = CONTRACTS.replace("{slug}", "acme").replace(
    "key: /customer", "key: /customer, search: [/order_id, /qty]"
)


async def test_filters_restrict(house: House) -> None:
    """Before the log has the events, and after; by a claim or by an entry."""
    await house.world.apply(SEARCHED)
    await house.world.parts.catalog.refresh()
    refs = await send(house, 3)
    async with house.client("acme") as client:

        async def counts() -> list[int]:
            """Without what the gateway itself tells of the contract."""
            answers = [(await client.get(f"/v1/history?{query}")).json() for query, _ in FILTERS]
            return [sum(one["type"] == "order.placed" for one in answer["items"]) for answer in answers]

        before = await counts()
        await client.get(f"/v1/history/{refs[-1]}?wait=10")
        after = await counts()
    assert before == after == [count for _, count in FILTERS]


async def test_kinds_list_entries_with_what_they_say(house: House) -> None:
    """A partner's own: its contract and credentials. Each with its place, so that it can be proved."""
    await send(house, 1)
    async with house.client("acme") as client:
        for _ in range(500):
            found = (await client.get("/v1/history?kind=contract.changed,credential.changed")).json()["items"]
            if len(found) == 2:
                break
            await asyncio.sleep(0.02)
        everything = (await client.get("/v1/history?kind=all")).json()["items"]
        events = (await client.get("/v1/history")).json()["items"]
    assert {one["kind"] for one in found} == {"contract.changed", "credential.changed"}
    contract = next(one for one in found if one["kind"] == "contract.changed")
    assert (contract["state"], contract["ref"], contract["evidence"]["revision"]) == (None, None, 1)
    assert contract["log"]["index"] >= 0
    assert {one["kind"] for one in everything} >= {"contract.changed", "credential.changed", "event.accepted"}
    assert [one["kind"] for one in events] == ["event.accepted"]


async def test_the_houses_log_is_listed_for_operators(house: House) -> None:
    """Signing keys and credentials of our own side; a filter by event finds none."""
    async with house.client("operator") as client, house.client("team") as team:
        for _ in range(500):
            found = (await client.get("/v1/house/history?limit=1000")).json()["items"]
            if {one["evidence"].get("role") for one in found} >= {"operator", "team"}:
                break
            await asyncio.sleep(0.02)
        page = await client.get("/v1/house/history?kind=credential.changed&limit=1")
        rest = await client.get(page.headers["link"].partition(">")[0].removeprefix("<"))
        none = await client.get("/v1/house/history?direction=inbound&kind=event.accepted")
        refused = await team.get("/v1/house/history")
    assert {one["kind"] for one in found} >= {"key.changed", "credential.changed"}
    assert all(one["evidence"] for one in found)
    rows = [*page.json()["items"], *rest.json()["items"]]
    assert {one["kind"] for one in rows} == {"credential.changed"}
    assert rows[0]["log"]["index"] > rows[1]["log"]["index"]
    assert {one["evidence"].get("role") for one in found} >= {"operator", "team"}
    assert none.json() == {"items": [], "next": None}
    assert refused.json()["code"] == "scope_missing"


NO_FILTERS = [
    "state=lost",
    "direction=up",
    "since=x",
    "limit=0",
    "nonsense=1",
    "kind=lost",
    "kind=event.accepted,",
    "kind=",
    "digest=12",
    f"digest={'x' * 64}",
    "credential=by%20crd_1",
    "credential=by%20crd_1&kind=credential.changed",
]


async def test_filters_that_do_not_exist_are_refused(house: House) -> None:
    async with house.client("acme") as client:
        for query in NO_FILTERS:
            answer = await client.get(f"/v1/history?{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid"), query


NO_REFS = ["evt_", "x", "evt_" + "a" * 52, "evt_" + "A" * 52, "%00"]


async def test_what_is_no_reference_is_not_found(house: House) -> None:
    async with house.client("acme") as client:
        for ref in NO_REFS:
            for path in (f"/v1/history/{ref}", f"/v1/history/{ref}/proof"):
                assert (await client.get(path)).status_code == 404, path


async def test_an_event_alone_is_in_the_state_that_the_list_says(house: House) -> None:
    """With a receipt of ours, and without one: what a team's own producer put on the topic."""
    await house.world.apply(CONTRACTS.replace("{slug}", "acme") + ENDPOINTS)
    await house.world.parts.catalog.refresh()
    async with house.client("team") as client:
        sent = await client.post(
            "/v1/partners/acme/events/order.accepted",
            json={"order_id": "S-1", "qty": 1},
            headers={"ce-source": "/house", "ce-id": "S-1"},
        )
        assert sent.status_code == 201, sent.text
        await client.get(f"{sent.headers['location']}?wait=10")
    made = [delivery(house, name) for name in ("S-1", "S-2")]
    for one in made:
        tried(house, one, RetryAt(1), "timed_out")
        tried(house, one, Delivered())
    async with house.client("acme") as client:
        for one in made:
            path = f"/v1/history/{format_ref(one.ref)}"
            for _ in range(200):
                alone = (await client.get(path)).json()
                rows = (await client.get("/v1/history", params={"id": one.event_id})).json()["items"]
                if len(alone.get("entries", ())) > 1 and rows[0]["state"] == alone["state"]:
                    break
            # The relay, which finds nobody at the endpoint, may have had the last word.
            assert alone["state"] in {"delivered", "retry"}
            assert rows[0]["state"] == alone["state"]
            assert ("receipt" in alone) == (one is made[0])


async def test_what_was_refused_under_its_id_changes_nothing_about_an_event(house: House) -> None:
    (ref,) = await send(house, 1)
    async with house.client("acme") as client:
        path = f"/v1/history/{ref}"
        await client.get(f"{path}?wait=10")
        refused = await client.post(PATH, json={"order_id": "H-0", "qty": 2})
        assert refused.status_code == 409, refused.text
        alone: dict[str, Any] = {"entries": []}
        while len(alone["entries"]) < 2:
            alone = (await client.get(path)).json()
    assert alone["state"] == "accepted"
