"""PostgreSQL's own backups, as docs/backup.md has them: a dump; a base backup with an archive of its log."""

import asyncio
import os
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from audit import log as audit_log
from audit.checkpoint import split_origin
from gateway.bootstrap.ground import open_broker, prepare
from gateway.bootstrap.parts import make_guard
from gateway.bootstrap.upkeep import examining, new_epochs
from gateway.upkeep.epochs import Wish
from tests.postgres_server import PostgresServer
from tests.world import FIRST, World, make_settings, running

HASTE = {"lease.duration": "1s"}


class Archiving(PostgresServer):
    """A server that archives its log, and can be brought back from a base backup and that archive."""

    def __init__(self) -> None:
        super().__init__(["archive_mode=on", "archive_command=cp %p ../archive/%f"])
        self.make_folder("archive")

    def make_folder(self, name: str) -> None:
        """A folder beside the server's data, of its user."""
        folder = self._folder / name
        folder.mkdir(mode=0o700)
        if self._user is not None:
            os.chown(folder, self._user, -1)

    def base_backup(self) -> None:
        """As an operator takes it."""
        place = f"host=127.0.0.1 port={self.port} user=gateway"
        self._run("pg_basebackup", "-D", str(self._folder / "base"), "-d", place, "-X", "none", "-c", "fast")

    def recover(self) -> None:
        """Put the base backup in place of the data, and have the log read up to the moment called noon."""
        shutil.rmtree(self._data)
        (self._folder / "base").rename(self._data)
        with (self._data / "postgresql.auto.conf").open("a") as file:
            file.write("restore_command = 'cp ../archive/%f %p'\n")
            file.write("recovery_target_name = 'noon'\nrecovery_target_action = 'promote'\n")
        (self._data / "recovery.signal").touch()
        if self._user is not None:
            os.chown(self._data / "recovery.signal", self._user, -1)

    def wait_until_recovered(self) -> None:
        """Until it takes writes again."""
        while self.execute("SELECT pg_is_in_recovery()")[0][0]:
            time.sleep(0.05)


def body(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": number}


async def published(world: World) -> None:
    async with asyncio.timeout(30):
        while True:
            with world.parts.ground.database.begin() as session:
                newest = {split_origin(one.head.origin)[0]: one for one in audit_log.heads(session)}
            if all(one.head.size == one.checkpoint_size for one in newest.values()):
                return
            await asyncio.sleep(0.02)


def faults(folder: Path, url: str) -> list[str]:
    with examining(make_settings(folder, url=url), ()) as found:
        return [f"{one.what} {one.origin} {one.detail}" for one in found.faults(lambda _: None)]


async def is_refused(folder: Path, url: str) -> bool:
    settings = make_settings(folder, url=url)
    ground, broker = prepare(settings, "up"), open_broker(settings)
    guard = make_guard(ground, broker)
    await guard.settle()
    await broker.close()
    ground.database.close()
    assert guard.has_passed or guard.refusal is not None
    return guard.refusal is not None


@pytest.mark.postgres
async def test_a_dump_is_a_backup_of_one_moment(tmp_path: Path, postgres_server: PostgresServer) -> None:
    with postgres_server.database() as url, postgres_server.database(is_empty=True) as other:
        async with running(tmp_path, url=url, flags=HASTE) as world:
            await world.apply()
            await world.send(body(1))
            await world.settled(FIRST + 1)
            await published(world)
            file = postgres_server._folder / "gateway.dump"
            postgres_server._run("pg_dump", "--format=custom", f"--file={file}", f"--dbname={url}")
        postgres_server._run("pg_restore", "--exit-on-error", "--no-owner", f"--dbname={other}", str(file))
        assert faults(tmp_path, other) == []
        assert not await is_refused(tmp_path, other)
        async with running(tmp_path, url=other, flags=HASTE) as world:
            await world.send(body(2))
            await world.settled(1)
            await published(world)
        # The first database is behind now: the topic shows what the other one has published.
        assert await is_refused(tmp_path, url)


@pytest.fixture
def archiving() -> Iterator[Archiving]:
    server = Archiving()
    server.start()
    yield server
    server.remove()


@pytest.mark.postgres
async def test_a_base_backup_and_the_log_bring_any_moment_back(tmp_path: Path, archiving: Archiving) -> None:
    with archiving.database() as url:
        async with running(tmp_path, url=url, flags=HASTE) as world:
            await world.apply()
            await world.send(body(1))
            await world.settled(FIRST + 1)
            await published(world)
            archiving.base_backup()
            await world.send(body(2))
            await world.settled(FIRST + 2)
            await published(world)
            archiving.execute("SELECT pg_create_restore_point('noon')")
            await world.send(body(3))
            await world.settled(FIRST + 3)
            await published(world)
            archiving.execute("SELECT pg_switch_wal()")
        archiving.stop()
        archiving.recover()
        archiving.start()
        archiving.wait_until_recovered()
        assert await is_refused(tmp_path, url)
        work = partial(
            new_epochs, make_settings(tmp_path, url=url), Wish("restored to noon"), is_rehearsal=False
        )
        begun = await asyncio.get_running_loop().run_in_executor(None, work)
        assert [one.origin[-2:] for one in begun.opened] == ["/2"]
        async with running(tmp_path, url=url, flags=HASTE) as world:
            await world.settled(1)  # the third event, from its record
            await published(world)
            again = await world.send(body(1), body(2), body(3))
            assert all(getattr(one, "duplicate", False) for one in again)
        assert faults(tmp_path, url) == []
