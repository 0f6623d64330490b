import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ingress.quota import (
    DAY_MS,
    Bucket,
    Limit,
    byte_limit,
    demand_of,
    event_limit,
    nearest,
    rate_headers,
    share_of,
)


def test_a_bucket_holds_one_second_s_worth_and_fills_with_time() -> None:
    bucket = Bucket(10.0, 0)
    bucket.level -= 10
    assert bucket.wait_seconds(10) == 1
    bucket.fill(10, 100)
    assert (bucket.level, bucket.wait_seconds(10)) == (1.0, 0)
    bucket.fill(10, 60_000)
    assert bucket.level == 10


def test_a_batch_may_overdraw_it_and_is_paid_for_before_the_next() -> None:
    bucket = Bucket(200.0, 0)
    bucket.level -= 1_000
    assert bucket.wait_seconds(200) == 5
    bucket.fill(200, 3_990)
    assert bucket.wait_seconds(200) == 1
    bucket.fill(200, 4_100)
    assert bucket.wait_seconds(200) == 0


def test_a_clock_that_goes_back_fills_nothing_and_breaks_nothing() -> None:
    bucket = Bucket(0.0, 10_000)
    bucket.fill(5, 0)
    assert (bucket.level, bucket.at) == (0.0, 10_000)


@given(st.integers(1, 50), st.lists(st.tuples(st.integers(0, 500), st.integers(1, 30)), max_size=60))
def test_no_more_than_the_rate_passes_in_the_long_run(rate: int, requests: list[tuple[int, int]]) -> None:
    bucket, now, passed, last = Bucket(float(rate), 0), 0, 0, 0
    for pause, events in requests:
        now += pause
        bucket.fill(rate, now)
        if bucket.wait_seconds(rate) == 0:
            bucket.level -= events
            passed, last = passed + events, events
    assert passed - last <= rate + rate * now / 1_000


def test_headers_name_each_limit_what_is_left_of_it_and_when_there_is_more() -> None:
    bucket = Bucket(199.4, 0)
    limits = (event_limit(bucket, 200, 200.0), byte_limit(1_000, 400, DAY_MS + 1_000))
    assert rate_headers(limits) == {
        "RateLimit-Policy": '"events";q=200;w=1, "bytes";q=1000;w=86400',
        "RateLimit": '"events";r=199;t=1, "bytes";r=600;t=86399',
    }
    assert rate_headers(()) == {}


@pytest.mark.parametrize(("used", "left"), [(0, 10), (10, 0), (25, 0)])
def test_bytes_are_used_up_and_never_less_than_none(used: int, left: int) -> None:
    found = byte_limit(10, used, 0)
    assert (found.left, found.is_used_up, found.reset) == (left, left == 0, 86_400)


@given(st.lists(st.floats(0, 10_000), min_size=1, max_size=16))
def test_the_parts_of_all_are_the_rate_or_a_quarter_more_and_none_is_nothing(demands: list[float]) -> None:
    count = len(demands)
    parts = [share_of(one, sum(demands) - one, count - 1) for one in demands]
    assert 0.999 <= sum(parts) <= 1.251
    assert min(parts) >= 1 / count**2


def test_what_was_overdrawn_is_demand_up_to_the_rate() -> None:
    found = [demand_of(3.0, level, 100.0) for level in (50.0, 0.0, -40.0, -4_000.0)]
    assert found == [3.0, 3.0, 43.0, 103.0]


def test_who_waits_is_told_what_the_whole_rate_needs_and_two_seconds_at_most() -> None:
    bucket = Bucket(-399.0, 0)
    assert [event_limit(bucket, 100, rate).reset for rate in (100.0, 90.0, 1.0, 0.001)] == [4, 5, 6, 6]


def test_of_several_limits_the_nearer_one_has_less_left_or_is_waited_for_longer() -> None:
    wide, narrow = Limit("events", 100, 1, 60, 1), Limit("events", 10, 1, 9, 1)
    empty, emptier = Limit("events", 100, 1, 0, 1), Limit("events", 10, 1, 0, 3)
    assert nearest([wide, narrow]) is narrow
    assert nearest([narrow, empty]) is empty
    assert nearest([empty, emptier]) is emptier
