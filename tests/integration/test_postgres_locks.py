"""Writers that touch the same rows at once lock them in one order, whatever order things came in."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest
from sqlmodel import Session

from gateway.broker.port import Position
from gateway.database import Database
from gateway.ingress.claims import Answer, Confirm, Write, take, write_group
from gateway.leases import Leases
from gateway.sequencer.round import Round, write_round
from tests.postgres_server import PostgresServer
from tests.unit.gateway.sequencer.test_round import AT, LOG, ORIGINS, OURS, sighted

pytestmark = pytest.mark.postgres

ROUNDS = 4
EVENTS = 300


@pytest.fixture
def database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as url:
        opened = Database(url)
        yield opened
        opened.close()


def group(
    work: Callable[[Session, Sequence[Write]], Sequence[Answer]], items: Sequence[Write], session: Session
) -> Sequence[Answer]:
    return work(session, items)


async def test_claims_confirmed_from_all_sides_at_once_meet_no_deadlock(database: Database) -> None:
    confirm = write_group(15_000)
    (lease,) = await Leases(database, "sequence", owner="me", shards=1, duration_ms=60_000).hold()
    for turn in range(ROUNDS):
        made = [sighted(f"{turn}-{number}", number) for number in range(EVENTS)]
        claims, seen = [claim for claim, _ in made], [one for _, one in made]
        assert {one.log for one in claims} == {LOG}
        await database.write(partial(take, claims=claims, now=AT.now, lease_ms=15_000))
        stored = [(one.ref, one.receipt, Position("topic-1", 0, n)) for n, one in enumerate(claims)]
        ways = [
            [Confirm((one,)) for one in stored],
            [Confirm((one,)) for one in reversed(stored)],
            [Confirm(tuple(stored[::2])), Confirm(tuple(stored[1::2]))],
        ]
        todo = Round([(lease, ())], seen, (), ORIGINS, OURS)
        running = [database.submit(partial(group, confirm, way)) for way in ways]
        entered = await database.submit(partial(write_round, todo=todo))
        assert entered.entries == EVENTS
        await asyncio.wait(running)
        assert [one.exception() for one in running] == [None] * len(ways)
