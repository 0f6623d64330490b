"""The example receiver as a partner runs it: only what is signed well and in time is kept, and once."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from gateway.cli.demo_material import EXAMPLES
from gateway.standard_webhooks import format_secret, sign

WAIT_SECONDS = 60.0
SECRET = bytes(range(32))
BODY = b'{"specversion":"1.0","id":"A-1","source":"/house","type":"order.accepted","data":{}}'


@dataclass
class Receiver:
    url: str

    def post(
        self,
        message_id: str = "evt_a",
        *,
        secret: bytes = SECRET,
        body: bytes = BODY,
        signed: bytes = BODY,
        age: int = 0,
    ) -> int:
        at = int(time.time()) - age
        signature = sign([secret], message_id, at, signed)
        headers = {"webhook-id": message_id, "webhook-timestamp": str(at), "webhook-signature": signature}
        url = f"{self.url}/webhooks"
        answer = httpx.post(url, content=body, headers=headers, timeout=WAIT_SECONDS, trust_env=False)
        return answer.status_code

    def get(self, path: str) -> dict[str, object]:
        found: dict[str, object] = httpx.get(self.url + path, timeout=WAIT_SECONDS, trust_env=False).json()
        return found


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    secret = tmp_path / "secret"
    secret.write_text(format_secret(SECRET) + "\n")
    arguments = ["--secret-file", str(secret), "--port", "0", "--fail-first", "2"]
    with subprocess.Popen(
        [sys.executable, str(EXAMPLES / "receiver.py"), *arguments], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        yield Receiver(f"http://127.0.0.1:{json.loads(child.stdout.readline())['port']}")
        child.terminate()


def test_it_is_out_of_order_twice_and_then_keeps_each_message_once(receiver: Receiver) -> None:
    statuses = [
        receiver.post("evt_a"),
        receiver.post("evt_b"),
        receiver.post("evt_a"),
        receiver.post("evt_a"),
    ]
    assert statuses == [503, 503, 204, 204]
    assert receiver.get("/failed") == {"ids": ["evt_a", "evt_b"]}
    assert receiver.get("/counts") == {
        "unique": 1,
        "events": 1,
        "repeats": 1,
        "verified": 4,
        "bad_signatures": 0,
        "answered_503": 2,
    }


def test_it_refuses_a_wrong_secret_a_changed_body_and_an_old_message(receiver: Receiver) -> None:
    assert receiver.post(secret=bytes(32)) == 401
    assert receiver.post(body=BODY.replace(b"A-1", b"A-2")) == 401
    assert receiver.post(age=3_600) == 401
    assert receiver.get("/counts")["bad_signatures"] == 3
    assert receiver.get("/counts")["verified"] == 0


def test_it_proves_whose_url_it_is(receiver: Receiver) -> None:
    event = {"type": "gateway.endpoint.verification", "data": {"challenge": "ch_1"}}
    body = json.dumps(event).encode()
    assert receiver.post(body=body, signed=body) == 200
    assert receiver.get("/counts")["verified"] == 0


def test_it_refuses_a_message_without_signature(receiver: Receiver) -> None:
    assert httpx.post(f"{receiver.url}/webhooks", content=BODY, trust_env=False).status_code == 401
