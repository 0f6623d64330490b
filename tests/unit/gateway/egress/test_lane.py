from dataclasses import replace

import pytest

from gateway.broker.port import Position
from gateway.dialler import Reason
from gateway.egress.breaker import FIRST_WAIT_MS, OPENS_AFTER, Breaker
from gateway.egress.delivery import Decision, Delivered, Delivery, Held, Parked, RetryAt
from gateway.egress.lane import NEVER, WITHHELD, Lane
from tests.unit.gateway.egress.stage import endpoint

NOW = 10_000


def delivery(number: int, group: str | None = None) -> Delivery:
    return Delivery(
        endpoint="ep_1",
        ref=number.to_bytes(32),
        partner="acme",
        source="/house",
        event_id=str(number),
        event_type="t",
        topic="topic",
        position=Position("id", 0, number),
        schema_id=1,
        group=group,
        body=b"{}",
    )


def taken(lane: Lane, now: int = NOW) -> list[str]:
    ids = []
    while not isinstance(found := lane.take(now), int):
        ids.append(found.event_id)
    return ids


def settle(
    lane: Lane, number: int, decision: Decision, failure: Reason | None = None, group: str | None = None
) -> None:
    lane.settle(delivery(number, group), decision, NOW, failure)


def test_what_is_offered_goes_out_in_order_up_to_the_concurrency() -> None:
    lane = Lane(endpoint(concurrency=2))
    assert [lane.offer(delivery(n), NOW) for n in range(3)] == ["taken"] * 3
    assert taken(lane) == ["0", "1"]
    assert lane.take(NOW) == NEVER
    settle(lane, 1, Delivered())
    assert taken(lane) == ["2"]


def test_a_full_lane_refuses_and_a_known_event_is_recognised() -> None:
    lane = Lane(endpoint(), capacity=2)
    assert [lane.offer(delivery(n), NOW) for n in (0, 1, 2, 0)] == ["taken", "taken", "closed", "known"]
    assert lane.room(NOW) == 0


@pytest.mark.parametrize("state", ["paused", "disabled", "unverified"])
def test_a_lane_whose_endpoint_is_not_active_takes_and_sends_nothing(state: str) -> None:
    lane = Lane(endpoint())
    lane.offer(delivery(0), NOW)
    lane.update(endpoint(state=state))
    assert lane.offer(delivery(1), NOW) == "closed"
    assert lane.take(NOW) == NEVER
    assert [each.event_id for each in lane.unsaved()] == ["0"]
    lane.update(endpoint())
    assert taken(lane) == ["0"]


def test_a_retry_waits_for_its_time_and_counts_its_attempts() -> None:
    lane = Lane(endpoint())
    lane.offer(delivery(0), NOW)
    taken(lane)
    settle(lane, 0, RetryAt(NOW + 500), "client_error")
    assert lane.take(NOW) == NOW + 500
    again = lane.take(NOW + 500)
    assert isinstance(again, Delivery)
    assert again.attempts == 1


def test_what_failed_before_has_its_turn_although_something_new_always_waits() -> None:
    lane = Lane(endpoint(concurrency=1))
    for number in range(3):
        lane.offer(delivery(number), NOW)
        assert taken(lane) == [str(number)]
        settle(lane, number, RetryAt(NOW + 500), "client_error")
    order = []
    for number in range(3, 15):
        lane.offer(delivery(number), NOW)
        lane.offer(delivery(number + 100), NOW)
        (one,) = taken(lane, NOW + 500)
        order.append(int(one))
        settle(lane, int(one), Delivered())
    assert [one for one in order if one < 3] == [0, 1, 2]
    assert [order.index(one) for one in (0, 1, 2)] == [3, 7, 11]


