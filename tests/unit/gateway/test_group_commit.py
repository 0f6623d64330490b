import asyncio
import threading
from collections.abc import Iterator, Sequence

import pytest
from sqlmodel import Session

from gateway.database import Database
from gateway.errors import BugError, OverloadedError, StoreError, StoreUnknownError
from gateway.group_commit import GroupCommit


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


class Doubling:
    """Work that doubles numbers, remembers its groups, and waits at a gate when told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error: Exception | None = None

    def __call__(self, _session: Session, items: Sequence[int]) -> list[int | Exception]:
        assert self.gate.wait(10)
        self.groups.append(list(items))
        if self.error:
            raise self.error
        return [ValueError(str(n)) if n < 0 else 2 * n for n in items]


async def gathered(queue: GroupCommit[int, int], numbers: Sequence[int]) -> list[int | BaseException]:
    async def one(number: int) -> int | BaseException:
        try:
            return await queue.submit(number)
        except Exception as error:  # noqa: BLE001 - the test looks at each outcome
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(number)) for number in numbers]
    return [task.result() for task in tasks]


async def test_each_item_gets_its_own_result(database: Database) -> None:
    assert await gathered(GroupCommit(database, Doubling()), range(50)) == [2 * n for n in range(50)]


async def test_what_arrives_during_a_commit_is_written_together_in_order(database: Database) -> None:
    work = Doubling()
    work.gate.clear()
    queue = GroupCommit(database, work, limit=4)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(gathered(queue, range(10)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        work.gate.set()
    assert running.result() == [2 * n for n in range(10)]
    assert work.groups == [[0], [1, 2, 3, 4], [5, 6, 7, 8], [9]]


async def test_error_of_the_group_reaches_all_its_items_and_no_other(database: Database) -> None:
    work = Doubling()
    work.error = StoreUnknownError("lost")
    queue = GroupCommit(database, work)
    outcomes = await gathered(queue, range(3))
    assert [type(each) for each in outcomes] == [StoreUnknownError] * 3
    work.error = None
    assert await queue.submit(4) == 8


async def test_error_of_one_item_reaches_that_item_alone(database: Database) -> None:
    first, second, third = await gathered(GroupCommit(database, Doubling()), [1, -2, 3])
    assert (first, third) == (2, 6)
    assert isinstance(second, ValueError)


async def test_full_queue_refuses_and_keeps_what_it_has(database: Database) -> None:
    work = Doubling()
    work.gate.clear()
    queue = GroupCommit(database, work, waiting=2)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(gathered(queue, range(3)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await queue.submit(9)
        work.gate.set()
    assert running.result() == [0, 2, 4]


async def test_cancelled_item_is_dropped_while_it_waits(database: Database) -> None:
    work = Doubling()
    work.gate.clear()
    queue = GroupCommit(database, work)
    async with asyncio.TaskGroup() as group:
        first = group.create_task(queue.submit(1))
        second = group.create_task(queue.submit(2))
        third = group.create_task(queue.submit(3))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        work.gate.set()
    assert (first.result(), third.result()) == (2, 6)
    assert work.groups == [[1], [3]]


async def test_wrong_number_of_results_is_our_bug(database: Database) -> None:
    queue: GroupCommit[int, int] = GroupCommit(database, lambda _session, _items: [])
    with pytest.raises(BugError):
        await queue.submit(1)


async def test_close_settles_what_is_queued_and_refuses_more(database: Database) -> None:
    queue = GroupCommit(database, Doubling())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(gathered(queue, range(5)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        await queue.close()
        assert running.done() or await running
    assert running.result() == [0, 2, 4, 6, 8]
    with pytest.raises(StoreError):
        await queue.submit(1)


async def test_closed_database_fails_the_items(database: Database) -> None:
    queue = GroupCommit(database, Doubling())
    database.close()
    assert [type(each) for each in await gathered(queue, range(3))] == [StoreError] * 3
