"""Two programs one revision apart on one Kafka and PostgreSQL: the new one migrates while the old one runs.

The new program is a copy of this one with one more migration, which adds a table, and a column that it uses.
"""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from gateway.migrations import history
from tests.acceptance.running import ROOT, Gateway
from tests.faults.forked_fleet import (
    ForkedFleet,
    Watcher,
    come_to_rest,
    doors_of,
    forked_fleet_on,
    onboard,
    remains_of,
    verify_whole,
)
from tests.faults.program import Fault, Forked
from tests.faults.receiver import receiving
from tests.faults.workload import Sender
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(400)]

WAIT_SECONDS = 120.0
PAUSE_SECONDS = 0.2
LEAST_WAVES, MOST_WAVES = 3, 12
"""In each part: what is under test is the change, not the load, and a slow machine needs no more of it."""

PARTNERS = {"acme": "key"}
PACKAGES = ("gateway", "partners", "schemas", "audit")
LAST_COLUMN = "    leaf_index: int | None = Field(default=None, sa_type=BigInteger)\n"
LAST_VALUE = '        "owner": "",\n'
MIGRATION = '''"""Expand: a table and a column that the program before does not know."""

import sqlalchemy as sa
from alembic import op

revision = "REVISION"
down_revision = "BEFORE"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Forward only."""
    op.create_table("gateway_extra_REVISION", sa.Column("id", sa.Integer(), primary_key=True))
    op.add_column("gateway_claim", sa.Column("extra_REVISION", sa.Text(), nullable=True))
'''


@dataclass
class Tree:
    """The sources of a program of later revisions."""

    folder: Path
    revision: int = field(default_factory=lambda: int(history.head()))

    def expand(self) -> None:
        """One more revision."""
        before, self.revision = self.revision, self.revision + 1
        text = MIGRATION.replace("REVISION", f"{self.revision:04}").replace("BEFORE", f"{before:04}")
        versions = self.folder / "gateway" / "migrations" / "versions"
        (versions / f"{self.revision:04}_extra.py").write_text(text)
        rows = self.folder / "gateway" / "rows.py"
        more = f"    extra_{self.revision:04}: str | None = None\n"
        rows.write_text(rows.read_text().replace(LAST_COLUMN, LAST_COLUMN + more, 1))
        claims = self.folder / "gateway" / "ingress" / "claims.py"
        said = f'{LAST_VALUE}        "extra_{self.revision:04}": "new",\n'
        claims.write_text(claims.read_text().replace(LAST_VALUE, said, 1))


@dataclass
class Newer(Gateway):
    """A process of the new program."""

    tree: Path = ROOT

    def launch(self, *command: str, fault: Fault | None = None) -> subprocess.Popen[bytes] | Forked:
        """Start it without waiting."""
        assert fault is None
        settings = {
            f"GATEWAY_{key.replace('.', '__').upper()}": str(value) for key, value in self.settings().items()
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway", *command, "--data", str(self.folder)],
                cwd=self.tree,
                env={**os.environ, **settings, "PYTHONPATH": str(self.tree)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        return self.process


@pytest.fixture
def newer(tmp_path: Path) -> Tree:
    folder = tmp_path / "newer"
    for name in PACKAGES:
        # With what Python has compiled: times of files are kept, and so it stays good.
        shutil.copytree(ROOT / name, folder / name)
    made = Tree(folder)
    made.expand()
    return made


@pytest.fixture
def fleet(
    tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> Iterator[ForkedFleet]:
    with forked_fleet_on(tmp_path, kafka_server, postgres_server) as made:
        yield made


@asynccontextmanager
async def under_load(sender: Sender) -> AsyncIterator[None]:
    """Some waves of events, and repeats of what was not answered, while the block runs."""
    is_over = asyncio.Event()

    async def send() -> None:
        waves = 0
        while waves < LEAST_WAVES or not is_over.is_set():
            if waves < MOST_WAVES:
                await sender.send_new()
                waves += 1
            await asyncio.sleep(PAUSE_SECONDS)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        try:
            yield
        finally:
            is_over.set()


async def until(look: Callable[[], bool], said: Callable[[], str]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS
    while not await asyncio.to_thread(look):
        assert loop.time() < deadline, said()
        await asyncio.sleep(0.05)


def add_newer(fleet: ForkedFleet, tree: Path) -> list[Gateway]:
    """One of each role, not started yet."""
    for role in ("serve", "relay", "sequence"):
        one = fleet.add(role)
        fleet.members[one.folder.name] = Newer(one.folder, one.flags, one.port, tree=tree)
    return [one for one in fleet.members.values() if isinstance(one, Newer)]


async def until_ready(door: Gateway) -> None:
    def is_ready() -> bool:
        try:
            return httpx.get(f"{door.url}/readyz", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    await until(is_ready, door.said)


async def run(one: Gateway, *command: str) -> None:
    process = one.launch(*command)
    assert await asyncio.to_thread(process.wait, WAIT_SECONDS) == 0, one.said()


async def stop(members: list[Gateway]) -> None:
    for one in members:
        assert await asyncio.to_thread(one.stop) == 0, one.said()


async def upgrade_under_load(fleet: ForkedFleet, sender: Sender, tree: Path) -> None:
    old = list(fleet.members.values())
    new = add_newer(fleet, tree)
    async with sender.connected(), under_load(sender):
        await run(new[0], "migrate")
        for one in new:
            one.launch(one.folder.name.split("-")[0])
        await until_ready(new[0])
    sender.doors = doors_of(fleet)
    async with sender.connected(), under_load(sender):
        watch(old, new)
    sender.doors = [new[0]]
    async with sender.connected(), under_load(sender):
        await stop(old)
        for one in old:
            one.launch(one.folder.name.split("-")[0])
        await until_ready(old[0])
    sender.doors = doors_of(fleet)
    async with sender.connected():
        async with under_load(sender):
            watch(old, new)
        await sender.finish(WAIT_SECONDS)
        await sender.send_all_again()


def watch(*sides: list[Gateway]) -> None:
    """None of them may end."""
    for one in (member for side in sides for member in side):
        assert one.process is not None
        assert one.process.poll() is None, one.said()


async def test_the_new_program_migrates_and_works_beside_the_old_one_which_may_start_again(
    fleet: ForkedFleet, newer: Tree
) -> None:
    with receiving() as receiver:
        fleet.start()
        keys = onboard(fleet, receiver, PARTNERS)
        sender, watcher = Sender([fleet.first], keys, fleet.first.operator_key()), Watcher()
        await upgrade_under_load(fleet, sender, newer.folder)
        await come_to_rest(fleet, receiver, sender.told)
        await watcher.look(fleet.first)
        await stop(list(fleet.members.values()))
        verify_whole(fleet, receiver, sender, watcher, PARTNERS)
    claims = list(remains_of(fleet).rows("SELECT * FROM gateway_claim"))
    assert {claim[-1] for claim in claims} == {None, "new"}
    newer.expand()
    await run(fleet.members["serve-2"], "migrate")
    old = Gateway(fleet.first.folder, fleet.first.flags, fleet.first.port)
    assert "install a newer program" in await asyncio.to_thread(old.refuses, "serve")
