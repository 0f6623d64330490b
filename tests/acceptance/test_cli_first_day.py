"""The command as people type it: one process a command, a real gateway on a real port."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running import CONTRACT, ORDER, READY_SECONDS, ROOT, Gateway, orders
from tests.acceptance.stacks import only_files
from tests.json_schema_oracle import accepts

FULL: dict[str, Any] = {
    "type": "record",
    "name": "Full",
    "namespace": "com.acme",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "customer_id", "type": "long"},
        {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "due", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}},
        {"name": "cart", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]}},
        {
            "name": "lines",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Line",
                    "fields": [{"name": "sku", "type": "string"}, {"name": "qty", "type": "int"}],
                },
            },
        },
        {"name": "tags", "type": {"type": "map", "values": ["null", "string"]}},
    ],
}
PARTNER_CONTRACT = """\
gateway: v1
partner: acme
sends:
  order.placed: {schema: full.avsc, id: /order_id, key: /customer_id, time: /placed_at, search: [/state]}
receives:
  order.accepted: {schema: full.avsc, id: [/order_id, /cart], json: avro}
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def command(gateway: Gateway, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "gateway", *arguments, "--data", str(gateway.folder)]


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return {**kept, "HOME": str(folder), "XDG_CONFIG_HOME": str(folder / "config")}


@pytest.fixture
def run(gateway: Gateway, tmp_path: Path) -> Run:
    """Run one command line to its end, with nothing on its stdin."""

    def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(gateway, *arguments),
            cwd=ROOT,
            env=environment(tmp_path),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_the_readme_s_way_from_a_contract_to_a_verified_proof(
    gateway: Gateway, run: Run, tmp_path: Path
) -> None:
    gateway.start()
    (tmp_path / "order.avsc").write_text(json.dumps(ORDER))
    contract = tmp_path / "acme.yaml"
    contract.write_text(CONTRACT)
    assert run("diff", "-f", str(contract)).returncode == 7
    assert run("apply", "-f", str(contract), "--yes").returncode == 0
    key = tmp_path / "acme.key"
    assert run("credentials", "create", "-p", "acme", "-o", str(key)).returncode == 0
    lines = "".join(json.dumps(one) + "\n" for one in orders(0, 20))
    sent = run("send", "order.placed", "-", "--batch", "--key", str(key), stdin=lines)
    assert "20 accepted" in sent.stdout, sent.stderr
    listed = run("history", "list", "--partner", "acme", "--id", "A-7", "--json")
    ref = json.loads(listed.stdout)["items"][0]["ref"]
    paper, keys = tmp_path / "a.tlog-proof", tmp_path / "keys.json"
    saved = run("history", "proof", ref, "-o", str(paper), "--keys-file", str(keys))
    assert saved.returncode == 0, saved.stderr
    gateway.kill()
    pin = json.loads(paper.read_text())["log_key"]
    line = [sys.executable, "-m", "gateway", "verify", str(paper), "--keys", str(keys), "--log-key", pin]
    verified = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (verified.returncode, verified.stdout.splitlines()[0]) == (0, "proved")
    assert run("status").returncode == 8


# What a sample is made of is in the process; the broker has a part only in what is sent, as in any event.
@only_files
def test_a_partner_s_first_day_from_a_sample_to_a_receipt(gateway: Gateway, run: Run, tmp_path: Path) -> None:
    gateway.start()
    assert gateway.apply(PARTNER_CONTRACT, {"full.avsc": json.dumps(FULL)}).status_code == 201
    key = gateway.partner_key()
    (tmp_path / "acme.key").write_text(key)
    mine = ("--key", str(tmp_path / "acme.key"))
    sample, schema = tmp_path / "o.json", tmp_path / "o.schema.json"
    told = run("types", "schema", "order.placed", "--as", "jsonschema", "-o", str(schema), *mine)
    assert told.returncode == 0, told.stderr
    assert run("types", "sample", "order.placed", "-o", str(sample), *mine).returncode == 0
    assert accepts(json.loads(schema.read_text()), sample.read_bytes())
    tried = run("send", "order.placed", f"@{sample}", "--dry-run", *mine)
    assert tried.returncode == 0, tried.stderr
    with gateway.client(key) as client:
        client.headers["Content-Type"] = "application/json"
        data, path = sample.read_bytes(), "/v1/events/order.placed"
        checked = client.post(f"{path}?dry_run=true", content=data)
        sent = [client.post(path, content=data) for _ in range(2)]
        refused = client.post(path, content=b'{"order_id":1}')
        shown = client.get(refused.json()["hint"].split(" ")[1])
    assert [one.status_code for one in (checked, *sent, refused)] == [200, 201, 200, 422]
    assert sent[0].json()["receipt"] == sent[1].json()["receipt"]
    assert shown.content == data


