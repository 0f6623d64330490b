"""Endpoints over HTTP: make, change, verify, try, pause, resume, secrets; and what the log tells of it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit.pressing import expand
from gateway import announcements
from gateway.egress.health import HOUR_MS, add
from gateway.event import EventKey
from gateway.standard_webhooks import WebhookSignatureError, parse_secret, read_message, verify_message
from tests.answering import Answering, Came, answering
from tests.builders import CONTRACTS, House, open_house
from tests.world import ORDER

HOOK = "https://hooks.acme.example/in"
OPEN = "endpoints: {verification: none}\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


@pytest.fixture
async def receiver(house: House) -> AsyncIterator[Answering]:
    async with house.world.parts.dialler, answering() as there:
        yield there


async def entries(house: House, kind: str) -> list[dict[str, Any]]:
    """The evidence of a kind, logged or on its way there."""

    def read(session: Session) -> list[dict[str, Any]]:
        queries = (
            'SELECT evidence FROM audit_entry WHERE kind = :kind ORDER BY "index"',
            "SELECT raw FROM audit_pending ORDER BY at",
        )
        raws = [raw for query in queries for (raw,) in session.execute(text(query), {"kind": kind})]
        return [one for one in (json.loads(expand(bytes(raw))) for raw in raws) if one["kind"] == kind]

    return await house.doors.database.read(read)


async def contract(house: House, more: str) -> None:
    await house.world.apply(CONTRACTS.replace("{slug}", "acme") + more)


async def test_a_partner_makes_shows_changes_and_removes_an_endpoint(house: House) -> None:
    async with house.client("acme") as acme:
        made = await acme.post(
            "/v1/endpoints",
            json={"url": HOOK, "events": ["order.accepted"], "filter": {"pointer": "/qty", "above": 2}},
        )
        assert made.status_code == 201, made.text
        body = made.json()
        assert (body["state"], body["declared"], body["format"]) == ("unverified", False, "cloudevents")
        assert body["name"] == body["id"].replace("_", "-")
        assert len(parse_secret(body["secret"])) == 32
        path = made.headers["location"]
        shown = await acme.get(path)
        assert shown.headers["etag"] == made.headers["etag"]
        assert "secret" not in shown.json()
        assert shown.json()["health"]["attempts"] == {"delivered": 0, "retry": 0, "parked": 0, "held": 0}
        assert [one["id"] for one in (await acme.get("/v1/endpoints")).json()["items"]] == [body["id"]]
        changed = await acme.patch(
            path,
            json={"format": "binary", "filter": None, "rate": "5/s"},
            headers={"If-Match": '"0123456789abcdef"'},
        )
        assert (changed.status_code, changed.json()["code"]) == (412, "precondition_failed")
        changed = await acme.patch(
            path,
            json={"format": "binary", "filter": None, "rate": "5/s", "headers": {"X-Team": "a"}},
            headers={"If-Match": made.headers["etag"]},
        )
        assert changed.status_code == 200, changed.text
        said = changed.json()
        assert (said["format"], said["filter"], said["rate"], said["events"]) == (
            "binary",
            None,
            5,
            ["order.accepted"],
        )
        assert changed.headers["etag"] != made.headers["etag"]
        removed = await acme.delete(path)
        assert removed.status_code == 200
        assert (await acme.get(path)).status_code == 404
        assert (await acme.delete(path)).status_code == 404
    told = await entries(house, "endpoint.changed")
    assert [one["action"] for one in told] == ["created", "changed", "removed"]
    assert told[0]["before_sha256"] is None
    assert told[0]["after_sha256"] == told[1]["before_sha256"]
    assert told[2]["after_sha256"] is None
    assert {one["by"]["role"] for one in told} == {"partner"}


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/url", "missing"),
        ({"url": "http://hooks.acme.example/"}, "/url", "format"),
        ({"url": HOOK, "events": ["order.acepted"]}, "/events/0", "reference"),
        ({"url": HOOK, "format": "xml"}, "/format", "enum"),
        ({"url": HOOK, "headers": {"Webhook-Id": "x"}}, "/headers/Webhook-Id", "not_allowed"),
        ({"url": HOOK, "headers": {"X-A": "a\r\nHost: b"}}, "/headers/X-A", "format"),
        ({"url": HOOK, "headers": {"Authorization": "x"}}, "/headers/Authorization", "not_allowed"),
        ({"url": HOOK, "headers": {f"X-{n}": "v" for n in range(17)}}, "/headers", "length"),
        ({"url": HOOK, "concurrency": 65}, "/concurrency", "range"),
        ({"url": HOOK, "rate": "fast"}, "/rate", "format"),
        ({"url": HOOK, "retry": ["5s"]}, "/retry", "range"),
        ({"url": HOOK, "order": "lifo"}, "/order", "enum"),
        ({"url": HOOK, "name": "A B"}, "/name", "format"),
        ({"url": HOOK, "filter": {"pointer": "/qtty", "above": 2}}, "/filter/pointer", "reference"),
        ({"url": HOOK, "filter": {"pointer": "/qty", "above": "2026-01-31"}}, "/filter/above", "type"),
        (
            {"url": HOOK, "filter": {"any": [{"pointer": "/order_id", "equals": 5}]}},
            "/filter/any/0/equals",
            "type",
        ),
    ],
)
async def test_each_fault_is_told_with_its_pointer(
    house: House, body: dict[str, Any], pointer: str, code: str
) -> None:
    async with house.client("acme") as acme:
        answer = await acme.post("/v1/endpoints", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "endpoint_invalid"), answer.text
        assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [(pointer, code)]
        assert (await acme.get("/v1/endpoints")).json()["items"] == []


async def test_a_field_that_is_not_there_is_named_with_the_nearest(house: House) -> None:
    async with house.client("acme") as acme:
        answer = await acme.post(
            "/v1/endpoints", json={"url": HOOK, "filter": {"pointer": "/qtyy", "exists": True}}
        )
        assert "did you mean /qty?" in answer.json()["errors"][0]["detail"]


async def test_an_address_that_is_never_dialled_is_refused_at_once(house: House) -> None:
    async with house.client("acme") as acme:
        for host in ("169.254.169.254", "10.0.0.1", "[fd00:ec2::254]", "[::ffff:10.0.0.1]"):
            answer = await acme.post("/v1/endpoints", json={"url": f"https://{host}/"})
            assert (answer.status_code, answer.json()["code"]) == (422, "endpoint_address_denied"), host


async def test_a_token_server_is_judged_as_an_endpoint_is(house: House) -> None:
    auth = {"kind": "oauth2", "client_id": "c", "client_secret": "s"}
    async with house.client("acme") as acme:
        for host in ("10.0.0.1", "[fd00:ec2::254]"):
            body = {"url": HOOK, "auth": {**auth, "token_url": f"https://{host}/t"}}
            answer = await acme.post("/v1/endpoints", json=body)
            assert (answer.status_code, answer.json()["code"]) == (422, "endpoint_address_denied"), host
            assert "auth.token_url" in answer.json()["detail"]


async def test_a_header_is_chosen_or_demanded_and_not_both(house: House) -> None:
    auth = {"kind": "headers", "headers": {"X-Team": "s3cret"}}
    async with house.client("acme") as acme:
        answer = await acme.post(
            "/v1/endpoints", json={"url": HOOK, "headers": {"x-team": "a", "X-B": "b"}, "auth": auth}
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "endpoint_invalid")
        assert [one["pointer"] for one in answer.json()["errors"]] == ["/headers/x-team"]
        assert "s3cret" not in answer.text
        made = await acme.post("/v1/endpoints", json={"url": HOOK, "headers": {"x-team": "a"}})
        refused = await acme.patch(made.headers["location"], json={"auth": auth})
        assert refused.status_code == 422


async def test_there_are_no_more_than_agreed_and_each_name_is_one(house: House) -> None:
    await contract(house, "limits: {endpoints: 2}\n")
    async with house.client("acme") as acme:
        assert (await acme.post("/v1/endpoints", json={"url": HOOK, "name": "a"})).status_code == 201
        twice = await acme.post("/v1/endpoints", json={"url": HOOK, "name": "a"})
        assert (twice.status_code, twice.json()["code"]) == (409, "state_conflict")
        assert (await acme.post("/v1/endpoints", json={"url": HOOK})).status_code == 201
        third = await acme.post("/v1/endpoints", json={"url": HOOK})
        assert (third.status_code, third.json()["code"]) == (409, "limit_reached")


async def test_what_stands_in_the_contract_is_changed_there(house: House) -> None:
    await contract(house, f"endpoints: {{verification: none, declared: [{{name: hook, url: '{HOOK}'}}]}}\n")
    async with house.client("acme") as acme, house.client("operator") as operator:
        one = (await acme.get("/v1/endpoints")).json()["items"][0]
        assert (one["declared"], one["state"]) == (True, "active")
        for answer in (
            await acme.patch(f"/v1/endpoints/{one['id']}", json={"rate": 1}),
            await acme.delete(f"/v1/endpoints/{one['id']}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (409, "state_conflict")
        paused = await operator.post(f"/v1/partners/acme/endpoints/{one['id']}/pause")
        assert (paused.status_code, paused.json()["state"]) == (200, "paused")


async def test_what_a_declared_endpoint_demands_is_said_by_its_owner(house: House) -> None:
    terms = "endpoints: {{verification: none, declared: [{{name: hook, url: '{}'}}]}}\n"
    await contract(house, terms.format(HOOK))
    auth = {"kind": "headers", "headers": {"X-Api-Key": "of-this-host"}}
    elsewhere = "https://elsewhere.example/in"
    async with house.client("acme") as acme, house.client("operator") as operator:
        one = (await acme.get("/v1/endpoints")).json()["items"][0]
        path = f"/v1/endpoints/{one['id']}"
        said = await acme.patch(path, json={"auth": auth})
        assert (said.status_code, said.json()["auth"]["headers"]) == (200, ["X-Api-Key"])
        assert (await acme.patch(path, json={"auth": auth, "rate": 1})).status_code == 409
        # It stays through an apply, and is not sent elsewhere by whoever writes the file.
        await contract(house, terms.format(HOOK + "/2"))
        assert (await acme.get(path)).json()["auth"]["headers"] == ["X-Api-Key"]
        text = CONTRACTS.replace("{slug}", "acme") + terms.format(elsewhere)
        body = {"contract": text, "files": {"order.avsc": json.dumps(ORDER)}}
        moved = await operator.put("/v1/partners/acme/contract", json=body)
        assert (moved.status_code, moved.json()["code"]) == (409, "state_conflict")
        assert "auth: null" in moved.json()["detail"]
        assert (await acme.patch(path, json={"auth": None})).json()["auth"]["kind"] == "none"
        assert (await operator.put("/v1/partners/acme/contract", json=body)).status_code == 200


async def test_a_repeat_under_a_key_makes_one_and_shows_the_secret_once(house: House) -> None:
    async with house.client("acme") as acme:
        key = {"Idempotency-Key": "k-1"}
        first = await acme.post("/v1/endpoints", json={"url": HOOK}, headers=key)
        again = await acme.post("/v1/endpoints", json={"url": HOOK}, headers=key)
        assert (first.status_code, again.status_code) == (201, 201)
        assert again.json()["id"] == first.json()["id"]
        assert (again.json().get("secret"), again.json()["secret_shown_before"]) == (None, True)
        dry = await acme.post("/v1/endpoints", params={"dry_run": "true"}, json={"url": HOOK})
        assert dry.json()["dry_run"] is True
        assert {"id", "secret"}.isdisjoint(dry.json())
        assert len((await acme.get("/v1/endpoints")).json()["items"]) == 1


def echo(came: Came) -> tuple[int, bytes]:
    return 200, json.dumps({"challenge": json.loads(came.body)["data"]["challenge"]}).encode()


async def test_an_endpoint_proves_its_owner_by_sending_the_challenge_back(
    house: House, receiver: Answering
) -> None:
    receiver.reply = echo
    async with house.client("acme") as acme:
        made = (await acme.post("/v1/endpoints", json={"url": receiver.url, "format": "data"})).json()
        path = f"/v1/endpoints/{made['id']}"
        verified = await acme.post(f"{path}/verify", json={})
        assert (verified.status_code, verified.json()["state"]) == (200, "active"), verified.text
        assert (await acme.post(f"{path}/verify")).status_code == 200
        came = receiver.came[0]
        assert len(receiver.came) == 1
        event = json.loads(came.body)
        assert event["type"] == "gateway.endpoint.verification"
        assert event["data"]["endpoint"] == made["id"]
        at = int(came.headers["webhook-timestamp"])
        verify_message(came.headers, came.body, [parse_secret(made["secret"])], now_seconds=at)
        read_message(came.headers).verify_v1a(came.body, house.doors.keys().webhooks[0].public_key)
        # Another URL has to be proved again.
        moved = await acme.patch(path, json={"url": f"{receiver.url}/other"})
        assert moved.json()["state"] == "unverified"
    probes = await entries(house, "endpoint.probed")
    assert [(one["purpose"], one["status"]) for one in probes] == [("verification", 200)]
    assert [one["action"] for one in await entries(house, "endpoint.changed")] == [
        "created",
        "verified",
        "changed",
    ]


@pytest.mark.parametrize(
    "reply",
    [
        lambda came: (200, came.body),
        lambda _: (200, b""),
        lambda came: (500, echo(came)[1]),
        lambda _: (200, b'{"challenge": 7}'),
        lambda _: (200, b'{"challenge": "ch_1_' + b"a" * 52 + b'"}'),
        lambda _: (200, b"{" * 1_000),
    ],
)
async def test_who_sends_something_else_back_has_proved_nothing(
    house: House, receiver: Answering, reply: Any
) -> None:
    receiver.reply = reply
    async with house.client("acme") as acme:
        made = (await acme.post("/v1/endpoints", json={"url": receiver.url})).json()
        refused = await acme.post(f"/v1/endpoints/{made['id']}/verify", json={})
        assert (refused.status_code, refused.json()["code"]) == (422, "endpoint_verification_failed")
        assert refused.json()["probe"]["purpose"] == "verification"
        assert (await acme.get(f"/v1/endpoints/{made['id']}")).json()["state"] == "unverified"


async def test_a_server_that_shows_what_it_was_sent_proves_no_owner(
    house: House, receiver: Answering
) -> None:
    receiver.reply = lambda came: (404, f"Your browser: {came.headers['user-agent']}".encode())
    async with house.client("acme") as acme:
        made = await acme.post("/v1/endpoints", json={"url": receiver.url})
        refused = await acme.post(f"{made.headers['location']}/verify", json={})
    assert refused.status_code == 422
    assert "ch_" in receiver.came[0].headers["user-agent"]
    assert "ch_" not in refused.text
    assert refused.json()["probe"]["status"] == 404


async def test_a_challenge_from_the_receivers_log_may_be_posted_for_this_url_alone(
    house: House, receiver: Answering
) -> None:
    async with house.client("acme") as acme:
        paths = []
        for _ in range(2):
            made = (await acme.post("/v1/endpoints", json={"url": receiver.url})).json()
            paths.append(f"/v1/endpoints/{made['id']}/verify")
        await acme.post(paths[0], json={})
        challenge = json.loads(receiver.came[0].body)["data"]["challenge"]
        assert receiver.came[0].headers["user-agent"] == f"partner-gateway {challenge}"
        for path, text_ in ((paths[1], challenge), (paths[0], challenge[:-1]), (paths[0], "x")):
            refused = await acme.post(path, json={"challenge": text_})
            assert refused.json()["code"] == "endpoint_verification_failed"
        taken = await acme.post(paths[0], json={"challenge": challenge})
        assert taken.json()["state"] == "active"
        assert (await acme.post(paths[1], json={"challenge": 7})).status_code == 400


async def test_a_sample_is_sent_and_the_answer_shown_whatever_the_state(
    house: House, receiver: Answering
) -> None:
    receiver.reply = lambda _: (418, b"short and stout" + b"." * 2_000)
    async with house.client("acme") as acme:
        made = (
            await acme.post(
                "/v1/endpoints",
                json={"url": receiver.url, "format": "binary", "headers": {"X-Team": "a"}},
            )
        ).json()
        path = f"/v1/endpoints/{made['id']}/test"
        tried = await acme.post(path, json={"type": "order.accepted"}, headers={"Idempotency-Key": "t"})
        assert tried.status_code == 200, tried.text
        assert (tried.json()["status"], tried.json()["failure"]) == (418, "client_error")
        assert tried.json()["answer"].startswith("short and stout")
        assert len(tried.json()["answer"]) == 1_024
        again = await acme.post(path, json={"type": "order.accepted"}, headers={"Idempotency-Key": "t"})
        assert again.json() == tried.json()
        assert len(receiver.came) == 1
        came = receiver.came[0]
        assert came.headers["ce-type"] == "order.accepted"
        assert came.headers["ce-gatewayprobe"] == "test"
        assert came.headers["x-team"] == "a"
        assert json.loads(came.body)["order_id"] == "order_id"
        ref = EventKey("acme", "outbound", came.headers["ce-source"], came.headers["ce-id"])
        assert ref.ref()
        unknown = await acme.post(path, json={"type": "order.placed"})
        assert (unknown.status_code, unknown.json()["code"]) == (422, "event_type_unknown")
        dry = await acme.post(path, params={"dry_run": "true"}, json={})
        assert dry.json() == {"purpose": "test", "type": "order.accepted", "dry_run": True}
        for _ in range(5):
            assert (await acme.post(path, json={"type": "order.accepted"})).status_code == 200
        limited = await acme.post(path, json={"type": "order.accepted"})
        assert (limited.status_code, limited.json()["code"]) == (429, "quota_exceeded")
        assert int(limited.headers["retry-after"]) >= 1
    probes = await entries(house, "endpoint.probed")
    assert [one["failure"] for one in probes] == ["client_error"] * 6


async def test_what_an_endpoint_demands_is_sent_to_no_other_host(house: House) -> None:
    auth = {"kind": "headers", "headers": {"X-Api-Key": "of-this-host"}}
    async with house.client("acme") as acme:
        path = (await acme.post("/v1/endpoints", json={"url": HOOK, "auth": auth})).headers["location"]
        for elsewhere in ("https://other.acme.example/in", "https://hooks.acme.example:8443/in"):
            refused = await acme.patch(path, json={"url": elsewhere})
            assert (refused.status_code, refused.json()["code"]) == (422, "endpoint_invalid"), refused.text
        moved = await acme.patch(path, json={"url": f"{HOOK}/more"})
        assert (moved.status_code, moved.json()["auth"]["headers"]) == (200, ["X-Api-Key"])
        other = "https://other.acme.example/in"
        refused = await acme.patch(path, json={"url": other})
        assert [one["pointer"] for one in refused.json()["errors"]] == ["/auth"]
        assert "of-this-host" not in refused.text
        for said, shown in (None, "none"), (auth, "headers"):
            changed = await acme.patch(path, json={"url": other, "auth": said})
            assert (changed.status_code, changed.json()["auth"]["kind"]) == (200, shown)
            await acme.patch(path, json={"url": HOOK, "auth": auth})


async def test_both_secrets_sign_during_the_overlap_and_the_old_one_stops_by_itself(
    house: House, receiver: Answering
) -> None:
    async with house.client("acme") as acme:
        made = (await acme.post("/v1/endpoints", json={"url": receiver.url})).json()
        path = f"/v1/endpoints/{made['id']}"
        new = await acme.post(f"{path}/secrets", json={"overlap": "1h"})
        assert new.status_code == 201, new.text
        assert await signers(acme, path, receiver, made["secret"], new.json()["secret"]) == (True, True)
        listed = (await acme.get(f"{path}/secrets")).json()["items"]
        assert sorted(one["state"] for one in listed) == ["active", "ending"]
        assert all(set(one) == {"id", "state", "created_at", "until"} for one in listed)
        old = next(one["id"] for one in listed if one["state"] == "ending")
        last = await acme.delete(f"{path}/secrets/{new.json()['id']}")
        assert (last.status_code, last.json()["code"]) == (409, "state_conflict")
        assert (await acme.delete(f"{path}/secrets/sec_a")).status_code == 404
        left = await acme.delete(f"{path}/secrets/{old}")
        assert [one["id"] for one in left.json()["items"]] == [new.json()["id"]]
        assert await signers(acme, path, receiver, made["secret"], new.json()["secret"]) == (False, True)
        given = await acme.post(f"{path}/secrets", json={"overlap": "0s", "secret": made["secret"]})
        assert (given.status_code, given.json().get("secret")) == (201, None)
        assert await signers(acme, path, receiver, made["secret"], new.json()["secret"]) == (True, False)
        for body in ({"overlap": "8d"}, {"overlap": 5}, {"secret": "whsec_AA"}, {"secret": 7}):
            assert (await acme.post(f"{path}/secrets", json=body)).status_code == 400, body
    told = await entries(house, "endpoint.changed")
    assert [one["action"] for one in told] == [
        "created",
        "secret_added",
        "secret_removed",
        "secret_added",
    ]
    assert told[1]["reason"] == new.json()["id"]
    assert made["secret"] not in json.dumps(told)


async def signers(acme: Any, path: str, receiver: Answering, *secrets: str) -> tuple[bool, ...]:
    """Which of these secrets a test event is signed by."""
    receiver.came.clear()
    assert (await acme.post(f"{path}/test", json={"type": "order.accepted"})).status_code == 200
    came = receiver.came[0]
    message = read_message(came.headers)
    found = []
    for secret in secrets:
        try:
            message.verify_v1(came.body, [parse_secret(secret)])
        except WebhookSignatureError:
            found.append(False)
        else:
            found.append(True)
    return tuple(found)


@asynccontextmanager
async def relaying(house: House) -> AsyncIterator[None]:
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(house.world.parts.relay.run(stop))
        try:
            yield
        finally:
            stop.set()


async def until(holds: Any, what: str) -> None:
    for _ in range(5_000):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never: {what}")


@pytest.mark.parametrize(
    ("backlog", "arrived"), [("deliver", 3), ("skip", 1), ({"since": "2020-01-01T00:00:00Z"}, 3)]
)
async def test_resuming_says_what_becomes_of_the_backlog(
    house: House, receiver: Answering, backlog: Any, arrived: int
) -> None:
    await contract(house, OPEN)
    await told(house)
    async with house.client("acme") as acme, house.client("operator") as operator:
        made = (await acme.post("/v1/endpoints", json={"url": receiver.url})).json()
        path = f"/v1/endpoints/{made['id']}"
        assert (await acme.post(f"{path}/resume", json={"backlog": "deliver"})).status_code == 409
        paused = await acme.post(f"{path}/pause")
        assert (paused.json()["state"], paused.json()["before"]) == ("paused", "active")
        for number in range(2):
            await order(operator, f"R-{number}")
        async with relaying(house):
            await waiting(acme, path, 2)
            assert not receiver.came
            for body in ({}, {"backlog": "drop"}, {"backlog": {"since": "x"}}, {"backlog": {"until": "1h"}}):
                assert (await acme.post(f"{path}/resume", json=body)).status_code == 400, body
            dry = await acme.post(f"{path}/resume", params={"dry_run": "true"}, json={"backlog": backlog})
            assert dry.json()["skipped"] == (2 if backlog == "skip" else 0)
            resumed = await acme.post(f"{path}/resume", json={"backlog": backlog})
            assert resumed.status_code == 200, resumed.text
            assert (resumed.json()["state"], resumed.json()["waiting"]) == ("active", 2)
            await order(operator, "R-2")
            await until(lambda: len(receiver.came) == arrived, f"{arrived} webhooks")
            await waiting(acme, path, 0)
        shown = (await acme.get(path)).json()["health"]
        assert shown["oldest_undelivered_at"] is None
    cancelled = await entries(house, "delivery.cancelled")
    assert sorted(one["id"] for one in cancelled) == (["R-0", "R-1"] if backlog == "skip" else [])
    ids = sorted(json.loads(came.body)["id"] for came in receiver.came)
    assert ids == (["R-2"] if backlog == "skip" else ["R-0", "R-1", "R-2"])


async def told(house: House) -> None:
    """Wait until the gateway has told of the contract: what it tells stands on the topic, too."""
    for _ in range(1_000):
        if not await house.doors.database.read(announcements.is_any):
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the announcement still waits")


async def order(operator: httpx.AsyncClient, event_id: str) -> None:
    sent = await operator.post(
        "/v1/partners/acme/events/order.accepted", json={"order_id": event_id, "qty": 1}
    )
    assert sent.status_code == 201, sent.text


async def waiting(acme: httpx.AsyncClient, path: str, count: int) -> None:
    """Wait until so many deliveries wait for an endpoint."""
    for _ in range(5_000):
        if (await acme.get(path)).json()["health"]["waiting"] == count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"never: {count} wait")


async def test_what_an_endpoint_demands_is_sealed_sent_and_never_shown(
    house: House, receiver: Answering
) -> None:
    demand = {"kind": "headers", "headers": {"Authorization": "Bearer of-the-receiver"}}
    async with house.client("acme") as acme:
        made = await acme.post("/v1/endpoints", json={"url": receiver.url, "auth": demand})
        assert made.status_code == 201, made.text
        path = made.headers["location"]
        assert made.json()["auth"] == {"kind": "headers", "headers": ["Authorization"]}
        await acme.post(f"{path}/test", json={"type": "order.accepted"})
        assert receiver.came[-1].headers["authorization"] == "Bearer of-the-receiver"
        kept = await acme.patch(path, json={"rate": 5})
        assert kept.json()["auth"]["kind"] == "headers"
        gone = await acme.patch(path, json={"auth": None}, headers={"If-Match": kept.headers["etag"]})
        assert gone.json()["auth"] == {"kind": "none"}
        assert gone.headers["etag"] != kept.headers["etag"]
        await acme.post(f"{path}/test", json={"type": "order.accepted"})
        assert "authorization" not in receiver.came[-1].headers
        for auth, pointer in (
            ({"kind": "magic"}, "/auth/kind"),
            ({"kind": "headers", "headers": {"Host": "x"}}, "/auth/headers/Host"),
            (7, "/auth"),
        ):
            refused = await acme.post("/v1/endpoints", json={"url": receiver.url, "auth": auth})
            assert (refused.status_code, refused.json()["code"]) == (422, "endpoint_invalid")
            assert [one["pointer"] for one in refused.json()["errors"]] == [pointer]
        everything = json.dumps([(await acme.get(one)).json() for one in (path, "/v1/endpoints")])
        assert "of-the-receiver" not in everything + refused.text
    assert "of-the-receiver" not in json.dumps(await entries(house, "endpoint.changed"))


async def test_health_counts_a_day_and_tells_how_long_attempts_take(house: House) -> None:
    async with house.client("acme") as acme:
        made = (await acme.post("/v1/endpoints", json={"url": HOOK})).json()
        hour = house.doors.clock() // HOUR_MS
        counts = {
            (made["id"], hour, "delivered", 50): 95,
            (made["id"], hour - 1, "retry", 15_000): 5,
            (made["id"], hour - 30, "delivered", 5): 1_000,
            ("ep_other", hour, "delivered", 5): 1_000,
        }
        for _ in range(2):
            await house.doors.database.write(lambda session: add(session, counts))
        shown = (await acme.get(f"/v1/endpoints/{made['id']}")).json()["health"]
        assert shown["attempts"] == {"delivered": 190, "retry": 10, "parked": 0, "held": 0}
        assert (shown["hours"], shown["p95_ms"]) == (24, 50)
