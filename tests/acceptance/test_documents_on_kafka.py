"""The programs of the guide for many machines, run as they are written but for names, on a real Kafka."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.hook import Hook, listening
from tests.acceptance.running import ROOT, Gateway, take
from tests.acceptance.stacks import Servers, servers_of
from tests.acceptance.waiting import until
from tests.faults.program import Fault
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

HEADING = "### Reading events with stock Kafka"
ORDER = {"order_id": "A-1001", "customer_id": "C-7", "quantity": 3, "amount": "129.90"}


def programs() -> tuple[str, str, str]:
    """The reader, what it prints, and the writer."""
    text = (ROOT / "docs/many-machines.md").read_text(encoding="utf-8")
    section = text.partition(HEADING)[2].partition("\n## ")[0]
    reader, writer = re.findall(r"^```python\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```text\n(.*?)^```", section, flags=re.MULTILINE | re.DOTALL)
    return reader, shown, writer


def quickstart_files(hook: str) -> tuple[str, dict[str, str]]:
    """Contract and schemas of the quickstart, with the test's own receiver."""
    text = (ROOT / "docs/quickstart.md").read_text(encoding="utf-8")
    files = dict(re.findall(r"^cat > (\S+) <<'END'\n(.*?)^END$", text, flags=re.MULTILINE | re.DOTALL))
    contract = files["acme.yaml"].replace("http://127.0.0.1:8099/webhooks", hook)
    return contract, {name: files[name] for name in files if name.endswith(".avsc")}


def named(program: str, stack: Servers) -> str:
    """The program with this test's servers and topics."""
    for wanted, instead in (
        ("127.0.0.1:9092", stack.kafka.servers),
        ("partners.acme", f"{stack.topics}.acme"),
    ):
        assert wanted in program
        program = program.replace(wanted, instead)
    return program


@contextmanager
def running(program: str, folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """The program as a process, ended by its pid."""
    child = subprocess.Popen(
        [sys.executable, "-u", "-c", program],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with child:
        try:
            yield child
        finally:
            child.kill()


@pytest.fixture
def hook() -> Iterator[Hook]:
    with listening() as made:
        yield made


@pytest.fixture
def stack(kafka_server: KafkaServer, postgres_server: PostgresServer) -> Iterator[Servers]:
    with servers_of(kafka_server, postgres_server) as made:
        yield made


def test_the_reader_prints_what_the_guide_shows_and_the_writer_s_event_is_delivered(
    tmp_path: Path, stack: Servers, hook: Hook
) -> None:
    contract, files = quickstart_files(hook.url)
    (tmp_path / "schemas").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    gateway = Gateway(tmp_path / "data", stack=stack)
    reader, shown, writer = programs()
    try:
        gateway.start(fault=Fault())
        gateway.agree(contract, files)
        with gateway.client(gateway.partner_key()) as client:
            take(client, "/v1/events/order.placed", ORDER)
        with gateway.operator() as client:
            types = {
                name: client.get(f"/v1/partners/acme/types/{name}").raise_for_status().json()["directions"][0]
                for name in ("order.placed", "order.accepted")
            }
        ids = {name: one["versions"][0]["id"] for name, one in types.items()}
        with running(named(reader, stack), tmp_path) as child:
            assert child.stdout is not None
            told = child.stdout.readline()
        assert told == re.sub(r"schema \d+", f"schema {ids['order.placed']}", shown), told
        assert "SCHEMA_ID = 4 " in writer
        writer = writer.replace("SCHEMA_ID = 4 ", f"SCHEMA_ID = {ids['order.accepted']} ")
        with running(named(writer, stack), tmp_path) as child:
            assert child.communicate(timeout=60)[0] == ""
            assert child.returncode == 0
        (event,) = until(hook.events, gateway.said)
        assert (event["id"], event["type"]) == ("A-1001", "order.accepted")
        assert event["data"] == {"order_id": "A-1001", "ships_on": "2026-12-01"}
        assert gateway.stop() == 0, gateway.said()
    finally:
        gateway.kill()
