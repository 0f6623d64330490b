"""The receiver in C and the one in Python count alike."""

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from bench.evenly import due_name
from bench.programs import ROOT
from bench.receiver import receiving

IN_C = "C"
LANGUAGES = [*([IN_C] if shutil.which("cc") or shutil.which("gcc") else []), "Python"]


@pytest.fixture(params=LANGUAGES)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == IN_C:
        with receiving(tmp_path) as receiver:
            assert receiver.language == IN_C
            yield f"http://127.0.0.1:{receiver.port}"
        return
    order = [sys.executable, "-m", "bench.receiver"]
    with subprocess.Popen(order, cwd=ROOT, stdout=subprocess.PIPE) as running:
        try:
            assert running.stdout is not None
            yield f"http://127.0.0.1:{json.loads(running.stdout.readline())['port']}"
        finally:
            running.terminate()


def test_posts_and_bytes_are_counted_until_reset(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        for size in (0, 10, 5_000):
            assert client.post("/hook", content=b"x" * size).status_code == 204
        seen = client.get("/reset").json()
        assert (seen["posts"], seen["bytes"]) == (3, 5_010)
        assert seen["seconds"] > 0
        assert client.get("/seen").json()["posts"] == 0


def test_events_that_say_when_they_were_due_have_a_latency_until_reset(url: str) -> None:
    began = time.monotonic()
    waited = [*(range(1, 99)), 200, 300]
    with httpx.Client(base_url=url, trust_env=False) as client:
        for seconds in waited:
            body = b'{"id":"%s-0-7","data":{}}' % due_name(began - seconds).encode()
            client.post("/hook", content=body)
        late = client.get("/latencies").json()
        spent = time.monotonic() - began
        assert client.get("/reset").json()["posts"] == late["count"] == 100
        seconds = {name: late[name] / 1e6 for name in ("p50_us", "p95_us", "p99_us", "max_us")}
        for name, least in {"p50_us": 50, "p95_us": 95, "p99_us": 200, "max_us": 300}.items():
            assert least - 0.001 <= seconds[name] <= least + spent + 0.001
        assert client.get("/latencies").json() == {
            "count": 0,
            "p50_us": 0,
            "p95_us": 0,
            "p99_us": 0,
            "max_us": 0,
        }


def test_other_events_have_none(url: str) -> None:
    bodies = (b"", b"due@", b"due@-5", b"due @5", b"x" * 1_000)
    with httpx.Client(base_url=url, trust_env=False) as client:
        for body in bodies:
            client.post("/hook", content=body)
        assert client.get("/seen").json()["posts"] == len(bodies)
        assert client.get("/latencies").json()["count"] == 0


def test_an_event_that_comes_before_it_is_due_waited_for_nothing(url: str) -> None:
    with httpx.Client(base_url=url, trust_env=False) as client:
        client.post("/hook", content=due_name(time.monotonic() + 1_000).encode())
        late = client.get("/latencies").json()
        assert late == {"count": 1, "p50_us": 0, "p95_us": 0, "p99_us": 0, "max_us": 0}
