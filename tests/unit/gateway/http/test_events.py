import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from audit.receipt import parse_receipt
from audit.ref import format_ref
from gateway.bootstrap.ground import clock, entropy
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.port import Record
from gateway.errors import AwayError
from gateway.event import EventKey
from gateway.ingress.accept import Submission
from gateway.ingress.content import Reading, Received, read_events
from gateway.ingress.outcome import Outcome, Refused
from tests.builders import House, open_house

PATH = "/v1/events/order.placed"
ORDER = {"order_id": "A-1", "qty": 3}
EVENT = {"specversion": "1.0", "id": "A-1", "source": "/erp", "type": "order.placed", "data": ORDER}
BATCH = "application/cloudevents-batch+json"
LENIENT = {"Prefer": "handling=lenient"}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


def event(number: int, **changes: object) -> dict[str, Any]:
    return {**EVENT, "id": f"B-{number}", "data": {"order_id": f"B-{number}", "qty": 1}, **changes}


def typed(media_type: str, **headers: str) -> dict[str, str]:
    return {"Content-Type": media_type, **headers}


async def test_a_new_event_is_201_and_a_repeat_200_with_the_same_receipt(house: House) -> None:
    async with house.client("acme") as client:
        first = await client.post(PATH, json=ORDER)
        again = await client.post(PATH, content=b'{ "qty": 3, "order_id": "A-1" }')
    assert (first.status_code, again.status_code) == (201, 200)
    body, repeat = first.json(), again.json()
    assert (body["duplicate"], repeat["duplicate"]) == (False, True)
    assert {name: body[name] for name in ("ref", "receipt", "received_at")} == {
        name: repeat[name] for name in ("ref", "receipt", "received_at")
    }
    key = EventKey("acme", "inbound", "/partners/acme", "A-1")
    assert body["ref"] == format_ref(key.ref())
    assert first.headers["location"] == f"/v1/history/{body['ref']}" == body["links"]["self"]
    assert body["record"] == {"topic": "partners.acme.inbound", "partition": 0, "offset": 0}
    evidence = parse_receipt(body["receipt"].encode()).evidence
    sent = first.request.content
    assert evidence.members["content"]["sha256"] == hashlib.sha256(sent).hexdigest()


async def test_another_event_under_the_same_id_is_409_and_says_what_the_first_was(house: House) -> None:
    async with house.client("acme") as client:
        first = await client.post(PATH, json=ORDER)
        other = await client.post(PATH, json={**ORDER, "qty": 4})
    assert other.status_code == 409
    assert other.json()["first"]["ref"] == first.json()["ref"]


async def test_every_fault_has_its_pointer_and_no_value(house: House) -> None:
    async with house.client("acme") as client:
        answer = await client.post(PATH, json={"order_id": "A-1", "qty": "sesame", "custmer": 1})
    assert answer.status_code == 422
    body = answer.json()
    assert {(one["pointer"], one["code"]) for one in body["errors"]} == {
        ("/qty", "type"),
        ("/custmer", "unknown_field"),
    }
    assert "sesame" not in answer.text
    assert body["request_id"] == answer.headers["request-id"]
    assert body["schema"]["version"] == 1


async def test_minimal_answers_have_the_receipt_in_a_header(house: House) -> None:
    async with house.client("acme") as client:
        answer = await client.post(PATH, json=ORDER, headers={"Prefer": "return=minimal"})
        repeat = await client.post(PATH, json=ORDER)
    assert (answer.status_code, answer.content) == (201, b"")
    assert answer.headers["gateway-receipt"] == repeat.json()["receipt"]
    assert answer.headers["preference-applied"] == "return=minimal"


async def test_a_dry_run_looks_and_leaves_nothing(house: House) -> None:
    async with house.client("acme") as client:
        dry = await client.post(f"{PATH}?dry_run=true", json=ORDER)
        found = await client.get(f"/v1/history/{dry.json()['ref']}")
        refused = await client.post(f"{PATH}?dry_run=true", json={})
        real = await client.post(PATH, json=ORDER)
        after = await client.post(f"{PATH}?dry_run=true", json=ORDER)
    assert (dry.status_code, dry.json()["dry_run"], found.status_code) == (200, True, 404)
    assert (refused.status_code, real.status_code, after.status_code) == (422, 201, 200)
    assert after.json()["receipt"] == real.json()["receipt"]


