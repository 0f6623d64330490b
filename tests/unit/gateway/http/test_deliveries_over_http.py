"""Deliveries and replays over HTTP; the relay's part of them is in the tests of `gateway.egress`."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from audit import log
from audit.ref import format_ref
from audit.store import Pending
from gateway.bootstrap.ground import clock, entropy
from gateway.broker.port import Position, Record, Stored
from gateway.dialler import Answer, Reason
from gateway.egress import replay_store, traces
from gateway.egress.breaker import Breaker
from gateway.egress.delivery import (
    Attempt,
    Decision,
    Delivered,
    Delivery,
    Parked,
    RetryAt,
    format_delivery,
    parse_delivery,
)
from gateway.egress.replay import Step, Stretch
from gateway.egress.traces import Excerpt
from gateway.egress.wording import Voice
from gateway.event import EventKey
from gateway.positions import share
from gateway.rows import BacklogRow, DeliveryRow
from partners.endpoint import house_of
from tests.builders import CONTRACTS, House, open_house
from tests.following import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

DELIVERIES = "/v1/deliveries"
REPLAYS = "/v1/replays"
ENDPOINTS = """\
endpoints:
  verification: none
  declared:
    - {name: main, url: "http://127.0.0.1:9/in", events: [order.accepted]}
    - {name: other, url: "http://127.0.0.1:9/other", events: [order.accepted]}
