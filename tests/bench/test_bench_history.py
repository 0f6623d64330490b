"""A filled database goes on: the next event is accepted, and entered behind the filler."""

import asyncio
from pathlib import Path

from sqlalchemy import func
from sqlmodel import Session, SQLModel, col, select

from audit.evidence import Kind
from audit.log import heads
from audit.rows import EntryRow, NodeRow
from audit.store import LOWEST_LEVEL
from bench.history import fill
from gateway.rows import ClaimRow
from tests.world import World, running

EVENTS = 5_000


async def test_the_gateway_goes_on_behind_the_filler(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send({"order_id": "first", "qty": 1})
        await entered(world, 1)
        log = "/log/" + partner_log(world)
        before = {origin: size for origin, size in sizes(world).items() if log in origin}
        counts = rows(world)
        fill(world.parts.ground.database, EVENTS)
        after = {origin: size for origin, size in sizes(world).items() if log in origin}
        filled = rows(world)
    assert {origin: size - before[origin] for origin, size in after.items()} == dict.fromkeys(before, EVENTS)
    assert [new - old for new, old in zip(filled[:2], counts[:2], strict=True)] == [EVENTS, EVENTS]
    assert filled[2] - counts[2] == nodes(sum(after.values())) - nodes(sum(before.values()))
    async with running(tmp_path, url=database_url) as world:
        await world.send({"order_id": "second", "qty": 1})
        await entered(world, EVENTS + 2)
        assert sum(size for origin, size in sizes(world).items() if log in origin) == sum(after.values()) + 1


async def entered(world: World, events: int) -> None:
    """Wait until so many accepted events are in their log."""
    accepted = select(func.count()).where(col(EntryRow.kind) == Kind.ACCEPTED.value)
    async with asyncio.timeout(60):
        for _ in range(3_000):
            found = await world.parts.ground.database.read(lambda session: session.exec(accepted).one())
            if found >= events:
                return
            await asyncio.sleep(0.02)
    raise AssertionError(f"{found} of {events} events are in their log")


def partner_log(world: World) -> str:
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    return partner.log


def sizes(world: World) -> dict[str, int]:
    with world.parts.ground.database.begin() as session:
        return {one.head.origin: one.head.size for one in heads(session)}


def rows(world: World) -> list[int]:
    with world.parts.ground.database.begin() as session:
        return [count(session, row) for row in (ClaimRow, EntryRow, NodeRow)]


def count(session: Session, row: type[SQLModel]) -> int:
    return session.exec(select(func.count()).select_from(row)).one()


def nodes(leaves: int) -> int:
    """Perfect subtrees of a log with so many leaves that are stored."""
    return sum(leaves >> level for level in range(LOWEST_LEVEL, leaves.bit_length()))
