"""What contracts forwarded once and forward no longer: it goes on however late; then the topic is left."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from sqlmodel import Session, col

from gateway.egress.leaving import SURE_MS, may_come
from gateway.rows import AnnouncementRow, ClaimRow, PositionRow
from partners.rows import ContractRow, PartnerRow
from tests.unit.gateway.egress.test_feeds import (
    FORWARDING,
    apply_globex,
    entries,
    hooks,
    house_endpoint,
    placed,
    positioned,
    relaying,
    rows,
    until,
)
from tests.unit.gateway.egress.test_feeds_agreed import FILES, ONE, with_secrets
from tests.unit.gateway.egress.test_feeds_owed import NONE, put, told_to_globex
from tests.world import CONTRACT, World, running


class _KilledError(Exception):
    pass


async def forwarded(world: World, count: int) -> list[str]:
    """Ids of what acme's log says to have gone on, once there are so many."""
    return sorted(one.text("id") or "" for one in await entries(world, "event.forwarded", count))


async def applied(world: World, revision: int, ago_ms: int) -> None:
    """Have a contract of acme be so old; a process that begins later knows it so."""
    at = world.parts.ground.clock() - ago_ms
    row = update(ContractRow).where(col(ContractRow.partner) == "acme", col(ContractRow.revision) == revision)
    await world.parts.ground.database.write(lambda session: session.execute(row.values(applied_at=at)))


async def test_what_was_in_the_lanes_of_a_relay_that_died_goes_on_though_the_forward_went_meanwhile(
    tmp_path: Path,
) -> None:
    is_armed = True

    def step(name: str) -> None:
        if is_armed and name == "outbound.3.before" and at.got:
            raise _KilledError

    with hooks() as at:
        async with running(tmp_path, step=step, flags={"lease.duration": "1s"}) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await placed(world, "A-1")
            try:
                async with relaying(world):
                    await until(lambda: False, "it dies")
            except* _KilledError:
                is_armed = False
            assert not any(one.next for one in await rows(world, PositionRow) if ">" in one.topic_id)
            await world.apply()
            await placed(world, "B-1")
        async with running(tmp_path, flags={"lease.duration": "1s"}) as world, relaying(world):
            await until(lambda: len(at.got) >= 2, str(at.got))
            await positioned(world, 2)
            assert await forwarded(world, 1) == ["A-1"]
    assert set(at.ids("/globex")) == {"A-1"}
    assert len({webhook_id for _, webhook_id, _ in at.got}) == 1


