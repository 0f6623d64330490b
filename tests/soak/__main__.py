"""`python -m tests.soak`: many events through a fleet on Kafka and PostgreSQL, while it is being killed.

Starts everything that it needs, on loopback, and ends it. The report goes to standard output and to
`.cache/soak/`; the exit code is 0 where nothing was lost and nothing doubled.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.acceptance.running import ROOT
from tests.faults.forked_fleet import (
    Watcher,
    come_to_rest,
    doors_of,
    forked_fleet_on,
    onboard,
    remains_of,
    stop_all,
)
from tests.faults.inspection import Findings, inspect, look_at_deliveries, look_at_order
from tests.faults.receiver import Receiver, receiving
from tests.fleet import Fleet
from tests.kafka_server import KafkaServer, why_kafka_is_missing
from tests.postgres_server import PostgresServer, why_postgres_is_missing
from tests.soak.generator import Generator
from tests.soak.report import Report
from tests.soak.trouble import Trouble

PARTNERS = {
    "acme": "none",
    "bolt": "key",
    "cork": "endpoint",
    "dune": "none",
    "echo": "key",
    "fern": "endpoint",
    "gale": "none",
    "hill": "none",
}
DRAIN_SECONDS = 900.0
PROGRESS_SECONDS = 10.0


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    events: int
    seconds: float
    seed: int


@dataclass
class Soak:
    """One run on servers of its own."""

    wanted: Wanted
    fleet: Fleet
    receiver: Receiver
    generator: Generator
    trouble: Trouble
    watcher: Watcher

    async def run(self) -> Report:
        """Load with troubles, then rest, then look at everything."""
        begun = time.monotonic()
        stop, end = asyncio.Event(), asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.trouble.watch(end))
            tasks.create_task(self._look(end, begun))
            troubles = tasks.create_task(self.trouble.run(stop))
            await self.generator.run()
            loaded = time.monotonic()
            stop.set()
            await troubles
            await come_to_rest(self.fleet, self.receiver, self.generator.told, DRAIN_SECONDS)
            end.set()
        rested = time.monotonic()
        await self.watcher.look(self.fleet.first)
        await stop_all(self.fleet)
        sys.stderr.write("at rest; looking at everything\n")
        return self._report(self._inspect(), loaded - begun, rested - loaded)

    async def _look(self, end: asyncio.Event, begun: float) -> None:
        told = 0.0
        while not end.is_set():
            await self.watcher.look(self.fleet.first)
            if time.monotonic() - told >= PROGRESS_SECONDS:
                told = time.monotonic()
                sys.stderr.write(
                    f"{told - begun:5.0f} s: {len(self.generator.told.events)} events acknowledged,"
                    f" {len(self.receiver.taken)} delivered, {self.trouble.kills.total()} kills\n"
                )
            await asyncio.sleep(2.0)

    def _inspect(self) -> Findings:
        remains, told = remains_of(self.fleet), self.generator.told
        found = inspect(remains, told, self.watcher.seen, self.watcher.keys)
        look_at_deliveries(found, remains, self.receiver, told)
        look_at_order(found, remains, self.receiver, PARTNERS)
        for words in self.trouble.crashed:
            found.add("a process ended by a bug", words)
        for words in self.generator.faults:
            found.add("an answer that should not be", words)
        if len(told.events) != self.generator.made:
            found.add("events without an acknowledgement", self.generator.made - len(told.events))
        return found

    def _report(self, found: Findings, load_seconds: float, drain_seconds: float) -> Report:
        told, generator, trouble = self.generator.told, self.generator, self.trouble
        epochs = remains_of(self.fleet).rows("SELECT role, sum(epoch)::bigint FROM gateway_lease GROUP BY 1")
        return Report(
            seed=self.wanted.seed,
            events=len(told.events),
            partners=PARTNERS,
            requests=generator.requests,
            blind_repeats=generator.blind_repeats,
            repeats_of_events=told.repeats,
            answers=dict(generator.answers),
            unknown_outcomes=generator.answers["503 outcome_unknown"],
            slowest_seconds=generator.slowest,
            kills=dict(trouble.kills),
            troubles=dict(trouble.met),
            takeovers={role: int(count) for role, count in epochs},
            load_seconds=load_seconds,
            drain_seconds=drain_seconds,
            events_per_second=len(told.events) / (load_seconds + drain_seconds),
            posts=self.receiver.posts,
            deliveries=len(self.receiver.taken),
            found=dict(found.counts),
            peak_rss_bytes=trouble.rss,
            restarts=trouble.gave_up,
            faults=found.words(),
        )


@contextmanager
def staged(wanted: Wanted, folder: Path) -> Iterator[Soak]:
    """Servers, fleet and receiver, all started; ended with the block."""
    with ExitStack() as stack:
        postgres = PostgresServer()
        stack.callback(postgres.remove)
        postgres.start()
        kafka_folder = folder / "kafka"
        kafka_folder.mkdir()
        kafka = KafkaServer(kafka_folder)
        stack.callback(kafka.kill)
        kafka.start()
        flags: dict[str, str | int] = {"egress.timeout": "2s"}
        fleet = stack.enter_context(forked_fleet_on(folder, kafka, postgres, flags, has_haste=False))
        for count in (1, 2):
            fleet.start(count, count, count)
        receiver = stack.enter_context(receiving(Receiver(refuses=50, stalls=400, stall_seconds=3.0)))
        keys = onboard(fleet, receiver, PARTNERS)
        chance = Random(wanted.seed)  # noqa: S311 - the same troubles for the same seed
        yield Soak(
            wanted,
            fleet,
            receiver,
            Generator(
                [one.url for one in doors_of(fleet)], keys, fleet.first.operator_key(), wanted.events, chance
            ),
            Trouble(fleet, kafka, postgres, receiver, wanted.seconds, Random(wanted.seed + 1)),  # noqa: S311 - as above
            Watcher(),
        )


def main() -> int:
    """Run it as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--events", type=int, default=100_000, help="how many (default 100,000)")
    parser.add_argument("--seconds", type=float, default=5.0, help="between two troubles (default 5)")
    parser.add_argument("--seed", type=int, default=1, help="of the troubles (default 1)")
    given = parser.parse_args()
    for why in (why_kafka_is_missing(), why_postgres_is_missing()):
        if why is not None:
            sys.stderr.write(f"soak: {why}\n")
            return 2
    wanted = Wanted(given.events, given.seconds, given.seed)
    with tempfile.TemporaryDirectory(prefix="gateway-soak-") as made, staged(wanted, Path(made)) as soak:
        report = asyncio.run(soak.run())
    path = report.save(ROOT / ".cache" / "soak", f"seed-{wanted.seed}-events-{wanted.events}")
    sys.stdout.write(report.text())
    sys.stderr.write(f"kept in {path}\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
