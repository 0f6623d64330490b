"""What follows from an answer: a decision, never an action.

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
    asked = min(answer.retry_after_seconds or 0, RETRY_AFTER_LIMIT_SECONDS)
    wait_ms = max(delays[attempt], asked) * 1000
    return RetryAt(now + round(wait_ms * (1 + JITTER * roll)))
