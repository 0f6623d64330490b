"""A partner's developer, on the first day and on a bad one: what is typed, and what is to be seen.

Each test is a partner of its own, at one gateway.
"""

import hashlib
import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from audit.receipt import parse_receipt
from tests.acceptance.journeys import Developer, join, until
from tests.acceptance.running import Gateway
from tests.certificates import public_pem
from tests.signing import Draft, private_key

pytestmark = pytest.mark.curl
EVENTS = "/v1/events/order.placed"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One `gateway up` for all of them."""
    one = Gateway(tmp_path_factory.mktemp("journeys") / "data")
    try:
        yield one.start()
    finally:
        one.kill()


def test_the_first_day_from_who_am_i_to_a_look_at_what_was_sent(up: Gateway, tmp_path: Path) -> None:
    dev = join(up, "acme", tmp_path)
    me = dev.gw("gw $GW/v1/me")
    assert (me.status, me.json()["partner"]["slug"], me.json()["role"]) == (200, "acme", "partner")
    assert me.json()["scopes"] == ["audit", "manage", "receive", "send"]
    assert me.json()["limits"]["left"]["events"]["left"] == me.json()["limits"]["events_per_second"] == 200
    assert me.json()["server_time"].endswith("Z")
    assert dev.gw("gw $GW/v1/types/order.placed/sample > o.json").status == 200
    sample = dev.read("o.json")
    assert set(sample) == {"order_id", "currency", "lines"}
    checked = dev.gw('gw "$GW/v1/events/order.placed?dry_run=true" --json @o.json')
    assert (checked.status, checked.json()["dry_run"], checked.json()["duplicate"]) == (200, True, False)
    dev.write("o.json", {**sample, "order_id": "A-1001"})
    sent = dev.gw("gw $GW/v1/events/order.placed --json @o.json")
    assert (sent.status, sent.json()["duplicate"], sent.json()["ref"][:4]) == (201, False, "evt_")
    assert parse_receipt(sent.json()["receipt"].encode()).evidence.members["id"] == "A-1001"
    again = dev.gw("gw $GW/v1/events/order.placed --json @o.json")
    assert (again.status, again.json()) == (200, {**sent.json(), "duplicate": True})

    by_value, by_digest = "key=A-1001", "digest=$(sha256sum < o.json | cut -c1-64)"

    def found() -> Any:
        # Found at once, by id, value and content; the log has it a moment later.
        rows = [
            dev.gw(f'gw "$GW/v1/history?{by}"').json()["items"] for by in ("id=A-1001", by_value, by_digest)
        ]
        assert [[one["ref"] for one in some] for some in rows] == [[sent.json()["ref"]]] * 3
        (row,) = rows[0]
        assert (row["ref"], row["state"], row["deliveries"]) == (sent.json()["ref"], "accepted", [])
        return row["log"]

    assert until(found)["index"] >= 0
    timeline = dev.gw(f"gw $GW{sent.json()['links']['self']}").json()
    assert (timeline["state"], timeline["proof"], timeline["deliveries"]) == ("accepted", "logged", [])
    assert timeline["receipt"] == sent.json()["receipt"]


def test_what_was_only_tried_is_not_there(up: Gateway, tmp_path: Path) -> None:
    dev = join(up, "tried", tmp_path)
    dev.gw("gw $GW/v1/types/order.placed/sample > o.json")
    assert dev.gw('gw "$GW/v1/events/order.placed?dry_run=true" --json @o.json').status == 200
    found = dev.gw("gw $GW/v1/history").json()
    assert found == {"items": [], "next": None}
    sent = dev.gw("gw $GW/v1/events/order.placed --json @o.json")
    assert sent.status == 201, "a trial takes no id"
    tried = dev.gw('gw "$GW/v1/events/order.placed?dry_run=true" --json @o.json').json()
    assert (tried["duplicate"], tried["ref"]) == (True, sent.json()["ref"])


def test_a_rejected_event_is_mended_and_sent_with_the_same_id(up: Gateway, tmp_path: Path) -> None:
    dev = join(up, "mended", tmp_path)
    wrong = {"order_id": "B-7", "curency": "EUR", "lines": [{"qty": "two"}]}
    dev.write("o.json", wrong)
    tried = dev.gw('gw "$GW/v1/events/order.placed?dry_run=true" --json @o.json')
    refused = dev.gw("gw $GW/v1/events/order.placed --json @o.json")
    document = refused.json()
    assert (refused.status, document["code"], document["retry"]) == (422, "event_invalid", "no")
    assert document["detail"] == "2 faults against order.placed version 1."
    assert [(one["pointer"], one["code"], one["detail"]) for one in document["errors"]] == [
        ("/lines/0/qty", "type", "is a string"),
        ("/curency", "unknown_field", "did you mean /currency?"),
    ]
    assert document["errors"][0]["expected"] == "int"
    assert document["hint"].startswith("GET /v1/types/order.placed/sample")
    assert tried.json() == {**document, "request_id": tried.json()["request_id"]}

    def listed() -> list[Any]:
        found: list[Any] = dev.gw('gw "$GW/v1/history?state=refused&since=1h"').json()["items"]
        return found

    (row,) = until(listed)
    assert (row["id"], row["code"], row["state"]) == ("B-7", "event_invalid", "refused")
    assert [one["pointer"] for one in row["faults"]] == ["/lines/0/qty", "/curency"]
    dev.write("o.json", {"order_id": "B-7", "currency": "EUR", "lines": [{"qty": 2}]})
    assert dev.gw('gw "$GW/v1/events/order.placed?dry_run=true" --json @o.json').status == 200
    assert dev.gw("gw $GW/v1/events/order.placed --json @o.json").status == 201
    states = until(
        lambda: [one["state"] for one in dev.gw('gw "$GW/v1/history?id=B-7"').json()["items"] if one["log"]]
    )
    assert "accepted" in states


def test_a_key_is_changed_while_both_are_in_force(up: Gateway, tmp_path: Path) -> None:
    dev = join(up, "rotated", tmp_path)
    (old,) = dev.gw("gw $GW/v1/credentials").json()["items"]
    made = dev.gw("""gw $GW/v1/credentials --json '{"kind": "api_key", "name": "next"}'""")
    assert (made.status, made.json()["state"], made.json()["role"]) == (201, "active", "partner")
    new = Developer(up, made.json()["secret"], dev.folder)
    shown = new.gw(f"gw $GW/v1/credentials/{made.json()['id']}").json()
    assert "secret" not in shown
    assert [one.gw("gw $GW/v1/me").status for one in (dev, new)] == [200, 200]

    def times() -> list[str]:
        paths = (f"$GW/v1/credentials/{one}" for one in (old["id"], made.json()["id"]))
        return [new.gw(f"gw {path}").json()["last_used_at"] for path in paths]

    # It tells seconds: as long as both were used in the same one, they look alike.
    last_of_old, _ = until(lambda: found if (found := times())[0] < found[1] else [])
    ended = new.gw(f"gw -X DELETE $GW/v1/credentials/{old['id']}")
    assert (ended.status, ended.json()["state"], ended.json()["last_used_at"]) == (
        200,
        "revoked",
        last_of_old,
    )
    refused = dev.gw("gw $GW/v1/me")
    assert (refused.status, refused.json()["code"]) == (401, "credential_revoked")
    assert new.gw("gw $GW/v1/me").status == 200


@pytest.fixture(scope="module")
def signer(up: Gateway, tmp_path_factory: pytest.TempPathFactory) -> tuple[Developer, str]:
    """A developer whose key for signatures is known to the gateway, and the id that it goes by."""
    dev = join(up, "signer", tmp_path_factory.mktemp("signer"))
    body = {"kind": "public_key", "public_key": public_pem(private_key("ed25519"))}
    dev.write("key.json", body)
    made = dev.gw("gw $GW/v1/credentials --json @key.json")
    assert made.status == 201, made.text
    return dev, made.json()["id"]


ORDER = {"order_id": "S-1", "currency": "EUR", "lines": []}
SPOILT: Mapping[str, dict[str, Any]] = {
    "content-digest": {"body": json.dumps({**ORDER, "order_id": "S-2"})},
    "@query": {"query": "?dry_run=true"},
    "idempotency-key": {"extra": "-H 'Idempotency-Key: S-1'"},
    "created": {"age": 301},
}
"""What was done to a signed request on its way, by the component that does not hold any more."""


def post(signer: tuple[Developer, str], **spoilt: Any) -> Any:
    """Sign an order, spoil it, and send it with curl."""
    dev, key_id = signer
    body = json.dumps(ORDER)
    authority = dev.gateway.url.removeprefix("http://")
    created = int(time.time()) - spoilt.get("age", 0)
    draft = Draft(authority=authority, body=body.encode(), created=created)
    headers = draft.signed(private_key("ed25519"), key_id)
    if "type" in spoilt:
        headers["content-type"] = spoilt["type"]
    (dev.folder / "o.json").write_text(spoilt.get("body", body))
    words = " ".join(f"-H '{name}: {value}'" for name, value in headers.items())
    url = f"$GW{EVENTS}{spoilt.get('query', '')}"
    return dev.gw(f'gw "{url}" {words} {spoilt.get("extra", "")} --data-binary @o.json')


@pytest.mark.parametrize("component", SPOILT)
def test_a_wrong_signature_is_told_by_the_component_that_failed(
    signer: tuple[Developer, str], component: str
) -> None:
    refused = post(signer, **SPOILT[component])
    code = "signature_stale" if component == "created" else "signature_invalid"
    document = refused.json()
    assert (refused.status, document["code"]) == (401, code)
    assert document["component"] == component
    assert f'"{component}"' in document["detail"]


def test_a_line_that_was_signed_otherwise_is_found_by_its_digest(signer: tuple[Developer, str]) -> None:
    document = post(signer, type="application/cloudevents+json").json()
    assert (document["code"], document["component"]) == ("signature_invalid", "signature")
    told = {one["component"]: one["line_sha256"] for one in document["components"]}
    mine = {
        name: hashlib.sha256(f'"{name}": {value}'.encode()).hexdigest()[:16]
        for name, value in (("@method", "POST"), ("@path", EVENTS), ("content-type", "application/json"))
    }
    assert [name for name, digest in mine.items() if told[name] != digest] == ["content-type"]


def test_the_same_request_unspoilt_is_taken(signer: tuple[Developer, str]) -> None:
    sent = post(signer)
    assert sent.status in {200, 201}, sent.text
    shown = signer[0].gw(f"gw $GW{sent.json()['links']['self']}").json()
    assert (shown["origin"]["key_id"], shown["origin"]["algorithm"]) == (signer[1], "ed25519")
