"""The demo as a user starts it, on a small scale: the story to its end, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from tests.acceptance.running import ROOT
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

WAIT_SECONDS = 30.0
STORY = (
    "/lines/0/line_item_quantity",
    "one event, one receipt",
    "event_conflict",
    "2 answered 503 and came again",
    "killed in the middle",
    "all 10 counts are right",
)


def start(place: Path, events: int, *more: str) -> "subprocess.Popen[str]":
    """Start the demo, with `place` for its folder."""
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "demo", "--events", str(events), *more],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_the_whole_story_ends_with_right_counts_and_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path, 24) as child:
        told, _ = child.communicate()
    assert child.returncode == 0, told
    for words in STORY:
        assert words in told
    assert list(tmp_path.iterdir()) == []
    assert own_processes(tmp_path) == []


@pytest.mark.kafka
@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_the_same_story_on_servers_leaves_nothing_there(
    tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> None:
    servers = ("--broker", f"kafka://{kafka_server.servers}", "--database", postgres_server.url())
    with start(tmp_path, 24, *servers) as child:
        told, _ = child.communicate()
    assert child.returncode == 0, told
    for words in (*STORY, "gateway sequence --data", "a consumer of Kafka that knows nothing"):
        assert words in told
    assert list(tmp_path.iterdir()) == []
    assert own_processes(tmp_path) == []
    topics = AdminClient({"bootstrap.servers": kafka_server.servers}).list_topics(timeout=30).topics
    assert [name for name in topics if name.startswith("gateway_demo_")] == []
    left = postgres_server.execute(
        "SELECT datname FROM pg_database WHERE datname LIKE 'gateway!_demo!_%' ESCAPE '!'"
    )
    assert left == []


def test_half_of_the_servers_is_a_wrong_command_line(tmp_path: Path) -> None:
    with start(tmp_path, 24, "--broker", "kafka://127.0.0.1:1") as child:
        told, _ = child.communicate()
    assert (child.returncode, "--database" in told) == (2, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_every_process_and_removes_the_folder(tmp_path: Path, number: signal.Signals) -> None:
    with start(tmp_path, 24) as child:
        assert child.stdout is not None
        said = ""
        while "plan -f" not in said:
            line = child.stdout.readline()
            assert line, said
            said += line
        child.send_signal(number)
        rest = child.stdout.read()
        assert child.wait() == 130
    assert "every process was ended" in rest
    assert list(tmp_path.iterdir()) == []
    assert own_processes(tmp_path) == []


def own_processes(folder: Path) -> list[str]:
    """Command lines, of this machine's processes, that name the folder."""
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        found = [line for path in Path("/proc").glob("[0-9]*/cmdline") if str(folder) in (line := read(path))]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
