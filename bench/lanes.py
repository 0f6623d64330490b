"""What bad endpoints cost the others: a black hole, one of 30 seconds and one of a byte a second, together.

Two partners, each sent the same number of events a second: one with endpoints that answer, one with the bad
ones. Measured: p95 from when an event was due to its arrival at an endpoint that answers, while the bad ones
are bad, and while they answer, in turns within one run. Figures go to bench/results-lanes.json.
`python -m bench.lanes [--quick] [--on kafka]`.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import httpx

from bench.evenly import due_name, evenly
from bench.figures import keep
from bench.grounds import ground_of
from bench.installation import Installation
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.orders import OUTBOUND_TYPE, SCHEMA_FILE, contract, order_json
from bench.outcome import middle
from bench.programs import ROOT

RESULTS: Final = Path(__file__).with_name("results-lanes.json")
RATE: Final = 200
BATCHES: Final = 20
"""Requests a second and partner; each holds a part of the events."""

WELL: Final = ("well-1", "well-2")
BAD: Final = ("hole", "slow", "drip")
_LAG_SECONDS: Final = 2.0


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down."""
    parser = argparse.ArgumentParser(prog="bench.lanes")
    parser.add_argument("--quick", action="store_true", help="one round of five seconds; nothing is kept")
    parser.add_argument("--rate", type=int, default=RATE, help="events a second and partner")
    parser.add_argument("--on", choices=("embedded", "kafka"), default="embedded")
    options = parser.parse_args(arguments)
    rounds, seconds = (1, 5.0) if options.quick else (5, 20.0)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of(options.on, Path(folder)) as ground,
        receivers() as receiver,
    ):
        installation = ground.install()
        installation.start()
        for slug, paths in (("well", WELL), ("bad", BAD)):
            _admit(
                installation, slug, [f"http://127.0.0.1:{receiver.base_url.port}/{path}" for path in paths]
            )
        found = _measured(_Load(installation, options.rate, seconds), receiver, rounds) | {"on": options.on}
    keep(found, RESULTS, is_whole=not options.quick)
    return 0


@dataclass(frozen=True, slots=True)
class _Load:
    """`rate`: events a second and partner, for so many seconds."""

    installation: Installation
    rate: int
    seconds: float


def _measured(load: _Load, receiver: httpx.Client, rounds: int) -> dict[str, Any]:
    well: list[dict[str, float]] = []
    bad: list[dict[str, float]] = []
    pids = load.installation.pids()
    for number in range(rounds + 1):
        for name, seen in (("well/on", well), ("well/off", bad)):
            receiver.get(name)
            if seen is well:  # what waited for the bad ones is none of this measurement
                load.installation.drain()
                receiver.get("/seen")
            reset_peak(pids)
            meter = Meter({"gateway": pids})
            sent = asyncio.run(_feed(load, f"{number}-{len(seen)}"))
            time.sleep(_LAG_SECONDS)
            figures = receiver.get("/seen").json()
            figures["share"] = figures["count"] / (sent * len(WELL))
            figures["cpu_ms"] = meter.used("gateway") * 1000 / max(1, figures["count"])
            figures["peak_mib"] = peak_bytes(pids) / 2**20
            if number:  # the first of each is not counted: breakers open, code gets warm
                seen.append(figures)
    names = ("p50_ms", "p95_ms", "p99_ms", "share", "cpu_ms", "peak_mib")
    middles = {
        word: {name: middle([one[name] for one in seen])[0] for name in names}
        for word, seen in (("answering", well), ("bad", bad))
    }
    cost = middles["bad"]["p95_ms"] / middles["answering"]["p95_ms"] - 1
    return {"rate": load.rate, "rounds": rounds, "seconds": load.seconds, "p95_cost": cost, **middles}


async def _feed(load: _Load, run: str) -> int:
    """Send both partners so many events a second; how many each was sent."""
    size, installation = max(1, load.rate // BATCHES), load.installation
    async with (
        httpx.AsyncClient(
            base_url=installation.url,
            headers={"Authorization": installation.operator_file.read_text().strip()},
            verify=str(installation.certificate),
            trust_env=False,
            timeout=30,
        ) as client,
        asyncio.TaskGroup() as posts,
    ):

        def each(due: float) -> None:
            for slug in ("well", "bad"):
                posts.create_task(_post(client, slug, size, run, due))

        batches = await evenly(min(BATCHES, load.rate), load.seconds, each)
    return batches * size


async def _post(client: httpx.AsyncClient, slug: str, size: int, run: str, due: float) -> None:
    lines = (order_json(f"{run}-{due_name(due)}", number) for number in range(size))
    answer = await client.post(
        f"/v1/partners/{slug}/events/{OUTBOUND_TYPE}",
        content=b"\n".join(lines),
        headers={"Content-Type": "application/x-ndjson"},
    )
    # A topic is still being made, or there is too much at once.
    if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
        answer.raise_for_status()


def _admit(installation: Installation, slug: str, urls: Sequence[str]) -> None:
    lines = [f'    - {{name: e{number}, url: "{url}", concurrency: 8}}' for number, url in enumerate(urls)]
    text = contract(slug) + "endpoints:\n  verification: none\n  declared:\n" + "\n".join(lines) + "\n"
    body = {"contract": text, "files": {"order.avsc": SCHEMA_FILE.read_text()}}
    with installation.client() as client:
        client.put(f"/v1/partners/{slug}/contract", json=body).raise_for_status()


@contextmanager
def receivers() -> Iterator[httpx.Client]:
    """The receivers of `bench.lanes_receiver`, and how to speak to them, until the block ends."""
    order = [sys.executable, "-m", "bench.lanes_receiver"]
    with subprocess.Popen(order, cwd=ROOT, stdout=subprocess.PIPE) as running:  # noqa: S603 - ours
        try:
            port = json.loads(cast("Any", running.stdout).readline())["port"]
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                yield client
        finally:
            running.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
