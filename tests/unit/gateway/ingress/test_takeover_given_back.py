"""A take-over that has certainly produced nothing gives the lease back; one that may have does not.

Leases last 15 s here, and no test waits that long: what is taken over again was given back.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import pytest
from sqlmodel import Session

from gateway.broker.embedded import Fate as Whim
from gateway.broker.port import BrokerError, Refused
from gateway.database import Database, clock
from gateway.errors import StoreError
from gateway.event import EventKey
from gateway.group_commit import GroupCommit
from gateway.ingress.claims import Answer, Found, GiveBack, TakeOver, Write, expire_leases, read, write_group
from gateway.ingress.outcome import Accepted, Failed
from gateway.ingress.publish import Fate
from gateway.ingress.takeover import TakeOvers
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.unit.gateway.ingress.test_takeover import insisted
from tests.world import World, running

T = TypeVar("T")

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}
REF = EventKey("acme", "inbound", "/partners/acme", "A-1").ref()
LEASE_MS = 15_000


class Tapped(GroupCommit[Write, Answer]):
    """The queue to the database, with an account of take-overs and of what is given back.

    `gate`: what is given back waits here before it is written. `failure`: what giving back ends in.
    """

    def __init__(self, database: Database) -> None:
        super().__init__(database, write_group(LEASE_MS))
        self.given: list[GiveBack] = []
        self.written = asyncio.Event()
        self.won = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.failure: StoreError | None = None

    async def submit(self, item: Write) -> Answer:
        if not isinstance(item, GiveBack):
            answer = await super().submit(item)
            self.won += bool(isinstance(item, TakeOver) and answer)
            return answer
        self.given.append(item)
        await self.gate.wait()
        try:
            if self.failure is not None:
                raise self.failure
            return await super().submit(item)
        finally:
            self.written.set()


class Mute(Database):
    """A database that answers no reads."""

    async def read(self, work: Callable[[Session], T]) -> T:
        raise StoreError("store_unavailable", f"a test said so, not {work}")


@dataclass
class Stage:
    """A world in which one event is claimed, its record lost, and its maker's lease over."""

    world: World
    broker: WilfulBroker
    writes: Tapped
    takeovers: TakeOvers

    async def found(self) -> Found:
        return await self.world.parts.ground.database.read(
            lambda session: Found(read(session, [REF])[REF], mine=False, now=clock(session))
        )

    async def settle(self, seconds: float = 20.0, *, by: TakeOvers | None = None) -> Mapping[bytes, Fate]:
        found = [await self.found()]
        deadline = asyncio.get_running_loop().time() + seconds
        return await (by or self.takeovers).settle(found, deadline)

    async def given_back(self) -> bool:
        async with asyncio.timeout(30):
            await self.writes.written.wait()
        found = await self.found()
        return found.claim.lease_until < found.now

    async def records(self) -> int:
        self.broker.end_ahead = 0
        self.broker.silent.clear()
        ((_, end),) = await self.broker.bounds([(TOPIC, 0)])
        return end

    async def publish_by_a_repeat(self) -> None:
        """The next repeat takes over at once, and the event is published once, whatever comes after."""
        self.broker.end_ahead = 0
        self.broker.silent.clear()
        first = (await self.found()).claim.receipt
        (again,) = await self.world.send(A)
        assert isinstance(again, Accepted)
        assert (again.duplicate, again.receipt) == (True, first)
        assert isinstance((await self.world.send(A))[0], Accepted)
        assert await self.records() == 1