def test_a_retry_that_is_not_due_yet_takes_no_turn_and_one_that_is_alone_goes_at_once() -> None:
    lane = Lane(endpoint(concurrency=1))
    lane.offer(delivery(0), NOW)
    taken(lane)
    settle(lane, 0, RetryAt(NOW + 500), "client_error")
    for number in range(1, 9):
        lane.offer(delivery(number), NOW)
    for number in range(1, 9):
        assert taken(lane, NOW + 499) == [str(number)]
        settle(lane, number, Delivered())
    assert lane.take(NOW + 499) == NOW + 500
    assert taken(lane, NOW + 500) == ["0"]


def test_without_leave_to_try_again_only_what_is_new_goes() -> None:
    lane = Lane(endpoint(concurrency=4))
    lane.offer(delivery(0), NOW)
    taken(lane)
    settle(lane, 0, RetryAt(NOW), "client_error")
    assert lane.take(NOW, may_retry=False) == WITHHELD
    lane.offer(delivery(1), NOW)
    found = lane.take(NOW, may_retry=False)
    assert isinstance(found, Delivery)
    assert found.event_id == "1"
    assert lane.take(NOW, may_retry=False) == WITHHELD
    assert taken(lane) == ["0"]
    assert lane.take(NOW, may_retry=False) == NEVER


def test_without_that_leave_a_retry_still_has_its_turn_where_something_new_always_waits() -> None:
    lane = Lane(endpoint(concurrency=1))
    lane.offer(delivery(0), NOW)
    taken(lane)
    settle(lane, 0, RetryAt(NOW), "client_error")
    lane.offer(delivery(1), NOW)
    order = []
    for number in range(2, 8):
        lane.offer(delivery(number), NOW)
        found = lane.take(NOW, may_retry=False)
        assert isinstance(found, Delivery)
        order.append(int(found.event_id))
        settle(lane, order[-1], Delivered())
    assert order == [1, 2, 3, 0, 4, 5]


def test_what_is_to_be_tried_now_goes_before_all_that_was_due_before() -> None:
    lane = Lane(endpoint(concurrency=4))
    for number in range(4):
        lane.offer(delivery(number), NOW)
    taken(lane)
    for number in range(4):
        settle(lane, number, RetryAt(NOW + number), "client_error")
    assert lane.hurry(delivery(3).ref, NOW + 10)
    assert taken(lane, NOW + 10) == ["3", "0", "1", "2"]


@pytest.mark.parametrize("is_tried_first", [True, False])
def test_a_saved_delivery_forgets_its_body_and_once_it_was_tried_frees_its_place(
    *, is_tried_first: bool
) -> None:
    lane = Lane(endpoint(), capacity=1)
    lane.offer(delivery(0), NOW)
    for is_now in (is_tried_first, not is_tried_first):
        assert lane.offer(delivery(1), NOW) == "closed"
        if is_now:
            taken(lane)
            settle(lane, 0, RetryAt(NOW), "client_error")
        else:
            lane.saved(delivery(0).ref)
    assert lane.offer(delivery(1), NOW) == "taken"
    found = [lane.take(NOW), lane.take(NOW)]
    assert {(one.event_id, one.body) for one in found if isinstance(one, Delivery)} == {
        ("0", None),
        ("1", b"{}"),
    }
    lane.saved(b"unknown")


def test_of_what_waits_in_an_order_what_stands_before_has_to_be_saved_first() -> None:
    lane = Lane(endpoint(order="key"), capacity=9)
    for number in range(6):
        lane.offer(delivery(number, "ab"[number % 2]), NOW)
    lane.saved(delivery(0).ref)
    assert taken(lane) == ["0", "1"]
    found = lane.unsaved_up_to([delivery(number).ref for number in (3, 4, 99)])
    assert [one.event_id for one in found] == ["1", "3", "2", "4"]


def test_many_waiting_retries_close_the_lane_to_new_ones() -> None:
    lane = Lane(endpoint(), saved_limit=2)
    for number in range(2):
        lane.offer(delivery(number), NOW)
        lane.saved(delivery(number).ref)
    assert lane.offer(delivery(2), NOW) == "closed"
    taken(lane)
    settle(lane, 0, Delivered())
    assert lane.offer(delivery(2), NOW) == "taken"


