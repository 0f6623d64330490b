import pytest

from gateway.dialler import Answer
from gateway.egress.delivery import Delivered, RetryAt
from gateway.egress.lane import Lane
from gateway.egress.slowing import (
    FIRST_PAUSE_MS,
    LONGEST_ASKED_MS,
    LONGEST_PAUSE_MS,
    Slowing,
    pause_asked,
)
from tests.unit.gateway.egress.stage import endpoint
from tests.unit.gateway.egress.test_lane import delivery

NOW = 1_000_000


@pytest.mark.parametrize(
    ("status", "after", "at", "pause"),
    [
        (429, None, None, 0),
        (429, 30, None, 30_000),
        (502, None, NOW + 5_000, 5_000),
        (504, None, NOW - 5_000, 0),
        (429, 999_999_999, None, 86_400_000),
        (503, 30, None, None),
        (500, None, None, None),
        (200, 30, None, None),
        (0, None, None, None),
    ],
)
def test_three_statuses_ask_to_slow_down(
    status: int, after: int | None, at: int | None, pause: int | None
) -> None:
    assert pause_asked(Answer(status, None, after, b"", b"", 1, at), now=NOW) == pause


def test_who_asks_gets_half_as_many_after_a_pause_and_one_more_with_each_success() -> None:
    slow = Slowing().asked(NOW, 0, agreed=8)
    assert (slow.limited(8), slow.until) == (4, NOW + FIRST_PAUSE_MS)
    for limit in (5, 6, 7):
        slow = slow.succeeded(agreed=8)
        assert slow.limited(8) == limit
    assert slow.succeeded(agreed=8).limit is None


def test_attempts_that_were_under_way_slow_down_once_and_may_ask_for_longer() -> None:
    slow = Slowing().asked(NOW, 0, agreed=8).asked(NOW + 1, 0, agreed=8).asked(NOW + 2, 0, agreed=8)
    assert (slow.limited(8), slow.until) == (4, NOW + FIRST_PAUSE_MS)
    assert slow.asked(NOW + 2, 60_000, agreed=8).until == NOW + 60_002


def test_pauses_grow_and_end_and_there_is_always_one_attempt() -> None:
    slow, now, pauses = Slowing(), NOW, []
    for _ in range(10):
        slow = slow.asked(now, 0, agreed=4)
        pauses.append(slow.until - now)
        now = slow.until
    assert pauses[:4] == [1_000, 2_000, 4_000, 8_000]
    assert pauses[-1] == LONGEST_PAUSE_MS
    assert slow.limited(4) == 1
    assert slow.asked(now, 10**12, agreed=4).until == now + LONGEST_ASKED_MS


def test_less_that_was_agreed_meanwhile_counts() -> None:
    assert Slowing(limit=6).limited(2) == 2


def test_a_lane_that_was_asked_to_slow_down_pauses_and_then_takes_fewer() -> None:
    lane = Lane(endpoint(concurrency=4))
    for number in range(6):
        lane.offer(delivery(number), NOW)
    taken = [lane.take(NOW) for _ in range(4)]
    first = taken[0]
    assert not isinstance(first, int)
    lane.settle(first, RetryAt(NOW + 5_000), NOW, "throttled", pause_ms=2_000)
    assert isinstance(lane.take(NOW + 1), int)
    for each in taken[1:]:
        assert not isinstance(each, int)
        lane.settle(each, Delivered(), NOW + 1, None)
    assert lane.take(NOW + 1) == NOW + 2_000
    again = [lane.take(NOW + 2_000) for _ in range(3)]
    assert sum(not isinstance(one, int) for one in again) == 2


def test_another_url_begins_at_full_speed() -> None:
    lane = Lane(endpoint())
    lane.offer(delivery(1), NOW)
    taken = lane.take(NOW)
    assert not isinstance(taken, int)
    lane.settle(taken, RetryAt(NOW + 5_000), NOW, "throttled", pause_ms=600_000)
    lane.update(endpoint(url="https://other.example/in"))
    assert not isinstance(lane.take(NOW), int)
