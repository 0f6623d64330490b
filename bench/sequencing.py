"""Sequencing without the doors, a process: accepts events, sequences them, and writes the same rows bare.

The baseline inserts the very `audit_entry` rows that the sequencer has just written, in transactions of the
same sizes and by the same means, under another log: no topic is read, no receipt compared, nothing
hashed, no node of a proof written, no claim marked, no position stored. It deletes them again before the next
round.

`python -m bench.sequencing JSON`: answers one line of JSON to each line on standard input, until that ends.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import uvloop
from sqlalchemy import delete
from sqlmodel import Session, col, select

from audit.arrays import table_of
from audit.bulk import insert_rows
from audit.log import heads
from audit.rows import EntryRow
from bench.evenly import cpu_used
from bench.history import fill
from bench.orders import order_json
from bench.proofs import offer
from bench.publishing import publish, publish_evenly
from bench.taking import take_events
from gateway.bootstrap.ground import Ground, open_broker, prepare
from gateway.bootstrap.parts import Parts, wire
from gateway.bootstrap.program import SWITCH_SECONDS, spare_the_collector
from gateway.broker.port import Broker, BrokerError
from gateway.metrics import Metrics
from gateway.settings_sources import load

_BATCH: Final = 200
_LOOKS: Final = 20
_BARE: Final = "+bare"


@dataclass(slots=True)
class _Clock:
    """When entries were made: time, CPU of this process, and how many, of each round."""

    wanted: int
    done: asyncio.Event = field(default_factory=asyncio.Event)
    rounds: list[tuple[float, float, int]] = field(default_factory=list)

    def note(self, word: str, count: int) -> None:
        if word != "entry" or not count:
            return
        self.rounds.append((time.monotonic(), cpu_used(), count))
        if sum(one for _, _, one in self.rounds) >= self.wanted:
            self.done.set()

    def result(self) -> dict[str, Any]:
        """From the end of the first round to the end of the last."""
        first, last = self.rounds[0], self.rounds[-1]
        entries = sum(one for _, _, one in self.rounds[1:])
        return {
            "entries": entries,
            "seconds": last[0] - first[0],
            "cpu": last[1] - first[1],
            "rounds": [one for _, _, one in self.rounds],
        }


class Bench:
    """What the process can be asked to do."""

    def __init__(self, ground: Ground, broker: Broker) -> None:
        self._ground = ground
        self._broker = broker
        self._made = 0
        self._sizes: dict[str, int] = {}
        self._rounds: list[int] = []

    async def accept(self, events: int, run: str) -> dict[str, Any]:
        """Accept so many events, spread over all partners; no sequencer runs meanwhile."""
        parts = await self._parts(_Clock(0))
        slugs = [one.slug for one in parts.catalog.current.directory.partners()]
        share = -(-events // len(slugs))
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.ingress.run(stop))
            await asyncio.sleep(0)
            for slug in slugs:
                for start in range(0, share, _BATCH):
                    numbers = range(start, min(start + _BATCH, share))
                    await take_events(parts, slug, [order_json(run, number) for number in numbers])
            stop.set()
        await parts.writes.close()
        return {"events": share * len(slugs)}

    async def offer(self, rate: float, seconds: float) -> dict[str, Any]:
        """Accept so many events a second while a sequencer runs elsewhere."""
        return await offer(await self._parts(_Clock(0)), rate, seconds)

    async def publish(self, events: int, run: str, only: str = "") -> dict[str, Any]:
        """Put so many events on the outbound topics, as a stock producer does."""
        parts = await self._parts(_Clock(0))
        await publish(parts, events, run, only)
        return {"events": events}

    async def pace(self, rate: float, seconds: float, only: str = "") -> dict[str, Any]:
        """Put so many events a second on those topics, evenly, for so long."""
        parts = await self._parts(_Clock(0))
        await publish(parts, 1, "first", only)  # the producer learns where the topic is
        return await publish_evenly(parts, rate, seconds, only)

    async def sequence(self, entries: int) -> dict[str, Any]:
        """Run the sequencer until it has made so many entries."""
        with self._ground.database.begin() as session:
            self._sizes = _sizes(session)
        clock = _Clock(entries)
        parts = await self._parts(clock)
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(parts.sequencer.run(stop))
            await clock.done.wait()
            stop.set()
        await parts.writes.close()
        found = clock.result()
        self._rounds = found["rounds"]
        return found

    async def insert(self) -> dict[str, Any]:
        """Insert the rows of the last `sequence` again, bare."""
        with self._ground.database.begin() as session:
            rows = _new_rows(session, self._sizes)
        begun, used, place = time.monotonic(), cpu_used(), 0
        for size in self._rounds:
            some = rows[place : place + size]
            place += size
            if some:
                await self._ground.database.write(partial(_insert, some))
        seconds, cpu = time.monotonic() - begun, cpu_used() - used
        with self._ground.database.begin() as session:
            session.execute(delete(EntryRow).where(col(EntryRow.log).endswith(_BARE)))
        return {"entries": len(rows), "seconds": seconds, "cpu": cpu}

    async def fill(self, events: int) -> dict[str, Any]:
        """Put a history into the database."""
        begun = time.monotonic()
        fill(self._ground.database, events)
        return {"seconds": time.monotonic() - begun}

    async def _parts(self, clock: _Clock) -> Parts:
        parts = wire(self._ground, self._broker, step=lambda _: None, metrics=Metrics(), report=clock.note)
        for left in reversed(range(_LOOKS)):
            try:
                await parts.catalog.refresh()
            except BrokerError:  # a client that is new to a busy Kafka may have to ask again
                if not left:
                    raise
                await asyncio.sleep(1)
            else:
                break
        spare_the_collector()  # as the program does once it has started
        return parts


def _sizes(session: Session) -> dict[str, int]:
    return {one.head.origin: one.head.size for one in heads(session)}


def _new_rows(session: Session, before: dict[str, int]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for origin in _sizes(session):
        log, _, epoch = origin.rpartition("/")
        table = table_of(EntryRow)
        query = select(*table.columns).where(
            table.c.log == log, table.c.epoch == int(epoch), table.c.index >= before.get(origin, 0)
        )
        found += [{**row, "log": log + _BARE} for row in session.execute(query).mappings()]
    return found


def _insert(rows: Sequence[dict[str, Any]], session: Session) -> None:
    insert_rows(session, EntryRow, rows)


async def serve(config: Path) -> None:
    """Do what is asked, line by line."""
    ground = prepare(load(flags={}, environ={}, file=config).settings, "up")
    broker = open_broker(ground.settings)
    bench = Bench(ground, broker)
    loop = asyncio.get_running_loop()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            asked = json.loads(line)
            answer = await getattr(bench, asked.pop("do"))(**asked)
            sys.stdout.write(json.dumps(answer) + "\n")
            sys.stdout.flush()
    finally:
        await broker.close()
        ground.database.close()


if __name__ == "__main__":
    sys.setswitchinterval(SWITCH_SECONDS)
    uvloop.run(serve(Path(sys.argv[1])))