def test_an_open_breaker_closes_the_lane_and_lets_one_probe_through() -> None:
    lane = Lane(endpoint(concurrency=20))
    for number in range(OPENS_AFTER):
        lane.offer(delivery(number), NOW)
    taken(lane)
    for number in range(OPENS_AFTER):
        settle(lane, number, RetryAt(NOW + 5), "server_error")
    assert lane.is_closed
    assert lane.offer(delivery(90), NOW) == "closed"
    probe_at = NOW + FIRST_WAIT_MS
    assert lane.take(NOW + 100) == probe_at
    assert isinstance(lane.take(probe_at), Delivery)
    assert lane.take(probe_at) == NEVER
    settle(lane, 0, Delivered())
    assert lane.offer(delivery(91), probe_at) == "taken"
    assert len(taken(lane, probe_at)) == OPENS_AFTER


def test_an_open_breaker_with_nothing_due_wants_one_new_delivery_as_probe() -> None:
    lane = Lane(endpoint())
    for number in range(OPENS_AFTER):
        lane.offer(delivery(number), NOW)
        taken(lane)
        settle(lane, number, Parked("server_error"), "server_error")
    probe_at = NOW + FIRST_WAIT_MS
    assert (lane.room(NOW), lane.room(probe_at)) == (0, 1)
    assert lane.offer(delivery(9), probe_at) == "taken"
    assert lane.room(probe_at) == 0


def test_an_ordered_lane_takes_no_probe_that_would_stand_behind_a_waiting_retry() -> None:
    lane = Lane(endpoint(order="endpoint"))
    lane.offer(delivery(0, ""), NOW)
    for _ in range(OPENS_AFTER):
        found = lane.take(NOW)
        assert isinstance(found, Delivery)
        lane.settle(found, RetryAt(NOW), NOW, "server_error")
    found = lane.take(NOW + FIRST_WAIT_MS)
    assert isinstance(found, Delivery)
    far = NOW + 1_000_000
    lane.settle(found, RetryAt(far), NOW + FIRST_WAIT_MS, "server_error")
    assert lane.room(far - 1) == 0
    assert lane.take(far - 1) == far


def test_held_disables_the_lane_and_keeps_the_delivery() -> None:
    lane = Lane(endpoint())
    lane.offer(delivery(0), NOW)
    taken(lane)
    settle(lane, 0, Held("gone"), "gone")
    assert lane.take(NOW + 1_000_000) == NEVER
    lane.update(endpoint())
    assert taken(lane) == ["0"]
    assert lane.breaker.failures == 0


def test_a_group_goes_out_one_at_a_time_and_its_retry_holds_up_the_rest() -> None:
    lane = Lane(endpoint(order="key"))
    for number, group in enumerate(["a", "a", "b"]):
        lane.offer(delivery(number, group), NOW)
    assert taken(lane) == ["0", "2"]
    settle(lane, 0, RetryAt(NOW + 50), "client_error", "a")
    assert lane.take(NOW) == NOW + 50
    assert taken(lane, NOW + 50) == ["0"]
    settle(lane, 0, Parked("client_error"), "client_error", "a")
    assert taken(lane) == ["1"]


def test_the_pace_is_kept() -> None:
    lane = Lane(endpoint(per_second=2, concurrency=10))
    for number in range(4):
        lane.offer(delivery(number), NOW)
    assert taken(lane) == ["0", "1"]
    assert lane.take(NOW) == NOW + 500


def test_what_rows_hold_goes_first_and_in_order() -> None:
    lane = Lane(endpoint(order="endpoint"))
    lane.restore(
        [
            replace(delivery(0, ""), body=None, attempts=2, due_at=NOW + 10),
            replace(delivery(1, ""), body=None),
        ]
    )
    lane.offer(delivery(2, ""), NOW)
    assert lane.take(NOW) == NOW + 10
    assert taken(lane, NOW + 10) == ["0"]


