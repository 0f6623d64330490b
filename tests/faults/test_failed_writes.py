"""Each write of the protocols fails twice: lost, and stored but reported as failed. The sender repeats."""

import asyncio
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from audit.ref import format_ref
from gateway.bootstrap.ground import clock
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.embedded import Fate as RecordFate
from gateway.broker.port import Record
from gateway.event import Direction
from gateway.ingress.outcome import Accepted, Failed, Outcome
from tests.acceptance.running import CONTRACT, orders
from tests.faults.acknowledged import Acknowledged
from tests.faults.commits import CommitTrouble, Fate
from tests.faults.inspection import inspect
from tests.faults.receiver import receiving
from tests.faults.remains import Embedded, rows
from tests.world import World, running

HASTE = {"lease.duration": "1s", "claims.lease": "300ms", "claims.wait": "50ms", "egress.tick": "20ms"}
WAIT_SECONDS = 60.0
HELD_UP = {"overloaded"}
"""What a busy machine holds up for half of so short a lease is not produced."""
ENDPOINTS = """\
endpoints:
  verification: none
  declared:
    - {name: hook, url: "URL", retry: [0s, 1s, 1s, 1s, 1s]}
"""
WRITES = {
    "claim": "INSERT INTO gateway_claim",
    "confirmation": r"UPDATE gateway_claim SET .*\bpartition\b",
    "entries": "INSERT INTO audit_entry",
    "checkpoint": "UPDATE audit_head SET checkpoint",
    "lease": "UPDATE gateway_lease",
}


@dataclass
class Caller:
    """Repeats blindly, and keeps what it was told."""

    world: World
    told: Acknowledged = field(default_factory=Acknowledged)
    codes: list[str] = field(default_factory=list)

    async def send(
        self, *bodies: object, strict: bool = True, direction: Direction = "inbound"
    ) -> list[Accepted]:
        """Until everything is accepted; every refusal must be one that asks for a repeat."""
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            outcomes = await self.world.send(*bodies, strict=strict, direction=direction)
            taken = [one for one in outcomes if isinstance(one, Accepted)]
            if len(taken) == len(outcomes):
                return self._keep(taken, direction)
            self._note(outcomes)
            assert time.monotonic() < deadline, self.codes
            await asyncio.sleep(0.05)

    def _keep(self, taken: list[Accepted], direction: Direction) -> list[Accepted]:
        for one in taken:
            self.told.note(format_ref(one.ref), one.receipt, direction=direction)
        return taken

    def _note(self, outcomes: Sequence[Outcome]) -> None:
        for one in outcomes:
            assert isinstance(one, Failed), one
            assert "repeat" in one.detail or "again" in one.detail
            self.codes.append(one.code)


async def at_rest(folder: Path, accepted: int) -> None:
    """Wait until all is sequenced, and the heads are published."""
    file = folder / "gateway.db"
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        ((entries,),) = rows(file, "SELECT count(*) FROM audit_entry WHERE kind = 'event.accepted'")
        behind = rows(file, "SELECT log FROM audit_head WHERE size <> checkpoint_size")
        waiting = rows(file, "SELECT id FROM audit_pending")
        unconfirmed = rows(file, "SELECT ref FROM gateway_claim WHERE leaf_index IS NULL")
        if entries >= accepted and not (behind or waiting or unconfirmed):
            return
        assert time.monotonic() < deadline, (entries, accepted, behind, waiting, unconfirmed)
        await asyncio.sleep(0.05)


def verify_all(folder: Path, caller: Caller) -> None:
    keys = list(caller.world.parts.keys.current.public_keys("checkpoint").values())
    assert inspect(Embedded(folder), caller.told, {}, keys).words() == []


@pytest.mark.faults
@pytest.mark.parametrize("fate", ["lost", "stored"])
@pytest.mark.parametrize("name", sorted(WRITES))
async def test_a_failed_commit_neither_loses_nor_doubles(tmp_path: Path, name: str, fate: Fate) -> None:
    async with running(tmp_path, flags=HASTE) as world:
        await world.apply()
        caller = Caller(world)
        await caller.send(*orders(0, 2))
        trouble = CommitTrouble(world.parts.ground.database, WRITES[name], fate)
        await caller.send(orders(10, 1)[0])
        await caller.send(*orders(20, 3), strict=True)
        await caller.send(*orders(30, 3), strict=False)
        await caller.send(orders(40, 1)[0], direction="outbound")
        for again in (*orders(0, 2), *orders(10, 1), *orders(20, 3), *orders(30, 3)):
            await caller.send(again)
        await at_rest(tmp_path, 10)
    assert trouble.left == 0
    assert len(caller.told.events) == 10
    # A confirmation that is lost is made up for by the sequencer, which a repeat waits for a second.
    passing = {"outcome_unknown"} if name in {"claim", "confirmation"} else set()
    assert set(caller.codes) <= passing | HELD_UP
    assert name != "claim" or caller.codes
    verify_all(tmp_path, caller)


