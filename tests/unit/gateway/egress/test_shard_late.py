"""What waits in memory for longer than a moment gets a row: it is seen, and holds up no offset of others."""

from dataclasses import replace

from gateway.egress.asking import Asked
from gateway.egress.backlog import Span
from gateway.egress.books import STEP
from gateway.egress.debts import PATIENCE_MS
from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Delivered, Delivery, RetryAt
from gateway.egress.lane import CAPACITY, NEVER
from gateway.egress.shard import Shard
from gateway.egress.ticks import Tick
from gateway.positions import Progress
from partners.endpoint import Skip
from tests.unit.gateway.egress.stage import TOPIC, endpoint
from tests.unit.gateway.egress.test_shard import NOW, attempt, drain, made, receive, ticked

QUICK, ORDERED = endpoint("ep_1"), endpoint("ep_2", order="endpoint")
LATE = NOW + PATIENCE_MS


def saved(tick: Tick) -> list[tuple[str, str, int]]:
    return [(one.delivery.endpoint, one.delivery.event_id, one.delivery.attempts) for one in tick.saved]


def deliver(shard: Shard, *endpoints: str) -> list[Delivery]:
    """Deliver what goes to these endpoints; what is under way to the others."""
    flying = []
    while taken := shard.take(NOW)[0]:
        for one in taken:
            if one.endpoint in endpoints:
                shard.settle(attempt(one, Delivered()), NOW)
            else:
                flying.append(one)
    return flying


def test_what_waits_behind_the_head_of_an_order_gets_rows_with_it_and_holds_up_no_offset() -> None:
    shard = made(QUICK, ORDERED)
    receive(shard, 0, 1, 2)
    (head,) = deliver(shard, "ep_1")
    assert shard.keep_late(LATE - 1) == LATE
    tick = ticked(shard)
    assert (saved(tick), tick.moves[0].after) == ([], Progress(0))
    assert shard.keep_late(LATE) == NEVER
    tick = ticked(shard)
    assert saved(tick) == [("ep_2", "e0", 0), ("ep_2", "e1", 0), ("ep_2", "e2", 0)]
    assert [(one.state, one.reason, one.is_new) for one in tick.saved] == [("pending", None, True)] * 3
    assert tick.moves[0].after == Progress(3)
    shard.settle(attempt(head, Delivered()), NOW)
    assert ticked(shard).finished == (("ep_2", head.ref),)
    assert [(one.event_id, one.body) for one in deliver(shard)] == [("e1", None)]


def test_what_is_delivered_at_once_gets_none_and_nobody_looks_again() -> None:
    shard = made(QUICK)
    receive(shard, 0, 1)
    deliver(shard, "ep_1")
    assert shard.keep_late(LATE) == NEVER
    tick = ticked(shard)
    assert (tick.saved, tick.finished, tick.moves[0].after) == ((), (), Progress(2))


def test_what_waits_behind_a_rate_or_is_under_way_for_long_gets_a_row() -> None:
    shard = made(endpoint(per_second=1))
    receive(shard, 0, 1, 2)
    assert len(shard.take(NOW)[0]) == 1
    shard.keep_late(LATE)
    assert [name for _, name, _ in saved(ticked(shard))] == ["e0", "e1", "e2"]


def test_of_very_much_some_get_rows_with_each_tick_and_the_rest_is_a_range() -> None:
    shard = made(replace(ORDERED, id="ep_1"))
    receive(shard, *range(CAPACITY + 40))
    counts = []
    while shard.keep_late(LATE) != NEVER:
        counts.append(len(ticked(shard).saved))
    counts.append(len(ticked(shard).saved))
    assert counts == [STEP, STEP, CAPACITY - 2 * STEP]
    receive(shard, CAPACITY + 40)
    assert ticked(shard).spans == (Span("ep_1", TOPIC, "id", 0, CAPACITY, CAPACITY + 41),)
    assert shard.next_backlog(NOW) is None, "rows make no room, before what they hold was tried"


def test_what_a_range_has_handed_out_is_in_its_row() -> None:
    shard = made(ORDERED, stored=Stored({}, (), (Span("ep_2", TOPIC, "id", 0, 0, 2),)))
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    drain(shard, backlog, 0, 1)
    receive(shard, 0, 1)
    assert shard.keep_late(LATE) == NEVER
    assert ticked(shard).saved == ()


def test_with_an_order_what_a_range_has_handed_out_before_gets_its_row_first() -> None:
    """Rows are read before ranges: it would go out behind what came later."""
    shard = made(ORDERED, stored=Stored({}, (), (Span("ep_2", TOPIC, "id", 0, 0, 2),)))
    backlog = shard.next_backlog(NOW)
    assert backlog is not None
    drain(shard, backlog, 0, 1)
    receive(shard, 0, 1, 2)
    shard.keep_late(LATE)
    tick = ticked(shard)
    assert [name for _, name, _ in saved(tick)] == ["e0", "e1", "e2"]
    assert tick.drained == (("ep_2", "id", 0),)
    assert tick.moves[0].after == Progress(3)


def test_what_has_a_row_from_its_first_attempt_gets_no_other_one() -> None:
    shard = made(ORDERED)
    receive(shard, 0, 1)
    (head,) = shard.take(NOW)[0]
    shard.settle(attempt(head, RetryAt(LATE)), NOW)
    shard.keep_late(LATE)
    assert saved(ticked(shard)) == [("ep_2", "e0", 1), ("ep_2", "e1", 0)]
    assert shard.make_tick() is None


def test_what_waits_in_an_order_can_be_given_up() -> None:
    shard = made(ORDERED)
    receive(shard, 0, 1, 2)
    (head,) = shard.take(NOW)[0]
    shard.keep_late(LATE)
    waiting = ticked(shard).saved[1].delivery
    assert shard.hear_all([Asked(waiting, is_cancelled=True, at=LATE)], LATE)
    shard.settle(attempt(head, Delivered()), LATE)
    assert [one.event_id for one in deliver(shard)] == ["e2"]


def test_what_somebody_gave_up_while_it_was_under_way_gets_no_row() -> None:
    shard = made(QUICK)
    receive(shard, 0)
    (flying,) = shard.take(NOW)[0]
    at = flying.position
    shard.update({}, [replace(QUICK, skips=(Skip(at.topic_id, at.partition, 1, "operator", None, LATE),))])
    assert shard.keep_late(LATE) == NEVER
    assert ticked(shard).saved == ()
