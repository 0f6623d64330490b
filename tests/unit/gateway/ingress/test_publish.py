import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest

from gateway.broker.port import Position, Record, Stored, Unknown, record_bytes
from gateway.broker.port import Refused as BrokerRefused
from gateway.ingress.claims import Confirm
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.world import FIRST, World, running

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}
B = {**A, "order_id": "B-1"}


async def claims(world: World) -> int:
    await world.parts.writes.submit(Confirm(()))  # behind whatever the publisher still has to write
    found = await world.parts.ground.database.read(
        lambda session: (
            session.connection().exec_driver_sql("SELECT count(*) FROM gateway_claim").scalar_one()
        )
    )
    return int(found)


async def undisturbed(world: World, body: object) -> Outcome:
    """What becomes of an event that the machine does not hold up for half of a lease that is short."""
    while True:
        (one,) = await world.send(body)
        if not (isinstance(one, Failed) and one.code == "overloaded"):
            return one


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        ("storage_full", "storage_full"),
        ("unavailable", "broker_unavailable"),
        ("invalid", "broker_unavailable"),
    ],
)
async def test_a_certain_refusal_gives_the_claim_back(
    tmp_path: Path, database_url: str, refusal: str, code: str
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.refusal = BrokerRefused(refusal, "a test said so")
        (failed,) = await world.send(A)
        assert isinstance(failed, Failed)
        assert failed.code == code
        assert await claims(world) == 0
        broker.refusal = None
        (one,) = await world.send(A)
        assert isinstance(one, Accepted)
        assert not one.duplicate


async def test_what_the_broker_finds_too_large_is_the_senders_to_change(
    tmp_path: Path, database_url: str
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.refusal = BrokerRefused("too_large", "100 bytes are enough")
        (one,) = await world.send(A)
        assert isinstance(one, Refused)
        assert one.code == "event_too_large"
        assert await claims(world) == 0


async def test_an_attempt_that_was_held_up_gives_the_claim_back_and_produces_nothing(
    tmp_path: Path, database_url: str
) -> None:
    held_up = 0.3
    broker = WilfulBroker(tmp_path)

    def step(name: str) -> None:
        if name == "inbound.2.claimed":
            time.sleep(held_up)  # the process stands still: its loop too

    flags = {"claims.lease": "500ms"}
    async with running(tmp_path, url=database_url, broker=broker, flags=flags, step=step) as world:
        await world.apply()
        (failed,) = await world.send(A)
        assert isinstance(failed, Failed)
        assert failed.code == "overloaded"
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 0)]
        assert await claims(world) == 0
        held_up = 0.0
        one = await undisturbed(world, A)
        assert isinstance(one, Accepted)
        assert not one.duplicate


async def test_what_is_stored_at_about_the_same_time_is_confirmed_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path) as world:
        publisher, asked = world.parts.ingress.publisher, list[Confirm]()
        publisher._confirmed_at = asyncio.get_running_loop().time()

        async def note(item: Confirm) -> None:
            asked.append(item)

        monkeypatch.setattr(publisher.writes, "submit", note)
        rows = [(bytes([number]), "receipt", Position("topic-1", 0, number)) for number in range(3)]
        async with asyncio.TaskGroup() as tasks:
            gathering = [tasks.create_task(publisher._gather([row])) for row in rows]
            await asyncio.sleep(0)
            # Whoever began to wait for the others is gone: they lose nothing that anybody was told.
            gathering[0].cancel()
        assert asked == []
        await asyncio.gather(*(publisher._gather([row]) for row in rows))
        assert asked == [Confirm(tuple(rows))]


async def test_an_unknown_outcome_keeps_the_claim(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"]
        (one,) = await world.send(A)
        assert isinstance(one, Failed)
        assert one.code == "outcome_unknown"
        assert await claims(world) == 1


async def test_a_batch_of_which_one_is_not_acknowledged_fails_whole_and_its_repeat_succeeds(
    tmp_path: Path,
    database_url: str,
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["store_and_forget", "store"]
        outcomes = await world.send(A, B)
        assert [one.code for one in outcomes if isinstance(one, Failed)] == ["outcome_unknown"] * 2
        await world.settled(FIRST + 2)  # the sequencer confirms what the broker's answer did not
        again = await world.send(A, B)
        assert [type(one) for one in again] == [Accepted, Accepted]
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 2)]


class Late(WilfulBroker):
    """Answers late: `meanwhile` happens before an answer to events is heard."""

    meanwhile: Callable[[], None] | None = None

    async def append(self, records: Sequence[Record]) -> list[Stored | BrokerRefused | Unknown]:
        """Append, and wait."""
        answers = await super().append(records)
        if self.meanwhile is not None and all(one.topic == TOPIC for one in records):
            self.meanwhile()
        return answers


async def test_an_answer_that_comes_late_does_not_bring_back_the_topic_that_it_names(tmp_path: Path) -> None:
    broker, known = Late(tmp_path), list[str]()

    def step(name: str) -> None:
        if name == "inbound.3.produced":
            known.append(world.parts.catalog.current.topic_ids[TOPIC])

    async with running(tmp_path, broker=broker, step=step) as world:
        await world.apply()
        catalog = world.parts.catalog
        was = catalog.current.topic_ids[TOPIC]
        broker.meanwhile = partial(catalog.topic_changed, TOPIC, "made-again", was=was)
        assert isinstance((await world.send(A))[0], Accepted)
    assert known == ["made-again"]


