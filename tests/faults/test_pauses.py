"""Kafka and PostgreSQL paused, killed and cut off under load, and roles that are paused past their leases."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.forked_fleet import (
    ForkedFleet,
    Watcher,
    come_to_rest,
    doors_of,
    forked_fleet_on,
    onboard,
    remains_of,
    stop_all,
    verify_whole,
)
from tests.faults.receiver import Receiver, receiving
from tests.faults.workload import Sender
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.faults, pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(400)]

PARTNERS = {"acme": "none", "bolt": "key", "cork": "endpoint"}
HEAL_SECONDS = 60.0
MINUTE = 60.0
UNKNOWN = "503 outcome_unknown"
AWAY = "503 store_unavailable"

WAVE_SECONDS = 0.5
"""Enough is under way at any moment; for minutes, more would only take the processors from other tests."""


@dataclass
class Stage:
    """A fleet under load: two `serve`, a relay, a sequencer."""

    fleet: ForkedFleet
    kafka: KafkaServer
    postgres: PostgresServer
    receiver: Receiver
    sender: Sender
    watcher: Watcher

    async def hears(self, words: str) -> None:
        """Wait until one more request is answered so."""
        before = self.sender.answers[words]
        try:
            async with asyncio.timeout(HEAL_SECONDS):
                while True:
                    if self.sender.answers[words] > before:
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise AssertionError(f"no {words}: {self.sender.answers}; {self.fleet.said()}") from error

    async def pause(self, part: KafkaServer | PostgresServer, seconds: float, words: str = "") -> None:
        """Stop a server's processes in mid-air for so long, and until a request was answered so."""
        await asyncio.to_thread(part.pause)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(asyncio.sleep(seconds))
                if words:
                    tasks.create_task(self.hears(words))
        finally:
            await asyncio.to_thread(part.resume)
        await self.hears("201")

    async def kill_and_start(self, part: KafkaServer | PostgresServer, seconds: float) -> None:
        """SIGKILL a server, and start it again with its data after so long."""
        await asyncio.to_thread(part.kill)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(part.start)
        await self.hears("201")

    async def freeze(self, name: str, seconds: float) -> None:
        """Stop a role's process past its lease, so that it wakes up as one that others have replaced."""
        process = self.fleet.members[name].process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)
        await self.hears("201")


@pytest.fixture
def fleet(
    tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> Iterator[ForkedFleet]:
    with forked_fleet_on(tmp_path, kafka_server, postgres_server) as made:
        yield made


@asynccontextmanager
async def under_load(
    fleet: ForkedFleet, kafka: KafkaServer, postgres: PostgresServer
) -> AsyncIterator[Stage]:
    """Load while the block runs; after it everything that must be true."""
    await asyncio.to_thread(fleet.start, 2, 2, 2)
    with receiving() as receiver:
        keys = onboard(fleet, receiver, PARTNERS)
        sender = Sender(doors_of(fleet), keys, fleet.first.operator_key(), wave_seconds=WAVE_SECONDS)
        watcher = Watcher()
        stop = asyncio.Event()
        async with sender.connected():
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(_load(sender, stop))
                tasks.create_task(_watch(watcher, fleet, stop))
                try:
                    yield Stage(fleet, kafka, postgres, receiver, sender, watcher)
                finally:
                    stop.set()
            await sender.finish(60)
            await sender.send_all_again()
        await come_to_rest(fleet, receiver, sender.told)
        await watcher.look(fleet.first)
        await stop_all(fleet)
        found = verify_whole(fleet, receiver, sender, watcher, PARTNERS)
    sys.stdout.write(f"answers {dict(sender.answers)}, {dict(found.counts)}\n")


async def _load(sender: Sender, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await sender.send_new()


async def _watch(watcher: Watcher, fleet: ForkedFleet, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await watcher.look(fleet.first)
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 0.5)


async def test_a_kafka_that_is_paused_or_killed_leaves_unknown_outcomes_and_no_loss(
    fleet: ForkedFleet, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> None:
    async with under_load(fleet, kafka_server, postgres_server) as stage:
        await stage.hears("201")
        await stage.pause(kafka_server, 1.0)
        await stage.pause(kafka_server, 2.5, UNKNOWN)  # above the publish timeout
        await stage.pause(kafka_server, 8.0, UNKNOWN)  # above the message timeout
        await stage.kill_and_start(kafka_server, MINUTE)
    assert stage.sender.answers[UNKNOWN] >= 2


async def test_a_postgresql_that_is_paused_killed_or_cut_off_loses_and_doubles_nothing(
    fleet: ForkedFleet, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> None:
    name = remains_of(fleet).database_url.rpartition("/")[2]
    async with under_load(fleet, kafka_server, postgres_server) as stage:
        await stage.hears("201")
        await stage.pause(postgres_server, 1.0)
        await stage.pause(postgres_server, 3.0, AWAY)
        await stage.pause(postgres_server, 8.0, AWAY)
        await stage.kill_and_start(postgres_server, MINUTE)
        for _ in range(12):
            assert await asyncio.to_thread(postgres_server.cut, name) > 0
            await stage.hears("201")


async def test_roles_that_wake_up_after_their_leases_lose_and_double_nothing(
    fleet: ForkedFleet, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> None:
    async with under_load(fleet, kafka_server, postgres_server) as stage:
        await stage.hears("201")
        for name in ("relay-1", "sequence-1", "serve-2", "relay-2", "sequence-2"):
            await stage.freeze(name, 2.5)
        # Between two statements of a round, it may be; what it has read by then another enters.
        for name in ("sequence-1", "sequence-2") * 4:
            await stage.freeze(name, 1.2)