# What a monitor reads is served from the database; what a sequencer makes of topics, others have looked at.
@only_files
def test_a_partner_watches_its_log_with_its_key_alone(gateway: Gateway, run: Run, tmp_path: Path) -> None:
    gateway.start()
    assert gateway.apply().status_code == 201
    key, kept = gateway.partner_key(), tmp_path / "receipts"
    (tmp_path / "acme.key").write_text(key)
    kept.mkdir()
    mine = ("--key", str(tmp_path / "acme.key"))
    watch = (
        "monitor",
        "--once",
        "--json",
        *mine,
        "--state",
        str(tmp_path / "log.json"),
        "--receipts",
        str(kept),
    )
    for number in (0, 1):
        with gateway.client(key) as client:
            sent = client.post("/v1/events/order.placed", json=orders(number, 1)[0])
            (kept / f"{number}.json").write_bytes(sent.content)
            assert client.get(f"{sent.headers['location']}/proof?wait=20").status_code == 200
        ended = run(*watch)
        assert ended.returncode == 0, ended.stderr + ended.stdout
        looked = json.loads(ended.stdout.splitlines()[-1])
        assert (looked["receipts"], looked["alarms"]) == ({"included": number + 1, "waiting": 0}, [])
        assert looked["fresh_seconds"] <= 60
        assert looked["new_entries"] >= 1
    gateway.kill()
    assert run(*watch).returncode == 8


# A pipe of the command: no broker and no database has a part in it.
@only_files
def test_a_reader_that_has_read_enough_sees_no_traceback(gateway: Gateway, run: Run, tmp_path: Path) -> None:
    gateway.start()
    assert run("status").returncode == 0
    shown = subprocess.Popen(
        command(gateway, "status", "--watch", "--json"),
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert shown.stdout is not None
    assert shown.stderr is not None
    assert shown.stdout.readline().startswith(b"{")
    shown.stdout.close()
    assert (shown.wait(30), shown.stderr.read()) == (0, b"")
    shown.stderr.close()


def test_ctrl_c_ends_quietly_with_130(gateway: Gateway, run: Run, tmp_path: Path) -> None:
    gateway.start()
    assert gateway.apply().status_code == 201
    assert run("send", "acme", "order.accepted", "-", stdin=json.dumps(orders(0, 1)[0])).returncode == 0
    followed = subprocess.Popen(
        command(
            gateway, "stream", "acme", "--direction", "outbound", "--follow", "--from", "earliest", "--json"
        ),
        cwd=ROOT,
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert followed.stdout is not None
    assert json.loads(followed.stdout.readline())["id"] == "A-0"
    followed.send_signal(signal.SIGINT)
    assert followed.communicate(timeout=30) == (b"", b"")
    assert followed.returncode == 130


# The certificate and the address file are the data folder's.
@only_files
def test_under_tls_the_command_finds_its_authority_by_itself(
    gateway: Gateway, run: Run, tmp_path: Path
) -> None:
    # Whether it is ready is asked by the command itself: the probe of other tests speaks plain HTTP.
    gateway.launch("up", "--tls", "dev")
    deadline = time.monotonic() + READY_SECONDS
    while run("me").returncode != 0 and time.monotonic() < deadline:
        time.sleep(0.2)
    shown = run("me", "--json")
    assert shown.returncode == 0, (shown.stderr, gateway.said())
    assert json.loads(shown.stdout)["origin"] == f"https://127.0.0.1:{gateway.port}"
    key = str(gateway.folder / "operator.key")
    strange = subprocess.run(
        [sys.executable, "-m", "gateway", "me", "--url", f"https://localhost:{gateway.port}", "--key", key],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (strange.returncode, "--cacert" in strange.stderr) == (2, True)
