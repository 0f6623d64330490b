"""Deliveries to many endpoints on Kafka and PostgreSQL: a backlog drained, and a steady stream.

A backlog over 50 endpoints, each of a partner of its own, by one relay and by two that share the shards; then
200 events a second to five endpoints, while all of them answer and while one of them is a black hole, in
turns. Latency counts from when an event was due to be put on its topic to its arrival. Figures go to
bench/results-fleet.json. `python -m bench.fleet [--quick]`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import httpx

from bench.deliveries import posted
from bench.figures import keep
from bench.grounds import Ground, ground_of
from bench.installation import Installation
from bench.lanes import receivers
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.outcome import middle
from bench.programs import wait_until
from bench.receiver import Receiver, receiving
from bench.sequenced import lone_sequencer
from gateway.bootstrap.ground import entropy

RESULTS: Final = Path(__file__).with_name("results-fleet.json")
ENDPOINTS: Final = 50
RATE: Final = 200
STEADY: Final = ("well-1", "well-2", "well-3", "well-4", "hole")
_RELAYS: Final = ("relay", "relay/2")
_SECONDS: Final = 300.0
_LAG_SECONDS: Final = 2.0
_SHARED_SECONDS: Final = 25.0


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down."""
    parser = argparse.ArgumentParser(prog="bench.fleet")
    parser.add_argument("--quick", action="store_true", help="one round of each; nothing is kept")
    options = parser.parse_args(arguments)
    rounds, events, seconds = (1, 6_000, 5.0) if options.quick else (3, 20_000, 15.0)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of("kafka", Path(folder)) as ground,
    ):
        found = {
            "rounds": rounds,
            "drain": _drained(ground, rounds, events),
            "steady": _steady(ground, rounds, seconds),
        }
    keep(found, RESULTS, is_whole=not options.quick)
    return 0


def _drained(ground: Ground, rounds: int, events: int) -> dict[str, Any]:
    installation = ground.install()
    seen: dict[int, list[dict[str, float]]] = {1: [], 2: []}
    bare: list[float] = []
    with receiving(installation.folder) as receiver:
        installation.start()
        installation.admit(ENDPOINTS, receiver.url)
        installation.drain()
        installation.stop("relay")
        for _ in range(rounds):
            for relays, samples in seen.items():
                samples.append(_drain(ground, installation, receiver, events, _RELAYS[:relays]))
            size = int(seen[1][-1]["bytes"])
            bare.append(posted(ground, receiver, events, size).rate)
        installation.stop()
    return {
        "endpoints": ENDPOINTS,
        "events": events,
        "bare": middle(bare)[0],
        **{
            f"by_{relays}": {name: middle([one[name] for one in samples])[0] for name in samples[0]}
            for relays, samples in seen.items()
        },
    }


def _drain(
    ground: Ground, installation: Installation, receiver: Receiver, events: int, relays: Sequence[str]
) -> dict[str, float]:
    """One backlog; CPU is that of all our processes and of PostgreSQL, while the relays work."""
    receiver.seen(reset=True)
    with lone_sequencer(installation) as program:
        if len(relays) > 1:
            # They share the shards before there is a backlog, as relays do that have run for a while.
            installation.start(*relays)
            time.sleep(_SHARED_SECONDS)
        program.ask(do="publish", events=events, run=entropy(4).hex())
    if len(relays) == 1:
        installation.start(*relays)
    wait_until(lambda: receiver.seen()["posts"] > 0, _SECONDS, "nothing was delivered")
    before, pids = receiver.seen()["posts"], installation.pids()
    reset_peak(pids)
    meter = Meter({"gateway": pids, **ground.parts()})
    wait_until(lambda: receiver.seen()["posts"] >= events, _SECONDS, "not everything was delivered")
    some = max(1, events - before)
    found = {
        "cpu_ms": (meter.used("gateway") + meter.used("PostgreSQL")) * 1000 / some,
        "peak_mib": peak_bytes(pids) / 2**20,
    }
    seen = receiver.seen()
    installation.drain()
    installation.stop(*relays)
    rate = (seen["posts"] - 1) / seen["seconds"]
    return found | {"rate": rate, "bytes": seen["bytes"] / seen["posts"]}


def _steady(ground: Ground, rounds: int, seconds: float) -> dict[str, Any]:
    installation = ground.install()
    with receivers() as receiver:
        port = receiver.base_url.port
        installation.start()
        installation.admit(len(STEADY), *(f"http://127.0.0.1:{port}/{path}" for path in STEADY))
        installation.drain()
        seen: dict[str, list[dict[str, float]]] = {"well/on": [], "well/off": []}
        with lone_sequencer(installation) as program:
            for number in range(rounds + 1):
                for name, samples in seen.items():
                    receiver.get(name)
                    if name == "well/on":  # what waited for the black hole is none of this measurement
                        installation.drain()
                    receiver.get("/seen")
                    sent = program.ask(do="pace", rate=RATE, seconds=seconds)["events"]
                    time.sleep(_LAG_SECONDS)
                    if number:  # of the first, breakers open and code gets warm
                        samples.append(_percentiles(receiver, sent))
        receiver.get("well/on")
        installation.drain()
        installation.stop()
    names = {"well/on": "answering", "well/off": "black_hole"}
    middles = {
        names[word]: {name: middle([one[name] for one in samples])[0] for name in samples[0]}
        for word, samples in seen.items()
    }
    cost = middles["black_hole"]["p95_ms"] / middles["answering"]["p95_ms"] - 1
    return {"rate": RATE, "endpoints": len(STEADY), "seconds": seconds, "p95_cost": cost, **middles}


def _percentiles(receiver: httpx.Client, sent: int) -> dict[str, float]:
    """Of what came to those that always answer; `share`: how much of it."""
    found: dict[str, Any] = receiver.get("/seen").json()
    wells = sum(path.startswith("well") for path in STEADY)
    return {
        **{name: found[name] for name in ("p50_ms", "p95_ms", "p99_ms")},
        "share": found["count"] / (sent * wells / len(STEADY)),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
