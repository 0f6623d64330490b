"""Whose turn it is in a lane: what is new goes before what failed before, but not for ever.

While an endpoint is slower than what comes for it, something new always waits. Were that always first, what
failed once would not be tried again until the backlog is gone; were retries first, an endpoint that fails
half of its events would get the others late. Both are kept apart, and one turn in four is a retry's.
"""

import heapq
from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

RETRY_SHARE: Final = 4
"""Where both wait, every so manieth turn is a retry's."""

Key = str | bytes


class Turns:
    """Keys of what waits, each with the time when it is due (Unix milliseconds)."""

    def __init__(self) -> None:
        self._new: list[tuple[int, int, Key]] = []
        self._again: list[tuple[int, int, Key]] = []
        self._number = 0
        self._in_a_row = 0

    def __bool__(self) -> bool:
        """Whether anything waits, due or not."""
        return bool(self._new or self._again)

    def add(self, key: Key, due_at: int, *, is_retry: bool) -> None:
        """Let it wait; what is due at the same time goes in the order it was added."""
        self._number += 1
        heapq.heappush(self._again if is_retry else self._new, (due_at, self._number, key))

    def clear(self) -> None:
        """Nothing waits any longer."""
        self._new.clear()
        self._again.clear()

    def do_both_wait(self, now: int) -> bool:
        """Whether something new is due, and a retry too: then whose turn it is does not depend on others."""
        return self._is_due(self._new, now) and self._is_due(self._again, now)

    def peek(self, now: int) -> tuple[int, Key]:
        """When the next is due, and its key: of what is due by `now`, else the soonest.

        Something must wait.
        """
        due_at, _, key = self._next(now)[0]
        return due_at, key

    def pop(self, now: int) -> Key:
        """Take out the key that `peek` shows."""
        queue = self._next(now)
        is_passed = queue is self._new and self.do_both_wait(now)
        self._in_a_row = self._in_a_row + 1 if is_passed else 0
        return heapq.heappop(queue)[2]

    def _next(self, now: int) -> list[tuple[int, int, Key]]:
        is_new, is_again = self._is_due(self._new, now), self._is_due(self._again, now)
        if is_new and is_again:
            return self._again if self._in_a_row >= RETRY_SHARE - 1 else self._new
        if is_new or is_again:
            return self._new if is_new else self._again
        return min((each for each in (self._new, self._again) if each), key=lambda each: each[0])

    @staticmethod
    def _is_due(queue: list[tuple[int, int, Key]], now: int) -> bool:
        return bool(queue) and queue[0][0] <= now


def begun_with(all_of: Sequence[T], turn: int) -> Sequence[T]:
    """Begun with another one in each turn, so that none is always the first."""
    first = turn % len(all_of) if all_of else 0
    return [*all_of[first:], *all_of[:first]]
