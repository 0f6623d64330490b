"""What is decided of a delivery while a tick that has a word on it is not written yet."""

from dataclasses import replace

import pytest

from gateway.broker.port import Position, Read
from gateway.egress.asking import Asked
from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Delivered, Delivery, Parked, RetryAt
from gateway.egress.replay import Counts, Part, Stretch, Wish
from gateway.egress.shard import Shard
from gateway.egress.ticks import Tick
from gateway.positions import Progress
from partners.endpoint import Endpoint
from tests.unit.gateway.egress.stage import TOPIC, contracts, endpoint, record
from tests.unit.gateway.egress.test_lane import delivery
from tests.unit.gateway.egress.test_shard import NOW, attempt, made, read, receive, seen, ticked

ROW = replace(delivery(0), attempts=1, body=None, wanted_at=NOW)
GONE = Parked("server_error")


def begun(shard: Shard) -> Tick:
    """A tick that is not written yet."""
    tick = shard.make_tick()
    assert tick is not None
    return tick


def take(shard: Shard) -> Delivery:
    (found,) = shard.take(NOW)[0]
    return found


def states(tick: Tick) -> list[tuple[str, int]]:
    return [(saved.state, saved.delivery.attempts) for saved in tick.saved]


def failed() -> tuple[Shard, Tick]:
    """A delivery has failed once; the tick that gives it a row is not written yet."""
    shard = made(endpoint())
    receive(shard, 0)
    shard.settle(attempt(take(shard), RetryAt(NOW)), NOW)
    return shard, begun(shard)


def test_an_event_that_comes_once_more_keeps_its_body_until_it_has_a_row_of_its_own() -> None:
    shard, tick = failed()
    shard.settle(attempt(take(shard), GONE), NOW)
    again = Read(Position("id", 0, 1), record("e0"), NOW)
    snapshot = contracts([endpoint()], "id")
    shard.receive(again, seen(again, "acme", snapshot, origin="https://gw.example"), NOW)
    shard.committed(tick)
    assert states(ticked(shard)) == [("parked", 2)]
    second = take(shard)
    assert (second.position.offset, second.body is None) == (1, False)
    shard.settle(attempt(second, RetryAt(NOW)), NOW)
    tick = ticked(shard)
    assert states(tick) == [("pending", 1)]
    assert tick.saved[0].delivery.body == second.body
    assert take(shard).body is None


def test_what_a_replay_hands_over_keeps_its_body_until_it_has_a_row_of_its_own() -> None:
    shard, tick = failed()
    shard.settle(attempt(take(shard), Delivered()), NOW)
    wish = Wish("acme", None, "all", (), 0, NOW, None, dry_run=False)
    shard.recall.adopt([Part("rpl_1", wish, Stretch("ep_1", TOPIC, "id", 0, 0, 1), 0, Counts())])
    (recalled,) = shard.recall.parts.values()
    snapshot = contracts([endpoint()], "id")
    assert shard.receive_again(recalled, read(0), seen(read(0), "acme", snapshot, origin="https://x"), NOW)
    shard.committed(tick)
    assert len(ticked(shard).finished) == 1
    assert take(shard).body is not None


def test_what_a_closed_lane_has_saved_and_delivered_by_then_is_not_taken_for_what_comes_next() -> None:
    shard = made(endpoint())
    receive(shard, 0)
    shard.update({}, [endpoint(state="paused")])
    tick = begun(shard)
    shard.update({}, [endpoint()])
    shard.settle(attempt(take(shard), Delivered()), NOW)
    again = Read(Position("id", 0, 1), record("e0"), NOW)
    snapshot = contracts([endpoint()], "id")
    shard.receive(again, seen(again, "acme", snapshot, origin="https://gw.example"), NOW)
    shard.committed(tick)
    assert take(shard).body is not None


def test_what_failed_again_meanwhile_is_out_of_its_row_as_before() -> None:
    shard, tick = failed()
    shard.settle(attempt(take(shard), RetryAt(NOW)), NOW)
    shard.committed(tick)
    assert take(shard).body is None
    assert states(ticked(shard)) == [("pending", 2)]


@pytest.mark.parametrize("before", [endpoint(order="endpoint"), endpoint(order="key")])
def test_a_lane_with_an_order_that_closes_saves_what_is_under_way_before_what_waits_behind_it(
    before: Endpoint,
) -> None:
    """Else the next owner finds rows of what came later, and reads the first again behind them."""
    shard = made(before)
    snapshot = contracts([before], "id")
    for offset in range(3):
        one = Read(Position("id", 0, offset), record(f"e{offset}", key=b"k"), NOW)
        shard.receive(one, seen(one, "acme", snapshot, origin="https://gw.example"), NOW)
    first = take(shard)
    shard.update({}, [replace(before, state="paused")])
    tick = ticked(shard)
    assert [saved.delivery.event_id for saved in tick.saved] == ["e0", "e1", "e2"]
    assert tick.moves[0].after == Progress(3)
    shard.settle(attempt(first, Delivered()), NOW)
    assert ticked(shard).finished == (("ep_1", first.ref),)


def test_what_is_asked_of_a_delivery_that_is_about_to_be_parked_has_it_tried_and_counted_on() -> None:
    shard = made(endpoint(), stored=Stored({}, (ROW,), ()))
    shard.settle(attempt(take(shard), GONE), NOW)
    assert shard.hear_all([Asked(replace(ROW, wanted_at=NOW + 5), is_cancelled=False, at=NOW + 5)], NOW + 5)
    tick = ticked(shard)
    assert (states(tick), tick.heard) == ([("pending", 2)], (("ep_1", ROW.ref, NOW + 5),))
    assert take(shard).attempts == 2


def test_what_is_asked_while_the_tick_that_parks_it_is_written_counts_on() -> None:
    """There the database leaves the row as it was asked for."""
    shard = made(endpoint(), stored=Stored({}, (ROW,), ()))
    shard.settle(attempt(take(shard), GONE), NOW)
    tick = begun(shard)
    assert states(tick) == [("parked", 2)]
    assert shard.hear_all([Asked(replace(ROW, wanted_at=NOW + 5), is_cancelled=False, at=NOW + 5)], NOW + 5)
    shard.committed(tick)
    assert take(shard).attempts == 2


def test_what_was_asked_before_a_row_was_read_is_answered_by_the_attempt_that_followed() -> None:
    shard = made(endpoint(), stored=Stored({}, (ROW,), ()))
    shard.settle(attempt(take(shard), GONE), NOW)
    assert shard.hear_all([Asked(ROW, is_cancelled=False, at=NOW)], NOW)
    assert states(ticked(shard)) == [("parked", 2)]
    assert shard.take(NOW)[0] == []


def test_what_is_asked_of_a_delivery_that_has_just_gone_out_sends_nothing_twice() -> None:
    shard = made(endpoint(), stored=Stored({}, (ROW,), ()))
    shard.settle(attempt(take(shard), Delivered()), NOW)
    asked = Asked(replace(ROW, wanted_at=NOW + 5), is_cancelled=False, at=NOW + 5)
    assert shard.hear_all([asked], NOW + 5)
    assert shard.take(NOW + 5)[0] == []
    tick = begun(shard)
    assert tick.finished == (("ep_1", ROW.ref),)
    assert not shard.hear_all([asked], NOW + 5)
    shard.committed(tick)
    assert shard.take(NOW + 5)[0] == []
