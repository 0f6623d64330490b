"""A run on a machine without Java says what it did not run, and fails where CI asked for everything."""

import re
import subprocess
import sys
from pathlib import Path

import pytest


def run_without_java(folder: Path, ci: str, workers: int) -> subprocess.CompletedProcess[str]:
    command = (
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        str(workers),
        "-p",
        "no:cacheprovider",
        "tests/contract/test_broker.py",
    )
    return subprocess.run(
        (*command, "-k", "closing_twice"),
        env={"PATH": str(folder), "CI": ci},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(("ci", "status"), [("", 0), ("true", 1)])
def test_what_was_not_run_is_named_and_counted(tmp_path: Path, ci: str, status: int, workers: int) -> None:
    ran = run_without_java(tmp_path, ci, workers)
    assert ran.returncode == status, ran.stdout + ran.stderr
    last = ran.stdout.strip().splitlines()[-2:]
    assert last[0].startswith("NOT RUN: 1 test that needs kafka: java is not installed")
    assert re.search(r"\b[1-9]\d* passed\b", last[1])
    assert "failed" not in last[1]
    assert ("failure" in last[0]) is (ci == "true")
