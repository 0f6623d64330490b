"""Endpoints that another process has added: what came before a relay heard of them is theirs, once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.egress.backlog import Span
from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Delivered, Delivery, RetryAt
from gateway.egress.reading import Refused
from gateway.egress.shard import Shard
from gateway.leases import Lease
from gateway.positions import Progress
from partners.endpoint import Endpoint, house_of
from tests.unit.gateway.egress.stage import TOPIC, TYPE, contracts, endpoint, record, stage
from tests.unit.gateway.egress.test_shard import (
    NOW,
    SPOT,
    VOICE,
    attempt,
    drain,
    made,
    read,
    receive,
    seen,
    ticked,
)

FIRST, SECOND = endpoint("ep_1"), endpoint("ep_2")


@pytest.mark.parametrize("former", [(), (replace(SECOND, types=frozenset({"other.type"})),)])
async def test_one_that_another_process_has_just_added_or_widened_gets_what_comes_to_the_others(
    tmp_path: Path, database_url: str, former: tuple[Endpoint, ...]
) -> None:
    async with stage(tmp_path, database_url, FIRST, *former) as on:
        async with on.relaying():
            await on.produce("a")
            await on.until(lambda: on.position() == 1, "settled")
            on.add_elsewhere(FIRST, SECOND)
            await on.append(replace(record("b"), at=1), record("c"))
            await on.until(lambda: sorted(on.receiver.ids(SECOND.url)) == ["b", "c"], "the second has them")
            await on.until(lambda: on.position() == 3 and not on.spans(), "all is settled")
            await on.produce("d")
            await on.until(lambda: on.position() == 4 and not on.spans(), "all is settled")
        assert sorted(on.receiver.ids(FIRST.url)) == ["a", "b", "c", "d"]
        assert sorted(on.receiver.ids(SECOND.url)) == ["b", "c", "d"]


async def test_one_that_was_widened_gets_once_what_nobody_wanted_before(
    tmp_path: Path, database_url: str
) -> None:
    """Such a record has the relay look at contracts anew, and goes to the lane by those."""
    former = replace(SECOND, types=frozenset({"other.type"}))
    async with stage(tmp_path, database_url, former) as on:
        async with on.relaying():
            await on.produce("a")
            await on.until(lambda: on.position() == 1, "settled")
            on.add_elsewhere(SECOND)
            await on.append(replace(record("b"), at=1), record("c"))
            await on.until(lambda: on.position() == 3 and not on.spans(), "all is settled")
            await on.produce("d")
            await on.until(lambda: on.position() == 4 and not on.spans(), "all is settled")
        assert sorted(on.receiver.ids()) == ["b", "c", "d"]


async def test_its_range_is_written_with_the_position_and_once(tmp_path: Path, database_url: str) -> None:
    paused = replace(SECOND, state="paused")
    async with stage(tmp_path, database_url, FIRST) as on:
        on.add_elsewhere(FIRST, paused)
        async with on.relaying():
            await on.produce("a")
            await on.until(lambda: on.position() == 1, "settled")
            assert on.spans() == [("ep_2", 0, 1)]
        async with on.relaying():
            await on.produce("b")
            await on.until(lambda: on.position() == 2, "settled")
            assert on.spans() == [("ep_2", 0, 2)]
        on.have(FIRST, SECOND)
        async with on.relaying():
            await on.until(lambda: not on.spans() and not on.rows(), "nothing waits")
            await on.produce("c")
            await on.until(lambda: on.position() == 3, "settled")
        assert sorted(on.receiver.ids(SECOND.url)) == ["a", "b", "c"]


async def test_one_that_was_added_while_nobody_read_gets_what_is_read_then(
    tmp_path: Path, database_url: str
) -> None:
    """The next owner's contracts may be older than what it reads again."""
    async with stage(tmp_path, database_url, FIRST) as on:
        async with on.relaying(owner="one"):
            await on.produce("a")
            await on.until(lambda: on.position() == 1, "settled")
        on.add_elsewhere(FIRST, SECOND)
        await on.produce("b")
        async with on.relaying(owner="two"):
            await on.until(lambda: on.receiver.ids(SECOND.url) == ["b"], "the second has it")


