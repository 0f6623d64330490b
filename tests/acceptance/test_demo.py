"""The demo as a user starts it, on a small scale: the story to its end, and nothing left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = "import sys; from gateway.cli.demo import run_demo; sys.exit(run_demo(events=int(sys.argv[1])))"


def start(place: Path, events: int) -> "subprocess.Popen[str]":
    """Start the demo, with `place` for its folder."""
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(events)],
        env={**os.environ, "TMPDIR": str(place)},
        stdout=subprocess.PIPE,
        text=True,
    )


def test_the_whole_story_ends_with_right_counts_and_leaves_nothing(tmp_path: Path) -> None:
    with start(tmp_path, 24) as child:
        told, _ = child.communicate()
    assert child.returncode == 0, told
    for words in (
        "/lines/0/line_item_quantity",
        "one event, one receipt",
        "event_conflict",
        "2 answered 503 and came again",
        "killed in the middle",
        "all 10 counts are right",
    ):
        assert words in told
    assert list(tmp_path.iterdir()) == []
    assert own_processes(tmp_path) == []


def test_too_small_a_story_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with start(tmp_path, 1) as child:
        told, _ = child.communicate()
    assert child.returncode == 1
    assert "at least 12 events" in told
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
    deadline = time.monotonic() + 5
    while True:
        found = [line for path in Path("/proc").glob("[0-9]*/cmdline") if str(folder) in (line := read(path))]
        if not found or time.monotonic() > deadline:
            return found


def read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
