"""Each role a process of its own, with a folder of its own, on one Kafka and one PostgreSQL."""

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook

from tests.acceptance.running import CONTRACT, ROOT, Gateway, orders
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

ENDPOINTS = """\
endpoints:
  verification: none
  declared:
    - {name: hook, url: "URL"}
"""
WAIT_SECONDS = 20.0


@dataclass
class Hook:
    """A partner's receiver: all that was posted to it, headers and body, in the order of arrival."""

    url: str = ""
    posts: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def webhook_ids(self) -> list[str]:
        return [headers["webhook-id"] for headers, _ in self.posts]


@contextmanager
def listening() -> Iterator[Hook]:
    hook = Hook()

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            hook.posts.append(({name.lower(): text for name, text in self.headers.items()}, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Post)
    server.daemon_threads = True
    hook.url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@dataclass
class Roles:
    """The three processes. The first has what `gateway init` made, the others the master key alone."""

    serve: Gateway
    relay: Gateway
    sequence: Gateway

    def each(self) -> dict[str, Gateway]:
        return {"serve": self.serve, "relay": self.relay, "sequence": self.sequence}

    def said(self) -> str:
        return "\n".join(f"{name}: {one.said()}" for name, one in self.each().items())


@pytest.fixture
def roles(tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer) -> Iterator[Roles]:
    topics = f"t-{uuid.uuid4().hex[:12]}"
    with postgres_server.database(is_empty=True) as url:
        flags: dict[str, str | int] = {
            "database.url": url,
            "broker.url": f"kafka://{kafka_server.servers}",
            "broker.replication": 1,
            "broker.topic_prefix": f"{topics}.",
            "broker.checkpoint_topic": f"{topics}.checkpoints",
            "keys.master_file": str(tmp_path / "serve" / "master.key"),
            "lease.duration": "1s",
            "audit.tick": "50ms",
        }
        first = Gateway(tmp_path / "serve", flags)
        made = Roles(first, *(Gateway(tmp_path / name, flags, first.port) for name in ("relay", "sequence")))
        yield made
        for one in made.each().values():
            one.kill()


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


def until(look: Callable[[], Any], roles: Roles) -> Any:
    """The first answer that is not empty."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, roles.said()
        time.sleep(0.05)
    return found


def post(client: httpx.Client, path: str, event: dict[str, Any], roles: Roles) -> str:
    """The ref of an event, accepted at the first try or after a passing 503."""

    def taken() -> str | None:
        answer = client.post(path, json=event)
        assert answer.status_code in {200, 201, 503}, answer.text
        return None if answer.status_code == 503 else str(answer.json()["ref"])

    return str(until(taken, roles))


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


def test_an_event_each_way_and_a_relay_that_is_killed(roles: Roles) -> None:
    assert roles.serve.launch("init").wait(60) == 0, roles.said()
    for name, one in roles.each().items():
        one.launch(name)
    assert roles.serve.wait_ready(), roles.said()
    with listening() as hook:
        applied = roles.serve.apply(CONTRACT + ENDPOINTS.replace("URL", hook.url))
        assert applied.status_code == 201, applied.text
        (secret,) = [one["secret"] for one in applied.json()["secrets"]]
        (inbound,) = orders(0, 1)
        first, second = orders(1, 2)
        with roles.serve.client(roles.serve.partner_key()) as partner:
            came = post(partner, "/v1/events/order.placed", inbound, roles)
        with roles.serve.operator() as client:
            path = "/v1/partners/acme/events/order.accepted"
            went = post(client, path, first, roles)
            until(lambda: delivered(client, went), roles)
            roles.relay.kill()
            late = post(client, path, second, roles)
            roles.relay.launch("relay")
            assert until(lambda: delivered(client, late), roles)["attempts"] == 1
        for ref in (came, late):
            verify_proof(roles.serve.folder, ref)
        for one in roles.each().values():
            assert one.stop() == 0, roles.said()
        assert sorted(hook.webhook_ids()) == sorted((went, late))
        verify_post(hook, secret, went, first["order_id"])
        verify_post(hook, secret, late, second["order_id"])
    assert "Traceback" not in "".join(one.log.read_text() for one in roles.each().values())
