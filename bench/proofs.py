"""How soon a receipt has its proof, at a thousand events a second. On Kafka and PostgreSQL.

Events of 100 partners are accepted evenly, ten at a time; the sequencer is a process of its own, the doors
are shut. What an event takes counts from its receipt until the checkpoint that covers it is served. A third
process, which does nothing else, looks at that every 5 ms: whoever accepts has no time to look.
Figures go to bench/results-proofs.json. `python -m bench.proofs [--quick]`.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any, Final

import psycopg

from bench.evenly import evenly, percentile, waits
from bench.figures import keep, verdict
from bench.grounds import Ground, ground_of
from bench.meter import Meter
from bench.orders import order_json
from bench.programs import wait_until
from bench.sequenced import lone_sequencer
from bench.taking import take_events
from gateway.bootstrap.ground import entropy
from gateway.bootstrap.parts import Parts

RESULTS: Final = Path(__file__).with_name("results-proofs.json")
_RATE: Final = 1_000
_TOGETHER: Final = 10
_PARTNERS: Final = 100
_LOOK_SECONDS: Final = 0.005
_LAST_SECONDS: Final = 30.0
_MOST_MS: Final = 300
_SERVED: Final = "SELECT log, checkpoint_size FROM audit_head"


def main(arguments: Sequence[str]) -> int:
    """Measure, and write the figures down."""
    parser = argparse.ArgumentParser(prog="bench.proofs")
    parser.add_argument("--quick", action="store_true", help="ten seconds; nothing is kept")
    options = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="gateway-bench-", dir="/var/tmp") as folder,
        ground_of("kafka", Path(folder)) as ground,
    ):
        found = _measured(ground, seconds=10 if options.quick else 60)
    keep(found, RESULTS, is_whole=not options.quick)
    return 0


def render_proofs(found: Mapping[str, Any]) -> str:
    """One table."""
    is_met = found["p99_ms"] < _MOST_MS
    figures = (
        f"| {found['rate']:,}, {found['partners']} | {found['seconds']:.0f} s "
        f"| {found['p50_ms']:.0f}, {found['p99_ms']:.0f}, {found['max_ms']:.0f} ms "
        f"| under {_MOST_MS}: {verdict(is_met=is_met)} | {_shares(found['shares'])} |"
    )
    head = "| events a second, partners | for | p50, p99, highest | target: p99 | of all cores |"
    return f"{head}\n|---|---|---|---|---|\n{figures}"


def _shares(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.0%}" for name, share in shares.items())


def _measured(ground: Ground, seconds: float) -> dict[str, Any]:
    installation = ground.install()
    installation.start("serve", "sequence")
    installation.admit(_PARTNERS)
    installation.drain()
    installation.stop("serve")
    url = str(installation.settings["database.url"])
    with lone_sequencer(installation) as program, _watching(url) as seen:
        wait_until(lambda: len(seen.sizes) > _PARTNERS, _LAST_SECONDS, "a partner has no log")
        first = dict(seen.sizes)
        seen.wait_for(first, program.ask(do="offer", rate=_RATE, seconds=2)["answered"])
        before = dict(seen.sizes)
        sequencer = installation.programs["sequence"].pid
        meter = Meter({"sequencer": [sequencer], "generator": [program.pid], **ground.parts()})
        answered: dict[str, list[float]] = program.ask(do="offer", rate=_RATE, seconds=seconds)["answered"]
        shares = meter.shares()
        seen.wait_for(before, answered)
    installation.stop()
    taken = sorted(
        one
        for log, times in answered.items()
        for one in waits(times, [(at, size - before[log]) for at, size in seen.sightings[log]])
    )
    return {
        "rate": _RATE,
        "partners": _PARTNERS,
        "seconds": seconds,
        "events": len(taken),
        **{f"p{percent}_ms": percentile(taken, percent) * 1_000 for percent in (50, 99)},
        "max_ms": percentile(taken, 100) * 1_000,
        "shares": shares,
    }


async def offer(parts: Parts, rate: float, seconds: float) -> dict[str, Any]:
    """Accept so many events a second, evenly over all partners: when each had its receipt, by log.

    Times are those of CLOCK_MONOTONIC, which all processes share.
    """
    host = parts.ground.host
    logs = {one.slug: f"{host}/log/{one.log}" for one in parts.catalog.current.directory.partners()}
    answered: dict[str, list[float]] = {log: [] for log in logs.values()}
    run, numbers, turns = entropy(4).hex(), itertools.count(), itertools.cycle(logs)
    stop = asyncio.Event()

    async def accept(slug: str) -> None:
        await take_events(parts, slug, [order_json(run, next(numbers)) for _ in range(_TOGETHER)])
        answered[logs[slug]] += [time.monotonic()] * _TOGETHER

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parts.ingress.run(stop))
        await asyncio.sleep(0)
        async with asyncio.TaskGroup() as accepting:

            def each(_due: float) -> None:
                accepting.create_task(accept(next(turns)))

            await evenly(rate / _TOGETHER, seconds, each)
        stop.set()
    await parts.writes.close()
    return {"answered": answered}


@dataclass(slots=True)
class _Seen:
    """How many entries the checkpoints that are served cover, by log; and when each was seen first."""

    sizes: dict[str, int] = field(default_factory=dict)
    sightings: dict[str, list[tuple[float, int]]] = field(default_factory=dict)

    def look(self, database: "psycopg.Connection[tuple[str, int]]") -> None:
        """Note what has grown."""
        for log, size in database.execute(_SERVED):
            if self.sizes.get(log) != size:
                self.sizes[log] = size
                self.sightings.setdefault(log, []).append((time.monotonic(), size))

    def wait_for(self, before: Mapping[str, int], answered: Mapping[str, Sequence[float]]) -> None:
        """Wait until all that was answered is covered: nothing of it may count as what comes after it."""
        wanted = {log: before[log] + len(times) for log, times in answered.items()}
        wait_until(
            lambda: all(self.sizes[log] >= size for log, size in wanted.items()),
            _LAST_SECONDS,
            "no checkpoint covers the last events",
        )


@contextmanager
def _watching(url: str) -> Iterator[_Seen]:
    """Look again and again until the block ends, on a thread of its own."""
    seen, stop = _Seen(), Event()
    with psycopg.connect(url, autocommit=True) as database, ThreadPoolExecutor(1) as thread:
        seen.look(database)

        def watch() -> None:
            while not stop.wait(_LOOK_SECONDS):
                seen.look(database)

        watching = thread.submit(watch)
        try:
            yield seen
        finally:
            stop.set()
            watching.result()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
