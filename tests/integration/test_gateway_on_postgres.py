"""The way of an event on a real PostgreSQL: two gateways on one database; a database that goes and comes."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.ref import format_ref
from gateway.bootstrap.ground import clock, entropy
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.port import Position, Read, Start
from gateway.errors import AwayError
from gateway.ingress.outcome import Accepted, Failed, Outcome
from tests.acceptance.running import Gateway
from tests.faults.workload import payload_of
from tests.postgres_server import PostgresServer
from tests.standstill import Stopwatch, stopwatch
from tests.world import World, running

pytestmark = pytest.mark.postgres

TOPIC = "partners.acme.inbound"
HASTE = {"lease.duration": "1s", "claims.lease": "3s", "claims.wait": "100ms"}
AS_SHIPPED = {**HASTE, "ingress.publish_timeout": "1800ms"}
"""The cap that an operator has who sets none: other tests give a busy disk longer."""
ANSWER_SECONDS = 3.0
"""Two are promised; the third is for a busy machine."""

WAIT_SECONDS = 60.0
PATH = "/v1/events/order.placed"
READS = ("/v1/status", "/v1/partners/acme/history", "/readyz")
AWAY = (503, "store_unavailable")
FULL = "PostgreSQL has no connection left for us: raise its max_connections"
DIE_ONCE = """
CREATE SEQUENCE tries;
CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF nextval('tries') <= 2 THEN
    PERFORM pg_terminate_backend(pg_backend_pid());
    PERFORM pg_sleep(10);
  END IF;
  RETURN NEW;
END $$;
CREATE CONSTRAINT TRIGGER die AFTER INSERT ON gateway_claim DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION die();
"""


class SharedBroker(EmbeddedBroker):
    """One that two gateways use in one process: neither closes it."""

    async def close(self) -> None:
        """Stay open."""

    async def close_at_last(self) -> None:
        await super().close()


def order(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": number}


@dataclass
class Ground:
    """A database on the server, and what is in it and on the topic beside it."""

    server: PostgresServer
    url: str
    folder: Path
    receipts: dict[str, set[str]] = field(default_factory=dict)
    codes: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @asynccontextmanager
    async def running(self, count: int = 1, flags: Mapping[str, str] = HASTE) -> AsyncIterator[list[World]]:
        """So many gateways on one database and one broker."""
        made = SharedBroker.open(
            self.folder / "broker.db", clock=clock, entropy=entropy, limit_bytes=1_000_000_000
        )
        assert isinstance(made, SharedBroker)
        try:
            async with self._one(made, flags) as first:
                await first.apply()
                if count == 1:
                    yield [first]
                else:
                    async with self._one(made, flags) as second:
                        yield [first, second]
        finally:
            await made.close_at_last()

    def _one(self, broker: EmbeddedBroker, flags: Mapping[str, str]) -> AbstractAsyncContextManager[World]:
        return running(self.folder, broker=broker, flags=flags, url=self.url)

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        return self.server.execute(statement, database=self.name)

    async def once(self, world: World, *bodies: object, strict: bool = True) -> Sequence[Outcome]:
        """One request, and what it was told; a refusal must be one that asks for a repeat."""
        outcomes = await world.send(*bodies, strict=strict)
        for one in outcomes:
            if isinstance(one, Accepted):
                self.receipts.setdefault(format_ref(one.ref), set()).add(one.receipt)
            else:
                assert isinstance(one, Failed), one
                self.codes[one.code] += 1
        return outcomes

    async def insist(self, world: World, *bodies: object, strict: bool = True) -> None:
        """The same request again and again, until all of it is accepted."""
        deadline = time.monotonic() + WAIT_SECONDS
        while not all(isinstance(one, Accepted) for one in await self.once(world, *bodies, strict=strict)):
            assert time.monotonic() < deadline, f"never accepted: {self.codes}"
            await asyncio.sleep(0.05)

    async def verify(self, world: World, count: int) -> None:
        """So many events, each with one receipt, one record and one entry; and no deadlock on the way."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.rows("SELECT 1 FROM gateway_claim WHERE leaf_index IS NULL LIMIT 1"):
            assert time.monotonic() < deadline, world.parts.sequencer.problem
            await asyncio.sleep(0.05)
        assert len(self.receipts) == count
        assert {len(each) for each in self.receipts.values()} == {1}
        entries = self.rows("SELECT ref FROM audit_entry WHERE kind = 'event.accepted'")
        assert len(entries) == count
        assert {format_ref(ref) for (ref,) in entries} == self.receipts.keys()
        assert Counter(await refs_on_topic(world)) == Counter(self.receipts.keys())
        met = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        assert self.rows(met) == [(0,)]


