"""Each role a process of its own, with a folder of its own, on one Kafka and one PostgreSQL."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.acceptance.hook import Hook, listening
from tests.acceptance.running import CONTRACT, ROOT, orders
from tests.fleet import Fleet, fleet_on
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

ENDPOINTS = """\
endpoints:
  verification: none
  declared:
    - {name: hook, url: "URL"}
"""


@pytest.fixture
def fleet(tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer) -> Iterator[Fleet]:
    with fleet_on(tmp_path, kafka_server, postgres_server) as made:
        yield made


def run_command(*arguments: str) -> str:
    """Run one command line to its end; what it printed."""
    ran = subprocess.run(
        [sys.executable, "-m", "gateway", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, (ran.stdout, ran.stderr)
    return ran.stdout


def delivered(client: httpx.Client, ref: str) -> dict[str, Any] | None:
    """The only delivery of an event, once the history calls it delivered."""
    timeline = client.get(f"/v1/partners/acme/history/{ref}").raise_for_status().json()
    found = [one for one in timeline["deliveries"] if one["state"] == "delivered"]
    return found[0] if found else None


def verify_proof(folder: Path, ref: str) -> None:
    """Fetch a bundle as an operator, and verify it as somebody who has nothing else."""
    paper, keys = folder / f"{ref}.bundle.json", folder / "keys.json"
    where = ("--partner", "acme", "--data", str(folder))
    run_command("history", "proof", ref, "-o", str(paper), "--keys-file", str(keys), *where)
    pin = json.loads(paper.read_text())["log_key"]
    said = run_command("verify", str(paper), "--keys", str(keys), "--log-key", pin)
    assert said.splitlines()[0] == "proved"


def verify_post(hook: Hook, secret: str, ref: str, event_id: str) -> None:
    """Exactly one POST carries this webhook-id, and a verifier that is not ours takes it."""
    ((headers, body),) = [one for one in hook.posts if one[0]["webhook-id"] == ref]
    event = Webhook(secret).verify(body, headers)
    assert event["id"] == event_id


def test_an_event_each_way_and_a_relay_that_is_killed(fleet: Fleet) -> None:
    fleet.start()
    with listening() as hook:
        applied = fleet.first.apply(CONTRACT + ENDPOINTS.replace("URL", hook.url))
        assert applied.status_code == 201, applied.text
        (secret,) = [one["secret"] for one in applied.json()["secrets"]]
        (inbound,) = orders(0, 1)
        first, second = orders(1, 2)
        with fleet.first.client(fleet.first.partner_key()) as partner:
            came = fleet.post(partner, "/v1/events/order.placed", inbound)
        with fleet.first.operator() as client:
            path = "/v1/partners/acme/events/order.accepted"
            went = fleet.post(client, path, first)
            fleet.until(lambda: delivered(client, went))
            relay = fleet.members["relay-1"]
            relay.kill()
            late = fleet.post(client, path, second)
            relay.launch("relay")
            assert fleet.until(lambda: delivered(client, late))["attempts"] == 1
        for ref in (came, late):
            verify_proof(fleet.first.folder, ref)
        for one in fleet.members.values():
            assert one.stop() == 0, fleet.said()
        assert sorted(hook.webhook_ids()) == sorted((went, late))
        verify_post(hook, secret, went, first["order_id"])
        verify_post(hook, secret, late, second["order_id"])
    assert "Traceback" not in "".join(one.log.read_text() for one in fleet.members.values())
