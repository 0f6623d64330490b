"""What follows from an answer: a decision, never an action.

A 2xx is success, and nothing else is. A receiver may ask for more time, in seconds or by a date, and gets at
most a day.

Source: Standard Webhooks 1.0.0, "Delivery": 2xx only is success, 410 disables, Retry-After is honoured.
"""

from collections.abc import Sequence
from typing import Final

from gateway.dialler import Answer
from gateway.egress.delivery import Decision, Delivered, Held, Parked, RetryAt

JITTER: Final = 0.2
"""A delay is stretched by up to this share, so that what failed together does not come back together."""

RETRY_AFTER_LIMIT_SECONDS: Final = 86_400
"""What a receiver may ask for: a day; beyond it the day counts."""


def decide(answer: Answer, attempt: int, delays: Sequence[int], *, now: int, roll: float) -> Decision:
    """Decide after attempt number `attempt` (from 1).

    `delays[n]` is the wait in seconds before attempt n + 1: the first entry stands before the first attempt.
    Retry-After makes a wait longer, never shorter, and never adds an attempt. `now` in Unix milliseconds,
    `roll` in [0, 1).
    """
    if answer.failure is None:
        return Delivered()
    if answer.failure == "gone":
        return Held("gone")
    if attempt >= len(delays):
        return Parked(answer.failure)
    wait_ms = max(delays[attempt] * 1000, asked_ms(answer, now=now))
    return RetryAt(now + round(wait_ms * (1 + JITTER * roll)))


def asked_ms(answer: Answer, *, now: int) -> int:
    """How long the receiver asks us to wait from `now` (Unix milliseconds); 0: not at all. Within bounds.

    A date is compared with our own clock: an hour that its clock is ahead is an hour more, within the bounds.
    """
    wait = (answer.retry_after_seconds or 0) * 1000
    if answer.retry_after_at is not None:
        wait = answer.retry_after_at - now
    return min(max(wait, 0), RETRY_AFTER_LIMIT_SECONDS * 1000)
