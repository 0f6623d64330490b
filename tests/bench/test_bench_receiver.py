"""The receiver in C and the one in Python count alike."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

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
