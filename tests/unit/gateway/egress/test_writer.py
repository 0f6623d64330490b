import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.database import Database
from gateway.egress.courier import Work
from gateway.egress.lane import NEVER
from gateway.egress.shard import Shard
from gateway.egress.writer import Keeper, Writer


@dataclass
class Deciding:
    """A shard of which nothing is known but what it has decided."""

    decided: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def dismiss(self, now: int) -> None:
        """Nothing is gone."""

    def keep_late(self, now: int) -> int:
        return NEVER + now

    def make_tick(self) -> list[str] | None:
        tick, self.decided = self.decided, []
        return tick or None

    def read_by(self) -> list[tuple[str, int]]:
        return []

    def committed(self, tick: list[str]) -> None:
        self.written += tick


@dataclass
class Slow:
    """A database in which a transaction takes until `go`."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, _: Callable[[Any], bool]) -> bool:
        self.began.set()
        await self.go.wait()
        return True


async def renew() -> None:
    """Contracts are as they were."""


KEEPER = Keeper(drop=lambda _: None, renew=renew)


async def test_what_was_decided_while_the_last_tick_was_written_is_written_too() -> None:
    shard, database = Deciding(["first"]), Slow()
    works = {0: Work(cast("Shard", shard))}
    writer = Writer(cast("Database", database), lambda: 0, lambda _: None, KEEPER, tick_ms=1)
    running = asyncio.create_task(writer.run(works))
    await database.began.wait()
    shard.decided.append("answered just before the stop")
    writer.stop()
    database.go.set()
    await running
    assert shard.written == ["first", "answered just before the stop"]


@dataclass
class Counted(Deciding):
    looks: int = 0
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    def dismiss(self, now: int) -> None:
        assert now == 0
        self.looks += 1

    def committed(self, tick: list[str]) -> None:
        super().committed(tick)
        self.heard.set()


async def test_at_rest_it_looks_seldom_and_at_once_when_something_stirs() -> None:
    shard, database = Counted(), Slow()
    database.go.set()
    writer = Writer(cast("Database", database), lambda: 0, lambda _: None, KEEPER, tick_ms=1)
    work = Work(cast("Shard", shard), writer.stir)
    running = asyncio.create_task(writer.run({0: work}))
    await asyncio.sleep(0.2)
    assert 1 <= shard.looks < 20, "a tick is a millisecond here"
    shard.decided.append("news")
    work.stir()
    await shard.heard.wait()
    looks = shard.looks
    shard.heard.clear()
    shard.decided.append("told by nobody")
    await shard.heard.wait()
    assert shard.looks - looks < 20
    writer.stop()
    await running
    assert work.wake.is_set()
