import asyncio
import threading
from collections.abc import Iterator
from functools import partial

import pytest
from sqlalchemy import update
from sqlmodel import Session, col, select

from gateway.database import Database, clock
from gateway.errors import LeaseLostError, SetupError
from gateway.leases import Lease, Leases, are_shared, await_former, check_all, expire_all, shard_of
from gateway.rows import InstanceRow, LeaseRow


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def leases(database: Database, owner: str, shards: int = 8, role: str = "relay") -> Leases:
    return Leases(database, role, owner=owner, shards=shards, duration_ms=600_000)


def let_run_out(database: Database, owner: str) -> None:
    with database.begin() as session:
        past = clock(session) - 1
        session.execute(update(LeaseRow).where(col(LeaseRow.owner) == owner).values(until=past))
        session.execute(update(InstanceRow).where(col(InstanceRow.owner) == owner).values(until=past))


def shards(held: frozenset[Lease]) -> set[int]:
    return {lease.shard for lease in held}


async def test_lone_instance_holds_every_shard(database: Database) -> None:
    held = await leases(database, "a").hold()
    assert shards(held) == set(range(8))
    assert {(lease.epoch, lease.is_inherited) for lease in held} == {(1, False)}


async def test_renewal_keeps_the_epoch_and_moves_the_end(database: Database) -> None:
    ours = leases(database, "a")
    first = await ours.hold()
    let_run_out(database, "a")
    second = await ours.hold()
    assert first == second
    with database.begin() as session:
        assert {row.until > clock(session) for row in session.exec(select(LeaseRow))} == {True}


async def test_held_shards_are_never_taken_by_another(database: Database) -> None:
    await leases(database, "a").hold()
    assert await leases(database, "b").hold() == frozenset()


async def test_newcomer_gets_its_fair_share_without_an_overlap(database: Database) -> None:
    old, new = leases(database, "a"), leases(database, "b")
    await old.hold()
    assert await new.hold() == frozenset()
    kept = await old.hold()
    assert len(kept) == 4
    assert await new.hold() == frozenset(), "given up, but the old owner may still be at work"
    assert await old.hold() == kept
    gained = await new.hold()
    assert shards(gained) == set(range(8)) - shards(kept)
    assert {lease.epoch for lease in gained} == {2}
    assert not any(lease.is_inherited for lease in gained)