@asynccontextmanager
async def stage(folder: Path, url: str) -> AsyncIterator[Stage]:
    broker = WilfulBroker(folder)
    async with running(folder, url=url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"]
        while broker.fates:
            await world.send(A)
        await world.parts.ground.database.write(expire_leases)
        writes = Tapped(world.parts.ground.database)
        try:
            yield Stage(world, broker, writes, replace(world.parts.recovery.takeovers, writes=writes))
        finally:
            writes.gate.set()
            await writes.close()


async def test_with_the_sequencer_behind_the_next_repeat_takes_over_at_once(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.end_ahead = 1
        fates = await it.settle(0.2)
        assert isinstance(fates[REF], Failed)
        assert await it.given_back()
        assert await it.records() == 0
        await it.publish_by_a_repeat()


async def test_with_the_broker_silent_the_next_repeat_takes_over_at_once(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.silent[TOPIC] = BrokerError("broker_unavailable", "a test said so")
        fate = (await it.settle())[REF]
        assert isinstance(fate, Failed)
        assert fate.code == "broker_unavailable"
        assert await it.given_back()
        await it.publish_by_a_repeat()


async def test_with_the_database_mute_the_next_repeat_takes_over_at_once(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as it:
        mute = Mute(database_url)
        with pytest.raises(StoreError):
            await it.settle(by=replace(it.takeovers, database=mute))
        mute.close()
        assert await it.given_back()
        await it.publish_by_a_repeat()


async def test_a_caller_who_goes_gives_the_lease_back(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.end_ahead = 1
        taken = asyncio.Event()
        asked = asyncio.create_task(it.settle(30, by=replace(it.takeovers, step=lambda _: taken.set())))
        await taken.wait()
        asked.cancel()
        with suppress(asyncio.CancelledError):
            await asked
        assert await it.given_back()
        await it.publish_by_a_repeat()


async def test_the_answer_does_not_wait_for_the_lease_to_be_given_back(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.end_ahead = 1
        it.writes.gate.clear()
        assert isinstance((await it.settle(0.2))[REF], Failed)
        assert not it.writes.written.is_set()
        it.writes.gate.set()
        assert await it.given_back()


async def test_a_lease_that_cannot_be_given_back_runs_out(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.end_ahead = 1
        it.writes.failure = StoreError("store_unavailable", "a test said so")
        assert isinstance((await it.settle(0.2))[REF], Failed)
        assert not await it.given_back()
        await it.world.parts.ground.database.write(expire_leases)
        await it.publish_by_a_repeat()


async def test_another_owner_keeps_what_is_given_back_too_late(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as it:
        database = it.world.parts.ground.database
        theirs: dict[bytes, int] = {}

        def take_over(step: str) -> None:
            assert step == "inbound.3.taken_over"
            with database.begin() as session:
                expire_leases(session)
                (answer,) = write_group(2 * LEASE_MS)(session, [TakeOver(((REF, 0),))])
            assert isinstance(answer, dict)
            theirs.update(answer)

        it.broker.silent[TOPIC] = BrokerError("broker_unavailable", "a test said so")
        fates = await it.settle(by=replace(it.takeovers, step=take_over))
        assert isinstance(fates[REF], Failed)
        assert not await it.given_back()
        assert {REF: (await it.found()).claim.lease_until} == theirs


async def test_who_stood_still_for_its_whole_lease_ends_nobody_elses(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as it:
        database = it.world.parts.ground.database
        theirs: dict[bytes, int] = {}

        def stand_still(step: str) -> None:
            assert step == "inbound.3.taken_over"
            with database.begin() as session:
                expire_leases(session)
                (answer,) = write_group(2 * LEASE_MS)(session, [TakeOver(((REF, 0),))])
            assert isinstance(answer, dict)
            theirs.update(answer)

        publisher = replace(it.takeovers.publisher, writes=it.writes, lease_seconds=lambda: 0.0)
        publisher.spawn = it.takeovers.publisher.spawn
        fates = await it.settle(by=replace(it.takeovers, step=stand_still, publisher=publisher))
        assert isinstance(fates[REF], Failed)
        await it.writes.submit(TakeOver(()))  # behind what the publisher still writes
        assert {REF: (await it.found()).claim.lease_until} == theirs
        assert await it.records() == 0


@pytest.mark.parametrize("whim", ["lose", "store_and_forget", "store"])
async def test_once_publishing_has_begun_nothing_is_given_back(
    tmp_path: Path, database_url: str, whim: Whim
) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.fates = [whim]
        await it.settle()
        await it.world.parts.writes.submit(TakeOver(()))  # behind what the publisher still writes
        assert it.writes.won == 1
        assert it.writes.given == []


async def test_after_a_certain_refusal_of_the_record_the_next_repeat_takes_over_at_once(
    tmp_path: Path, database_url: str
) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.refusal = Refused("unavailable", "a test said so")
        assert isinstance((await it.settle())[REF], Failed)
        await it.world.parts.writes.submit(TakeOver(()))  # behind what the publisher still writes
        found = await it.found()
        assert found.claim.lease_until < found.now
        it.broker.refusal = None
        await it.publish_by_a_repeat()


async def test_while_stopping_the_lease_is_left_to_run_out(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.silent[TOPIC] = BrokerError("broker_unavailable", "a test said so")
        publisher = replace(it.takeovers.publisher)  # of nobody who runs
        assert isinstance((await it.settle(by=replace(it.takeovers, publisher=publisher)))[REF], Failed)
        assert it.writes.given == []
        found = await it.found()
        assert found.claim.lease_until > found.now


async def test_of_many_repeats_one_takes_over_and_one_gives_back(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as it:
        it.broker.end_ahead = 1
        found = [await it.found()]
        deadline = asyncio.get_running_loop().time() + 0.2
        settled = await asyncio.gather(*(it.takeovers.settle(found, deadline) for _ in range(20)))
        assert {type(fates[REF]) for fates in settled} == {Failed}
        assert await it.given_back()
        assert (it.writes.won, len(it.writes.given)) == (1, 1)
        it.broker.end_ahead = 0
        outcomes = await asyncio.gather(*(insisted(it.world) for _ in range(20)))
        assert {type(one) for one in outcomes} == {Accepted}
        assert await it.records() == 1


async def test_two_processes_that_give_back_in_turn_publish_once(tmp_path: Path, database_url: str) -> None:
    async with stage(tmp_path, database_url) as it:
        other = Tapped(it.world.parts.ground.database)
        both = [it.takeovers, replace(it.takeovers, writes=other)]
        it.broker.end_ahead = 1
        for _ in range(3):
            fates = await asyncio.gather(*(it.settle(0.1, by=each) for each in both * 3))
            assert {type(one[REF]) for one in fates} == {Failed}
        it.broker.end_ahead = 0
        async with asyncio.timeout(30):
            while any(isinstance(one[REF], Failed) for one in fates):
                fates = await asyncio.gather(*(it.settle(by=each) for each in both * 3))
        await other.close()
        assert it.writes.won + other.won > len(it.writes.given) + len(other.given)
        assert await it.records() == 1
