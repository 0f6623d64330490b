"""Records under schemas that only the external registry knows: they wait, and what is behind them."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from gateway.broker.port import Record
from gateway.external_registry import ExternalRegistry
from schemas.framing import encode_prefix
from schemas.remote_answers import Agreed, RemoteAwayError
from schemas.schema import Schema, parse_schema
from tests.unit.gateway.egress.stage import CODEC, SCHEMA, TOPIC, Stage, endpoint, now, record, stage

T = TypeVar("T")

STRANGER = 900
ALIKE = parse_schema(json.dumps({**json.loads(SCHEMA.text), "doc": "a team's own text"}))
OTHER = parse_schema('{"type":"record","name":"Other","fields":[]}')


@dataclass
class Library:
    """A registry made up, which is away at first."""

    url: str = "http://registry.example"
    held: dict[int | UUID, Schema] = field(default_factory=dict)
    is_away: bool = True
    asked: int = 0

    def look_up(self, subject: str, schema: Schema) -> Agreed | None:
        raise AssertionError((subject, schema))

    def register(self, subject: str, schema: Schema) -> Agreed:
        raise AssertionError((subject, schema))

    def compare(self, subject: str, schema: Schema) -> tuple[str, ...]:
        raise AssertionError((subject, schema))

    def by_id(self, schema_id: int) -> Schema | None:
        self.asked += 1
        self.health()
        return self.held.get(schema_id)

    def by_guid(self, guid: UUID) -> Schema | None:
        self.health()
        return self.held.get(guid)

    def health(self) -> None:
        if self.is_away:
            raise RemoteAwayError("says the test")

    def within(self, seconds: float) -> AbstractContextManager[None]:
        del seconds
        return nullcontext()

    def close(self) -> None:
        """Nothing is open."""


async def aside(work: Callable[[], T]) -> T:
    await asyncio.sleep(0)
    return work()


@asynccontextmanager
async def watched(on: Stage, library: Library) -> AsyncIterator[None]:
    """The stage with an external registry, which is asked until the block ends."""
    loop = asyncio.get_running_loop()
    outside = ExternalRegistry(library, aside=aside, ticks=loop.time)
    on.contracts.current = replace(on.contracts.current, outside=outside)
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(outside.run(stop))
        try:
            yield
        finally:
            stop.set()


def stock(event_id: str, schema_id: int) -> Record:
    """A record of a stock producer under an id of its own."""
    datum = CODEC.avro_from_json(json.dumps({"id": event_id, "n": 1}).encode()).avro
    return Record(TOPIC, 0, None, encode_prefix(schema_id, datum), (), now())


async def test_a_record_waits_while_the_registry_is_away_and_what_is_behind_it_too(
    tmp_path: Path, database_url: str
) -> None:
    library = Library(held={STRANGER: ALIKE})
    async with stage(tmp_path, database_url, endpoint()) as on, watched(on, library):
        await on.append(record("a"), stock("b", STRANGER), record("c"))
        async with on.relaying():
            await on.until(lambda: on.position() == 1, "the first is settled")
            await asyncio.sleep(0.2)  # long enough for what is behind it to overtake, if it did
            assert (on.receiver.ids(), on.position()) == (["a"], 1)
            library.is_away = False
            await on.until(lambda: on.position() == 3, "all settled")
        assert on.receiver.ids() == ["a", "b", "c"]
        assert [each.text("outcome") for each in on.evidence()] == ["delivered"] * 3


async def test_a_relay_that_ends_while_it_waits_has_settled_nothing_of_it(
    tmp_path: Path, database_url: str
) -> None:
    library = Library(held={STRANGER: ALIKE})
    async with stage(tmp_path, database_url, endpoint()) as on, watched(on, library):
        await on.append(stock("a", STRANGER), record("b"))
        outside = on.contracts.current.outside
        assert outside is not None
        async with on.relaying():
            await on.until(lambda: library.asked > 0, "it is held")
            await asyncio.sleep(0.2)  # it has read both by then
            assert outside.find(STRANGER) is None
        assert (on.position(), on.evidence(), on.receiver.seen) == (0, [], [])
        library.is_away = False
        async with on.relaying():
            await on.until(lambda: on.position() == 2, "both settled")
        assert sorted(on.receiver.ids()) == ["a", "b"]


async def test_what_the_registry_does_not_have_and_what_means_something_else_is_refused(
    tmp_path: Path, database_url: str
) -> None:
    library = Library(held={STRANGER: OTHER}, is_away=False)
    async with stage(tmp_path, database_url, endpoint()) as on, watched(on, library):
        await on.append(stock("a", STRANGER), stock("b", STRANGER + 1), record("c"))
        async with on.relaying():
            await on.until(lambda: on.position() == 3, "all settled")
        assert on.receiver.ids() == ["c"]
        assert len(on.evidence()) == 3


async def test_a_record_of_a_backlog_waits_as_well(tmp_path: Path, database_url: str) -> None:
    library = Library(held={STRANGER: ALIKE}, is_away=False)
    async with stage(tmp_path, database_url, endpoint(state="paused")) as on:
        async with watched(on, library), on.relaying():
            await on.append(*(stock(each, STRANGER) for each in "abc"))
            await on.until(lambda: on.position() == 3, "all are in a backlog")
        library.is_away, asked = True, library.asked
        on.have(endpoint())
        async with watched(on, library), on.relaying():
            await on.until(lambda: library.asked > asked + 1, "it was asked for again")
            assert (on.spans(), on.receiver.ids()) == ([("ep_1", 0, 3)], [])
            library.is_away = False
            await on.until(lambda: on.spans() == [] and on.rows() == [], "the backlog is delivered")
        assert sorted(on.receiver.ids()) == ["a", "b", "c"]
