import pytest

from gateway.dialler import Answer, Reason
from gateway.egress.delivery import Decision, Delivered, Held, Parked, RetryAt
from gateway.egress.retry import RETRY_AFTER_LIMIT_SECONDS, decide

DELAYS = (0, 5, 300)
NOW = 1_000_000


def decided(
    status: int = 503,
    failure: Reason | None = "server_error",
    *,
    attempt: int = 1,
    retry_after: int | None = None,
    roll: float = 0.0,
) -> Decision:
    return decide(Answer(status, failure, retry_after, b"", b"", 1), attempt, DELAYS, now=NOW, roll=roll)


def test_only_an_answer_without_failure_is_delivered() -> None:
    assert decided(200, None) == Delivered()
    assert decided(302, "redirected") == RetryAt(NOW + 5_000)


def test_gone_holds_at_once_on_any_attempt() -> None:
    assert decided(410, "gone") == Held("gone")
    assert decided(410, "gone", attempt=3) == Held("gone")


def test_each_attempt_waits_as_the_schedule_says() -> None:
    assert decided(attempt=1) == RetryAt(NOW + 5_000)
    assert decided(attempt=2) == RetryAt(NOW + 300_000)


def test_a_used_up_schedule_parks_with_the_last_reason() -> None:
    assert decided(0, "timed_out", attempt=3) == Parked("timed_out")
    assert decided(attempt=9) == Parked("server_error")


@pytest.mark.parametrize(
    ("asked", "waits"), [(1, 5), (60, 60), (10**9, RETRY_AFTER_LIMIT_SECONDS), (0, 5), (None, 5)]
)
def test_retry_after_makes_the_wait_longer_within_a_day(asked: int | None, waits: int) -> None:
    assert decided(retry_after=asked) == RetryAt(NOW + waits * 1_000)


@pytest.mark.parametrize(
    ("at", "waits"),
    [
        (NOW + 60_000, 60_000),
        (NOW + 1, 5_000),
        (NOW - 60_000, 5_000),
        (0, 5_000),
        (NOW + 10 * RETRY_AFTER_LIMIT_SECONDS * 1_000, RETRY_AFTER_LIMIT_SECONDS * 1_000),
    ],
)
def test_retry_after_as_a_date_counts_from_now_within_a_day(at: int, waits: int) -> None:
    answer = Answer(503, "server_error", None, b"", b"", 1, at)
    assert decide(answer, 1, DELAYS, now=NOW, roll=0.0) == RetryAt(NOW + waits)


def test_retry_after_adds_no_attempt() -> None:
    assert decided(attempt=3, retry_after=10) == Parked("server_error")


def test_jitter_only_stretches_a_wait() -> None:
    assert decided(roll=0.5) == RetryAt(NOW + 5_500)
    assert decided(roll=0.999_999) == RetryAt(NOW + 6_000)
