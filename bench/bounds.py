"""What deliveries may cost and never exceed, on Kafka and PostgreSQL.

A relay at rest with very many partners; a relay that is killed beside another; very many events for an
endpoint that is dead, and what comes of them once it is back. Figures go to bench/results-bounds.json.
`python -m bench.bounds [--quick]`.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar, Final, cast

import httpx
import psycopg
import uvloop

from bench.figures import keep
from bench.grounds import Ground, ground_of
from bench.installation import Installation
from bench.measures import peak_bytes, reset_peak
from bench.meter import Meter
from bench.orders import SCHEMA_FILE, contract
from bench.peer import Peer
from bench.programs import ROOT, wait_until
from bench.receiver import receiving
from bench.sequenced import lone_sequencer
from gateway.bootstrap.ground import entropy
from gateway.egress.lane import CAPACITY
from tests.free_ports import free_port

RESULTS: Final = Path(__file__).with_name("results-bounds.json")
_SECONDS: Final = 1_800.0
_REST_SECONDS: Final = 30.0
_SHARED_SECONDS: Final = 25.0
_SHARED_BY: Final = 50
_BATCH: Final = 20_000
_ID: Final = re.compile(rb'"order_id":"([^"]*)"')
_SLUG: Final = "p0000"
_COUNTS: Final = {
    "gateway_backlog": b"SELECT count(*) FROM gateway_backlog",
    "gateway_delivery": b"SELECT count(*) FROM gateway_delivery",
}


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down; as a receiver: receive."""
    parser = argparse.ArgumentParser(prog="bench.bounds")
    parser.add_argument("--quick", action="store_true", help="100 partners, 40,000 events; nothing is kept")
    parser.add_argument("--receive", type=int, metavar="PORT", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.receive is not None:
        uvloop.run(_serve(options.receive))
        return 0
    partners, events, drained = (100, 40_000, 2_000) if options.quick else (1_000, 1_000_000, 20_000)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of("kafka", Path(folder)) as ground,
    ):
        found = {
            "killed": _killed(ground),
            "dead": _dead(ground, events, drained),
            "rest": _at_rest(ground, partners),
        }
    keep(found, RESULTS, is_whole=not options.quick)
    return 0


def _at_rest(ground: Ground, partners: int) -> dict[str, Any]:
    """One relay that has nothing to do."""
    installation = ground.install()
    with receiving(installation.folder) as receiver:
        installation.start()
        installation.admit(partners, receiver.url)
        installation.drain()
        time.sleep(_REST_SECONDS)  # it goes on without what made the partners
        meter = Meter({"relay": [installation.programs["relay"].pid], **ground.parts()})
        time.sleep(_REST_SECONDS)
        used = {name: meter.used(name) / _REST_SECONDS for name in ("relay", *ground.parts())}
        installation.stop()
    return {"partners": partners, "core": used}


def _killed(ground: Ground) -> dict[str, Any]:
    """Two relays share the shards, and one is killed: until what comes then is delivered."""
    installation = ground.install()
    with receiving(installation.folder) as receiver:
        installation.start("serve", "sequence")
        installation.admit(_SHARED_BY, receiver.url)
        installation.start("relay", "relay/2")
        time.sleep(_SHARED_SECONDS)
        with lone_sequencer(installation) as program:
            program.ask(do="publish", events=_SHARED_BY, run=entropy(4).hex())
            wait_until(lambda: receiver.seen()["posts"] >= _SHARED_BY, _SECONDS, "not delivered")
            installation.drain()
            receiver.seen(reset=True)
            os.kill(installation.programs["relay"].pid, signal.SIGKILL)
            began = time.monotonic()
            program.ask(do="publish", events=_SHARED_BY, run=entropy(4).hex())
            at_once = receiver.seen()["posts"]
            wait_until(lambda: receiver.seen()["posts"] >= _SHARED_BY, _SECONDS, "not delivered")
            seconds = time.monotonic() - began
        installation.drain()
        installation.stop()
    return {"partners": _SHARED_BY, "seconds": seconds, "at_once": at_once}


