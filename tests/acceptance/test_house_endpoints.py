"""A team without Kafka has an endpoint of the house, and the partner sees none of it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.standard_webhooks import parse_secret, verify_message
from tests.acceptance.hook import listening
from tests.acceptance.journeys import Operator, until
from tests.acceptance.running import Gateway, take
from tests.webhook_page import verifier

OURS = "/v1/partners/acme/house-endpoints"


def test_a_team_is_called_with_what_the_partner_sends(gateway: Gateway) -> None:
    with listening() as hook:
        gateway.start()
        gateway.agree()
        with gateway.operator() as operator:
            team = operator.post("/v1/credentials", json={"role": "team"}).json()["secret"]
        key = gateway.partner_key()
        with gateway.client(team) as desk, gateway.client(key) as acme:
            before = take(acme, "/v1/events/order.placed", {"order_id": "A-0", "qty": 0})
            asked = {"url": hook.url, "events": ["order.placed"], "filter": {"pointer": "/qty", "above": 1}}
            made = desk.post(OURS, json=asked)
            assert made.status_code == 201, made.text
            assert made.json()["state"] == "active"
            secret = parse_secret(made.json()["secret"])
            refs = {}
            for qty in range(1, 4):
                sent = take(acme, "/v1/events/order.placed", {"order_id": f"A-{qty}", "qty": qty})
                refs[f"A-{qty}"] = sent.json()["ref"]
            until(lambda: len(hook.posts) >= 2, lacks=hook.events)
            shown = desk.get(f"{OURS}/{made.json()['id']}").json()
            tried = desk.post(f"{OURS}/{made.json()['id']}/test", json={"type": "order.placed"})
            assert tried.status_code == 200, tried.text
            until(lambda: len(hook.posts) >= 3, lacks=hook.events)
            theirs = acme.get("/v1/endpoints").json()["items"]
            until(lambda: acme.get(before.json()["links"]["self"]).json()["proof"] == "logged")
            history = acme.get("/v1/history").text
            deliveries = acme.get("/v1/deliveries").text
            jwks = acme.get("/.well-known/jwks.json").json()
    by_id = {json.loads(body)["id"]: (headers, body) for headers, body in hook.posts[:2]}
    assert by_id.keys() == {"A-2", "A-3"}
    for event_id, (headers, body) in by_id.items():
        assert headers["webhook-id"] == refs[event_id]
        now = int(headers["webhook-timestamp"])
        verify_message(headers, body, [secret], now_seconds=now)
        assert verifier()["verify_webhook"](headers, body, jwks, "acme", now=now, senders=["acme"])
    assert theirs == []
    assert shown["url"] == hook.url
    for text in (history, deliveries):
        assert hook.url not in text
        assert made.json()["id"] not in text


@pytest.fixture
def gateway_on_files(tmp_path: Path) -> Iterator[Gateway]:
    """One on files alone: what differs by stack has tests of its own."""
    one = Gateway(tmp_path / "data")
    yield one
    one.kill()


def test_a_team_has_again_what_it_missed_and_the_partner_sees_none_of_it(
    gateway_on_files: Gateway, tmp_path: Path
) -> None:
    """Command by command, as docs/internal-teams.md and docs/deliveries.md say."""
    gateway = gateway_on_files
    with listening() as hook:
        gateway.start()
        gateway.agree()
        with gateway.operator() as operator:
            team = operator.post("/v1/credentials", json={"role": "team"}).json()["secret"]
        desk, key = Operator(gateway, tmp_path, team), gateway.partner_key()
        refs = send(gateway, key, "A-1", "A-2")
        made = desk.run(f"endpoints create {hook.url} --house -p acme --events order.placed --json")
        assert made.code == 0, made.err
        endpoint = made.json()["id"]
        refs |= send(gateway, key, "A-3")
        until(lambda: hook.webhook_ids() == [refs["A-3"]], lacks=hook.events)
        create = "replays create --house -p acme --since 1h"

        def ended(words: str) -> dict[str, int]:
            ran = desk.run(f"{create} {words} --json")
            assert ran.code == 0, ran.err
            return {name: ran.json()[name] for name in ("handed", "delivered", "total")}

        # What came before the endpoint was made is owed, too; a dry run says so and sends nothing.
        until(lambda: ended("--dry-run") == {"handed": 2, "delivered": 1, "total": 3})
        assert len(hook.posts) == 1
        assert ended(f"--endpoint {endpoint} --types order.placed --rate 50")["handed"] == 2
        until(lambda: sorted(hook.webhook_ids()) == sorted(refs.values()), lacks=hook.events)
        assert ended("--which failed")["handed"] == 0
        # A pause holds it up over a restart; everything goes out under its first webhook-id.
        assert desk.run(f"endpoints pause {endpoint} --house -p acme").code == 0
        with gateway.client(team) as asking:
            wanted = {"since": "1h", "which": "all"}
            job = asking.post("/v1/partners/acme/house-replays", json=wanted).json()
            until(lambda: asking.get(job["links"]["self"]).json()["waits_for"] == "paused")
        late = wait_in_vain(gateway, key, desk, endpoint)
        assert gateway.stop() == 0, gateway.said()
        gateway.start()
        assert desk.run(f"endpoints resume {endpoint} --house -p acme --backlog deliver").code == 0
        until(lambda: desk.run(f"replays show {job['id']} --house -p acme --json").json()["state"] == "done")
        until(
            lambda: sorted(hook.webhook_ids()) == sorted([*refs.values()] * 2 + [*late.values()]),
            lacks=hook.events,
        )
        seen_by_nobody_else(gateway, desk, Operator(gateway, tmp_path, key), job["id"])


def wait_in_vain(gateway: Gateway, key: str, desk: Operator, endpoint: str) -> dict[str, str]:
    """What the endpoint cannot take now waits, and its health says since when."""
    late: dict[str, str] = {}

    def waiting() -> dict[str, Any] | None:
        # The relay may hear of the pause a moment later: what comes before that is delivered.
        late.update(send(gateway, key, f"late-{len(late)}"))
        shown = desk.run(f"endpoints show {endpoint} --house -p acme --json").json()["health"]
        return shown if shown["waiting"] else None

    assert until(waiting)["oldest_undelivered_at"] is not None
    return late


def seen_by_nobody_else(gateway: Gateway, desk: Operator, acme: Operator, job: str) -> None:
    """The partner has replays of its own, and sees none of the house's, which is done."""
    listed = desk.run("replays list --house -p acme --json").json()["items"]
    assert job in [one["id"] for one in listed]
    assert desk.run(f"replays cancel {job} --house -p acme --yes").code == 5
    assert desk.run("replays create --house -p acme --since 1h --types no.such").code == 2
    assert acme.run("replays list --json").json()["items"] == []
    assert acme.run(f"replays show {job}").code == 4
    assert acme.run(f"replays show {job} --house -p acme").code == 4
    told = Operator(gateway, desk.folder)
    until(lambda: "replay.changed" in told.run("history list --house --kind replay.changed").out)
    assert "replay.changed" not in acme.run("history list --kind replay.changed").out
    until(lambda: unread(told) == {"acme": 0, "house": 0})
    with gateway.client() as scraping:
        text = scraping.get("/metrics").text
    assert re.search(r'gateway_unread_records{direction="inbound",role="relay"} [0-9]', text)


def unread(told: Operator) -> dict[str, int]:
    """How many records of the inbound topic the sequencer and the relay have yet to read."""
    lag = told.run("status --json").json()["lag"]
    inbound = [one for one in lag if one["topic"].endswith(".inbound")]
    return {one.get("reader", "acme"): one.get("relay", one.get("sequence")) for one in inbound}


def send(gateway: Gateway, key: str, *ids: str) -> dict[str, str]:
    """What the partner sends, by id: the refs."""
    with gateway.client(key) as acme:
        sent = {one: take(acme, "/v1/events/order.placed", {"order_id": one, "qty": 1}) for one in ids}
    return {one: answer.json()["ref"] for one, answer in sent.items()}
