import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from sqlmodel import col, update

from gateway.broker.port import Refused, TopicSpec
from gateway.database import clock
from gateway.event import EventKey
from gateway.ingress.claims import Found, expire_leases, read, unconfirmed
from gateway.ingress.outcome import Accepted, Failed, Outcome
from gateway.rows import ClaimRow
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.waiting import LONG_SECONDS, until
from tests.world import FIRST, World, running

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}
B = {**A, "order_id": "B-1"}
REF = EventKey("acme", "inbound", "/partners/acme", "A-1").ref()


async def expire(world: World) -> None:
    await world.parts.ground.database.write(expire_leases)


async def found(world: World) -> Found:
    return await world.parts.ground.database.read(
        lambda session: Found(read(session, [REF])[REF], mine=False, now=clock(session))
    )


async def insisted(world: World) -> Outcome:
    """What becomes of A, repeated while an attempt is under way, as the answer asks for."""
    while True:
        (one,) = await world.send(A)
        if not (isinstance(one, Failed) and one.code == "outcome_unknown"):
            return one


async def receipt(world: World) -> str:
    return (await found(world)).claim.receipt


async def test_a_repeat_of_a_fresh_attempt_waits_and_is_told_to_come_again(
    tmp_path: Path, database_url: str
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker, flags={"claims.wait": "100ms"}) as world:
        await world.apply()
        broker.fates = ["lose"]
        await world.send(A)
        (again,) = await world.send(A)
        assert isinstance(again, Failed)
        assert again.code == "outcome_unknown"
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 0)]


async def test_a_lost_event_is_taken_over_in_order_and_published_once(
    tmp_path: Path, database_url: str
) -> None:
    steps: list[str] = []
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker, step=steps.append) as world:
        await world.apply()
        broker.fates = ["lose"]
        await world.send(A)
        await expire(world)
        first = await receipt(world)
        steps.clear()
        (again,) = await world.send(A)
        assert isinstance(again, Accepted)
        assert (again.duplicate, again.receipt) == (True, first)
        inbound = [step for step in steps if step.startswith("inbound.3")]
        assert inbound == ["inbound.3.taken_over", "inbound.3.produced"]
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 1)]


async def test_who_took_over_and_was_held_up_leaves_it_to_the_next(tmp_path: Path, database_url: str) -> None:
    held_up = 0.3
    broker = WilfulBroker(tmp_path)

    def step(name: str) -> None:
        if name == "inbound.3.taken_over":
            time.sleep(held_up)  # the process stands still: its loop too

    flags = {"claims.lease": "500ms"}
    async with running(tmp_path, url=database_url, broker=broker, flags=flags, step=step) as world:
        await world.apply()
        broker.fates = ["lose"]
        while broker.fates:  # a machine that holds it up for half of so short a lease produces nothing
            await world.send(A)
        await expire(world)
        (failed,) = await world.send(A)
        assert isinstance(failed, Failed)
        assert failed.code == "overloaded"
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 0)]
        held_up = 0.0
        (again,) = await world.send(A)
        while isinstance(again, Failed):
            (again,) = await world.send(A)
        assert isinstance(again, Accepted)
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 1)]


async def test_a_claim_that_was_made_anew_meanwhile_is_another_receipts(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(A)
        seen = await found(world)
        given_back = replace(seen, claim=replace(seen.claim, receipt="another", state="unconfirmed"))
        deadline = asyncio.get_running_loop().time() + 1
        fates = await world.parts.recovery.takeovers.settle([given_back], deadline)
        assert isinstance(fates[REF], Failed)


async def test_what_is_on_the_topic_already_is_not_published_again(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["store_and_forget"]
        await world.send(A)
        await expire(world)
        (again,) = await world.send(A)
        assert isinstance(again, Accepted)
        assert again.position is not None
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 1)]


async def test_until_the_sequencer_has_read_to_the_end_nothing_is_published(
    tmp_path: Path, database_url: str
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"]
        await world.send(A)
        await expire(world)
        broker.end_ahead = 1
        deadline = asyncio.get_running_loop().time() + 0.2
        fates = await world.parts.recovery.takeovers.settle([await found(world)], deadline)
        assert isinstance(fates[REF], Failed)
        broker.end_ahead = 0
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 0)]


async def test_how_far_a_former_topic_was_read_says_nothing_of_one_that_was_made_again(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        await world.send(B)
        await world.settled(FIRST + 1)
        broker.fates = ["lose"]
        await world.send(A)
        await expire(world)
        # As in a process that has neither read nor written the topic since.
        monkeypatch.setattr(world.parts.catalog, "topic_changed", lambda *_, **__: None)
        await broker.delete_topic(TOPIC)
        await broker.ensure([TopicSpec(TOPIC)])
        broker.end_ahead = 1
        deadline = asyncio.get_running_loop().time() + 0.3
        fates = await world.parts.recovery.takeovers.settle([await found(world)], deadline)
        broker.end_ahead = 0
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 0)]
        assert isinstance(fates[REF], Failed)


async def test_a_topic_that_is_gone_holds_up_what_is_taken_over_on_no_other(
    tmp_path: Path, database_url: str
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"] * 2
        await world.send(A, B)
        await expire(world)
        database = world.parts.ground.database
        with database.begin() as session:
            session.execute(update(ClaimRow).where(col(ClaimRow.ref) == REF).values(topic="partners.gone.in"))
        both = await database.read(
            lambda session: [Found(one, mine=False, now=clock(session)) for one in unconfirmed(session, 9)]
        )
        deadline = asyncio.get_running_loop().time() + LONG_SECONDS
        fates = await world.parts.recovery.takeovers.settle(both, deadline)
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 1)]
        assert [type(fates[one.claim.ref]) for one in both if one.claim.ref == REF] == [Failed]

        async def is_given_back() -> bool:
            one = await found(world)
            return one.claim.lease_until < one.now

        await until(is_given_back, lambda: "the lease is kept")


async def test_many_repeats_publish_a_lost_event_once(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"]
        await world.send(A)
        await expire(world)
        outcomes = await asyncio.gather(*(insisted(world) for _ in range(20)))
        assert {type(one) for one in outcomes} == {Accepted}
        assert await broker.bounds([(TOPIC, 0)]) == [(0, 1)]


async def test_a_claim_that_is_gone_meanwhile_is_not_said_to_be_accepted(
    tmp_path: Path, database_url: str
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"]
        await world.send(A)
        await expire(world)
        seen = await found(world)

        def forget(step: str) -> None:
            assert step == "inbound.3.taken_over"
            with world.parts.ground.database.begin() as session:
                session.connection().exec_driver_sql("DELETE FROM gateway_claim")

        takeovers = replace(world.parts.recovery.takeovers, step=forget)
        fates = await takeovers.settle([seen], asyncio.get_running_loop().time() + 1)
        assert isinstance(fates[REF], Failed)


async def test_a_refusal_of_the_second_attempt_leaves_the_claim_of_the_first(
    tmp_path: Path, database_url: str
) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"]
        await world.send(A)
        first = await receipt(world)
        await expire(world)
        broker.refusal = Refused("storage_full", "a test said so")
        (failed,) = await world.send(A)
        assert isinstance(failed, Failed)
        broker.refusal = None
        await expire(world)
        (again,) = await world.send(A)
        assert isinstance(again, Accepted)
        assert again.receipt == first
