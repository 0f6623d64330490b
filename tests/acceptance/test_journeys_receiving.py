"""Receiving without a server, on a laptop, in a house without Kafka: what is typed, what is to be seen.

Each test is a partner of its own, at one gateway.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from gateway.standard_webhooks import parse_secret, verify_message
from tests.acceptance import hook
from tests.acceptance.journeys import GW, Developer, join, until
from tests.acceptance.running import ROOT, Gateway

pytestmark = pytest.mark.curl
LINES_SECONDS = 60.0
ORDERS = [{"order_id": f"R-{number}", "currency": "EUR", "lines": []} for number in range(4)]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One `gateway up` for all of them."""
    one = Gateway(tmp_path_factory.mktemp("receiving") / "data")
    try:
        yield one.start()
    finally:
        one.kill()


def team_key(up: Gateway) -> str:
    with up.operator() as operator:
        made = operator.post("/v1/credentials", json={"role": "team"})
    assert made.status_code == 201, made.text
    return str(made.json()["secret"])


@pytest.fixture(scope="module")
def team(up: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Developer:
    """A developer of our own side, who has curl and no Kafka."""
    return Developer(up, team_key(up), tmp_path_factory.mktemp("team"))


def send(team: Developer, slug: str, order: dict[str, Any]) -> None:
    team.write("o.json", order)
    sent = team.gw(f"gw $GW/v1/partners/{slug}/events/order.accepted --json @o.json")
    assert sent.status == 201, sent.text


class Lines:
    """What a running program writes, line by line; it is waited for, within a generous limit."""

    def __init__(self, process: subprocess.Popen[bytes], file: IO[bytes]) -> None:
        self._process = process
        self._file = file

    def until(self, pattern: str, count: int = 1) -> list[re.Match[str]]:
        """The first so many lines that fit."""
        deadline = time.monotonic() + LINES_SECONDS
        while True:
            found = list(re.finditer(pattern, Path(self._file.name).read_text(), re.MULTILINE))
            if len(found) >= count:
                return found[:count]
            assert self._process.poll() is None, Path(self._file.name).read_text()
            assert time.monotonic() < deadline, (pattern, Path(self._file.name).read_text())
            time.sleep(0.05)


@contextmanager
def running(folder: Path, command: list[str], environ: dict[str, str]) -> Iterator[Lines]:
    """A program that goes on; ended as Ctrl-C ends it, with the block."""
    kept = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
    with tempfile.NamedTemporaryFile(dir=folder) as out:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**kept, "HOME": str(folder), **environ}, stdout=out, stderr=out
        )
        try:
            yield Lines(process, out)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(30) in {130, -signal.SIGINT, 0}


def follow(dev: Developer, path: str, more: str = "") -> Any:
    """`gw -N -H "Accept: text/event-stream"` at a stream."""
    line = f'exec curl -sSN -H "Authorization: Bearer $KEY" -H "Accept: text/event-stream" {more} "$GW{path}"'
    assert "curl -sS" in GW
    return running(dev.folder, ["sh", "-ec", line], {"GW": dev.gateway.url, "KEY": dev.key})


def gateway(dev: Developer, *words: str) -> Any:
    """The `gateway` command, which goes on."""
    environ = {"GATEWAY_URL": dev.gateway.url, "GATEWAY_KEY": dev.key, "PYTHONUNBUFFERED": "1"}
    return running(dev.folder, [sys.executable, "-m", "gateway", *words], environ)


def test_without_a_server_by_asking_again_and_again(up: Gateway, team: Developer, tmp_path: Path) -> None:
    dev = join(up, "polls", tmp_path)
    send(team, "polls", ORDERS[0])
    page = dev.gw('gw "$GW/v1/stream?wait=20"').json()
    (event,) = page["items"]
    assert (event["specversion"], event["type"], event["data"]["order_id"]) == (
        "1.0",
        "order.accepted",
        "R-0",
    )
    send(team, "polls", ORDERS[1])
    again = dev.gw(f'gw "$GW/v1/stream?wait=20&cursor={page["cursor"]}"').json()
    assert [one["id"] for one in again["items"]] == ["R-1"]
    said = dev.gw(
        f"gw -X PUT $GW/v1/stream/consumers/main --json '{json.dumps({'cursor': again['cursor']})}'"
    )
    assert said.status == 200, said.text
    assert dev.gw('gw "$GW/v1/stream?consumer=main"').json()["items"] == []
    (row,) = until(lambda: dev.gw('gw "$GW/v1/history?state=streamed"').json()["items"])
    assert (row["consumer"], row["ranges"]) == ("main", [{"partition": 0, "from": 0, "to": 2}])


