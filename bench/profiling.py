"""Where a process spends its time, asked of py-spy, where that is installed.

Samples of working threads, each given to the area of the innermost frame that a rule names.
"""

import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bench.outcome import Profile

_RULES: Final = (
    ("do_commit (", "COMMIT"),
    ("EmbeddedFile._transaction (", "embedded broker"),
    ("gateway/broker/", "broker client"),
    ("gateway/keys.py", "Ed25519 signature"),
    ("audit/note.py", "Ed25519 signature"),
    ("audit/tree.py", "Merkle hashes"),
    ("audit/merkle.py", "Merkle hashes"),
    ("audit/store.py", "rows of the log"),
    ("audit/", "evidence and receipts"),
    ("schemas/", "JSON and Avro"),
    ("partners/api_key.py", "API key"),
    ("gateway/auth/", "API key"),
    ("gateway/ingress/claims.py", "rows of claims"),
    ("gateway/sequencer/round.py", "rows of claims"),
    ("gateway/positions.py", "positions and leases"),
    ("gateway/leases.py", "positions and leases"),
    ("gateway/egress/deliveries.py", "rows of deliveries"),
    ("gateway/group_commit.py", "between loop and SQL threads"),
    ("gateway/database.py", "between loop and SQL threads"),
    ("concurrent/futures/", "between loop and SQL threads"),
    ("gateway/record.py", "records"),
    ("gateway/ingress/", "ingress"),
    ("gateway/sequencer/", "sequencer"),
    ("gateway/standard_webhooks.py", "webhook signature"),
    ("gateway/dialler.py", "HTTP client"),
    ("aiohttp/", "HTTP client"),
    ("gateway/egress/", "relay"),
    ("gateway/catalog.py", "catalog"),
    ("gateway/http/", "routes and answers"),
    ("gateway/metrics.py", "routes and answers"),
    ("starlette/", "routes and answers"),
    ("uvicorn/", "HTTP server and TLS"),
    ("ssl.py", "HTTP server and TLS"),
    ("asyncio/runners.py", "event loop, sockets, TLS (C)"),
)
_THROUGH: Final = ("audit/bulk.py",)
"""Rows of whoever calls it."""

_RATE: Final = 100
_RUNS_AFTER: Final = 600


def area_of(frames: Iterable[str]) -> str:
    """The area of a stack, outermost frame first."""
    for frame in reversed(list(frames)):
        if any(part in frame for part in _THROUGH):
            continue
        for part, area in _RULES:
            if part in frame:
                return area
    return "all else"


def areas_of(collapsed: str) -> tuple[int, dict[str, float]]:
    """Number of samples, and the share of each area, of stacks in py-spy's raw form."""
    counts: Counter[str] = Counter()
    for line in collapsed.splitlines():
        stack, _, count = line.rpartition(" ")
        counts[area_of(stack.split(";"))] += int(count)
    total = counts.total()
    return total, {area: count / total for area, count in counts.most_common()}


@contextmanager
def profiled(case: str, kind: str, pids: Mapping[str, int]) -> Iterator[list[Profile]]:
    """Sample these processes, by their roles, until the block ends; then the list is filled."""
    found: list[Profile] = []
    program = shutil.which("py-spy")
    if program is None:
        yield found
        return
    with tempfile.TemporaryDirectory() as folder:
        files = {role: Path(folder) / role for role in pids}
        running = [_watch(program, pids[role], file) for role, file in files.items()]
        try:
            yield found
        finally:
            for one in running:
                one.send_signal(signal.SIGINT)
            for one in running:
                one.wait(60)
        for role, file in files.items():
            samples, areas = areas_of(file.read_text()) if file.exists() else (0, {})
            if samples:
                found.append(Profile(case, kind, role, samples, areas))


def _watch(program: str, pid: int, file: Path) -> subprocess.Popen[bytes]:
    order = [program, "record", "--pid", str(pid), "--format", "raw", "--output", str(file), "--nonblocking"]
    order += ["--rate", str(_RATE), "--duration", str(_RUNS_AFTER)]
    return subprocess.Popen(order, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603 - found by name
