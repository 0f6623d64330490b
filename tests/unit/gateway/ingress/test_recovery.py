import asyncio
from pathlib import Path

from sqlmodel import col, select

from audit.ref import format_ref
from gateway.bootstrap.ground import prepare
from gateway.broker.port import Refused
from gateway.database import Database
from gateway.ingress.claims import expire_leases, unconfirmed
from gateway.ingress.outcome import Accepted
from gateway.rows import ClaimRow
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.waiting import until
from tests.world import World, make_settings, running

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}
B = {**A, "order_id": "B-1"}
C = {**A, "order_id": "C-1"}


async def leave_behind(folder: Path, database_url: str, *bodies: object) -> None:
    """Claims of a process that was killed before its records were on the topic."""
    broker = WilfulBroker(folder)
    async with running(folder, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"] * len(bodies)
        await world.send(*bodies)
    ground = prepare(make_settings(folder, url=database_url), "up")
    with ground.database.begin() as session:
        expire_leases(session)
    ground.database.close()


async def published(world: World, count: int) -> bool:
    found: list[tuple[int, int]] = []

    async def is_so() -> bool:
        found[:] = await world.parts.broker.bounds([(TOPIC, 0)])
        return found == [(0, count)]

    await until(is_so, lambda: f"{count} records: {found}")
    return True


async def test_claims_of_a_killed_process_are_published_without_a_repeat(
    tmp_path: Path, database_url: str
) -> None:
    await leave_behind(tmp_path, database_url, A, B)
    async with running(tmp_path, url=database_url) as world:
        assert await published(world, 2)
        await world.settled(2)
        (again,) = await world.send(A)
        assert isinstance(again, Accepted)
        assert again.duplicate


async def test_a_first_round_that_fails_is_not_the_last(tmp_path: Path, database_url: str) -> None:
    await leave_behind(tmp_path, database_url, A)
    broker = WilfulBroker(tmp_path)
    broker.refusal = Refused("storage_full", "a test said so")
    async with running(tmp_path, url=database_url, broker=broker, flags={"claims.lease": "1s"}) as world:
        await until(lambda: world.parts.recovery._stuck, lambda: "no round has failed")
        broker.refusal = None
        assert await published(world, 1)


async def told(world: World) -> str:
    """The operator's warning, once there is one."""
    (words,) = await until(world.parts.recovery.warnings, lambda: world.parts.recovery._stuck)
    return str(words)


async def test_a_claim_whose_schema_is_gone_stops_nobody_and_is_named(
    tmp_path: Path, database_url: str
) -> None:
    await leave_behind(tmp_path, database_url, A, B)
    database = Database(database_url)
    with database.begin() as session:
        first = session.exec(select(ClaimRow).order_by(col(ClaimRow.at), col(ClaimRow.ref))).first()
        assert first is not None
        first.schema_id = 99
        session.add(first)
        ref = first.ref
    database.close()
    async with running(tmp_path, url=database_url) as world:
        assert await published(world, 1)
        words = await told(world)
        assert f"{format_ref(ref)} (order.placed of acme, for {TOPIC} [0]; tried " in words
        assert "schema 99 is missing from the registry" in words
        assert await world.parts.broker.bounds([(TOPIC, 0)]) == [(0, 1)]


async def test_a_claim_that_its_topic_never_takes_is_tried_ever_less_often_and_named(
    tmp_path: Path, database_url: str
) -> None:
    await leave_behind(tmp_path, database_url, A)
    broker = WilfulBroker(tmp_path)
    broker.refusal = Refused("too_large", "a test said so")
    async with running(tmp_path, url=database_url, broker=broker) as world:
        recovery, before = world.parts.recovery, 0.0
        while not recovery.warnings():
            before = asyncio.get_running_loop().time()
            await asyncio.sleep(0.05)
        (words,), (stuck,) = recovery.warnings(), recovery._stuck.values()
        assert "The broker takes no record of this size" in words
        assert stuck.tries >= 5
        assert stuck.next_at - before > 2.0, "ten times as long as after the first try"
        broker.refusal = None
        assert await published(world, 1)
        await world.settled(1)
    assert world.parts.recovery.warnings() == []


async def test_a_claim_that_others_settled_is_named_no_longer_and_one_under_a_lease_is(
    tmp_path: Path, database_url: str
) -> None:
    await leave_behind(tmp_path, database_url, A, B, C)
    broker = WilfulBroker(tmp_path)
    broker.refusal = Refused("too_large", "a test said so")
    async with running(tmp_path, url=database_url, broker=broker) as world:
        recovery = world.parts.recovery
        async with asyncio.timeout(60):
            while [one.tries >= 5 for one in recovery._stuck.values()] != [True] * 3:  # noqa: ASYNC110 - as below
                await asyncio.sleep(0.05)
        given_up, confirmed, held = recovery._stuck
        with recovery.database.begin() as session:
            for row in session.exec(select(ClaimRow)).all():
                if row.ref == given_up:
                    session.delete(row)
                    continue
                if row.ref == confirmed:
                    row.state = "confirmed"
                row.lease_until += 3_600_000
                session.add(row)
        async with asyncio.timeout(60):
            while len(recovery._stuck) > 1:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)
            # What is not to be had now is not asked for without a pause.
            while recovery._pause() < 1:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.05)
        (words,) = recovery.warnings()
        assert format_ref(held) in words
        assert format_ref(given_up) not in words
        assert format_ref(confirmed) not in words


async def test_claims_that_cannot_be_settled_hold_up_no_other(tmp_path: Path, database_url: str) -> None:
    await leave_behind(tmp_path, database_url, *({**A, "order_id": f"A-{number}"} for number in range(4)))
    database = Database(database_url)
    with database.begin() as session:
        oldest = session.exec(select(ClaimRow).order_by(col(ClaimRow.at), col(ClaimRow.ref)).limit(3)).all()
        refs = {one.ref for one in oldest}
        (left,) = unconfirmed(session, 2, without=refs)
    database.close()
    assert left.ref not in refs
