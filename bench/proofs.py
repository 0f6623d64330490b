"""How soon a receipt has its proof, at a thousand events a second. On Kafka and PostgreSQL.

Events of 100 partners are accepted evenly, ten at a time; the sequencer is a process of its own, the doors
are shut. What an event takes counts from its receipt until the checkpoint that covers it is served, which is
looked at every 20 ms. Figures go to bench/results-proofs.json. `python -m bench.proofs [--quick]`.
"""

import argparse
import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from sqlmodel import Session, col, select

from audit.rows import HeadRow
from bench.evenly import evenly, percentile, waits
from bench.figures import keep, verdict
from bench.grounds import Ground, ground_of
from bench.meter import Meter
from bench.orders import order_json
from bench.sequenced import lone_sequencer
from bench.taking import take_events
from gateway.bootstrap.ground import entropy
from gateway.bootstrap.parts import Parts

RESULTS: Final = Path(__file__).with_name("results-proofs.json")
_RATE: Final = 1_000
_TOGETHER: Final = 10
_PARTNERS: Final = 100
_LOOK_SECONDS: Final = 0.02
_MOST_MS: Final = 300


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
    with lone_sequencer(installation) as program:
        program.ask(do="offer", rate=_RATE, seconds=2)
        sequencer = installation.programs["sequence"].pid
        meter = Meter({"sequencer": [sequencer], "generator": [program.pid], **ground.parts()})
        found = program.ask(do="offer", rate=_RATE, seconds=seconds)
        shares = meter.shares()
    installation.stop()
    return {"rate": _RATE, "partners": _PARTNERS, "seconds": seconds, **found, "shares": shares}


async def offer(parts: Parts, rate: float, seconds: float) -> dict[str, Any]:
    """Accept so many events a second, evenly over all partners; how long their proofs took."""
    logs = {one.slug: one.log for one in parts.catalog.current.directory.partners()}
    before = await _published(parts)
    answered: dict[str, list[float]] = {slug: [] for slug in logs}
    sightings: dict[str, list[tuple[float, int]]] = {slug: [] for slug in logs}
    run, numbers, turns = entropy(4).hex(), itertools.count(), itertools.cycle(logs)
    stop, ended = asyncio.Event(), asyncio.Event()

    async def accept(slug: str) -> None:
        await take_events(parts, slug, [order_json(run, next(numbers)) for _ in range(_TOGETHER)])
        answered[slug] += [time.monotonic()] * _TOGETHER

    def is_seen(slug: str) -> bool:
        return bool(sightings[slug]) and sightings[slug][-1][1] >= len(answered[slug])

    async def watch() -> None:
        while not (ended.is_set() and all(is_seen(slug) for slug in logs)):
            await asyncio.sleep(_LOOK_SECONDS)
            sizes = await _published(parts)
            now = time.monotonic()
            for slug, log in logs.items():
                sightings[slug].append((now, sizes[log] - before[log]))

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parts.ingress.run(stop))
        watching = tasks.create_task(watch())
        await asyncio.sleep(0)
        async with asyncio.TaskGroup() as accepting:

            def each(_due: float) -> None:
                accepting.create_task(accept(next(turns)))

            events = await evenly(rate / _TOGETHER, seconds, each)
        ended.set()
        await watching
        stop.set()
    await parts.writes.close()
    taken = sorted(one for slug in logs for one in waits(answered[slug], sightings[slug]))
    figures = {f"p{percent}_ms": percentile(taken, percent) * 1_000 for percent in (50, 99)}
    return {
        "events": events * _TOGETHER,
        **figures,
        "max_ms": percentile(taken, 100) * 1_000,
    }


async def _published(parts: Parts) -> dict[str, int]:
    """How many entries the checkpoints that are served cover, by the logs' names without host and epoch."""

    def look(session: Session) -> dict[str, int]:
        columns = select(col(HeadRow.log), col(HeadRow.checkpoint_size))
        return {log.rpartition("/")[2]: size for log, size in session.exec(columns)}

    return await parts.ground.database.read(look)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
