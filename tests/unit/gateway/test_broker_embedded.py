"""What only the embedded broker does: one file, one owner, limits, compaction, a full disk."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.broker.embedded import EmbeddedBroker, Fate
from gateway.broker.embedded_file import EmbeddedFile
from gateway.broker.embedded_format import EmbeddedLockedError
from gateway.broker.port import (
    BrokerError,
    Read,
    Record,
    Refused,
    Stored,
    TopicChanged,
    TopicSpec,
    Unknown,
)
from tests.contract.broker_stands import make_topic, read_until, record, start, values

NAME = "partners.acme.inbound"
NOW = 1_800_000_000_000
HOUR = 3_600_000


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def broker(tmp_path: Path, clock: Clock) -> AsyncIterator[EmbeddedBroker]:
    opened = open_broker(tmp_path, clock)
    yield opened
    await opened.close()


def open_broker(folder: Path, clock: Clock, limit_bytes: int = 10_000_000) -> EmbeddedBroker:
    return EmbeddedBroker.open(folder / "broker.db", clock=clock, entropy=os.urandom, limit_bytes=limit_bytes)


def of_size(size: int, at: int = NOW, key: bytes | None = b"") -> Record:
    return record(NAME, bytes(size), key=key, at=at)


async def test_a_second_owner_is_told_which_file_and_which_process(
    broker: EmbeddedBroker, tmp_path: Path, clock: Clock
) -> None:
    with pytest.raises(EmbeddedLockedError) as locked:
        open_broker(tmp_path, clock)
    assert locked.value.code == "broker_refused"
    assert str(tmp_path / "broker.db") in str(locked.value)
    assert str(os.getpid()) in str(locked.value)
    assert broker.away_for_ms() == 0


async def test_the_lock_ends_with_its_owner(tmp_path: Path, clock: Clock) -> None:
    for _ in range(2):
        await open_broker(tmp_path, clock).close()


async def test_a_file_of_a_newer_format_is_left_alone(tmp_path: Path, clock: Clock) -> None:
    await open_broker(tmp_path, clock).close()
    with closing(sqlite3.connect(tmp_path / "broker.db")) as sql, sql:
        sql.execute("PRAGMA user_version = 2")
    sql.close()
    with pytest.raises(BrokerError, match="newer gateway") as refused:
        open_broker(tmp_path, clock)
    assert refused.value.code == "broker_refused"


async def test_another_database_is_not_taken_over(tmp_path: Path, clock: Clock) -> None:
    with closing(sqlite3.connect(tmp_path / "broker.db")) as sql, sql:
        sql.execute("CREATE TABLE theirs (n INTEGER)")
    sql.close()
    with pytest.raises(BrokerError, match="not the embedded broker's"):
        open_broker(tmp_path, clock)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "broker.db").write_bytes(b"something else entirely" * 100)
    with pytest.raises(BrokerError, match="not a SQLite file"):
        open_broker(tmp_path, clock)


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(BrokerError, match="must exist and be writable"):
        open_broker(tmp_path / "missing", clock)


async def test_durability_does_not_rest_on_a_lucky_shutdown(broker: EmbeddedBroker) -> None:
    def settings(file: EmbeddedFile) -> tuple[object, object]:
        pragma = file._sql.execute
        return pragma("PRAGMA journal_mode").fetchone()[0], pragma("PRAGMA synchronous").fetchone()[0]

    assert await broker._work(settings) == ("wal", 2)


def test_what_was_acknowledged_outlives_a_kill(tmp_path: Path) -> None:
    program = """
import asyncio, os, sys, time
from pathlib import Path
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.port import Record, TopicSpec

async def main() -> None:
    broker = EmbeddedBroker.open(
        Path(sys.argv[1]), clock=lambda: 1_800_000_000_000, entropy=os.urandom, limit_bytes=10**9
    )
    await broker.ensure([TopicSpec("t")])
    while True:
        (answer,) = await broker.append([Record("t", 0, None, b"v", (), 1_800_000_000_000)])
        print(answer.position.offset, flush=True)

