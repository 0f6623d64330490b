import asyncio
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from sqlmodel import Session

from audit import log as audit_log
from audit.checkpoint import Checkpoint, sign_checkpoint
from gateway import facts
from gateway.broker.embedded import EmbeddedBroker, Fate
from gateway.broker.port import Broker, Record, Refused, Stored, TopicSpec, Unknown
from gateway.database import Database
from gateway.errors import SetupError, StoreError
from gateway.sequencer.guard import (
    RESTORED,
    WITNESSED,
    Guard,
    LogBehindError,
    NamesakeError,
    verify_not_behind,
)
from gateway.sequencer.mark import Installation
from gateway.sequencer.published import read_shown
from tests.unit.audit.builders import LOG_SIGNER
from tests.unit.gateway.ingress.brokers import WilfulBroker

TOPIC = "gateway.checkpoints"
ORIGIN = "gw.example/log/k3v9q2/1"
T = TypeVar("T")


def note(size: int, origin: str = ORIGIN) -> bytes:
    return sign_checkpoint(Checkpoint(origin, size, bytes([size]) * 32), LOG_SIGNER)


async def published(folder: Path, values: Sequence[bytes | None]) -> dict[str, Checkpoint]:
    broker = WilfulBroker(folder)
    try:
        await read_shown(broker, TOPIC)  # makes the topic
        await broker.append([Record(TOPIC, 0, b"%d" % key, value, (), 0) for key, value in enumerate(values)])
        return (await read_shown(broker, TOPIC)).checkpoints
    finally:
        await broker.close()


async def test_an_empty_topic_is_made_and_shows_nothing(tmp_path: Path) -> None:
    assert await published(tmp_path, []) == {}


async def test_the_newest_checkpoint_of_each_origin_counts_in_any_order(tmp_path: Path) -> None:
    other = "gw.example/log/other/1"
    found = await published(tmp_path, [note(2), note(5), note(1, other), note(3)])
    assert {origin: one.size for origin, one in found.items()} == {ORIGIN: 5, other: 1}


async def test_what_is_no_checkpoint_is_passed_over(tmp_path: Path) -> None:
    found = await published(tmp_path, [None, b"", b"\xff", b"no note", note(1), note(1)[:-20]])
    assert {origin: one.size for origin, one in found.items()} == {ORIGIN: 1}


async def test_a_checkpoint_of_no_gateways_log_stops_none(tmp_path: Path, database: Database) -> None:
    broker = WilfulBroker(tmp_path)
    await make_guard(broker, database, "first").verify()
    foreign = [note(2, "somebody"), note(2, "gw.example/log/k3v9q2/01")]
    await broker.append([Record(TOPIC, 0, b"%d" % key, one, (), 0) for key, one in enumerate(foreign)])
    guard = make_guard(broker, database, "first")
    await guard.verify()
    assert guard.has_passed
    await broker.close()


def test_a_database_without_a_published_log_may_not_go_on(database_url: str) -> None:
    database = Database(database_url)
    with database.begin() as session:
        verify_not_behind(session, {})
        shown = {ORIGIN: Checkpoint(ORIGIN, 3, b"r" * 32)}
        with pytest.raises(LogBehindError, match="3 entries"):
            verify_not_behind(session, shown)
        audit_log.open_log(session, ORIGIN)
        with pytest.raises(LogBehindError, match="restored from an older backup"):
            verify_not_behind(session, shown)
    database.close()


def make_guard(broker: Broker, database: Database, log: str) -> Guard:
    us = Installation(f"gw.example/log/{log}", f"https://{log}.example")
    return Guard(broker=broker, database=database, us=us, topic=TOPIC, clock=lambda: 1, entropy=os.urandom)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    made = Database(database_url)
    yield made
    made.close()


async def test_the_first_gateway_marks_the_topics_once_and_passes_ever_after(
    tmp_path: Path, database: Database
) -> None:
    broker = WilfulBroker(tmp_path)
    for _ in range(3):
        guard = make_guard(broker, database, "first")
        await guard.verify()
        assert guard.has_passed
    assert await broker.bounds([(TOPIC, 0)]) == [(0, 1)]
    await broker.close()


async def test_a_second_gateway_is_refused_and_leaves_nothing(tmp_path: Path, database: Database) -> None:
    broker = WilfulBroker(tmp_path)
    await make_guard(broker, database, "first").verify()
    second = make_guard(broker, database, "second")
    for _ in range(2):
        with pytest.raises(NamesakeError, match=r"belongs to the gateway https://first\.example") as caught:
            await second.verify()
        assert "broker.topic_prefix and broker.checkpoint_topic" in caught.value.text
        assert "the same database.url" in caught.value.text
    assert not second.has_passed
    assert await broker.bounds([(TOPIC, 0)]) == [(0, 1)]
    await broker.close()