@pytest.mark.faults
@pytest.mark.parametrize("fate", ["lost", "stored"])
async def test_a_strict_batch_whose_claims_have_an_unknown_fate_is_repeated_whole(
    tmp_path: Path, fate: Fate
) -> None:
    async with running(tmp_path, flags=HASTE) as world:
        await world.apply()
        caller = Caller(world)
        trouble = CommitTrouble(world.parts.ground.database, WRITES["claim"], fate)
        await caller.send(*orders(0, 20), strict=True)
        await at_rest(tmp_path, 20)
    assert trouble.left == 0
    assert "outcome_unknown" in caller.codes
    verify_all(tmp_path, caller)


@pytest.mark.faults
@pytest.mark.parametrize("fate", ["lost", "stored"])
async def test_a_relays_failed_tick_repeats_under_the_same_webhook_ids(tmp_path: Path, fate: Fate) -> None:
    with receiving() as receiver:
        async with running(tmp_path, flags=HASTE) as world:
            await world.apply(CONTRACT + ENDPOINTS.replace("URL", receiver.url))
            caller = Caller(world)
            stop = asyncio.Event()
            async with world.parts.dialler, asyncio.TaskGroup() as tasks:
                relay = tasks.create_task(world.parts.relay.run(stop))
                trouble = CommitTrouble(
                    world.parts.ground.database, "INSERT INTO audit_pending", fate, times=2
                )
                for body in orders(0, 12):
                    await caller.send(body, direction="outbound")
                deadline = time.monotonic() + WAIT_SECONDS
                delivered = "SELECT DISTINCT ref FROM audit_entry WHERE kind LIKE 'delivery.%'"
                # What is on its way again when the relay stops waits for another one, and none comes.
                while (
                    receiver.taken != caller.told.of("outbound")
                    or trouble.left
                    or len(rows(tmp_path / "gateway.db", delivered)) < 12
                ):
                    lacks = caller.told.of("outbound") - receiver.taken
                    assert time.monotonic() < deadline, (lacks, trouble.left)
                    await asyncio.sleep(0.05)
                stop.set()
                await relay
            await at_rest(tmp_path, 12)
    assert not receiver.split
    assert not receiver.torn
    verify_all(tmp_path, caller)


def open_broker(folder: Path, name: str, fates: list[RecordFate]) -> EmbeddedBroker:
    """A broker that treats the next records of a topic as the list says, then like all others."""

    def fate(record: Record) -> RecordFate:
        is_meant = record.topic == name and "gateway_mark" not in dict(record.headers)
        return fates.pop(0) if is_meant and fates else "store"

    return EmbeddedBroker.open(
        folder / "broker.db", clock=clock, entropy=os.urandom, limit_bytes=100_000_000, fate=fate
    )


@pytest.mark.faults
@pytest.mark.parametrize("fate", ["lose", "store_and_forget"])
@pytest.mark.parametrize("count", [1, 5])
async def test_an_append_without_an_answer_is_outcome_unknown_and_the_repeat_gets_one_receipt(
    tmp_path: Path, fate: RecordFate, count: int
) -> None:
    tmp_path.joinpath("data").mkdir()
    fates: list[RecordFate] = []
    broker = open_broker(tmp_path / "data", "partners.acme.inbound", fates)
    async with running(tmp_path / "data", broker=broker, flags=HASTE) as world:
        await world.apply()
        caller = Caller(world)
        await caller.send(*orders(0, 2))
        fates.append(fate)
        codes = list(HELD_UP)
        while codes and set(codes) <= HELD_UP:
            codes = [one.code for one in await world.send(*orders(10, count)) if isinstance(one, Failed)]
        assert codes == ["outcome_unknown"] * count
        await caller.send(*orders(10, count))
        await caller.send(*orders(10, count))
        await at_rest(tmp_path / "data", 2 + count)
    assert not fates
    verify_all(tmp_path / "data", caller)


@pytest.mark.faults
@pytest.mark.parametrize("fate", ["lose", "store_and_forget"])
async def test_a_take_over_whose_append_has_no_answer_can_be_taken_over_again(
    tmp_path: Path, fate: RecordFate
) -> None:
    tmp_path.joinpath("data").mkdir()
    broker = open_broker(tmp_path / "data", "partners.acme.inbound", ["lose", fate, "lose", fate])
    async with running(tmp_path / "data", broker=broker, flags=HASTE) as world:
        await world.apply()
        caller = Caller(world)
        await caller.send(orders(0, 1)[0])
        await caller.send(orders(1, 1)[0])
        await at_rest(tmp_path / "data", 2)
    assert {"outcome_unknown"} <= set(caller.codes) <= {"outcome_unknown"} | HELD_UP
    verify_all(tmp_path / "data", caller)


@pytest.mark.faults
@pytest.mark.parametrize("fate", ["lose", "store_and_forget"])
async def test_a_checkpoint_is_shown_again_until_the_broker_says_that_it_has_it(
    tmp_path: Path, fate: RecordFate
) -> None:
    tmp_path.joinpath("data").mkdir()
    broker = open_broker(tmp_path / "data", "gateway.checkpoints", [fate] * 4)
    async with running(tmp_path / "data", broker=broker, flags=HASTE) as world:
        await world.apply()
        caller = Caller(world)
        await caller.send(*orders(0, 5))
        await at_rest(tmp_path / "data", 5)
    kept = list(Embedded(tmp_path / "data").topic("gateway.checkpoints"))
    assert kept
    assert all(one.value for one in kept)
    verify_all(tmp_path / "data", caller)