async def test_with_the_broker_away_nothing_is_claimed(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.away_ms = 1_001
        outcomes = await world.send(A, B)
        assert [one.code for one in outcomes if isinstance(one, Failed)] == ["broker_unavailable"] * 2
        broker.away_ms = 0
        assert await claims(world) == 0


async def test_a_full_disk_claims_and_publishes_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        database = world.parts.ground.database

        def shrink(pages: int) -> None:
            with database.begin() as session:
                session.connection().exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        shrink(1)  # SQLite takes the size that the file has
        big = [{**A, "order_id": f"A-{n}", "customer": "x" * 4_000} for n in range(50)]
        outcomes = await world.send(*big)
        assert {one.code for one in outcomes if isinstance(one, Failed)} == {"storage_full"}
        assert len(outcomes) == 50
        assert await world.parts.broker.bounds([(TOPIC, 0)]) == [(0, 0)]
        shrink(1_000_000)
        assert all(isinstance(one, Accepted) for one in await world.send(*big))


class Narrow(WilfulBroker):
    """As Kafka is: refuses all of a batch in which one record, or their sum, is too large for the topic."""

    limit = 1 << 30
    seconds = 0.0
    appends = 0

    async def append(self, records: Sequence[Record]) -> list[Stored | BrokerRefused | Unknown]:
        """Refuse the batch as a whole."""
        # Checkpoints are appended meanwhile, as often as the machine finds time for.
        self.appends += any(one.topic == TOPIC for one in records)
        await asyncio.sleep(self.seconds)
        if sum(record_bytes(one) for one in records) > self.limit:
            return [BrokerRefused("too_large", "as a batch")] * len(records)
        return await super().append(records)


async def sorted_out(world: World, *bodies: object, strict: bool = True) -> list[Outcome]:
    """What becomes of all of them, however often a machine that stands still finds no time to look."""
    while True:
        outcomes = await world.send(*bodies, strict=strict)
        if not any(isinstance(one, Failed) for one in outcomes):
            return outcomes


async def test_only_what_is_too_large_by_itself_is_refused(tmp_path: Path, database_url: str) -> None:
    broker = Narrow(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.limit = 10_000
        large = {**A, "order_id": "C-1", "customer": "x" * 10_000}
        outcomes = await sorted_out(world, A, large, B, strict=False)
        assert [type(one) for one in outcomes] == [Accepted, Refused, Accepted]
        many = [{**A, "order_id": f"D-{n}", "customer": "x" * 900} for n in range(20)]
        assert {type(one) for one in await sorted_out(world, *many)} == {Accepted}
        (told,) = world.parts.ingress.publisher.trouble.warnings()
        assert "max.message.bytes" in told
        broker.limit = 1 << 30
        (again,) = await world.send(large)
        assert isinstance(again, Accepted)
        assert not again.duplicate
        assert world.parts.ingress.publisher.trouble.warnings() == []


async def test_among_many_a_record_that_is_too_large_is_found_by_halves(
    tmp_path: Path, database_url: str
) -> None:
    broker = Narrow(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.limit = 200_000
        many = [{**A, "order_id": f"E-{n}"} for n in range(100)]
        many[40] = {**A, "order_id": "E-40", "customer": "x" * 200_000}
        for _ in range(20):
            before = broker.appends
            outcomes = await world.send(*many, strict=False)
            assert broker.appends - before < 2 * 8
            # A machine that stood still for a second found no time to look: then the answer says, repeat.
            if not any(isinstance(one, Failed) for one in outcomes):
                break
        assert [type(one) for one in outcomes].count(Accepted) == 99
        assert isinstance(outcomes[40], Refused)


async def test_what_takes_too_long_to_sort_out_is_refused_for_now(tmp_path: Path, database_url: str) -> None:
    broker = Narrow(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.limit, broker.seconds = 0, 0.3
        outcomes = await world.send(*({**A, "order_id": f"F-{n}"} for n in range(16)), strict=False)
        assert {one.code for one in outcomes if isinstance(one, Failed)} == {"broker_unavailable"}
        broker.limit, broker.seconds = 1 << 30, 0.0
        again = await world.send(*({**A, "order_id": f"F-{n}"} for n in range(16)), strict=False)
        assert [one.duplicate for one in again if isinstance(one, Accepted)] == [False] * 16


async def test_late_in_a_lease_nothing_is_sorted_out(tmp_path: Path, database_url: str) -> None:
    broker = Narrow(tmp_path)
    flags = {"claims.lease": "2s"}
    async with running(tmp_path, url=database_url, broker=broker, flags=flags) as world:
        await world.apply()
        broker.limit, broker.seconds, before = 0, 1.1, broker.appends
        one = await undisturbed(world, A)
        assert isinstance(one, Failed)
        assert one.code == "broker_unavailable"
        assert broker.appends == before + 1
        broker.limit, broker.seconds = 1 << 30, 0.0
        assert isinstance(await undisturbed(world, A), Accepted)


async def test_a_topic_that_is_gone_is_made_again_and_used(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        old = world.parts.catalog.current.topic_ids[TOPIC]
        await broker.delete_topic(TOPIC)
        (one,) = await world.send(A)
        assert isinstance(one, Failed)
        assert one.code == "broker_unavailable"
        assert await claims(world) == 0
        await world.parts.catalog.refresh()
        (one,) = await world.send(A)
        assert isinstance(one, Accepted)
        assert not one.duplicate
        assert world.parts.catalog.current.topic_ids[TOPIC] != old


async def test_a_clock_that_is_not_the_brokers_is_said_to_be_untrusted(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        broker.refusal = BrokerRefused("clock", "a test said so")
        (one,) = await world.send(A)
        assert isinstance(one, Failed)
        assert one.code == "clock_untrusted"
        assert await claims(world) == 0
