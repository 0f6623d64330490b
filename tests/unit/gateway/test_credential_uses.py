"""When credentials were used last: noted at once, written seldom, the later time wins."""

import asyncio
from collections.abc import Iterator

import pytest

from gateway.credential_uses import CredentialUses, load
from gateway.database import Database
from gateway.errors import StoreError


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


async def written(database: Database) -> dict[str, int]:
    return await database.read(lambda session: load(session, ["crd_a", "crd_b", "crd_c"]))


async def test_what_is_noted_is_known_at_once_and_written_later(database: Database) -> None:
    uses = CredentialUses(database)
    uses.note(["crd_a", "crd_b"], 1_000)
    uses.note(["crd_a"], 2_000)
    assert await written(database) == {}
    assert await uses.find(["crd_a", "crd_b", "crd_c"]) == {"crd_a": 2_000, "crd_b": 1_000}
    await uses.write()
    assert await written(database) == {"crd_a": 2_000, "crd_b": 1_000}
    assert await uses.find(["crd_b"]) == {"crd_b": 1_000}


async def test_of_two_processes_the_later_use_wins(database: Database) -> None:
    one, two = CredentialUses(database), CredentialUses(database)
    one.note(["crd_a", "crd_b"], 5_000)
    two.note(["crd_a"], 4_000)
    two.note(["crd_b"], 6_000)
    await one.write()
    await two.write()
    assert await written(database) == {"crd_a": 5_000, "crd_b": 6_000}
    assert await one.find(["crd_a", "crd_b"]) == {"crd_a": 5_000, "crd_b": 6_000}


async def test_nothing_new_writes_nothing_and_the_rest_is_written_at_the_end(database: Database) -> None:
    uses, stop = CredentialUses(database), asyncio.Event()
    await uses.write()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(uses.run(stop))
        await asyncio.sleep(0)
        uses.note(["crd_c"], 7_000)
        stop.set()
    assert await written(database) == {"crd_c": 7_000}


async def test_it_is_written_again_and_again_while_it_runs(database: Database) -> None:
    uses, stop = CredentialUses(database, write_seconds=0.01), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(uses.run(stop))
        for at in (1_000, 2_000):
            uses.note(["crd_a"], at)
            async with asyncio.timeout(20):
                while await written(database) != {"crd_a": at}:  # noqa: ASYNC110 - SQL tells nobody of a change
                    await asyncio.sleep(0.01)
        stop.set()


async def test_what_could_not_be_written_is_kept_and_what_came_later_wins() -> None:
    uses = CredentialUses(Database("postgresql://nobody@127.0.0.1:1/none"))
    uses.note(["crd_a", "crd_b"], 1_000)
    with pytest.raises(StoreError):
        await uses.write()
    uses.note(["crd_a"], 2_000)
    assert uses.unwritten() == {"crd_a": 2_000, "crd_b": 1_000}