asyncio.run(main())
"""
    path = tmp_path / "broker.db"
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, cwd=Path.cwd(), text=True
    )
    assert started.stdout is not None
    seen = [int(started.stdout.readline()) for _ in range(200)]
    started.kill()
    seen += [int(line) for line in started.stdout.read().split("\n")[:-1]]
    started.stdout.close()
    started.wait()
    assert seen == list(range(len(seen)))
    file = EmbeddedFile(path, limit_bytes=10**9)
    assert file.partitions["t", 0].next >= len(seen)
    file.close()


async def test_appends_that_arrive_together_are_committed_together(broker: EmbeddedBroker) -> None:
    await make_topic(broker, NAME)
    count = 300
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(broker.append([of_size(10)])) for _ in range(count)]
    offsets = [one.position.offset for task in tasks for one in task.result() if isinstance(one, Stored)]
    assert offsets == list(range(count))


async def test_retention_takes_the_old_from_the_front_only(broker: EmbeddedBroker, clock: Clock) -> None:
    topic = await make_topic(broker, NAME, retention_ms=HOUR)
    ages = [3 * HOUR, 2 * HOUR, 0, 2 * HOUR, 0]
    await broker.append([of_size(10, NOW - age) for age in ages])
    await broker.trim()
    # The fourth is old enough, but stands behind one that is kept: only the front moves.
    assert await broker.bounds([(NAME, 0)]) == [(2, 5)]
    clock.now += 2 * HOUR
    await broker.trim()
    assert await broker.bounds([(NAME, 0)]) == [(5, 5)]
    reader = broker.reader()
    reader.assign([start(NAME, topic.id, 5)])
    await broker.append([of_size(1, clock.now)])
    assert len(await read_until(reader, 1)) == 1


async def test_what_a_lengthened_topic_has_stays_for_its_new_time(tmp_path: Path, clock: Clock) -> None:
    broker = open_broker(tmp_path, clock)
    await make_topic(broker, NAME, retention_ms=HOUR)
    await broker.append([of_size(10)])
    await broker.ensure([TopicSpec(NAME, retention_ms=3 * HOUR, least_ms=3 * HOUR)])
    clock.now += 2 * HOUR
    await broker.trim()
    assert await broker.bounds([(NAME, 0)]) == [(0, 1)]
    await broker.close()
    again = open_broker(tmp_path, clock)
    await again.trim()
    assert await again.bounds([(NAME, 0)]) == [(0, 1)]
    clock.now += 2 * HOUR
    await again.trim()
    assert await again.bounds([(NAME, 0)]) == [(1, 1)]
    await again.close()


async def test_without_retention_nothing_is_taken(broker: EmbeddedBroker, clock: Clock) -> None:
    await make_topic(broker, NAME)
    await broker.append([of_size(10)])
    clock.now += 100_000 * HOUR
    await broker.trim()
    assert await broker.bounds([(NAME, 0)]) == [(0, 1)]


async def test_at_the_limit_the_old_go_and_then_the_new_are_refused(tmp_path: Path, clock: Clock) -> None:
    broker = open_broker(tmp_path, clock, limit_bytes=10_640)
    await make_topic(broker, NAME, retention_ms=HOUR)
    old = [of_size(1_000, NOW - HOUR - 1)] * 4
    await broker.append([*old, *[of_size(1_000)] * 6])
    assert await broker.bounds([(NAME, 0)]) == [(0, 10)]
    room = await broker.append([of_size(1_000)] * 5)
    assert [isinstance(answer, Stored) for answer in room] == [True] * 4 + [False]
    assert isinstance(room[4], Refused)
    assert room[4].code == "storage_full"
    assert "broker.embedded_bytes" in room[4].reason
    assert await broker.bounds([(NAME, 0)]) == [(4, 14)]
    clock.now += HOUR + 1
    (again,) = await broker.append([of_size(1_000, clock.now)])
    assert isinstance(again, Stored)
    await broker.close()


async def test_the_limit_counts_what_was_there_before_a_restart(tmp_path: Path, clock: Clock) -> None:
    for expected in (Stored, Refused):
        broker = open_broker(tmp_path, clock, limit_bytes=1_500)
        await make_topic(broker, NAME)
        (answer,) = await broker.append([of_size(1_000)])
        assert isinstance(answer, expected)
        await broker.close()


async def test_a_full_disk_refuses_and_recovers_by_itself(broker: EmbeddedBroker) -> None:
    topic = await make_topic(broker, NAME)
    await broker.append([of_size(100)])

    def allow(pages: int) -> None:
        broker._file._sql.execute(f"PRAGMA max_page_count = {pages}")

    pages = broker._file._sql.execute("PRAGMA page_count").fetchone()[0]
    await broker._work(lambda _: allow(pages))
    answers = await broker.append([of_size(200_000), of_size(1)])
    assert [answer.code for answer in answers if isinstance(answer, Refused)] == ["storage_full"] * 2
    await broker._work(lambda _: allow(1_000_000))
    (answer,) = await broker.append([of_size(200_000)])
    assert isinstance(answer, Stored)
    assert answer.position.offset == 1
    reader = broker.reader()
    reader.assign([start(NAME, topic.id)])
    assert [len(value or b"") for value in values(await read_until(reader, 2))] == [100, 200_000]


async def test_compaction_keeps_the_newest_of_each_key(broker: EmbeddedBroker, clock: Clock) -> None:
    spec = TopicSpec(NAME, compacted=True, retention_ms=1)
    topic = (await broker.ensure([spec]))[NAME]
    for value in (b"1", b"2", None):
        await broker.append([record(NAME, value, key=key, at=NOW) for key in (b"a", b"b")])
    await broker.append([record(NAME, b"3", key=b"a", at=NOW)] * 2)
    clock.now += HOUR
    await broker.trim()
    assert await broker.bounds([(NAME, 0)]) == [(0, 8)]
    reader = broker.reader()
    reader.assign([start(NAME, topic.id)])
    found = [event for event in await read_until(reader, 2) if isinstance(event, Read)]
    assert [(read.position.offset, read.record.key, read.record.value) for read in found] == [
        (5, b"b", None),
        (7, b"a", b"3"),
    ]
    assert reader.reached(NAME, 0) == 8


async def test_compaction_wins_its_bytes_back(tmp_path: Path, clock: Clock) -> None:
    broker = open_broker(tmp_path, clock, limit_bytes=3_000)
    await broker.ensure([TopicSpec(NAME, compacted=True)])
    for _ in range(50):
        (answer,) = await broker.append([of_size(1_000, key=b"k")])
        assert isinstance(answer, Stored)
    await broker.close()


@pytest.mark.parametrize(("fate", "kept"), [("lose", 0), ("store_and_forget", 1)])
async def test_a_test_can_make_an_outcome_unknown(
    tmp_path: Path, clock: Clock, fate: Fate, kept: int
) -> None:
    broker = EmbeddedBroker.open(
        tmp_path / "broker.db",
        clock=clock,
        entropy=os.urandom,
        limit_bytes=10_000,
        fate=lambda one: fate if one.value == b"odd" else "store",
    )
    await make_topic(broker, NAME)
    answers = await broker.append([record(NAME, b"odd", at=NOW), record(NAME, b"even", at=NOW)])
    assert isinstance(answers[0], Unknown)
    assert isinstance(answers[1], Stored)
    assert await broker.bounds([(NAME, 0)]) == [(0, 1 + kept)]
    await broker.close()


async def test_a_closed_broker_refuses(tmp_path: Path, clock: Clock) -> None:
    broker = open_broker(tmp_path, clock)
    await make_topic(broker, NAME)
    reader = broker.reader()
    await broker.close()
    (answer,) = await broker.append([of_size(1)])
    assert isinstance(answer, Refused)
    assert answer.code == "unavailable"
    with pytest.raises(BrokerError, match="closed"):
        await broker.ensure([TopicSpec(NAME)])
    assert await reader.poll(1, 0) == []


async def test_a_hole_made_while_reading_is_never_passed_over(broker: EmbeddedBroker, clock: Clock) -> None:
    topic = await make_topic(broker, NAME, retention_ms=HOUR)
    await broker.append([of_size(10) for _ in range(20)])
    reader = broker.reader()
    reader.assign([start(NAME, topic.id)])
    assert len(await reader.poll(5, 0)) == 5
    clock.now += HOUR + 1
    await broker.append([of_size(10, clock.now)])
    await broker.trim()
    (hole,) = await reader.poll(5, 1_000)
    assert (hole.__class__.__name__, getattr(hole, "first", None)) == ("TooLow", 20)


async def test_a_poll_stops_at_its_bytes(broker: EmbeddedBroker) -> None:
    topic = await make_topic(broker, NAME)
    for _ in range(9):
        await broker.append([of_size(999_000, key=b"k")])
    reader = broker.reader()
    reader.assign([start(NAME, topic.id)])
    first = await reader.poll(100, 1_000)
    assert len(first) < 10
    assert len(first) + len(await read_until(reader, 9 - len(first))) == 9


@pytest.mark.parametrize("is_made_again", [False, True])
async def test_a_change_of_topic_wakes_a_poll_so_that_no_interval_delays_it(
    broker: EmbeddedBroker, *, is_made_again: bool
) -> None:
    topic = await make_topic(broker, NAME)
    reader = broker.reader()
    reader.assign([start(NAME, topic.id)])
    assert await reader.poll(10, 0) == []
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(reader.poll(10, HOUR))
        await asyncio.sleep(0.05)
        await broker.delete_topic(NAME)
        if is_made_again:
            await make_topic(broker, NAME)
    (changed,) = waiting.result()
    assert isinstance(changed, TopicChanged)
    assert (changed.topic, changed.old_id) == (NAME, topic.id)


async def test_a_change_of_topic_between_two_polls_is_what_the_second_returns(broker: EmbeddedBroker) -> None:
    topic = await make_topic(broker, NAME)
    reader = broker.reader()
    reader.assign([start(NAME, topic.id)])
    assert await reader.poll(10, 0) == []
    await broker.delete_topic(NAME)
    assert await reader.poll(10, 0) == [TopicChanged(NAME, topic.id, None)]