async def test_one_that_was_widened_gets_what_a_former_owner_left_to_be_read(
    tmp_path: Path, database_url: str
) -> None:
    """Whoever goes on has not heard of it, and is told by no tick: the position is where it was."""
    former, paused = replace(SECOND, types=frozenset({"other.type"})), replace(SECOND, state="paused")
    async with stage(tmp_path, database_url, FIRST, paused) as on:
        async with on.relaying(owner="one"):
            await on.produce("a", "b")
            await on.until(lambda: on.position() == 2 and bool(on.spans()), "settled")
        on.have(FIRST, former)
        on.contracts.later = contracts([FIRST, SECOND], on.topic_id, revision=2)
        async with on.relaying(owner="two"):
            await on.until(lambda: not on.spans(), "nothing waits")
        assert sorted(on.receiver.ids(SECOND.url)) == ["a", "b"]


def brief(shard: Shard, *endpoints: Endpoint) -> None:
    shard.update({"acme": VOICE}, endpoints)


def ranges(found: Sequence[Span]) -> list[tuple[str, int, int, int]]:
    return sorted((each.endpoint, each.start, each.end, each.events) for each in found)


def sent(shard: Shard) -> list[tuple[str, int]]:
    """Deliver what the lanes hold; endpoints and offsets."""
    found: list[Delivery] = []
    while taken := shard.take(NOW)[0]:
        for each in taken:
            shard.settle(attempt(each, Delivered()), NOW)
        found += taken
    return sorted((each.endpoint, each.position.offset) for each in found)


def drain_all(shard: Shard, *offsets: int) -> None:
    while (backlog := shard.next_backlog(NOW)) is not None:
        drain(shard, backlog, *offsets)


def test_it_begins_behind_what_was_settled_by_the_contracts_of_then() -> None:
    shard = made(FIRST)
    receive(shard, 0, 1)
    ticked(shard)
    receive(shard, 2, 3)
    brief(shard, FIRST, SECOND)
    assert ranges(ticked(shard).spans) == [("ep_2", 2, 4, 0)]
    receive(shard, 4)
    drain_all(shard, *range(2, 5))
    every = [("ep_1", offset) for offset in range(5)]
    assert sent(shard) == [*every, ("ep_2", 2), ("ep_2", 3), ("ep_2", 4)]
    ticked(shard)
    assert shard.make_tick() is None


THIRD = endpoint("ep_3")


@pytest.mark.parametrize("former", [(), (replace(THIRD, types=frozenset({"other.type"})),)])
def test_it_gets_nothing_that_was_read_before_a_tick_though_others_still_wait_for_that(
    former: tuple[Endpoint, ...],
) -> None:
    """No position moves while an offset waits for the other; that contracts were as new is known anyway."""
    ordered = replace(SECOND, order="endpoint")
    shard = made(FIRST, ordered, *former)
    receive(shard, 0)
    flying = shard.take(NOW)[0]
    ticked(shard)
    receive(shard, 1, 2)
    shard.settle(attempt(flying[0], Delivered()), NOW)
    tick = shard.make_tick()
    assert tick is not None
    assert (tick.moves, shard.read_by()) == ((), [("acme", 0)])
    receive(shard, 3)
    shard.committed(tick)
    brief(shard, FIRST, ordered, THIRD)
    assert ranges(ticked(shard).spans) == [("ep_3", 3, 4, 0)]


def test_what_was_matched_before_its_lane_was_there_is_in_the_same_range() -> None:
    shard = made(FIRST)
    receive(shard, 0)
    snapshot = contracts([FIRST, SECOND], "id")
    shard.receive(read(1), seen(read(1), "acme", snapshot, origin="https://gw.example"), NOW)
    brief(shard, FIRST, SECOND)
    assert ranges(ticked(shard).spans) == [("ep_2", 0, 2, 1)]
    drain_all(shard, 0, 1)
    assert sent(shard) == [("ep_1", 0), ("ep_1", 1), ("ep_2", 0), ("ep_2", 1)]


def test_one_that_wants_more_gets_what_it_lacks_and_nothing_again() -> None:
    other, same = (replace(SECOND, types=frozenset({kind})) for kind in ("other.type", TYPE))
    for former, lacks in ((other, [("ep_2", 1), ("ep_2", 2)]), (same, [])):
        shard = made(FIRST, former)
        receive(shard, 0)
        ticked(shard)
        receive(shard, 1, 2)
        before = sent(shard)
        brief(shard, FIRST, SECOND)
        assert ranges(ticked(shard).spans) == [("ep_2", 1, 3, 0)]
        drain_all(shard, 1, 2)
        assert sent(shard) == lacks
        assert len(before) + len(lacks) == (5 if former is other else 6)
        ticked(shard)
        assert shard.make_tick() is None


