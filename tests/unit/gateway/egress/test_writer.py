import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from gateway.database import Database
from gateway.egress.courier import Work
from gateway.egress.shard import Shard
from gateway.egress.writer import Writer


@dataclass
class Deciding:
    """A shard of which nothing is known but what it has decided."""

    decided: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)

    def dismiss(self, now: int) -> None:
        """Nothing is gone."""

    def make_tick(self) -> list[str] | None:
        tick, self.decided = self.decided, []
        return tick or None

    def committed(self, tick: list[str]) -> None:
        self.written += tick


@dataclass
class Slow:
    """A database in which a transaction takes until `go`."""

    began: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def write(self, _: Callable[[Any], None]) -> None:
        self.began.set()
        await self.go.wait()


async def test_what_was_decided_while_the_last_tick_was_written_is_written_too() -> None:
    shard, database = Deciding(["first"]), Slow()
    works = {0: Work(cast("Shard", shard))}
    writer = Writer(cast("Database", database), lambda: 0, lambda _: None, tick_ms=1, drop=lambda _: None)
    running = asyncio.create_task(writer.run(works))
    await database.began.wait()
    shard.decided.append("answered just before the stop")
    writer.stop()
    database.go.set()
    await running
    assert shard.written == ["first", "answered just before the stop"]