async def test_the_four_ways_to_send_an_event_are_one_event(house: House) -> None:
    order = json.dumps(ORDER)
    ce = {"ce-id": "A-1", "ce-source": "/erp", "ce-specversion": "1.0"}
    async with house.client("acme") as client:
        answers = [
            await client.post("/v1/events", json=EVENT, headers=typed("application/cloudevents+json")),
            await client.post(
                "/v1/events",
                content=order,
                headers=typed("application/json", **ce, **{"ce-type": "order.placed"}),
            ),
            await client.post(PATH, content=order, headers=typed("application/json", **ce)),
            await client.post("/v1/events", json=[EVENT], headers=typed(BATCH)),
            await client.post("/v1/events", content=json.dumps(EVENT), headers=typed("application/x-ndjson")),
            await client.post(
                PATH,
                content=gzip.compress(order.encode()),
                headers=typed("application/json", **ce, **{"Content-Encoding": "gzip"}),
            ),
        ]
    assert [one.status_code for one in answers] == [201, 200, 200, 200, 200, 200]
    refs = {one.json().get("ref") or one.json()["results"][0]["ref"] for one in answers}
    assert len(refs) == 1


async def test_a_strict_batch_with_a_fault_takes_nothing(house: House) -> None:
    async with house.client("acme") as client:
        events = [event(1), event(2, data={}), event(3)]
        answer = await client.post("/v1/events", json=events, headers=typed(BATCH))
        later = await client.get(f"/v1/history?id={events[0]['id']}")
    assert answer.status_code == 422
    body = answer.json()
    assert (body["code"], body["accepted"], body["refused"]) == ("batch_refused", 0, 3)
    assert [one["problem"]["code"] for one in body["results"]] == [
        "batch_refused",
        "event_invalid",
        "batch_refused",
    ]
    assert later.json()["items"] == []


async def test_a_lenient_batch_takes_what_is_good_and_says_207(house: House) -> None:
    async with house.client("acme") as client:
        await client.post("/v1/events", json=[event(1)], headers=typed(BATCH))
        batch = [event(1), event(2), event(3, data={})]
        answer = await client.post("/v1/events", json=batch, headers=typed(BATCH, **LENIENT))
    assert answer.status_code == 207
    body = answer.json()
    assert (body["accepted"], body["duplicates"], body["refused"]) == (1, 1, 1)
    assert [one["status"] for one in body["results"]] == [200, 201, 422]
    assert "receipt" in body["results"][0]


@pytest.mark.parametrize("headers", [{}, LENIENT])
async def test_nothing_accepted_is_422_in_both_handlings(house: House, headers: dict[str, str]) -> None:
    async with house.client("acme") as client:
        answer = await client.post("/v1/events", json=[event(1, data={})], headers=typed(BATCH, **headers))
    assert (answer.status_code, answer.json()["code"]) == (422, "batch_refused")


async def test_a_whole_batch_is_200_and_its_repeat_too(house: House) -> None:
    lines = "\n".join(json.dumps({"order_id": f"N-{number}", "qty": 1}) for number in range(120))
    async with house.client("acme") as client:
        for duplicates in (0, 120):
            answer = await client.post(
                PATH, content=lines, headers=typed("application/x-ndjson", Prefer="return=minimal")
            )
            assert (answer.status_code, answer.json()["duplicates"]) == (200, duplicates)
            assert set(answer.json()["results"][0]) == {"index", "status", "ref"}


BODIES = [
    (b"{", "application/json", 400, "body_malformed"),
    (b"", "application/json", 400, "body_malformed"),
    (b"\xff", "application/json", 400, "body_malformed"),
    (b"", "application/x-ndjson", 400, "body_malformed"),
    (b'{"order_id":"a","order_id":"b","qty":1}', "application/json", 422, "event_invalid"),
    (b'{"order_id":"a","qty":1e999}', "application/json", 422, "event_invalid"),
    (b"[" * 5000 + b"]" * 5000, "application/json", 422, "event_invalid"),
    (b"a=1", "application/x-www-form-urlencoded", 415, "media_type_unsupported"),
    (b"<a/>", "text/xml", 415, "media_type_unsupported"),
    (b'{"order_id":1234567890123456789012345678901234567890}', "application/json", 422, "event_invalid"),
]