async def refs_on_topic(world: World) -> list[str]:
    """The ref in the receipt of each record."""
    reader = world.parts.broker.reader()
    topic_id = world.parts.catalog.current.topic_ids[TOPIC]
    ((_, end),) = await world.parts.broker.bounds([(TOPIC, 0)])
    reader.assign([Start(TOPIC, Position(topic_id, 0, 0))])
    found: list[str] = []
    while reader.reached(TOPIC, 0) != end:
        for one in await reader.poll(1_000, 1_000):
            if isinstance(one, Read):
                receipt = dict(one.record.headers)["gateway_receipt"].decode()
                found.append(json.loads(payload_of(receipt))["ref"])
    await reader.close()
    return found


@pytest.fixture
def ground(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Ground]:
    with postgres_server.database() as url:
        yield Ground(postgres_server, url, tmp_path)


async def test_two_gateways_that_are_sent_the_same_events_make_each_once(ground: Ground) -> None:
    chance = random.Random(7)  # noqa: S311 - a shuffle that can be repeated
    async with ground.running(2) as worlds, asyncio.TaskGroup() as tasks:
        for turn in range(8):
            for world in worlds:
                numbers = list(range(turn * 20, turn * 20 + 40))
                chance.shuffle(numbers)
                for start in range(0, len(numbers), 8):
                    some = [order(number) for number in numbers[start : start + 8]]
                    tasks.create_task(ground.insist(world, *some, strict=start % 16 == 0))
        await asyncio.sleep(0)
    async with ground.running() as (world,):
        await ground.verify(world, 180)


async def test_connections_that_are_cut_under_load_lose_and_double_nothing(ground: Ground) -> None:
    loop = asyncio.get_running_loop()
    async with ground.running(2) as worlds:
        async with asyncio.TaskGroup() as tasks:
            for number in range(120):
                tasks.create_task(ground.insist(worlds[number % 2], order(number)))
                tasks.create_task(ground.insist(worlds[(number + 1) % 2], order(number)))
                if number % 15 == 0:
                    await loop.run_in_executor(None, ground.server.cut, ground.name)
                await asyncio.sleep(0.01)
        await ground.verify(worlds[0], 120)


@pytest.mark.parametrize("how", ["pause", "stop"])
async def test_a_database_that_is_away_is_told_in_time_and_found_again(ground: Ground, how: str) -> None:
    leave = {"pause": ground.server.pause, "stop": ground.server.stop}[how]
    come: Callable[[], None] = {"pause": ground.server.resume, "stop": ground.server.start}[how]
    async with ground.running(flags=AS_SHIPPED) as (world,):
        await ground.insist(world, order(0))
        leave()
        try:
            with stopwatch() as watch:
                async with asyncio.TaskGroup() as tasks:
                    for number in range(1, 21):
                        tasks.create_task(in_time(ground.once(world, order(number)), watch))
                    tasks.create_task(in_time(ground.once(world, *map(order, range(21, 31))), watch))
        finally:
            come()
        assert len(ground.receipts) == 1
        assert ground.codes.keys() <= {"store_unavailable", "outcome_unknown"}
        async with asyncio.TaskGroup() as tasks:
            for number in range(31):
                tasks.create_task(ground.insist(world, order(number)))
        await ground.verify(world, 31)


async def test_what_another_server_holds_is_loaded_as_a_whole(ground: Ground) -> None:
    """A standby that was promoted may hold other rows under the numbers that we know."""
    async with ground.running() as (world,):
        catalog = world.parts.catalog
        change = "UPDATE partners_partner SET name = 'Another' WHERE slug = 'acme'"
        ground.server.execute(change, database=ground.name)
        await catalog.follow()
        assert catalog.current.directory.partners()[0].name != "Another"
        ground.server.restart()
        deadline = time.monotonic() + WAIT_SECONDS
        while catalog.current.directory.partners()[0].name != "Another":
            assert time.monotonic() < deadline, "the partners of the other server were never loaded"
            await asyncio.sleep(0.05)
            with suppress(AwayError):
                await catalog.follow()


async def in_time(asked: Awaitable[object], watch: Stopwatch) -> None:
    begun = watch.seconds()
    await asked
    assert watch.is_disturbed or watch.seconds() - begun < ANSWER_SECONDS


