"""Very many deliveries that are due again at once, beside new events for other endpoints.

A hundred endpoints of as many partners have refused a thousand events each; all of these are due in the same
moment, when one relay starts. Measured: how many of them are delivered a second, and what they cost 200 new
events a second to five other endpoints: p95 from when an event was due to its arrival, with and without.
Figures go to bench/results-retries.json. `python -m bench.retries [--quick]`, on Kafka and PostgreSQL.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import httpx
import psycopg

from bench.figures import keep, verdict
from bench.grounds import Ground, ground_of
from bench.installation import Installation
from bench.lanes import receivers
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.orders import SCHEMA_FILE, contract
from bench.programs import Program, wait_until
from bench.sequenced import lone_sequencer

RESULTS: Final = Path(__file__).with_name("results-retries.json")
RATE: Final = 200
WELLS: Final = 5
_EACH: Final = 1_000
"""Of an endpoint: as many retries as wait in its lane."""

_SECONDS: Final = 900.0
_LAG_SECONDS: Final = 2.0
_ROWS: Final = b"SELECT count(*) FROM gateway_delivery WHERE state = 'pending'"
_LEAST_RATE: Final = 500
_MOST_COST: Final = 0.10


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down."""
    parser = argparse.ArgumentParser(prog="bench.retries")
    parser.add_argument("--quick", action="store_true", help="10 endpoints, 10,000 retries; nothing is kept")
    options = parser.parse_args(arguments)
    endpoints, seconds = (10, 8.0) if options.quick else (100, 30.0)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of("kafka", Path(folder)) as ground,
        receivers() as receiver,
    ):
        found = _measured(ground, receiver, endpoints, seconds)
    keep(found, RESULTS, is_whole=not options.quick)
    return 0


def render_retries(found: Mapping[str, Any]) -> str:
    """One table."""
    rate, cost = found["retried_a_second"], found["p95_cost"]
    fresh = {"nothing is due": found["alone"], "all of it is due": found["beside"]}
    lines = [
        f"| {found['rows']:,} retries of {found['endpoints']} endpoints, due at once | | target |",
        "|---|---|---|",
        f"| delivered a second | {rate:,.0f} | {_LEAST_RATE}: {verdict(is_met=rate >= _LEAST_RATE)} |",
        *(
            f"| {found['rate']} new events a second to {WELLS} others: p50, p95, p99 ms, while {name} "
            f"| {seen['p50_ms']:.1f}, {seen['p95_ms']:.1f}, {seen['p99_ms']:.1f} | |"
            for name, seen in fresh.items()
        ),
        f"| p95 of these | {cost:+.0%} | within 10 %: {verdict(is_met=cost <= _MOST_COST)} |",
        f"| CPU ms a delivery, of all our processes and PostgreSQL | {found['cpu_ms']:.2f} | |",
        f"| highest memory of the relay | {found['peak_mib']:.0f} MiB | |",
    ]
    return "\n".join(lines)


def _measured(ground: Ground, receiver: httpx.Client, endpoints: int, seconds: float) -> dict[str, Any]:
    installation = ground.install()
    installation.start()
    at = f"http://127.0.0.1:{receiver.base_url.port}"
    for number in range(endpoints):
        _admit(installation, f"no{number:03}", f"{at}/no-{number}", ", retry: [0s, 2h]")
    for number in range(WELLS):
        _admit(installation, f"well{number}", f"{at}/well-{number}", "")
    receiver.get("/well/off")
    rows = endpoints * _EACH
    with lone_sequencer(installation) as program:
        program.ask(do="publish", events=rows, run="again", only="no")
        wait_until(lambda: _rows(installation) >= rows, _SECONDS, "not all of it waits for a retry")
        _paced(program, receiver, seconds / 3)  # code gets warm
        alone, _ = _paced(program, receiver, seconds)
        installation.stop("relay")
        _make_due(installation)
        receiver.get("/well/on")
        receiver.get("/seen")
        installation.start("relay")
        relay = [installation.programs["relay"].pid]
        wait_until(lambda: _rows(installation) < rows, _SECONDS, "nothing is tried again")
        meter = Meter({"gateway": installation.pids(), **ground.parts()})
        reset_peak(relay)
        began, left = time.monotonic(), _rows(installation)
        beside, last = _paced(program, receiver, seconds)
        still = _rows(installation)
        wait_until(lambda: _rows(installation) == 0, _SECONDS, "not all of it was delivered")
        last = receiver.get("/seen").json()["last"].get("no", last)
    used = meter.used("gateway") + meter.used("PostgreSQL")
    peak = peak_bytes(relay)
    installation.drain()
    installation.stop()
    return {
        "rows": rows,
        "endpoints": endpoints,
        "rate": RATE,
        "retried_a_second": left / (last - began),
        "left_while_measured": still,
        "alone": alone,
        "beside": beside,
        "p95_cost": beside["p95_ms"] / alone["p95_ms"] - 1,
        "cpu_ms": used * 1000 / (left + RATE * seconds),
        "peak_mib": peak / 2**20,
    }


def _paced(program: Program, receiver: httpx.Client, seconds: float) -> tuple[dict[str, float], float]:
    """New events for a while; percentiles of what of them arrived, and when the last retry came."""
    receiver.get("/seen")
    sent = program.ask(do="pace", rate=RATE, seconds=seconds, only="well")["events"]
    time.sleep(_LAG_SECONDS)
    found: dict[str, Any] = receiver.get("/seen").json()
    seen = {name: found[name] for name in ("p50_ms", "p95_ms", "p99_ms")} | {"share": found["count"] / sent}
    return seen, found["last"].get("no", 0.0)


def _admit(installation: Installation, slug: str, url: str, terms: str) -> None:
    text = contract(slug) + (
        f'endpoints:\n  verification: none\n  declared:\n    - {{name: hook, url: "{url}"{terms}}}\n'
    )
    body = {"contract": text, "files": {"order.avsc": SCHEMA_FILE.read_text()}}
    with installation.client() as client:
        client.put(f"/v1/partners/{slug}/contract", json=body).raise_for_status()


def _rows(installation: Installation) -> int:
    with psycopg.connect(str(installation.settings["database.url"])) as connection:
        return int(connection.execute(_ROWS).fetchall()[0][0])


def _make_due(installation: Installation) -> None:
    with psycopg.connect(str(installation.settings["database.url"])) as connection:
        connection.execute(b"UPDATE gateway_delivery SET next_at = 0 WHERE state = 'pending'")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
