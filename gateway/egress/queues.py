"""What waits in a lane: groups in which one goes after another, rows, what is under way, whose turn it is.

A delivery is *saved* once its row is durable: its body is forgotten here.
"""

from collections import deque
from collections.abc import Collection
from dataclasses import replace
from itertools import islice

from gateway.egress.delivery import Delivery
from gateway.egress.match import lane_group
from gateway.egress.resting import Resting
from gateway.egress.turns import Turns


class Queues:
    """Empty. `resting`: what waits in rows alone."""

    def __init__(self) -> None:
        self.resting = Resting()
        self._groups: dict[str | bytes, deque[Delivery]] = {}
        self._turns = Turns()
        self._known: dict[bytes, str | bytes] = {}
        self._saved: set[bytes] = set()
        self._retries: set[bytes] = set()
        self._flying: set[bytes] = set()
        self._ahead: set[bytes] = set()

    def saved(self, ref: bytes) -> None:
        """The delivery's row is durable: its body is not needed here any longer."""
        if ref not in self._known or ref in self._saved:
            return
        self._saved.add(ref)
        queue = self._groups[self._known[ref]]
        at = next(at for at, delivery in enumerate(queue) if delivery.ref == ref)
        queue[at] = replace(queue[at], body=None)
        self._note_retry(queue[at])

    def unsaved(self) -> tuple[Delivery, ...]:
        """What waits and has no row, in the order it came: to be saved before a lane closes for long.

        What is under way is among it where others wait behind it: had they rows and it had none, the next
        owner would read it again behind them.
        """
        if len(self._known) == len(self._saved):
            return ()
        return tuple(one for one in self.held() if one.group is not None or one.ref not in self._flying)

    def unsaved_up_to(self, refs: Collection[bytes]) -> tuple[Delivery, ...]:
        """Of these, and of what stands before them in their order, what has no row; in the order it came."""
        found: list[Delivery] = []
        for key in dict.fromkeys(self._known[ref] for ref in refs if ref in self._known):
            queue = self._groups[key]
            end = max(at for at, one in enumerate(queue, 1) if one.ref in refs)
            found += [one for one in islice(queue, end) if one.ref not in self._saved]
        return tuple(found)

    def held(self) -> tuple[Delivery, ...]:
        """Everything that has no row, under way or not."""
        return tuple(each for queue in self._groups.values() for each in queue if each.ref not in self._saved)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not (self._known or self.resting)

    @property
    def flying(self) -> int:
        """How many are under way."""
        return len(self._flying)

    def _pop(self, now: int) -> Delivery:
        delivery = self._groups[self._turns.pop(now)][0]
        self._flying.add(delivery.ref)
        self._ahead.discard(delivery.ref)
        return delivery

    def _is_due(self, now: int) -> bool:
        return bool(self._turns) and self._turns.peek(now)[0] <= now

    def _drop(self, delivery: Delivery) -> None:
        key = self._leave(delivery.ref)
        self._groups[key].popleft()
        if self._groups[key]:
            self._schedule(key)
        else:
            del self._groups[key]

    def _leave(self, ref: bytes) -> str | bytes:
        """It is in the lane no more; the group that it was in."""
        for kept in (self._saved, self._retries, self._ahead):
            kept.discard(ref)
        return self._known.pop(ref)

    def _note_retry(self, delivery: Delivery) -> None:
        if delivery.attempts and delivery.ref in self._saved:
            self._retries.add(delivery.ref)

    def _add(self, delivery: Delivery) -> None:
        key = lane_group(delivery)
        self._known[delivery.ref] = key
        self._note_retry(delivery)
        queue = self._groups.setdefault(key, deque())
        queue.append(delivery)
        if len(queue) == 1:
            self._schedule(key)

    def _schedule(self, key: str | bytes) -> None:
        first = self._groups[key][0]
        self._turns.add(key, first.due_at, is_retry=first.attempts > 0)

    def _schedule_all(self) -> None:
        self._turns.clear()
        for key, queue in self._groups.items():
            if queue[0].ref not in self._flying:
                self._schedule(key)
