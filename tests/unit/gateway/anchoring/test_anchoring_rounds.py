"""Rounds: when one is due, what it commits to, who may make it."""

import asyncio
import base64

import pytest
from sqlalchemy import delete, func, select, update
from sqlmodel import Session, col

from audit import log as audit_log
from audit.evidence import Kind
from audit.heads import Roll, unpack_heads
from gateway.anchoring.rounds import IDLE_ROUNDS, published_heads
from gateway.anchoring.rows import AnchorRoundRow
from gateway.anchoring.store import HOUR_MS, WHOLE_MS, Round, newest_round, save_round, thin_out
from gateway.errors import LeaseLostError
from gateway.rows import LeaseRow
from tests.unit.gateway.anchoring.ledgers import ACME, GLOBEX, HOST, HOUSE, NAMED, Ledger, event

INTERVAL_MS = 60_000


def rounds(ledger: Ledger) -> int:
    with ledger.database.begin() as session:
        return int(session.execute(select(func.count()).select_from(AnchorRoundRow)).scalar_one())


async def test_a_round_commits_to_every_logs_published_head(ledger: Ledger) -> None:
    ledger.grow(event(1), event(2), event(3, GLOBEX), event(4, HOUSE))
    await ledger.hold()
    assert await ledger.anchor()
    assert ledger.steps == ["anchor.1.round"]
    with ledger.database.begin() as session:
        (entry,) = [audit_log.entry(session, f"{NAMED}/1", 0)]
        kept = newest_round(session)
        heads = published_heads(session, HOST)
    assert kept is not None
    assert {(one.origin, one.size) for one in heads} == {
        (f"{ACME}/1", 2),
        (f"{GLOBEX}/1", 1),
        (f"{HOUSE}/1", 1),
    }
    evidence = entry.evidence()
    assert evidence is not None
    assert evidence.kind is Kind.HEADS_ANCHORED
    roll = Roll(unpack_heads(kept.heads, HOST), kept.secret)
    assert evidence.members == {
        "id": str(kept.at),
        "width": 64,
        "root": base64.b64encode(roll.root).decode(),
    }
    assert evidence.at == kept.at


async def test_what_is_not_published_yet_is_not_anchored(ledger: Ledger) -> None:
    ledger.grow(event(1))
    with ledger.database.begin() as session:
        audit_log.open_log(session, f"{GLOBEX}/1")
    await ledger.hold()
    assert await ledger.anchor()
    with ledger.database.begin() as session:
        kept = newest_round(session)
    assert kept is not None
    assert [one.origin for one in unpack_heads(kept.heads, HOST)] == [f"{ACME}/1"]


async def test_the_anchor_is_none_of_its_own_heads(ledger: Ledger) -> None:
    """Else every round would move it, and the next would always be due."""
    ledger.grow(event(1))
    await ledger.hold()
    assert await ledger.anchor()
    assert not await ledger.anchoring(interval_ms=3_600_000).turn()
    with ledger.database.begin() as session:
        assert [one.origin for one in published_heads(session, HOST)] == [f"{ACME}/1"]


async def due(ledger: Ledger, *, age: int, interval_ms: int = INTERVAL_MS) -> bool:
    """Whether a round is due that many ms after the last one, for a process that waited long enough."""
    with ledger.database.begin() as session:
        last = newest_round(session)
        assert last is not None
        session.execute(
            update(AnchorRoundRow).where(col(AnchorRoundRow.at) == last.at).values(at=last.at - age)
        )
    anchoring = ledger.anchoring(interval_ms=interval_ms)
    anchoring._begun_at = asyncio.get_running_loop().time() - interval_ms
    return await anchoring.turn()


async def test_a_round_in_which_nothing_moved_is_left_out_but_for_some(ledger: Ledger) -> None:
    ledger.grow(event(1))
    await ledger.hold()
    await ledger.anchor()
    assert not await due(ledger, age=2 * INTERVAL_MS)
    assert await due(ledger, age=IDLE_ROUNDS * INTERVAL_MS)
    ledger.grow(event(2))
    assert await due(ledger, age=2 * INTERVAL_MS)


async def test_a_process_that_dies_over_and_over_makes_no_rounds(ledger: Ledger) -> None:
    ledger.grow(event(1))
    await ledger.hold()
    for _ in range(3):
        assert not await ledger.anchoring(interval_ms=60_000).turn()
    assert rounds(ledger) == 0


async def test_without_a_log_there_is_nothing_to_anchor(ledger: Ledger) -> None:
    await ledger.hold()
    anchoring = ledger.anchoring()
    anchoring._begun_at = 0.0
    assert not await anchoring.turn()
    assert rounds(ledger) == 0


async def test_without_a_lease_or_a_key_no_round_is_made(ledger: Ledger) -> None:
    ledger.grow(event(1))
    anchoring = ledger.anchoring()
    anchoring._begun_at = 0.0
    assert not await anchoring.turn()
    await ledger.hold()
    unable = ledger.anchoring(is_able=False)
    unable._begun_at = 0.0
    assert not await unable.turn()
    assert rounds(ledger) == 0


async def test_who_lost_the_lease_writes_nothing_however_late(ledger: Ledger) -> None:
    ledger.grow(event(1))
    await ledger.hold()
    with ledger.database.begin() as session:
        session.execute(update(LeaseRow).values(epoch=col(LeaseRow.epoch) + 1, owner="another"))
    anchoring = ledger.anchoring()
    anchoring._begun_at = 0.0
    with pytest.raises(LeaseLostError):
        await anchoring.turn()
    assert rounds(ledger) == 0
    with ledger.database.begin() as session:
        assert audit_log.pending_logs(session) == ()


async def test_a_clock_that_was_set_back_names_no_round_twice(ledger: Ledger) -> None:
    ledger.grow(event(1))
    await ledger.hold()
    await ledger.anchor()
    ledger.grow(event(2))
    assert not await due(ledger, age=-3_600_000)


def test_old_rounds_go_but_for_the_first_of_each_hour(ledger: Ledger) -> None:
    with ledger.database.begin() as session:
        for at in range(0, 3 * HOUR_MS, HOUR_MS // 4):
            save_round(session, Round(1 + at, b"s" * 32, b""))
        thin_out(session, now=1 + HOUR_MS + WHOLE_MS)
        assert _ats(session) == [1, *range(1 + HOUR_MS, 1 + 3 * HOUR_MS, HOUR_MS // 4)]
        thin_out(session, now=1 + 9 * HOUR_MS + WHOLE_MS)
        assert _ats(session) == [1, 1 + HOUR_MS, 1 + 2 * HOUR_MS]
        session.execute(delete(AnchorRoundRow))


def _ats(session: Session) -> list[int]:
    return list(session.execute(select(col(AnchorRoundRow.at)).order_by(col(AnchorRoundRow.at))).scalars())


async def test_the_role_goes_on_where_the_lease_is_lost(ledger: Ledger) -> None:
    ledger.grow(event(1))
    await ledger.hold()
    anchoring, stop = ledger.anchoring(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(anchoring.run(stop))
        while rounds(ledger) == 0:  # noqa: ASYNC110 - of the database, which tells nobody
            await asyncio.sleep(0.01)
        stop.set()