async def test_bodies_that_are_none_have_their_code(house: House) -> None:
    async with house.client("acme") as client:
        for content, media_type, status, code in BODIES:
            answer = await client.post(PATH, content=content, headers=typed(media_type))
            assert (answer.status_code, answer.json()["code"]) == (status, code), content[:40]
            if status == 415:
                assert "application/json" in answer.headers["accept-post"]
                assert answer.json()["detail"] == f"The media type {media_type} is not taken here."


async def test_what_is_wrong_with_the_data_is_said_once(house: House) -> None:
    async with house.client("acme") as client:
        answer = await client.post(PATH, content=b'{"\xff"}', headers=typed("application/json"))
        line = await client.post(PATH, content=b"{]\n", headers=typed("application/x-ndjson"))
    assert answer.json()["detail"] == "The event's data is not UTF-8 (byte 2, line 1)."
    assert line.json()["results"][0]["problem"]["detail"].startswith("The event's data is no JSON: ")


async def test_the_sample_that_a_hint_names_is_where_it_says(house: House) -> None:
    path = "/v1/partners/acme/events/order.accepted"
    async with house.client("acme") as partner, house.client("team") as team:
        for client, route in ((partner, PATH), (team, path)):
            hint = (await client.post(route, json={})).json()["hint"]
            shown = await client.get(hint.split()[1])
            assert (shown.status_code, shown.json().keys()) == (200, {"order_id", "customer", "qty"})
            assert (await client.post(f"{route}?dry_run=true", json=shown.json())).status_code == 200


async def test_a_refused_body_is_an_entry_of_the_log(house: House) -> None:
    async with house.client("acme") as client:
        await client.post(PATH, content=b"{")
        async with asyncio.timeout(60):
            found: list[dict[str, Any]] = []
            while not found:
                found = (await client.get("/v1/history?state=refused")).json()["items"]
    assert [one["code"] for one in found] == ["body_malformed"]


async def test_types_and_ids_are_asked_for(house: House) -> None:
    async with house.client("acme") as client:
        unknown = await client.post("/v1/events/order.place", json=ORDER)
        missing = await client.post("/v1/events", json=ORDER)
        mismatch = await client.post(PATH, json=ORDER, headers={"ce-id": "other"})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "event_type_unknown")
    assert "order.placed" in unknown.json()["hint"]
    assert missing.json()["code"] == "event_type_missing"
    assert mismatch.json()["code"] == "event_id_mismatch"


async def test_attributes_in_headers_say_their_version_too(house: House) -> None:
    headers = {"ce-type": "order.placed", "ce-id": "A-1"}
    async with house.client("acme") as client:
        answer = await client.post("/v1/events", json=ORDER, headers=headers)
        typed_path = await client.post(PATH, json=ORDER, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "event_attribute_invalid")
    assert answer.json()["errors"][0]["pointer"] == "/specversion"
    assert typed_path.status_code == 201


async def test_a_body_in_another_charset_is_refused_with_words(house: House) -> None:
    async with house.client("acme") as client:
        answer = await client.post(PATH, content=b"{}", headers=typed("application/json; charset=latin1"))
    assert (answer.status_code, answer.json()["code"]) == (415, "media_type_unsupported")
    assert "charset=utf-8" in answer.json()["detail"]


async def test_an_idempotency_key_is_ascii(house: House) -> None:
    async with house.client("acme") as client:
        for key in ("größe".encode(), "größe".encode("latin-1")):
            answer = await client.post(PATH, json=ORDER, headers=[(b"idempotency-key", key)])
            assert (answer.status_code, answer.json()["code"]) == (400, "request_malformed")
            assert "ASCII" in answer.json()["detail"]


async def test_headers_that_make_an_event_stand_once(house: House) -> None:
    async with house.client("acme") as client:
        answer = await client.post(PATH, json=ORDER, headers=[("ce-id", "A-1"), ("ce-id", "A-2")])
    assert (answer.status_code, answer.json()["code"]) == (400, "request_malformed")


