"""What ends, runs out or is late is told once, by however many it is seen."""

import json
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.administration.watch import LATE_MS, Watch
from gateway.announcements import Announcement, announce_once
from gateway.rows import AnnouncementRow, ClaimRow, UsageRow
from partners import store
from partners.credential import Credential
from tests.waiting import until
from tests.world import CONTRACT, World, running

DAY_MS = 86_400_000


def credential(now: int, days: float) -> Credential:
    return Credential(
        id=f"crd_{days}",
        partner="acme",
        role="partner",
        method="api_key",
        match=f"key-{days}",
        secret=b"x",
        scopes=frozenset({"send"}),
        not_before=0,
        not_after=now + int(days * DAY_MS),
        revoked_at=None,
        name="erp",
    )


def told(session: Session) -> list[tuple[str, dict[str, Any]]]:
    rows = session.execute(select(AnnouncementRow).order_by(col(AnnouncementRow.number))).scalars()
    return [(row.event_type, json.loads(row.data)) for row in rows]


def watch(world: World) -> Watch:
    ground = world.parts.ground
    return Watch(database=ground.database, catalog=world.parts.catalog, clock=ground.clock)


async def test_credentials_that_end_soon_are_told_of_once_by_two_watches(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        ground = world.parts.ground
        now = ground.clock()

        def insert(session: Session) -> None:
            store.lock(session)
            for days in (0.5, 10, 100):
                store.insert_credential(session, credential(now, days), now=now)
                store.bump_credential(session, f"crd_{days}")

        await ground.database.write(insert)
        await world.parts.catalog.refresh()
        # The announcer publishes beside us: what was told is a claim by then.
        one, other = watch(world), watch(world)
        for each in (one, other, one):
            await each.round()
        await told_all(world)
        for each in (watch(world), one):
            await each.round()
        assert await ground.database.read(told) == []
        await world.settled(4)  # the contract, and these
        claims = await ground.database.read(_claimed)
    assert sorted(claims) == [
        f"gateway.credential.expiring/crd_0.5/{now + DAY_MS // 2}/1",
        f"gateway.credential.expiring/crd_10/{now + 10 * DAY_MS}/14",
    ]


def _claimed(session: Session) -> list[str]:
    return list(session.execute(select(col(ClaimRow.event_id))).scalars())


async def told_all(world: World) -> None:
    left: list[str] = []

    async def is_so() -> bool:
        left[:] = [name for name, _ in await world.parts.ground.database.read(told)]
        return not left

    await until(is_so, lambda: f"left to tell: {left}")


async def test_a_daily_limit_that_is_nearly_used_is_told_of(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(CONTRACT + "limits: {bytes_per_day: 1KiB}\n")
        ground = world.parts.ground
        today = ground.clock() // DAY_MS

        def use(session: Session) -> None:
            session.add(UsageRow(partner="acme", day=today, bytes=900))

        await ground.database.write(use)
        await watch(world).round()
        await told_all(world)
        (claimed,) = await ground.database.read(_claimed)
    assert claimed == f"gateway.quota.near/bytes_per_day/{(today + 1) * DAY_MS}"


async def test_a_checkpoint_that_stays_behind_is_told_of_once_it_is_late(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        await world.settled(1)
        ground = world.parts.ground
        clock = [ground.clock()]
        late = Watch(database=ground.database, catalog=world.parts.catalog, clock=lambda: clock[0])
        heads = {"gw.example/log/" + log_of(world) + "/1": (9, 3)}
        found = list(late._late(world.parts.catalog.current.directory, heads, {}, clock[0]))
        assert found == []
        clock[0] += LATE_MS
        (one,) = late._late(world.parts.catalog.current.directory, heads, {}, clock[0])
        assert (one.partner, json.loads(one.data)["published"]) == ("acme", 3)
        moved = dict.fromkeys(heads, (10, 9))
        assert list(late._late(world.parts.catalog.current.directory, moved, {}, clock[0])) == []


async def test_what_waits_for_an_entry_for_too_long_is_told_of_as_late_too(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        await world.settled(1)
        ground, directory = world.parts.ground, world.parts.catalog.current.directory
        one = Watch(database=ground.database, catalog=world.parts.catalog, clock=ground.clock)
        log, now = "gw.example/log/" + log_of(world), ground.clock()
        heads = {f"{log}/1": (3, 3), f"{log}/2": (1, 1)}
        waiting = {log: now - LATE_MS}
        assert one._still(waiting) == {}, "evidence may be old when it is written"
        assert one._still(waiting) == waiting
        assert one._still({log: now}) == {}
        (found,) = one._late(directory, heads, waiting, now)
        told = json.loads(found.data)
        assert (told["log"], told["size"], told["published"]) == (f"{log}/2", 1, 1)
        assert told["late_since"] == now - LATE_MS
        assert [log in words for words in one.late] == [True]
        assert list(one._late(directory, heads, {log: now}, now)) == []
        assert one.late == ()
        (unborn,) = one._late(directory, {}, waiting, now)
        assert json.loads(unborn.data)["log"] == f"{log}/1"


def log_of(world: World) -> str:
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    return partner.log


async def test_what_waits_or_was_told_is_not_told_again(tmp_path: Path) -> None:
    new = Announcement("acme", "gateway.quota.near/x", "gateway.quota.near", "{}", 1)
    async with running(tmp_path) as world:
        database = world.parts.ground.database
        for text in ("{}", '{"other":1}'):
            one = Announcement(new.partner, new.id, new.type, text, new.at)
            await database.write(partial(announce_once, new=one))
        assert [body for _, body in await database.read(told)] == [{}]