def test_without_a_server_as_it_comes(up: Gateway, team: Developer, tmp_path: Path) -> None:
    dev = join(up, "follows", tmp_path)
    with follow(dev, "/v1/stream") as lines:
        lines.until("^retry: ")
        send(team, "follows", ORDERS[0])
        (event,) = lines.until(r"^id: (\S+)\nrecorded_at: \S+\ndata: (.*)$")
        assert json.loads(event[2])["id"] == "R-0"
    send(team, "follows", ORDERS[1])
    with follow(dev, "/v1/stream", f'-H "Last-Event-ID: {event[1]}"') as lines:
        send(team, "follows", ORDERS[2])
        seen = lines.until("^data: (.*)$", 2)
    assert [json.loads(one[1])["id"] for one in seen] == ["R-1", "R-2"]


def test_on_a_laptop_with_real_signatures(up: Gateway, team: Developer, tmp_path: Path) -> None:
    dev = join(up, "laptop", tmp_path)
    with hook.listening() as local, gateway(dev, "listen", "--forward", local.url) as lines:
        (shown,) = lines.until(r"whsec_\S+")
        lines.until("Ctrl-C")
        send(team, "laptop", ORDERS[0])
        lines.until(r"order\.accepted  id R-0  204  \d+ ms$")
        ((headers, body),) = local.posts
    found = verify_message(headers, body, [parse_secret(shown[0])], now_seconds=int(time.time()))
    (row,) = until(lambda: dev.gw('gw "$GW/v1/history?id=R-0"').json()["items"])
    assert found == row["ref"], "the id that a webhook of this event would have"


def test_a_team_without_kafka_sends_receives_and_learns_the_fate(
    up: Gateway, team: Developer, tmp_path: Path
) -> None:
    dev = join(up, "teamed", tmp_path)
    send(team, "teamed", ORDERS[0])
    (row,) = team.gw('gw "$GW/v1/partners/teamed/history?id=R-0"').json()["items"]
    # The relay may have seen already that no endpoint wants it.
    assert row["state"] in {"accepted", "unrouted"}
    assert row["direction"] == "outbound"
    with follow(team, "/v1/partners/teamed/stream") as lines:
        lines.until("^retry: ")
        dev.write("o.json", ORDERS[1])
        assert dev.gw("gw $GW/v1/events/order.placed --json @o.json").status == 201
        (event,) = lines.until("^data: (.*)$")
    assert (json.loads(event[1])["type"], json.loads(event[1])["id"]) == ("order.placed", "R-1")
    page = team.gw('gw "$GW/v1/partners/teamed/stream?wait=20"').json()
    said = team.gw(
        "gw -X PUT $GW/v1/partners/teamed/stream/consumers/billing --json "
        f"'{json.dumps({'cursor': page['cursor']})}'"
    )
    assert (said.status, said.json()["direction"]) == (200, "inbound")
    (row,) = until(lambda: dev.gw('gw "$GW/v1/history?state=streamed"').json()["items"])
    assert (row["by"]["role"], row["consumer"]) == ("team", "billing")


def test_a_team_at_a_terminal(up: Gateway, team: Developer, tmp_path: Path) -> None:
    dev = join(up, "typed", tmp_path)
    environ = {"GATEWAY_URL": up.url, "GATEWAY_KEY": team.key, "HOME": str(tmp_path)}
    (tmp_path / "o.json").write_text(json.dumps(ORDERS[0]))

    def ran(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *words],
            cwd=ROOT,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "accepted" in ran("send", "typed", "order.accepted", f"@{tmp_path / 'o.json'}")
    assert "R-0" in ran("history", "list", "--partner", "typed")
    with gateway(team, "stream", "typed", "--follow", "--from", "earliest", "--consumer", "desk") as lines:
        dev.write("o.json", ORDERS[1])
        assert dev.gw("gw $GW/v1/events/order.placed --json @o.json").status == 201
        lines.until(r"order\.placed  id R-1$")
    shown = team.gw("gw $GW/v1/partners/typed/stream/consumers/desk")
    assert shown.status == 200, "Ctrl-C had its last word"
    assert ran("stream", "typed", "--consumer", "desk") == ""