def test_a_delivery_given_back_made_no_attempt() -> None:
    lane = Lane(endpoint())
    lane.offer(delivery(0), NOW)
    taken(lane)
    lane.give_back(delivery(0), NOW + 5)
    assert lane.take(NOW) == NOW + 5
    again = lane.take(NOW + 5)
    assert isinstance(again, Delivery)
    assert again.attempts == 0


def test_a_forgotten_delivery_leaves_nothing_behind() -> None:
    lane = Lane(endpoint())
    lane.offer(delivery(0), NOW)
    taken(lane)
    lane.forget(delivery(0))
    assert (lane.flying, lane.unsaved()) == (0, ())
    assert lane.offer(delivery(0), NOW) == "taken"


def test_only_what_was_taken_can_be_settled() -> None:
    lane = Lane(endpoint())
    lane.offer(delivery(0), NOW)
    with pytest.raises(ValueError, match="taken"):
        settle(lane, 0, Delivered())


def test_what_is_withdrawn_comes_in_order_and_what_is_under_way_stays() -> None:
    lane = Lane(endpoint(order="endpoint"))
    lane.restore([delivery(n, "") for n in range(4)])
    assert taken(lane) == ["0"]
    lane.end()
    assert [each.event_id for each in lane.withdraw(2)] == ["1", "2"]
    assert [each.event_id for each in lane.withdraw(2)] == ["3"]
    assert (lane.withdraw(2), lane.is_empty) == ((), False)
    settle(lane, 0, RetryAt(NOW), "server_error", "")
    assert [(each.event_id, each.attempts) for each in lane.withdraw(2)] == [("0", 1)]
    assert lane.is_empty


def test_the_lane_of_an_endpoint_that_is_gone_takes_and_sends_nothing() -> None:
    lane = Lane(endpoint())
    lane.offer(delivery(0), NOW)
    lane.end()
    assert (lane.offer(delivery(1), NOW), lane.take(NOW), lane.is_closed) == ("closed", NEVER, True)
    lane.update(endpoint())
    assert (lane.is_gone, taken(lane)) == (False, ["0"])


def test_another_url_closes_the_breaker_and_makes_all_that_waits_due() -> None:
    lane = Lane(endpoint(concurrency=OPENS_AFTER + 1))
    for number in range(OPENS_AFTER + 1):
        lane.offer(delivery(number), NOW)
    taken(lane)
    for number in range(OPENS_AFTER):
        settle(lane, number, RetryAt(NOW + 9_000_000), "server_error")
    assert taken(lane) == []
    lane.update(replace(lane.endpoint, per_second=50))
    assert (taken(lane), lane.breaker.is_open) == ([], True)
    lane.update(replace(lane.endpoint, url="https://other.example/in", per_second=None))
    assert not lane.breaker.is_open
    assert sorted(taken(lane)) == [str(number) for number in range(OPENS_AFTER)]


def test_what_was_under_way_to_another_url_says_nothing_of_this_one() -> None:
    lane = Lane(endpoint(concurrency=OPENS_AFTER + 1))
    for number in range(OPENS_AFTER + 1):
        lane.offer(delivery(number), NOW)
    taken(lane)
    old = lane.endpoint.url
    lane.update(replace(lane.endpoint, url="https://other.example/in"))
    for number in range(OPENS_AFTER):
        lane.settle(delivery(number), RetryAt(NOW), NOW, "timed_out", url=old)
    assert (lane.breaker, len(taken(lane))) == (Breaker(), OPENS_AFTER)
    settle(lane, 0, RetryAt(NOW + 1), "timed_out")
    failing = lane.breaker
    lane.settle(delivery(OPENS_AFTER), Delivered(), NOW, None, url=old)
    assert lane.breaker == failing != Breaker()


def test_another_url_keeps_the_order() -> None:
    lane = Lane(endpoint(order="endpoint"))
    lane.restore([delivery(n, "") for n in range(2)])
    assert taken(lane) == ["0"]
    lane.update(replace(lane.endpoint, url="https://other.example/in"))
    assert taken(lane) == []
    settle(lane, 0, Delivered(), None, "")
    assert taken(lane) == ["1"]
