"""Drives wrk, a load generator in C: closed loop, keep-alive, TLS, one new body a request."""

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.measures import cpu_seconds
from bench.programs import ProgramError

_SCRIPT: Final = Path(__file__).with_name("post.lua")
_MARK: Final = "RESULT "
_GRACE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and on how many connections.

    `key_file`: an Authorization value a line. `events`: in each request.
    """

    url: str
    path: str
    key_file: Path
    events: int
    connections: int


@dataclass(frozen=True, slots=True)
class Loaded:
    """What wrk counted. `refused`: answers of 400 and above; `broken`: errors of connections and timeouts.

    `busy`: the share of one core that wrk used; near 1, it would have been the limit.
    """

    requests: int
    seconds: float
    refused: int
    broken: int
    p50_ms: float
    p99_ms: float
    busy: float


def why_wrk_is_missing() -> str | None:
    """Say what a machine lacks; None where nothing is missing."""
    if shutil.which("wrk") is None:
        return "wrk is not installed (on Debian or Ubuntu: apt-get install wrk)"
    return None


def run(target: Target, *, seconds: float, run_name: str) -> Loaded:
    """Load the target for so long, as fast as it answers. `run_name`: makes the ids of this run its own.

    Raises:
        ProgramError: wrk failed.
    """
    order = ["wrk", "-t1", f"-c{target.connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s"]
    order += ["-s", str(_SCRIPT), target.url, "--", target.path, run_name, str(target.events)]
    with subprocess.Popen(  # noqa: S603 - a program of this machine, found by its name
        [*order, str(target.key_file)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as running:
        used = _watch(running.pid, max(1, round(seconds)))
        text, _ = running.communicate(timeout=_GRACE_SECONDS)
    if running.returncode or _MARK not in text:
        raise ProgramError(f"wrk failed: {text[-1000:]}")
    found = json.loads(text.split(_MARK, 1)[1].splitlines()[0])
    took = found["microseconds"] / 1e6
    return Loaded(
        requests=found["requests"],
        seconds=took,
        refused=found["refused"],
        broken=found["broken"],
        p50_ms=found["p50_us"] / 1000,
        p99_ms=found["p99_us"] / 1000,
        busy=used,
    )


def _watch(pid: int, seconds: float) -> float:
    """The share of a core that it uses, looked at shortly before its end: afterwards it is gone."""
    begun = time.monotonic()
    time.sleep(seconds - 0.3)
    return cpu_seconds([pid]) / (time.monotonic() - begun)
