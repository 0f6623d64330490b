"""`gateway up --demo`: a partner to try out, made once, with a receiver that ends with the gateway."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.cli.demo_partner import DemoPartner
from gateway.errors import SetupError
from tests.acceptance.running import ROOT, Gateway
from tests.acceptance.stacks import only_files

WAIT_SECONDS = 60.0


def start(gateway: Gateway) -> dict[str, str]:
    """Start with --demo; the lines that it told last, by their first word."""
    gateway.ensure_prepared()
    before = gateway.log.stat().st_size if gateway.log.exists() else 0
    gateway.launch("up", "--demo")
    assert gateway.wait_ready(), gateway.said()
    told: dict[str, str] = {}
    for line in gateway.log.read_text()[before:].splitlines():
        name, _, text = line.partition("   ")
        told[name.strip()] = text.strip()
    return told


def counts(told: dict[str, str]) -> dict[str, int]:
    url = told["webhooks"].removeprefix("curl ")
    found: dict[str, int] = httpx.get(url, trust_env=False, timeout=WAIT_SECONDS).json()
    return found


def eventually(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + WAIT_SECONDS
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def is_away(told: dict[str, str]) -> bool:
    try:
        counts(told)
    except httpx.TransportError:
        return True
    return False


def typed(line: str) -> Any:
    """Run a command as it was told, in the gateway's folder; again where that is asked for."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        ended = subprocess.run(
            ["sh", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=WAIT_SECONDS, check=False
        )
        assert ended.returncode == 0, ended.stderr
        said = json.loads(ended.stdout)
        if said.get("status") != httpx.codes.SERVICE_UNAVAILABLE:
            return said
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


@pytest.mark.curl
def test_what_it_prints_sends_an_event_and_shows_a_webhook(gateway: Gateway) -> None:
    told = start(gateway)
    assert typed(told["as acme"])["duplicate"] is False
    assert typed(told["as acme"])["duplicate"] is True
    assert typed(told["to acme"])["type"] == "order.accepted"
    assert eventually(lambda: counts(told)["unique"] == 1)
    assert typed(told["webhooks"])["bad_signatures"] == 0
    folder = gateway.folder / "demo"
    assert folder.stat().st_mode & 0o077 == 0
    assert [file.name for file in folder.iterdir() if file.stat().st_mode & 0o077] == []
    secrets = [(folder / name).read_text().strip() for name in ("acme.key", "acme-webhook-secret")]
    assert [secret for secret in secrets if secret in gateway.log.read_text()] == []


def test_a_second_start_adds_nothing_and_works_after_a_kill(gateway: Gateway) -> None:
    first = start(gateway)
    gateway.kill()
    assert eventually(lambda: is_away(first))
    second = start(gateway)
    with gateway.operator() as client:
        partner = client.get("/v1/partners/acme").json()
        keys = client.get("/v1/partners/acme/credentials").json()["items"]
        answer = (gateway.folder / "demo/answer.json").read_bytes()
        assert eventually(partial(is_sent, client, answer)), gateway.said()
    # Another program may have got the port meanwhile: then the endpoint is at another one.
    revision = 1 if second["webhooks"] == first["webhooks"] else 2
    assert (partner["contract"], len(keys)) == (revision, 1)
    assert eventually(lambda: counts(second)["unique"] == 1)
    assert gateway.stop() == 0
    assert is_away(second)


# From here on: processes and files of --demo, which no broker and no database has a part in.
@only_files
def test_where_the_port_is_taken_the_webhooks_go_to_another(gateway: Gateway) -> None:
    first = start(gateway)
    port = int(first["webhooks"].rpartition(":")[2].removesuffix("/counts"))
    assert gateway.stop() == 0
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        second = start(gateway)
        assert second["webhooks"] != first["webhooks"]
        with gateway.operator() as client:
            endpoint = client.get("/v1/partners/acme").json()["endpoints"][0]
            assert endpoint["state"] == "active"
            assert eventually(partial(is_sent, client, (gateway.folder / "demo/answer.json").read_bytes()))
        assert eventually(lambda: counts(second)["unique"] == 1)
        assert counts(second)["bad_signatures"] == 0


def is_sent(client: httpx.Client, body: bytes) -> bool:
    """Whether it is accepted now; a machine that is busy may say that it is to be sent again."""
    headers = {"Content-Type": "application/json"}
    sent = client.post("/v1/partners/acme/events/order.accepted", content=body, headers=headers)
    assert sent.status_code in {200, 201, 503}, sent.text
    return sent.is_success


@only_files
def test_a_revoked_key_is_replaced(gateway: Gateway) -> None:
    start(gateway)
    key = gateway.folder / "demo/acme.key"
    old = key.read_text().strip()
    with gateway.operator() as client:
        (one,) = client.get("/v1/partners/acme/credentials").json()["items"]
        assert client.delete(f"/v1/partners/acme/credentials/{one['id']}").status_code == 200
    gateway.stop()
    start(gateway)
    assert key.read_text().strip() != old
    with gateway.client(key.read_text().strip()) as client:
        assert client.get("/v1/me").status_code == 200


@only_files
def test_a_partner_of_somebody_else_is_left_alone(gateway: Gateway) -> None:
    gateway.start()
    assert gateway.apply().status_code == 201
    gateway.stop()
    assert "did not make" in gateway.refuses("up", "--demo")
    gateway.start()
    with gateway.operator() as client:
        assert client.get("/v1/partners/acme").json()["contract"] == 1


@only_files
def test_ctrl_c_in_the_terminal_ends_both(gateway: Gateway) -> None:
    told = start(gateway)
    assert gateway.process is not None
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(WAIT_SECONDS) == 0
    assert is_away(told)


def test_without_the_examples_it_says_where_they_would_be(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"acme\.yaml, receiver\.py, data/orders\.jsonl in .*clone"):
        DemoPartner(tmp_path, os.environ)


@only_files
def test_beyond_loopback_there_is_no_demo(gateway: Gateway) -> None:
    gateway.flags |= {"listen.public": f"0.0.0.0:{gateway.port}", "listen.behind_proxy": "true"}
    assert "listen.public" in gateway.refuses("up", "--demo", code=2)
    assert not gateway.folder.exists()
