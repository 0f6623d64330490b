from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.auth.nonces import Nonces
from gateway.bootstrap.ground import clock
from gateway.ingress.outcome import Accepted
from gateway.retention import DAY_MS, Retention
from gateway.rows import AcknowledgementRow
from tests.unit.gateway.ingress.brokers import WilfulBroker
from tests.world import CONTRACT, FIRST, World, running

A = {"order_id": "A-1", "qty": 1}


def after(world: World, days: float) -> Retention:
    """The world's retention, so many days from now."""
    return replace(world.parts.retention, clock=lambda: clock() + int(days * DAY_MS))


async def claims(world: World) -> list[tuple[Any, ...]]:
    """State of each claim, and whether its content is there."""
    statement = "SELECT state, content IS NOT NULL FROM gateway_claim"
    rows = await world.parts.ground.database.read(
        lambda session: session.connection().exec_driver_sql(statement).all()
    )
    return [tuple(row) for row in rows]


async def test_content_goes_with_its_time_and_the_claim_with_its_own(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url, flags={"retention.claims": "30d"}) as world:
        await world.apply(CONTRACT + "keep: {content: 7d}\n")
        await world.send(A)
        await world.settled(FIRST + 1)
        assert not await after(world, 6.9).round()
        assert await claims(world) == [("confirmed", 1)]
        assert await after(world, 7.1).round()
        assert await claims(world) == [("confirmed", 0)]
        assert not await after(world, 29.9).round()
        (again,) = await world.send(A)
        assert isinstance(again, Accepted)
        assert again.duplicate
        assert await after(world, 30.1).round()
        assert await claims(world) == []


async def test_nonces_go_when_no_signature_with_them_can_be_played_again(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await Nonces(world.parts.ground.database).take("crd_1", "nonce", now=clock())
        assert not await after(world, 0).round()
        assert await after(world, 0.01).round()
        assert not await after(world, 0.01).round()


async def test_content_that_the_receipt_promises_to_keep_outlives_the_window_of_claims(
    tmp_path: Path,
    database_url: str,
) -> None:
    async with running(tmp_path, url=database_url, flags={"retention.claims": "30d"}) as world:
        await world.apply(CONTRACT + "keep: {content: 90d}\n")
        await world.send(A)
        await world.settled(FIRST + 1)
        assert not await after(world, 89.9).round()
        assert await claims(world) == [("confirmed", 1)]
        assert await after(world, 90.1).round()
        assert await claims(world) == []


async def test_what_is_not_sequenced_is_never_dropped(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"]
        await world.send(A)
        assert not await after(world, 10_000).round()
        assert await claims(world) == [("unconfirmed", 1)]


async def test_who_has_acknowledged_is_known_as_long_as_repeats_are(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url, flags={"retention.claims": "30d"}) as world:
        times = (clock(), clock() - DAY_MS, clock() - 2 * DAY_MS)

        def keep(session: Session) -> None:
            for number, at in enumerate(times):
                ref = bytes([number]) * 32
                row = AcknowledgementRow(endpoint="ep", ref=ref, partner="acme", credential="crd", at=at)
                session.add(row)

        await world.parts.ground.database.write(keep)
        assert not await after(world, 27).round()
        assert await after(world, 29.5).round()
        left = await world.parts.ground.database.read(
            lambda session: session.execute(select(col(AcknowledgementRow.at))).scalars().all()
        )
    assert left == [times[0]]
