"""From an internal team's HTTP request to the partner's endpoint: all of it at once, on Kafka and PostgreSQL.

Events are sent to one partner over HTTPS, single and in batches of 100, as fast as they are accepted:
claimed, put on the topic, delivered as signed webhooks, sequenced. The rate counts from the first request to
the last arrival. Figures go to bench/results-all-in.json. `python -m bench.all_in [--quick]`.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from bench import wrk
from bench.figures import keep
from bench.grounds import Ground, ground_of
from bench.ingest import CONNECTIONS
from bench.installation import Installation
from bench.meter import Meter
from bench.orders import OUTBOUND_TYPE, slugs
from bench.outcome import middle
from bench.programs import wait_until
from bench.receiver import Receiver, receiving
from gateway.bootstrap.ground import entropy

RESULTS: Final = Path(__file__).with_name("results-all-in.json")
BATCH: Final = 100
_SECONDS: Final = 300.0
_LEAST_RATE: Final = 1_100


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down."""
    parser = argparse.ArgumentParser(prog="bench.all_in")
    parser.add_argument("--quick", action="store_true", help="one short round of each; nothing is kept")
    options = parser.parse_args(arguments)
    rounds, seconds = (1, 4.0) if options.quick else (3, 10.0)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of("kafka", Path(folder)) as ground,
    ):
        found = _measured(ground, rounds, seconds)
    keep(found, RESULTS, is_whole=not options.quick)
    return 0


def render_all_in(found: Mapping[str, Any]) -> str:
    """One table."""
    lines = [
        "| sent by HTTP | accepted a second | delivered a second | CPU ms an event | target |",
        "|---|---|---|---|---|",
    ]
    for name, seen in found["sent"].items():
        verdict = "met" if seen["delivered"] >= _LEAST_RATE else "missed"
        lines.append(
            f"| {name} | {seen['accepted']:,.0f} | {seen['delivered']:,.0f} | {seen['cpu_ms']:.2f} "
            f"| {_LEAST_RATE:,}: {verdict} |"
        )
    return "\n".join(lines)


def _measured(ground: Ground, rounds: int, seconds: float) -> dict[str, Any]:
    installation = ground.install()
    seen: dict[str, list[dict[str, float]]] = {"one by one": [], f"batches of {BATCH}": []}
    with receiving(installation.folder) as receiver:
        installation.start()
        installation.admit(1, receiver.url)
        installation.drain()
        for number in range(rounds + 1):
            for samples, events in zip(seen.values(), (1, BATCH), strict=True):
                sample = _send(ground, installation, receiver, events, seconds)
                if number:  # code, connections and caches get warm
                    samples.append(sample)
        installation.stop()
    return {
        "rounds": rounds,
        "seconds": seconds,
        "sent": {
            name: {word: middle([one[word] for one in samples])[0] for word in samples[0]}
            for name, samples in seen.items()
        },
    }


def _send(
    ground: Ground, installation: Installation, receiver: Receiver, events: int, seconds: float
) -> dict[str, float]:
    path = f"/v1/partners/{slugs(1)[0]}/events/{OUTBOUND_TYPE}"
    target = wrk.Target(installation.url, path, installation.operator_file, events, CONNECTIONS[events > 1])
    receiver.seen(reset=True)
    meter = Meter({"gateway": installation.pids(), **ground.parts()})
    began = time.monotonic()
    loaded = wrk.run(target, seconds=seconds, run_name=entropy(4).hex())
    sent = (loaded.requests - loaded.refused) * events
    wait_until(lambda: receiver.seen()["posts"] >= sent, _SECONDS, "not everything was delivered")
    took = time.monotonic() - began
    installation.drain()
    used = meter.used("gateway") + meter.used("PostgreSQL")
    return {
        "accepted": sent / loaded.seconds,
        "delivered": sent / took,
        "cpu_ms": used * 1000 / max(1, receiver.seen()["posts"]),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