async def test_caps_are_told_with_their_limit(tmp_path: Path) -> None:
    async with (
        open_house(tmp_path, body_bytes=1_000, batch_bytes=4_000, batch_events=3) as house,
        house.client("acme") as client,
    ):
        large = await client.post(PATH, json={**ORDER, "customer": "x" * 1_000})
        long = await client.post("/v1/events", json=[event(n) for n in range(4)], headers=typed(BATCH))
        exact = await client.post("/v1/events", json=[event(n) for n in range(3)], headers=typed(BATCH))
        small = await client.post("/v1/events", content=b"[0,0 , 0,1,{", headers=typed(BATCH))
        broken = await client.post("/v1/events", content=b"[0,0,0 0", headers=typed(BATCH))
        lines = await client.post(PATH, content=b"{}\n" * 20, headers=typed("application/x-ndjson"))
        heavy = await client.post(PATH, content=b" " * 4_001, headers=typed("application/x-ndjson"))
    assert [one.status_code for one in (large, long, lines, heavy)] == [413] * 4
    assert (exact.status_code, small.status_code, broken.status_code) == (200, 413, 400)
    assert "1000" in large.json()["detail"]
    assert "3 events" in long.json()["detail"]
    assert large.headers["connection"] == "close"


class AwayIngress:
    """A door behind which something is away."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def read(self, received: Received) -> Reading | Refused:
        return read_events(received)

    async def accept(self, submission: Submission) -> Sequence[Outcome]:
        assert submission.items
        raise self._error


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (AwayError("storage_full", "full"), 503, "storage_full"),
        (ZeroDivisionError("secret"), 500, "internal"),
    ],
)
async def test_trouble_behind_the_door_is_a_problem_without_a_trace(
    house: House, error: Exception, status: int, code: str
) -> None:
    house.doors = replace(house.doors, ingress=AwayIngress(error))
    house.doors = replace(house.doors, notice=lambda _, seen: house.notices.append(seen))
    async with house.client("acme") as client:
        answer = await client.post(PATH, json=ORDER)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert "secret" not in answer.text
    assert house.notices == [error]


async def test_our_side_sends_to_a_partner(house: House) -> None:
    async with house.client("team") as client:
        answer = await client.post("/v1/partners/acme/events/order.accepted", json=ORDER)
        found = await client.get(answer.headers["location"])
    assert answer.status_code == 201
    assert answer.json()["source"] == "/house"
    assert answer.json()["record"]["topic"] == "partners.acme.outbound"
    assert (found.status_code, found.json()["direction"]) == (200, "outbound")


async def test_an_idempotency_key_is_a_source_of_the_id_like_others(house: House) -> None:
    async with house.client("acme") as client:
        same = await client.post(PATH, json=ORDER, headers={"Idempotency-Key": '"A-1"'})
        other = await client.post(PATH, json=ORDER, headers={"Idempotency-Key": "key-1"})
        empty = await client.post(PATH, json=ORDER, headers={"Idempotency-Key": '""'})
    assert (same.status_code, same.json()["id"]) == (201, "A-1")
    assert (other.status_code, other.json()["code"]) == (422, "event_id_mismatch")
    assert (empty.status_code, empty.json()["code"]) == (400, "request_malformed")


async def test_an_idempotency_key_of_a_batch_is_left_aside(house: House) -> None:
    headers = typed(BATCH, **{"Idempotency-Key": "key-1"})
    async with house.client("acme") as client:
        answer = await client.post("/v1/events", json=[event(1), event(2)], headers=headers)
    assert (answer.status_code, answer.json()["accepted"]) == (200, 2)


async def test_a_lost_answer_of_the_broker_is_503_and_the_repeat_is_safe(tmp_path: Path) -> None:
    lost = {"partners.acme.inbound": 1}

    def fate(record: Record) -> Literal["store", "store_and_forget"]:
        lost[record.topic] = lost.get(record.topic, 0) - 1
        return "store_and_forget" if lost[record.topic] == 0 else "store"

    broker = EmbeddedBroker.open(
        tmp_path / "broker.db", clock=clock, entropy=entropy, limit_bytes=2**30, fate=fate
    )
    async with open_house(tmp_path / "house", broker=broker) as house, house.client("acme") as client:
        first = await client.post(PATH, json=ORDER)
        async with asyncio.timeout(30):
            again = first
            while again.status_code == 503:
                again = await client.post(PATH, json=ORDER)
        third = await client.post(PATH, json=ORDER)
    assert (first.status_code, first.json()["code"]) == (503, "outcome_unknown")
    assert first.json()["retry"] == "as_is"
    assert int(first.headers["retry-after"]) >= 1
    assert (again.status_code, third.json()["receipt"]) == (200, again.json()["receipt"])