"""
TOPIC = "partners.acme.outbound"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("deliveries"), partners=("acme", "globex")) as opened:
        await opened.world.apply(CONTRACTS.replace("{slug}", "acme") + ENDPOINTS)
        await opened.world.parts.catalog.refresh()
        await opened.issue("auditor", "auditor", "acme")
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client("acme") as opened:
        yield opened


def endpoint(house: House, name: str = "main") -> str:
    found = house.doors.catalog.current.directory.endpoints("acme")
    return next(one.id for one in found if one.name == name)


def voice(house: House) -> Voice:
    values = house.doors.values
    partner = house.doors.catalog.current.directory.partner("acme")
    assert partner is not None
    return Voice(values.origin, f"{values.log_host}/log/{partner.log}", "acme", entropy)


def delivery(house: House, event_id: str, name: str = "main", attempts: int = 0) -> Delivery:
    return Delivery(
        endpoint=endpoint(house, name),
        ref=EventKey("acme", "outbound", "/house", event_id).ref(),
        partner="acme",
        source="/house",
        event_id=event_id,
        event_type="order.accepted",
        topic=TOPIC,
        position=Position("t", 0, 0),
        schema_id=1,
        group=None,
        body=b"{}",
        attempts=attempts,
    )


def tried(
    house: House, of: Delivery, decision: Decision, failure: Reason | None = None, said: bytes = b""
) -> None:
    """Enter an attempt and what was answered, as the relay does."""
    answer = Answer(200 if failure is None else 503, failure, None, b"\x11" * 32, said, 7)
    made = Attempt(
        f"att_{entropy(8).hex()}",
        of,
        "http://127.0.0.1:9/in",
        of.attempts + 1,
        clock(),
        b"\x22" * 32,
        2,
        answer,
        decision,
    )
    evidence = [voice(house).attempted(made)]
    if isinstance(decision, Parked):
        evidence.append(voice(house).parked(of, decision.reason, clock()))
    enter(house, *evidence)
    with house.world.parts.ground.database.begin() as session:
        traces.write_excerpts(session, [Excerpt(made.id, of.endpoint, of.ref, made.at, said)] if said else [])


def enter(house: House, *evidence: Pending) -> None:
    with house.world.parts.ground.database.begin() as session:
        log.submit_all(session, evidence)


def keep(house: House, of: Delivery, state: str, reason: str | None, *, age: int = 0) -> str:
    """Give it a row; its id."""
    row = DeliveryRow(
        endpoint=of.endpoint,
        ref=of.ref,
        partner="acme",
        source=of.source,
        event_id=of.event_id,
        event_type=of.event_type,
        topic=of.topic,
        topic_id="t",
        partition=0,
        offset=0,
        payload=b"{}",
        schema_id=1,
        attempts=of.attempts + 1,
        next_at=clock() + 60_000,
        state=state,
        reason=reason,
        created_at=clock() - age,
        updated_at=clock(),
    )
    with house.world.parts.ground.database.begin() as session:
        session.add(row)
    return format_delivery(of.endpoint, of.ref)


async def listed(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    answer = await client.get(DELIVERIES, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


async def walked(client: httpx.AsyncClient, **query: str) -> list[dict[str, Any]]:
    """All pages."""
    found: list[dict[str, Any]] = []
    token: str | None = None
    while True:
        given = {**query, **({} if token is None else {"cursor": token})}
        document = (await client.get(DELIVERIES, params=given)).json()
        found += document["items"]
        token = document["next"]
        if token is None:
            return found


async def test_a_delivery_is_shown_with_its_attempts_and_what_was_answered(
    house: House, client: httpx.AsyncClient
) -> None:
    of = delivery(house, "shown")
    tried(house, of, RetryAt(clock()), "server_error", b"come back\xff later")
    name = keep(house, of, "pending", "server_error")
    shown = (await client.get(f"{DELIVERIES}/{name}")).json()
    assert (shown["state"], shown["reason"], shown["attempt_count"]) == ("pending", "server_error", 1)
    assert shown["event"] == {"id": "shown", "source": "/house", "type": "order.accepted"}
    (attempt,) = shown["attempts"]
    assert (attempt["number"], attempt["status"], attempt["reason"]) == (1, 503, "server_error")
    assert (attempt["ms"], attempt["outcome"], attempt["excerpt"]) == (7, "retry", "come back\ufffd later")
    assert shown["ref"] == format_ref(of.ref)
    async with house.client("globex") as foreign:
        assert (await foreign.get(f"{DELIVERIES}/{name}")).status_code == 404
    async with house.client("auditor") as auditor:
        seen = (await auditor.get(f"{DELIVERIES}/{name}")).json()
        assert {**seen, "attempts": None} == {**shown, "attempts": None}
    apart = {"links": None, "attempts": None}
    async with house.client("operator") as operator:
        again = (await operator.get(f"/v1/partners/acme/deliveries/{name}")).json()
        assert {**again, **apart} == {**shown, **apart}


async def test_what_was_delivered_is_found_by_its_entries(house: House, client: httpx.AsyncClient) -> None:
    of = delivery(house, "done")
    tried(house, of, Delivered())
    name = format_delivery(of.endpoint, of.ref)
    shown = (await client.get(f"{DELIVERIES}/{name}")).json()
    assert (shown["state"], shown["reason"], len(shown["attempts"])) == ("delivered", None, 1)

    async def entered() -> list[dict[str, Any]]:
        return [one for one in await listed(client, state="delivered") if one["id"] == name]

    assert (await until(entered))[0]["event"]["id"] == "done"
    assert [one["id"] for one in await listed(client, state="delivered", reason="timed_out")] == []
    refused = await client.post(f"{DELIVERIES}/{name}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert (await client.post(f"{DELIVERIES}/{name}/cancel")).status_code == 409


async def test_states_and_reasons_are_told_and_asked_for(house: House, client: httpx.AsyncClient) -> None:
    parked = keep(house, delivery(house, "s-parked"), "parked", "timed_out")
    waiting = keep(house, delivery(house, "s-waiting", "other"), "pending", "dns_failed")
    with house.world.parts.ground.database.begin() as session:
        traces.write_breakers(session, [(endpoint(house, "other"), Breaker(5, clock() + 10_000, 1))])
    try:
        of_state = {
            word: {one["id"] for one in await listed(client, state=word)}
            for word in ("parked", "held", "pending")
        }
        assert parked in of_state["parked"]
        assert waiting in of_state["held"]
        assert waiting not in of_state["pending"]
        held = next(one for one in await listed(client, reason="breaker") if one["id"] == waiting)
        assert (held["state"], held["reason"], held["next_at"]) == ("held", "breaker", None)
        assert parked in {one["id"] for one in await listed(client, reason="timed_out")}
        assert parked not in {one["id"] for one in await listed(client, endpoint=endpoint(house, "other"))}
        assert await listed(client, type="no.such", state="parked,held") == []
    finally:
        with house.world.parts.ground.database.begin() as session:
            traces.forget_breakers(session, [endpoint(house, "other")])
    assert waiting in {one["id"] for one in await listed(client, state="pending", reason="dns_failed")}
    refused = await client.get(DELIVERIES, params={"state": "lost"})
    assert (refused.status_code, refused.json()["code"]) == (400, "parameter_invalid")


@pytest.mark.parametrize("name", ["endpoint", "type"])
async def test_what_no_database_can_be_asked_for_is_refused(client: httpx.AsyncClient, name: str) -> None:
    answer = await client.get(DELIVERIES, params={name: "a\x00b"})
    assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid")


async def test_a_range_stands_for_what_has_no_rows(house: House, client: httpx.AsyncClient) -> None:
    row = BacklogRow(
        endpoint=endpoint(house, "other"),
        topic_id="t",
        partition=3,
        topic=TOPIC,
        from_offset=10,
        to_offset=1_000_010,
        events=1_000_000,
        began_at=clock(),
    )
    with house.world.parts.ground.database.begin() as session:
        session.add(row)
    (found,) = [one for one in await listed(client, state="pending,held") if one["range"] is not None]
    assert found["range"] == {"topic": TOPIC, "partition": 3, "from": 10, "to": 1_000_010}
    assert (found["id"], found["events"], found["name"]) == (None, 1_000_000, "other")
    async with house.client("operator") as operator:
        answer = await operator.get("/v1/partners/-/deliveries")
        assert any(one["range"] == found["range"] for one in answer.json()["items"])
        assert {one["partner"] for one in answer.json()["items"]} == {"acme"}
        refused = await operator.get("/v1/partners/-/deliveries", params={"state": "delivered"})
        assert refused.status_code == 400
    async with house.client("globex") as foreign:
        assert await listed(foreign) == []


async def test_pages_hold_everything_once(house: House, client: httpx.AsyncClient) -> None:
    for number in range(7):
        keep(house, delivery(house, f"page-{number}"), "parked", "gone", age=number)
    whole = await listed(client)
    parts = await walked(client, limit="2")
    assert [one["id"] for one in parts] == [one["id"] for one in whole]
    assert len({one["id"] for one in parts}) == len(parts)
    token = (await client.get(DELIVERIES, params={"limit": "2"})).json()["next"]
    foreign = await client.get(DELIVERIES, params={"limit": "2", "cursor": token, "state": "held"})
    assert foreign.json()["code"] == "cursor_invalid"


async def test_a_retry_is_asked_for_once_and_leaves_evidence(house: House, client: httpx.AsyncClient) -> None:
    name = keep(house, delivery(house, "again"), "parked", "timed_out")
    tried_out = await client.post(f"{DELIVERIES}/{name}/retry?dry_run=true")
    assert (tried_out.status_code, tried_out.json()["dry_run"]) == (200, True)
    assert (await client.get(f"{DELIVERIES}/{name}")).json()["state"] == "parked"
    key = {"Idempotency-Key": "again-1"}
    asked = await client.post(f"{DELIVERIES}/{name}/retry", headers=key)
    assert (asked.status_code, asked.json()["state"]) == (202, "pending")
    repeat = await client.post(f"{DELIVERIES}/{name}/retry", headers=key)
    assert (repeat.status_code, repeat.headers["idempotent-replayed"]) == (202, "true")
    assert (await client.get(f"{DELIVERIES}/{name}")).json()["state"] == "pending"
    assert await entries(client, "again") == ["delivery.retried"]


@pytest.mark.parametrize(("word", "status"), [("retry", 202), ("cancel", 200)])
async def test_a_repeat_has_its_answer_also_once_the_delivery_was_delivered(
    house: House, client: httpx.AsyncClient, word: str, status: int
) -> None:
    of = delivery(house, f"answered-{word}")
    name = keep(house, of, "pending", "timed_out")
    key = {"Idempotency-Key": f"answered-{word}"}
    first = await client.post(f"{DELIVERIES}/{name}/{word}", headers=key)
    tried(house, of, Delivered())
    with house.world.parts.ground.database.begin() as session:
        session.delete(session.get_one(DeliveryRow, (of.endpoint, of.ref)))
    repeat = await client.post(f"{DELIVERIES}/{name}/{word}", headers=key)
    assert (repeat.status_code, repeat.headers.get("idempotent-replayed")) == (status, "true"), repeat.text
    assert repeat.json() == first.json()
    assert (await client.post(f"{DELIVERIES}/{name}/{word}")).status_code == 409


async def test_what_was_given_up_stays_so(house: House, client: httpx.AsyncClient) -> None:
    name = keep(house, delivery(house, "up"), "pending", "server_error")
    assert (await client.post(f"{DELIVERIES}/{name}/cancel?dry_run=true")).status_code == 200
    assert (await client.get(f"{DELIVERIES}/{name}")).json()["state"] == "pending"
    for _ in range(2):
        answer = await client.post(f"{DELIVERIES}/{name}/cancel")
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    refused = await client.post(f"{DELIVERIES}/{name}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert await entries(client, "up") == ["delivery.cancelled"]
    history = (await client.get("/v1/history", params={"state": "cancelled"})).json()["items"]
    assert [one["state"] for one in history if one["id"] == "up"] == ["cancelled"]


async def entries(client: httpx.AsyncClient, event_id: str) -> list[str]:
    """The kinds of the entries of an event, once there are any."""
    ref = format_ref(EventKey("acme", "outbound", "/house", event_id).ref())
    answer = await client.get(f"/v1/history/{ref}", params={"wait": "10"})
    assert answer.status_code == 200
    return [one["kind"] for one in answer.json()["entries"]]


async def test_only_what_an_endpoint_takes_is_tried_again(house: House, client: httpx.AsyncClient) -> None:
    of = delivery(house, "nowhere")
    gone = Delivery(
        endpoint="ep_gone",
        ref=of.ref,
        partner="acme",
        source=of.source,
        event_id=of.event_id,
        event_type=of.event_type,
        topic=TOPIC,
        position=of.position,
        schema_id=1,
        group=None,
        body=b"{}",
    )
    name = keep(house, gone, "parked", "gone")
    refused = await client.post(f"{DELIVERIES}/{name}/retry")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")
    assert (await client.post(f"{DELIVERIES}/{name}/cancel")).status_code == 200
    unknown = format_delivery(endpoint(house), bytes(32))
    for word in ("retry", "cancel"):
        assert (await client.post(f"{DELIVERIES}/{unknown}/{word}")).status_code == 404
    async with house.client("globex") as foreign:
        assert (await foreign.post(f"{DELIVERIES}/{name}/cancel")).status_code == 404


async def test_nothing_is_tried_again_for_a_partner_that_is_not_active(
    house: House, client: httpx.AsyncClient
) -> None:
    name = keep(house, delivery(house, "idle"), "parked", "server_error")
    async with house.client("operator") as operator:
        for word, code in (("suspend", 409), ("resume", 202)):
            moved = await operator.post(f"/v1/partners/acme/{word}", json={"reason": "a test"})
            assert moved.status_code == 200
            answer = await operator.post(f"/v1/partners/acme/deliveries/{name}/retry")
            assert answer.status_code == code
            assert code != 409 or answer.json()["code"] == "state_conflict"
    shown = (await client.get(f"{DELIVERIES}/{name}")).json()
    assert shown["state"] == "pending"


@pytest.mark.parametrize(
    "text",
    ["", "dlv_", "dlv_a_b", "dlv_" + "a" * 70 + "_" + "a" * 52, "dlv_a_" + "b" * 52, "evt_" + "a" * 52],
)
async def test_text_that_is_no_delivery(text: str) -> None:
    assert parse_delivery(text) is None


async def produced(house: House, count: int) -> None:
    for made in await house.world.parts.broker.append(
        [Record(TOPIC, 0, None, b"x", (), clock()) for _ in range(count)]
    ):
        assert isinstance(made, Stored)


async def test_a_replay_is_made_found_and_cancelled(house: House, client: httpx.AsyncClient) -> None:
    await produced(house, 5)
    ends = await house.doors.broker.bounds([(TOPIC, 0)])
    total = ends[0][1]
    key = {"Idempotency-Key": "replay-1"}
    wanted = {"since": "1h", "which": "failed", "endpoint": endpoint(house), "rate": 50}
    made = await client.post(REPLAYS, json=wanted, headers=key)
    assert made.status_code == 202, made.text
    replay = made.json()
    assert (replay["state"], replay["total"], replay["done"], replay["rate"]) == ("waiting", total, 0, 50)
    assert made.headers["location"] == f"{REPLAYS}/{replay['id']}"
    assert (await client.post(REPLAYS, json=wanted, headers=key)).json()["id"] == replay["id"]
    step = Stretch(endpoint(house), TOPIC, house.doors.catalog.current.topic_ids[TOPIC], 0, 0, 5)
    with house.world.parts.ground.database.begin() as session:
        (part,) = [one for one in replay_store.open_parts(session) if one.replay == replay["id"]]
        replay_store.write_steps(session, [Step(part.replay, step, 3, part.counts)], now=clock())
    shown = (await client.get(f"{REPLAYS}/{replay['id']}")).json()
    assert (shown["state"], shown["done"]) == ("running", 3)
    assert (await client.delete(f"{REPLAYS}/{replay['id']}?dry_run=true")).json()["state"] == "cancelled"
    assert (await client.get(f"{REPLAYS}/{replay['id']}")).json()["state"] == "running"
    for _ in range(2):
        ended = await client.delete(f"{REPLAYS}/{replay['id']}")
        assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    assert replay["id"] in [one["id"] for one in (await client.get(REPLAYS)).json()["items"]]
    async with house.client("globex") as foreign:
        assert (await foreign.get(f"{REPLAYS}/{replay['id']}")).status_code == 404
        assert (await foreign.delete(f"{REPLAYS}/{replay['id']}")).status_code == 404


async def test_a_repeat_finds_its_replay_also_once_the_endpoint_is_gone(client: httpx.AsyncClient) -> None:
    made = await client.post("/v1/endpoints", json={"url": "http://127.0.0.1:9/short"})
    assert made.status_code == 201, made.text
    wanted = {"since": "1h", "endpoint": made.json()["id"]}
    key = {"Idempotency-Key": "of-an-endpoint-that-goes"}
    first = await client.post(REPLAYS, json=wanted, headers=key)
    assert (await client.delete(made.headers["location"])).status_code == 200
    repeat = await client.post(REPLAYS, json=wanted, headers=key)
    assert (first.status_code, repeat.status_code) == (202, 202), repeat.text
    assert repeat.json() == first.json()
    assert (await client.post(REPLAYS, json=wanted)).json()["code"] == "parameter_invalid"


async def test_what_a_replay_cannot_be_is_said(client: httpx.AsyncClient) -> None:
    for wanted in (
        {},
        {"since": 5},
        {"since": "yesterday"},
        {"since": "1h", "until": "2h"},
        {"since": "1h", "endpoint": "ep_none"},
        {"since": "1h", "which": "some"},
        {"since": "1h", "types": ["no.such"]},
        {"since": "1h", "types": "order.accepted"},
        {"since": "1h", "rate": 0},
        {"since": "1h", "rate": True},
        {"since": "1h", "more": 1},
    ):
        answer = await client.post(REPLAYS, json=wanted)
        assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid"), wanted


async def test_there_are_not_many_replays_at_once_and_pages_of_them(
    house: House, client: httpx.AsyncClient
) -> None:
    await produced(house, 1)
    for one in (await client.get(REPLAYS)).json()["items"]:
        await client.delete(f"{REPLAYS}/{one['id']}")
    made = [await client.post(REPLAYS, json={"since": "1h"}) for _ in range(4)]
    assert [one.status_code for one in made] == [202, 202, 202, 409]
    assert made[3].json()["code"] == "limit_reached"
    tried_out = await client.post(f"{REPLAYS}?dry_run=true", json={"since": "1h"})
    assert tried_out.json()["code"] == "limit_reached"
    page = (await client.get(REPLAYS, params={"limit": "2"})).json()
    assert len(page["items"]) == 2
    rest = (await client.get(REPLAYS, params={"limit": "2", "cursor": page["next"]})).json()
    assert not {one["id"] for one in rest["items"]} & {one["id"] for one in page["items"]}
    for one in made[:3]:
        await client.delete(f"{REPLAYS}/{one.json()['id']}")


async def test_a_replay_is_for_endpoints_that_this_process_has_not_heard_of_yet_too(
    house: House, client: httpx.AsyncClient
) -> None:
    await produced(house, 1)
    catalog, (_, end) = house.doors.catalog, (await house.doors.broker.bounds([(TOPIC, 0)]))[0]
    before = catalog.current
    made = await client.post("/v1/endpoints", json={"url": "http://127.0.0.1:9/new"})
    count = len(catalog.current.directory.endpoints("acme"))
    catalog.current = before
    replay = (await client.post(REPLAYS, json={"since": "1h"})).json()
    assert replay["total"] == count * end
    await client.delete(f"{REPLAYS}/{replay['id']}")
    assert (await client.delete(made.headers["location"])).status_code == 200


async def test_a_replay_of_a_time_without_events_is_done(house: House, client: httpx.AsyncClient) -> None:
    await produced(house, 1)
    answer = await client.post(
        REPLAYS, json={"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}
    )
    replay = answer.json()
    assert (answer.status_code, replay["state"], replay["total"]) == (202, "done", 0)
    refused = await client.delete(f"{REPLAYS}/{replay['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "state_conflict")


async def test_ranges_of_topics_that_are_shared_are_shown_to_their_owner_alone(
    house: House, client: httpx.AsyncClient
) -> None:
    """An event of globex that is forwarded to acme, and what the house waits for: where, our side knows."""
    ours = endpoint(house, "other"), share("t1", "acme")
    theirs = "ep_desk", share("t1", house_of("globex"))
    with house.world.parts.ground.database.begin() as session:
        for owed, topic_id in (ours, theirs):
            session.add(
                BacklogRow(
                    endpoint=owed,
                    topic_id=topic_id,
                    topic="partners.globex.inbound",
                    partition=0,
                    from_offset=3,
                    to_offset=5,
                )
            )
        session.add(
            DeliveryRow(
                endpoint="ep_desk",
                ref=b"d" * 32,
                partner=house_of("acme"),
                source="/partners/acme",
                event_id="desk",
                event_type="order.placed",
                topic="partners.acme.inbound",
                topic_id=share("t2", house_of("acme")),
                partition=0,
                offset=0,
                payload=b"{}",
                schema_id=1,
                attempts=1,
                next_at=0,
                state="pending",
                created_at=0,
                updated_at=0,
            )
        )
    mine = (await client.get(DELIVERIES, params={"limit": 1000})).json()["items"]
    shown = [one["range"] for one in mine if one["range"] is not None]
    assert all(one["topic"] != "partners.globex.inbound" for one in shown)
    assert any(one["endpoint"] == ours[0] and one["range"] is None and one["ref"] is None for one in mine)
    async with house.client("operator") as operator:
        theirs_too = (await operator.get("/v1/partners/acme/deliveries", params={"limit": 1000})).json()
    places = [one["range"] for one in theirs_too["items"] if one["range"] is not None]
    assert {"topic": "partners.globex.inbound", "partition": 0, "from": 3, "to": 5} in places
    async with house.client("globex") as other:
        assert "ep_desk" not in (await other.get(DELIVERIES, params={"limit": 1000})).text
    assert "ep_desk" not in json.dumps(mine)
    async with house.client("operator") as operator:
        answer = await operator.get("/v1/partners/-/deliveries", params={"limit": 1000})
    all_of_them = answer.text
    assert "partners.globex.inbound" in all_of_them
    assert "ep_desk" not in all_of_them