def test_one_that_wants_more_keeps_what_its_range_has_handed_out() -> None:
    shard = made(FIRST, replace(SECOND, types=frozenset({TYPE}), state="paused"))
    receive(shard, 0)
    brief(shard, FIRST, replace(SECOND, types=frozenset({TYPE})))
    drain_all(shard, 0)
    receive(shard, 1)
    brief(shard, FIRST, SECOND)
    assert ranges(ticked(shard).spans) == [("ep_2", 0, 2, 1)], "0 is not settled yet"
    drain_all(shard, 0, 1)
    assert sent(shard) == [("ep_1", 0), ("ep_1", 1), ("ep_2", 0), ("ep_2", 1)]
    ticked(shard)
    assert shard.make_tick() is None


def test_one_that_wants_more_while_it_is_behind_has_all_of_it_in_its_range() -> None:
    other = replace(SECOND, types=frozenset({"other.type"}), state="paused")
    shard = made(FIRST, other)
    receive(shard, 0, 1)
    brief(shard, FIRST, replace(other, types=frozenset()))
    receive(shard, 2)
    brief(shard, FIRST, SECOND)
    drain_all(shard, 0, 1, 2)
    assert [each for each in sent(shard) if each[0] == "ep_2"] == [("ep_2", 0), ("ep_2", 1), ("ep_2", 2)]


def test_of_many_partitions_each_has_its_own() -> None:
    shard = made(FIRST)
    shard.watch(TOPIC, "id", 1, "acme")
    shard.watch(TOPIC, "id>house/acme", 0, house_of("acme"))
    receive(shard, 0)
    receive_at(shard, 1, 7)
    brief(shard, FIRST, SECOND)
    found = {(each.partition, each.start, each.end) for each in ticked(shard).spans}
    assert found == {(0, 0, 1), (1, 0, 8)}


def receive_at(shard: Shard, partition: int, offset: int) -> None:
    one = read(offset)
    at = replace(one.position, partition=partition)
    shard.receive(replace(one, position=at), Refused("event_invalid", b"1" * 32, None, None), NOW)


def test_one_that_is_changed_or_known_from_the_start_has_none() -> None:
    shard = made(FIRST, replace(SECOND, state="paused"))
    receive(shard, 0)
    brief(shard, FIRST, replace(SECOND, state="active", types=frozenset({"another"})))
    assert ranges(ticked(shard).spans) == [("ep_2", 0, 1, 1)], "what it did not get while it was paused"
    again = Shard(Lease("relay", 0, 2, 0))
    again.adopt(Stored({SPOT: Progress(1)}, (), ()))
    brief(again, FIRST, SECOND)
    again.watch(TOPIC, "id", 0, "acme")
    assert again.make_tick() is None


def test_a_tick_that_others_contracts_hold_up_gets_the_range() -> None:
    shard = made(FIRST)
    receive(shard, 0)
    tick = shard.make_tick()
    assert tick is not None
    assert not tick.spans
    receive(shard, 1)
    brief(shard, FIRST, SECOND)
    amended = shard.amend(tick)
    assert ranges(amended.spans) == [("ep_2", 0, 2, 0)]
    shard.committed(amended)
    drain_all(shard, 0, 1)
    assert sent(shard) == [("ep_1", 0), ("ep_1", 1), ("ep_2", 0), ("ep_2", 1)]


def test_why_nobody_gets_a_record_is_said_once_whoever_reads_it_again() -> None:
    paused = [replace(each, state="paused") for each in (FIRST, SECOND)]
    shard = made(*paused)
    receive(shard, 0)
    receive_at(shard, 0, 1)
    receive(shard, 2)
    said = refused(shard)
    brief(shard, FIRST, SECOND)
    while (backlog := shard.next_backlog(NOW)) is not None:
        drain(shard, backlog, 0)
        shard.receive_again(backlog, read(1), Refused("event_invalid", b"1" * 32, None, None), NOW)
        drain(shard, backlog, 2)
    assert (said, refused(shard)) == (1, 0)
    assert len(sent(shard)) == 4


def refused(shard: Shard) -> int:
    return sum(each.evidence.kind.value == "event.refused" for each in ticked(shard).evidence)


def test_a_retry_waits_beside_its_range() -> None:
    shard = made(FIRST)
    receive(shard, 0)
    shard.settle(attempt(shard.take(NOW)[0][0], RetryAt(NOW)), NOW)
    brief(shard, FIRST, SECOND)
    assert ranges(ticked(shard).spans) == [("ep_2", 0, 1, 0)]
