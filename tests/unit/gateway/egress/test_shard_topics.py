"""What becomes of what a shard has read of a topic that loses records, or is no more."""

from gateway.egress.delivery import Delivered
from gateway.egress.shard import Shard
from gateway.egress.ticks import Tick
from tests.unit.gateway.egress.stage import endpoint
from tests.unit.gateway.egress.test_shard import (
    NOW,
    SPOT,
    VOICE,
    attempt,
    drain,
    holes,
    made,
    receive,
    ticked,
)

FIRST, SECOND, THIRD = endpoint("ep_1"), endpoint("ep_2"), endpoint("ep_3")


def saved(tick: Tick) -> list[tuple[str, str, bool]]:
    return sorted((each.delivery.event_id, each.state, each.is_new) for each in tick.saved)


def ranges(tick: Tick) -> list[tuple[str, int, int]]:
    return sorted((each.endpoint, each.start, each.end) for each in tick.spans)


def test_what_lanes_have_of_a_topic_that_is_gone_has_rows_and_is_sent_out_of_them() -> None:
    shard = made(FIRST)
    receive(shard, 0, 1)
    taken, _ = shard.take(NOW)
    receive(shard, 2)
    shard.abandon(SPOT, NOW)
    assert saved(ticked(shard)) == [(f"e{at}", "pending", True) for at in range(3)]
    shard.settle(attempt(taken[0], Delivered()), NOW)
    assert ticked(shard).finished == ((FIRST.id, taken[0].ref),)
    again = made(FIRST)
    again.abandon(SPOT, NOW)
    assert again.make_tick() is None


def test_what_a_topic_has_kept_is_for_an_endpoint_that_was_added_meanwhile() -> None:
    shard: Shard = made(FIRST)
    receive(shard, 0, 1, 2)
    shard.restart(SPOT, 2, NOW)
    shard.update({"acme": VOICE}, [FIRST, SECOND])
    assert ranges(ticked(shard)) == [("ep_2", 0, 2)]


def test_what_was_read_since_a_tick_began_is_unsure_after_the_topic_lost_records_too() -> None:
    shard = made(FIRST)
    receive(shard, 0, 1)
    tick = shard.make_tick()
    assert tick is not None
    receive(shard, 2, 3, 4)
    shard.restart(SPOT, 4, NOW)
    shard.committed(tick)
    shard.update({"acme": VOICE}, [FIRST, SECOND])
    assert ranges(ticked(shard)) == [("ep_2", 2, 4)]


def test_of_what_was_read_before_a_hole_an_endpoint_that_was_added_meanwhile_is_told() -> None:
    """Retention takes all that is before: nobody can read it again, and the log says so, once."""
    shard = made(FIRST)
    receive(shard, 0, 1)
    shard.lose(SPOT, 2, 5, NOW)
    shard.update({"acme": VOICE}, [FIRST, SECOND])
    tick = ticked(shard)
    assert (ranges(tick), holes(tick), tick.moves[0].after.next) == ([("ep_2", 0, 2)], [(2, 5)], 0)
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    shard.lose_again(backlog, 5, NOW)
    tick = ticked(shard)
    assert (holes(tick), tick.drained) == ([(0, 2)], (("ep_2", "id", 0),))


def test_an_endpoint_that_was_added_meanwhile_gets_what_lies_behind_a_hole() -> None:
    shard = made(FIRST)
    receive(shard, 0, 1)
    shard.lose(SPOT, 2, 4, NOW)
    shard.lose(SPOT, 4, 5, NOW)
    receive(shard, 5)
    shard.update({"acme": VOICE}, [FIRST, SECOND])
    tick = ticked(shard)
    assert (ranges(tick), holes(tick)) == ([("ep_2", 0, 6)], [(2, 4), (4, 5)])
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    shard.lose_again(backlog, 5, NOW)
    drain(shard, backlog, 5)
    (mine,) = [each for each in shard.take(NOW)[0] if each.endpoint == "ep_2"]
    assert mine.position.offset == 5
    shard.settle(attempt(mine, Delivered()), NOW)
    tick = ticked(shard)
    assert (holes(tick), tick.drained) == ([(0, 2)], (("ep_2", "id", 0),))


def test_a_hole_behind_what_is_settled_is_nobodys_who_is_added_later() -> None:
    shard = made(FIRST)
    receive(shard, 0)
    ticked(shard)
    shard.lose(SPOT, 1, 5, NOW)
    shard.update({"acme": VOICE}, [FIRST, SECOND])
    tick = ticked(shard)
    assert (ranges(tick), holes(tick)) == ([], [(1, 5)])


def test_a_hole_that_is_found_while_a_tick_is_written_leaves_what_that_tick_read_unsure() -> None:
    shard = made(FIRST)
    receive(shard, 0)
    tick = shard.make_tick()
    assert tick is not None
    shard.lose(SPOT, 1, 5, NOW)
    shard.update({"acme": VOICE}, [FIRST, SECOND])
    amended = shard.amend(tick)
    assert ranges(amended) == [("ep_2", 0, 1)]
    shard.committed(amended)
    shard.update({"acme": VOICE}, [FIRST, SECOND, THIRD])
    tick = ticked(shard)
    assert (ranges(tick), holes(tick)) == ([("ep_2", 0, 1)], [(1, 5)]), "the third is owed nothing"