@pytest.mark.parametrize("count", [2, 3, 5])
async def test_shares_settle_with_every_shard_owned_once(database: Database, count: int) -> None:
    instances = [leases(database, f"i{n}", shards=64) for n in range(count)]
    for _ in range(5):
        for each in instances:
            await each.hold()
    owned = [shard for each in instances for shard in shards(each.held)]
    assert sorted(owned) == list(range(64))
    assert max(len(each.held) for each in instances) <= -(-64 // count)


async def test_expired_leases_are_inherited_with_a_new_epoch(database: Database) -> None:
    dead, heir = leases(database, "a"), leases(database, "b")
    before = await dead.hold()
    let_run_out(database, "a")
    after = await heir.hold()
    assert shards(after) == shards(before)
    assert {(lease.epoch, lease.is_inherited) for lease in after} == {(2, True)}
    assert all(lease.is_inherited for lease in await heir.hold())
    assert await dead.hold() == frozenset()


async def test_check_refuses_the_work_of_a_former_owner(database: Database) -> None:
    old = await leases(database, "a").hold()
    let_run_out(database, "a")
    new = await leases(database, "b").hold()
    with database.begin() as session:
        for lease in new:
            check_all(session, [lease])
        for lease in old:
            with pytest.raises(LeaseLostError) as caught:
                check_all(session, [lease])
            assert caught.value.code == "lease_lost"


async def test_an_epoch_that_another_owner_has_by_now_is_not_ours(database: Database) -> None:
    """A standby became primary that had not received our take-over, and gave the same epoch once more."""
    held = await leases(database, "a").hold()
    with database.begin() as session:
        session.execute(update(LeaseRow).values(owner="b"))
    for lease in held:
        for check in (partial(check_all, leases=[lease]), partial(await_former, lease=lease)):
            with database.begin() as session, pytest.raises(LeaseLostError, match="now 1, of b"):
                check(session)


async def test_check_passes_while_nobody_took_over_an_expired_lease(database: Database) -> None:
    held = await leases(database, "a").hold()
    let_run_out(database, "a")
    with database.begin() as session:
        for lease in held:
            check_all(session, [lease])


def test_check_refuses_a_shard_without_a_row(database: Database) -> None:
    with database.begin() as session, pytest.raises(LeaseLostError):
        check_all(session, [Lease("relay", 3, 1, 0)])


async def test_who_begins_waits_for_what_was_begun_before_under_the_same_lease(database: Database) -> None:
    held = await leases(database, "a").hold()
    lease, other = sorted(held, key=lambda each: each.shard)[:2]
    checked, go = threading.Event(), threading.Event()
    told: list[str] = []

    def decide(session: Session) -> None:
        check_all(session, [lease])
        checked.set()
        assert go.wait(30)
        told.append("what was begun before")

    def begin(session: Session) -> None:
        await_former(session, lease)
        told.append("what begins")

    deciding = asyncio.ensure_future(database.write(decide))
    await asyncio.to_thread(checked.wait, 30)
    if not database.is_sqlite:  # has one writer
        await database.write(partial(await_former, lease=other))
    beginning = asyncio.ensure_future(database.write(begin))
    await asyncio.sleep(0.2)
    go.set()
    await asyncio.gather(deciding, beginning)
    assert told == ["what was begun before", "what begins"]


async def test_who_begins_under_a_lease_that_is_lost_is_told_so(database: Database) -> None:
    held = await leases(database, "a").hold()
    let_run_out(database, "a")
    await leases(database, "b").hold()
    for lease in (min(held, key=lambda each: each.shard), Lease("relay", 99, 1, 0)):
        with pytest.raises(LeaseLostError):
            await database.write(partial(await_former, lease=lease))


async def test_released_shards_are_free_at_once(database: Database) -> None:
    first, second = leases(database, "a"), leases(database, "b")
    held = await first.hold()
    await first.release()
    assert first.held == frozenset()
    taken = await second.hold()
    assert shards(taken) == set(range(8))
    assert {(lease.epoch, lease.is_inherited) for lease in taken} == {(2, False)}
    with database.begin() as session, pytest.raises(LeaseLostError):
        check_all(session, [min(held, key=lambda lease: lease.shard)])


async def test_what_may_still_land_is_told_to_whoever_takes_a_released_shard(database: Database) -> None:
    first, second = leases(database, "a"), leases(database, "b")
    await first.hold()
    await first.release(landing={2, 5})
    taken = await second.hold()
    assert shards(taken) == set(range(8)), "free at once all the same"
    assert {lease.shard for lease in taken if lease.is_inherited} == {2, 5}


async def test_what_may_still_land_is_told_to_the_newcomer_that_gets_a_share(database: Database) -> None:
    old, new = leases(database, "a"), leases(database, "b")
    await old.hold()
    await new.hold()
    kept = shards(await old.hold())
    one, *_ = set(range(8)) - kept
    assert shards(await old.hold(landing={one, *kept})) == kept
    gained = await new.hold()
    assert {lease.shard for lease in gained if lease.is_inherited} == {one}


async def test_roles_do_not_share_shards(database: Database) -> None:
    await leases(database, "a").hold()
    assert len(await leases(database, "a", role="sequencer").hold()) == 8


async def test_lease_whose_commit_was_never_answered_is_ours_and_treated_as_inherited(
    database: Database,
) -> None:
    await leases(database, "a").hold()
    found = await leases(database, "a").hold()
    assert shards(found) == set(range(8))
    assert {(lease.epoch, lease.is_inherited) for lease in found} == {(1, True)}


async def test_expire_all_frees_everything_for_the_next_start(database: Database) -> None:
    await leases(database, "a").hold()
    with database.begin() as session:
        expire_all(session)
    assert {lease.epoch for lease in await leases(database, "b").hold()} == {2}


async def test_what_the_last_program_had_sent_may_still_arrive_unless_it_let_go_in_order(
    database: Database,
) -> None:
    last = leases(database, "a")
    await last.hold()
    with database.begin() as session:
        expire_all(session)
    killed = leases(database, "b")
    assert {lease.is_inherited for lease in await killed.hold()} == {True}
    await killed.release(landing={3})
    with database.begin() as session:
        expire_all(session)
    assert {lease.shard for lease in await leases(database, "c").hold() if lease.is_inherited} == {3}


async def test_a_lease_that_its_owner_never_heard_of_is_let_go_as_one_of_which_something_may_arrive(
    database: Database,
) -> None:
    await leases(database, "a").hold()
    await leases(database, "a").release()
    assert {lease.is_inherited for lease in await leases(database, "b").hold()} == {True}


async def test_leases_are_shared_while_an_instance_lives(database: Database) -> None:
    with database.begin() as session:
        assert not are_shared(session)
    await leases(database, "a").hold()
    with database.begin() as session:
        assert are_shared(session)
    let_run_out(database, "a")
    with database.begin() as session:
        assert not are_shared(session)


async def test_another_number_of_shards_is_refused_until_all_are_stopped(database: Database) -> None:
    await leases(database, "a", shards=8).hold()
    with pytest.raises(SetupError, match="set it to 8"):
        await leases(database, "b", shards=16).hold()
    with database.begin() as session:
        expire_all(session)
    assert len(await leases(database, "b", shards=16).hold()) == 16


async def test_coarser_division_leaves_the_rows_of_the_finer_one_alone(database: Database) -> None:
    await leases(database, "a", shards=16).hold()
    with database.begin() as session:
        expire_all(session)
    first, second = leases(database, "b", shards=8), leases(database, "c", shards=8)
    assert shards(await first.hold()) == set(range(8))
    assert await second.hold() == frozenset()


async def test_instances_gone_for_long_are_forgotten(database: Database) -> None:
    await leases(database, "a").hold()
    with database.begin() as session:
        session.execute(update(InstanceRow).values(until=1))
    await leases(database, "b").hold()
    with database.begin() as session:
        assert [row.owner for row in session.exec(select(InstanceRow))] == ["b"]


def test_renewal_comes_three_times_in_a_duration(database: Database) -> None:
    assert leases(database, "a").renew_after_ms == 200_000


def test_shard_of_a_partner_is_fixed_for_ever() -> None:
    assert [shard_of(slug, 64) for slug in ("acme", "globex", "house")] == [59, 9, 55]
    assert len({shard_of(f"p{n}", 64) for n in range(1000)}) == 64
