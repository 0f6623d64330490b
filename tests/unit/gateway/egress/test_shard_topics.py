"""What becomes of what a shard has read of a topic that loses records, or is no more."""

from gateway.egress.delivery import Delivered
from gateway.egress.shard import Shard
from gateway.egress.ticks import Tick
from tests.unit.gateway.egress.stage import endpoint
from tests.unit.gateway.egress.test_shard import NOW, SPOT, VOICE, attempt, made, receive, ticked

FIRST, SECOND = endpoint("ep_1"), endpoint("ep_2")


def saved(tick: Tick) -> list[tuple[str, str, bool]]:
    return sorted((each.delivery.event_id, each.state, each.is_new) for each in tick.saved)


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
    assert [(each.endpoint, each.start, each.end) for each in ticked(shard).spans] == [("ep_2", 0, 2)]