def _dead(ground: Ground, events: int, drained: int) -> dict[str, Any]:
    """Events in an order for an endpoint that nobody listens at, and what comes once somebody does."""
    installation = ground.install()
    port = free_port()
    text = contract(_SLUG) + (
        "endpoints:\n  verification: none\n  declared:\n"
        f'    - {{name: hook, url: "http://127.0.0.1:{port}/hook", order: endpoint, retry: [0s, 5s]}}\n'
    )
    installation.start()
    body = {"contract": text, "files": {"order.avsc": SCHEMA_FILE.read_text()}}
    with installation.client() as client:
        client.put(f"/v1/partners/{_SLUG}/contract", json=body).raise_for_status()
        relay = [installation.programs["relay"].pid]
        with lone_sequencer(installation) as program:
            program.ask(do="publish", events=_BATCH, run="000")
            wait_until(lambda: _waiting(client) >= _BATCH - 1_000, _SECONDS, "nothing waits")
            # What its lane had taken before it was known to be dead gets rows once that is known, seconds
            # after the first events: so many, however many there are.
            wait_until(lambda: _rows(installation)["gateway_delivery"] >= CAPACITY, _SECONDS, "no rows")
            few, small, before = _rows(installation), _bytes_of(installation), peak_bytes(relay)
            reset_peak(relay)
            for number in range(1, events // _BATCH):
                program.ask(do="publish", events=_BATCH, run=f"{number:03}")
        wait_until(lambda: _waiting(client) >= events - 1_000, _SECONDS, "not all of it waits")
        found = {
            "events": events,
            "rows_few": few,
            "rows": _rows(installation),
            "grown_bytes": _bytes_of(installation) - small,
            "peak_mib_few": before / 2**20,
            "peak_mib": peak_bytes(relay) / 2**20,
        }
        with _taking(port) as receiver:
            back = time.monotonic()
            wait_until(lambda: receiver.get("/seen").json()["count"] >= 1, _SECONDS, "nothing comes")
            first = time.monotonic()
            wait_until(lambda: receiver.get("/seen").json()["count"] >= drained, _SECONDS, "not drained")
            seconds = time.monotonic() - first
            seen = receiver.get("/seen").json()
    installation.stop()
    return found | {
        "noticed_seconds": first - back,
        "drained": drained,
        "drained_a_second": drained / seconds,
        "in_order": seen["in_order"],
    }


def _waiting(client: httpx.Client) -> int:
    items = client.get(f"/v1/partners/{_SLUG}/deliveries").raise_for_status().json()["items"]
    return sum(one["events"] for one in items)


def _rows(installation: Installation) -> dict[str, int]:
    with psycopg.connect(str(installation.settings["database.url"])) as connection:
        return {table: int(connection.execute(query).fetchall()[0][0]) for table, query in _COUNTS.items()}


def _bytes_of(installation: Installation) -> int:
    """Of the tables in which deliveries wait."""
    tables = ("gateway_backlog", "gateway_delivery", "gateway_position")
    with psycopg.connect(str(installation.settings["database.url"])) as connection:
        return sum(
            int(connection.execute(b"SELECT pg_total_relation_size(%s)", (table,)).fetchall()[0][0])
            for table in tables
        )


class _Taking(Peer):
    """Takes all, and says whether ids came in their order; a repeat of the last one is none against it."""

    count: ClassVar[int] = 0
    last: ClassVar[tuple[str, int]] = ("", -1)
    in_order: ClassVar[bool] = True

    def request(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET "):
            shown = json.dumps({"count": _Taking.count, "in_order": _Taking.in_order}).encode()
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
                % (len(shown), shown)
            )
            return
        named = _ID.search(body)
        if named is not None:
            run, _, number = named[1].decode("ascii").split("-")
            _Taking.in_order = _Taking.in_order and (run, int(number)) >= _Taking.last
            _Taking.last = (run, int(number))
        _Taking.count += 1
        self._transport.write(b"HTTP/1.1 204 No Content\r\n\r\n")


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Taking, "127.0.0.1", port)
    sys.stdout.write("{}\n")
    sys.stdout.flush()
    await server.serve_forever()


@contextmanager
def _taking(port: int) -> Iterator[httpx.Client]:
    order = [sys.executable, "-m", "bench.bounds", "--receive", str(port)]
    with subprocess.Popen(order, cwd=ROOT, stdout=subprocess.PIPE) as running:  # noqa: S603 - ours
        try:
            cast("Any", running.stdout).readline()
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
                yield client
        finally:
            running.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
