import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.bootstrap.belonging import BrokerForeignError, verify_belongs
from gateway.bootstrap.ground import open_broker, prepare
from tests.world import FIRST, make_settings, running


def body(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": number}


async def fill(folder: Path) -> None:
    async with running(folder) as world:
        await world.apply()
        await world.send(*map(body, range(4)))
        await world.settled(FIRST + 4)


async def look(folder: Path) -> None:
    settings = make_settings(folder)
    ground, broker = prepare(settings, "up"), open_broker(settings)
    try:
        await verify_belongs(ground.database, broker)
    finally:
        await broker.close()
        ground.database.close()


def copy_broker(folder: Path, to: Path) -> None:
    to.mkdir(exist_ok=True)
    for file in folder.glob("broker.db*"):
        shutil.copy2(file, to / file.name)


def drop_broker(folder: Path) -> None:
    for file in folder.glob("broker.db*"):
        file.unlink()


async def test_a_broker_belongs_to_the_database_that_read_it(tmp_path: Path) -> None:
    await look(tmp_path)
    await fill(tmp_path)
    await look(tmp_path)


async def test_a_missing_broker_is_refused(tmp_path: Path) -> None:
    await fill(tmp_path)
    drop_broker(tmp_path)
    with pytest.raises(BrokerForeignError, match="it has no topic"):
        await look(tmp_path)


async def test_another_ones_broker_is_refused(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    for folder in (ours, theirs):
        folder.mkdir()
        await fill(folder)
    drop_broker(ours)
    copy_broker(theirs, ours)
    with pytest.raises(BrokerForeignError, match="is another one"):
        await look(ours)


async def test_a_broker_from_an_older_backup_is_refused_and_a_running_gateway_says_so(tmp_path: Path) -> None:
    await fill(tmp_path)
    copy_broker(tmp_path, tmp_path / "old")
    async with running(tmp_path) as world:
        await world.send(*map(body, range(10, 14)))
        await world.settled(4)
        await asyncio.sleep(0.2)
    drop_broker(tmp_path)
    copy_broker(tmp_path / "old", tmp_path)
    with pytest.raises(BrokerForeignError, match="ends at 4, and was read up to 8"):
        await look(tmp_path)
    drop_broker(tmp_path)
    copy_broker(tmp_path / "old", tmp_path)
    async with running(tmp_path) as world:
        async with asyncio.timeout(60):
            while not world.parts.sequencer.lost:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.02)
        assert "has lost records" in "".join(world.parts.sequencer.lost.values())