class Meeting(WilfulBroker):
    """Appends nothing before both have come with something."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.come = asyncio.Barrier(2)

    async def append(self, records: Sequence[Record]) -> list[Stored | Refused | Unknown]:
        """Wait for the other one."""
        await self.come.wait()
        return await super().append(records)


async def test_of_two_that_start_at_once_exactly_one_goes_on(tmp_path: Path, database: Database) -> None:
    broker = Meeting(tmp_path)
    await broker.ensure([TopicSpec(TOPIC, compacted=True)])
    guards = [make_guard(broker, database, name) for name in ("first", "second")]
    async with asyncio.TaskGroup() as group:
        for one in guards:
            group.create_task(one.settle())
    assert await broker.bounds([(TOPIC, 0)]) == [(0, 2)]
    assert sorted(one.has_passed for one in guards) == [False, True]
    assert [type(one.refusal) for one in guards if not one.has_passed] == [NamesakeError]
    for one in guards:
        await one.settle()
    assert sorted(one.has_passed for one in guards) == [False, True]
    await broker.close()


async def test_a_mark_whose_outcome_is_unknown_is_looked_for_again(
    tmp_path: Path, database: Database
) -> None:
    fates: list[Fate] = ["store_and_forget", "lose"]
    broker = EmbeddedBroker.open(
        tmp_path / "b.db",
        clock=lambda: 1,
        entropy=os.urandom,
        limit_bytes=10**6,
        fate=lambda _: fates.pop(0) if fates else "store",
    )
    guard = make_guard(broker, database, "first")
    await guard.settle()
    first = (guard.has_passed, guard.problem)
    await guard.settle()
    assert [first, (guard.has_passed, guard.problem)] == [
        (False, "no mark could be left in gateway.checkpoints: a test said so"),
        (True, ""),
    ]
    assert await broker.bounds([(TOPIC, 0)]) == [(0, 1)]
    await broker.close()


class Absence(EmbeddedBroker):
    """Says that it is away for as long as it is told to."""

    away_ms = 0

    def away_for_ms(self) -> int:
        return self.away_ms


async def test_a_running_gateway_stops_once_its_topics_are_anothers(
    tmp_path: Path, database: Database
) -> None:
    broker = Absence(tmp_path / "b.db", clock=lambda: 1, entropy=os.urandom, limit_bytes=10**6)
    guard = make_guard(broker, database, "first")
    await guard.verify()
    broker.away_ms = 1
    async with asyncio.TaskGroup() as group:
        running = group.create_task(told(guard, asyncio.Event()))
        await asyncio.sleep(0)
        await broker.delete_topic(TOPIC)
        await make_guard(broker, database, "second").verify()
        broker.away_ms = 0
    assert isinstance(running.result(), NamesakeError)
    await broker.close()


@pytest.mark.parametrize("name", [RESTORED, WITNESSED])
async def test_every_running_process_stops_once_one_has_noted_that_the_database_is_older(
    tmp_path: Path, database: Database, name: str
) -> None:
    """Whoever sequences finds it out; doors and relays sign and send no more, either."""
    broker = WilfulBroker(tmp_path)
    guards = [make_guard(broker, database, "first") for _ in range(2)]
    for one in guards:
        await one.verify()
    stop = asyncio.Event()
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        running = [group.create_task(told(one, stop)) for one in guards]
        await asyncio.sleep(0)
        await database.write(lambda session: facts.keep(session, name, "w1 holds 2 entries"))
    assert [type(one.result()) for one in running] == [LogBehindError, LogBehindError]
    assert not stop.is_set()
    await broker.close()


class Fallen(Database):
    """Answers nobody; after the second look the gateway is stopped."""

    looks = 0
    stop: asyncio.Event

    async def read(self, _: Callable[[Session], T]) -> T:
        """Be away."""
        self.looks += 1
        if self.looks > 1:
            self.stop.set()
        raise StoreError("store_unavailable", "away")


async def test_a_database_that_is_away_ends_no_guard(tmp_path: Path, migrated_file: Path) -> None:
    broker, fallen = WilfulBroker(tmp_path), Fallen(f"sqlite:///{migrated_file}")
    fallen.stop = asyncio.Event()
    guard = make_guard(broker, fallen, "first")
    await guard.verify()
    assert await told(guard, fallen.stop) is None
    assert (fallen.looks, guard.has_passed) == (2, True)
    fallen.close()
    await broker.close()


async def told(guard: Guard, stop: asyncio.Event) -> SetupError | None:
    try:
        await guard.run(stop)
    except SetupError as error:
        return error
    return None