async def test_a_relay_that_begins_late_sends_what_each_contract_forwarded_and_nothing_between(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            for contract, name in (
                (FORWARDING, "A-1"),
                (CONTRACT, "B-1"),
                (FORWARDING, "A-2"),
                (CONTRACT, "B-2"),
            ):
                await world.apply(contract)
                await placed(world, name)
            async with relaying(world):
                await until(lambda: len(at.got) == 2, str(at.got))
                await positioned(world, 4)
                assert await forwarded(world, 2) == ["A-1", "A-2"]
    assert sorted(at.ids("/globex")) == ["A-1", "A-2"]


async def test_a_range_hands_over_nothing_that_was_not_told_to_have_gone_on(tmp_path: Path) -> None:
    """Of what was accepted before the forward went and came back, and read afterwards."""
    with hooks() as at:
        async with running(tmp_path) as world:
            await with_secrets(world, at.url)
            await world.apply(ONE, FILES)
            await put(world, "paused")
            async with relaying(world):
                await placed(world, "A-1")
                await forwarded(world, 1)
                await positioned(world, 1)
            await placed(world, "A-2")
            await world.apply(NONE, FILES)
            await placed(world, "B-1")
            await world.apply(ONE, FILES)
            await placed(world, "A-3")
        async with running(tmp_path) as world, relaying(world):
            await positioned(world, 4)
            await put(world, "active")
            await until(lambda: len(at.got) >= 3, str(at.got))
            assert await forwarded(world, 3) == ["A-1", "A-2", "A-3"]
            told = await told_to_globex(world)
    assert sorted(at.ids("/globex")) == ["A-1", "A-2", "A-3"]
    assert "B-1" not in told


async def test_a_contract_that_has_the_number_of_a_lost_one_gives_nothing_of_that_away(
    tmp_path: Path,
) -> None:
    """As after a restore, by which the contract was lost that forwarded nothing."""
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await placed(world, "A-1")
            await world.apply()
            await placed(world, "B-1")

            def lose(session: Session) -> None:
                session.delete(session.get_one(ContractRow, ("acme", 2)))
                session.execute(update(PartnerRow).where(col(PartnerRow.slug) == "acme").values(revision=1))
                session.execute(delete(AnnouncementRow))

            await world.parts.ground.database.write(lose)
        async with running(tmp_path) as world:
            await placed(world, "A-2")
            await world.apply(FORWARDING.replace("GmbH", "AG"))
            await applied(world, 2, -120_000)
        async with running(tmp_path) as world, relaying(world):
            await until(lambda: len(at.got) >= 2, str(at.got))
            await positioned(world, 3)
            assert await forwarded(world, 2) == ["A-1", "A-2"]
    assert sorted(at.ids("/globex")) == ["A-1", "A-2"]


async def left_by(world: World) -> Sequence[int]:
    """By which contracts topics of acme were left."""
    return [one.left_by for one in await rows(world, PositionRow) if one.left_by]


async def left(world: World, contract: int) -> None:
    """Wait until the relay has left what acme sends by this contract."""
    deadline = asyncio.get_running_loop().time() + 60
    while await left_by(world) != [contract] or world.parts.relay._feeds._strands:
        assert asyncio.get_running_loop().time() < deadline, await rows(world, PositionRow)
        await asyncio.sleep(0.02)


async def test_a_topic_is_left_once_all_is_read_that_went_on_and_read_again_when_more_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.egress.feeds._LEAVE_SECONDS", 0.0)
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world):
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await placed(world, "A-1")
            await until(lambda: at.ids("/globex") == ["A-1"], str(at.got))
            await world.apply()
            await placed(world, "B-1")
            await positioned(world, 2)
            assert await left_by(world) == [], "somebody may accept by the contract of before"
            await applied(world, 2, SURE_MS + 1_000)
        async with running(tmp_path) as world, relaying(world):
            await left(world, 2)
            await placed(world, "B-2")
            await world.apply(FORWARDING)
            await placed(world, "A-2")
            await until(lambda: at.ids("/globex") == ["A-1", "A-2"], str(at.got))
            assert await forwarded(world, 2) == ["A-1", "A-2"]
            await positioned(world, 4)


async def test_what_was_left_is_not_begun_with_by_the_next_relay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a topic of which nothing was read at all, too."""
    monkeypatch.setattr("gateway.egress.feeds._LEAVE_SECONDS", 0.0)
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await world.apply()
            await applied(world, 2, SURE_MS + 1_000)
        async with running(tmp_path) as world, relaying(world):
            await left(world, 2)
        async with running(tmp_path) as world, relaying(world):
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "B-1")
            await until(lambda: at.ids("/desk") == ["B-1"], str(at.got))
            strands = world.parts.relay._feeds._strands.values()
            assert [one.owner for some in strands for one in some] == ["house/acme"]


async def test_nothing_is_left_while_an_event_of_before_has_no_record(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        await placed(world, "A-1")
        await entries(world, "event.accepted", 1)
        database, now = world.parts.ground.database, world.parts.ground.clock()
        waits = update(ClaimRow).where(col(ClaimRow.event_id) == "A-1").values(state="unconfirmed")

        def look(session: Session) -> list[bool]:
            asked = (("acme", now + 1), ("acme", now - 60_000), ("globex", now + 1))
            before = may_come(session, sender="acme", until=now + 1)
            session.execute(waits.values(lease_until=now + 3_600_000))
            return [before, *(may_come(session, sender=sender, until=at) for sender, at in asked)]

        assert await database.write(look) == [False, True, False, False]