@pytest.mark.parametrize("strictness", ["strict", "lenient"])
async def test_a_commit_of_claims_that_was_cut_short_publishes_nothing_twice(
    ground: Ground, strictness: str
) -> None:
    strict = strictness == "strict"
    async with ground.running() as (world,):
        ground.server.execute(DIE_ONCE, database=ground.name)
        bodies = [order(0), order(1)]
        outcomes = await ground.once(world, *bodies, strict=strict)
        assert [one.code for one in outcomes if isinstance(one, Failed)] == ["outcome_unknown"] * 2
        assert await refs_on_topic(world) == []
        await ground.insist(world, *bodies, strict=strict)
        await ground.verify(world, 2)


async def test_claims_that_were_stored_without_an_answer_are_published_once(ground: Ground) -> None:
    """The commit is written, its answer waits for a standby that is not there, and the connection is cut."""
    server = ground.server
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    async with ground.running() as (world,):
        await ground.insist(world, order(0))
        server.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        server.execute("SELECT pg_reload_conf()")
        try:
            for _ in range(20):
                async with asyncio.TaskGroup() as tasks:
                    asked = tasks.create_task(ground.once(world, order(1)))
                    while not asked.done():
                        server.execute(cut)
                        await asyncio.sleep(0.05)
                if ground.codes["outcome_unknown"]:
                    break
        finally:
            server.execute("ALTER SYSTEM RESET synchronous_standby_names")
            server.execute("SELECT pg_reload_conf()")
        assert ground.codes["outcome_unknown"]
        assert len(ground.rows("SELECT ref FROM gateway_claim")) == 2
        await ground.insist(world, order(1))
        await ground.verify(world, 2)


@pytest.fixture
def plain(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database, for somebody whom limits of connections hold for."""
    postgres_server.execute("CREATE ROLE plain LOGIN")
    try:
        with postgres_server.database(is_empty=True) as url:
            postgres_server.execute(f"ALTER DATABASE {url.rpartition('/')[2]} OWNER TO plain")
            yield url.replace("gateway@", "plain@")
    finally:
        postgres_server.execute("DROP ROLE plain")


def limit(server: PostgresServer, url: str, connections: int) -> None:
    """Let the database have so many, and end those that it has."""
    name = url.rpartition("/")[2]
    server.execute(f"ALTER DATABASE {name} CONNECTION LIMIT {connections}")
    while server.cut(name) and not connections:
        time.sleep(0.02)


def test_a_process_tells_why_it_has_no_database_and_goes_on_by_itself(
    tmp_path: Path, plain: str, postgres_server: PostgresServer
) -> None:
    gateway = Gateway(tmp_path / "data", {"database.url": plain, "claims.lease": "1s"})
    limit(postgres_server, plain, 0)
    assert FULL in gateway.refuses("init", code=8)
    limit(postgres_server, plain, -1)
    try:
        assert gateway.launch("init").wait(60) == 0, gateway.said()
        gateway.start()
        assert gateway.apply().status_code == 201, gateway.said()
        with gateway.client(gateway.partner_key()) as partner, gateway.operator() as operator:
            partner.timeout = operator.timeout = httpx.Timeout(90)
            first = partner.post(PATH, json=order(1))
            postgres_server.pause()
            try:
                answers = [operator.get(path) for path in READS]
            finally:
                postgres_server.resume()
            assert [(one.status_code, one.json()["code"]) for one in answers] == [AWAY] * len(READS)
            until(lambda: operator.get("/v1/status"), 200)
            limit(postgres_server, plain, 0)
            refused = until(lambda: partner.post(PATH, json=order(2)), 503)
            assert (refused.status_code, refused.json()["code"]) == AWAY
            assert FULL in refused.json()["detail"]
            limit(postgres_server, plain, -1)
            until(lambda: partner.post(PATH, json=order(2)), 201)
            again = until(lambda: partner.post(PATH, json=order(1)), 200)
            assert again.json()["receipt"] == first.json()["receipt"]
        assert gateway.stop() == 0, gateway.said()
    finally:
        gateway.kill()


def until(ask: Callable[[], httpx.Response], status: int) -> httpx.Response:
    """The first answer with this status; before it, only 503."""
    for _ in range(600):
        answer = ask()
        if answer.status_code == status:
            return answer
        assert answer.status_code == 503, answer.text
        time.sleep(0.1)
    raise AssertionError(answer.text)
