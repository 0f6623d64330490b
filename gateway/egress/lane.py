"""One endpoint's state machine: what waits, what is under way, what may go now.

Pure: takes `now`, does no I/O. Breaker, pace, slowing, order and the retry clock are inside. A lane that is
closed or full refuses an offer, and the event joins the endpoint's backlog range instead; nothing is dropped
here.

A delivery that is saved (`gateway.egress.queues`) makes room for another one if it was tried: else a lane
that is slow would have a thousand rows, and not a range.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Final, Literal

from gateway.dialler import Reason
from gateway.egress.breaker import Breaker
from gateway.egress.crowding import Crowding
from gateway.egress.delivery import Decision, Delivered, Delivery, Held, Parked, RetryAt
from gateway.egress.match import skip_for
from gateway.egress.pace import Pace
from gateway.egress.queues import Queues
from gateway.egress.slowing import Slowing
from partners.endpoint import Endpoint, Skip

Offer = Literal["taken", "known", "closed"]

NEVER: Final = 1 << 62
"""Nothing to take until something else happens: an offer, a settlement, another state of the endpoint."""

WITHHELD: Final = -1
"""Nothing to take but retries, and those have to wait for their turn in the relay."""

CAPACITY: Final = 256
SAVED_LIMIT: Final = 1_000
"""Waiting retries of an endpoint with an order, and of any other one as many as are kept in memory."""

UNORDERED_LIMIT: Final = 10_000
"""Waiting retries of an endpoint without an order: what fails is to hold up no other, within bounds."""

_AHEAD: Final = 64
"""Of what rests in rows, so many are read at once, when fewer than a third of it is left in memory."""


class Lane(Queues):
    """Made for one endpoint. `capacity`: what it holds that was not tried yet, or not saved since.

    `saved_limit`: waiting retries beyond which it takes nothing new; None: as many as its order allows.
    `kept`: of these so many are kept in memory, but for those with an order. The others rest.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        capacity: int = CAPACITY,
        saved_limit: int | None = None,
        kept: int = SAVED_LIMIT,
    ) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.is_gone = False
        self.breaker = Breaker()
        self.slowing = Slowing()
        self._pace = Pace(endpoint.per_second)
        self._capacity = capacity
        self._saved_limit = saved_limit
        self._kept = kept
        self.crowding = Crowding()

    def update(self, endpoint: Endpoint) -> None:
        """The endpoint as it is now: another state, limits, URL or secrets."""
        if endpoint.per_second != self.endpoint.per_second:
            self._pace = Pace(endpoint.per_second)
        if endpoint.state == "active" and self.endpoint.state != "active":
            self.breaker, self.slowing = Breaker(), Slowing()
        if endpoint.url != self.endpoint.url:
            self._begin_anew()
        if endpoint.skips != self.endpoint.skips:
            self._give_up(endpoint)
        self.is_gone = False
        self.endpoint = endpoint

    def end(self) -> None:
        """The endpoint is no more: nothing is taken or sent from now on, and `withdraw` empties the lane."""
        self.is_gone = True
        self.endpoint = replace(self.endpoint, state="disabled")

    def withdraw(self, limit: int) -> tuple[Delivery, ...]:
        """Take out what waits and is not under way, in the order it came, at most so many."""
        waiting = (each for queue in self._groups.values() for each in queue if each.ref not in self._flying)
        out = tuple(islice(waiting, limit))
        for delivery in out:
            key = self._leave(delivery.ref)
            self._groups[key].remove(delivery)
            if not self._groups[key]:
                del self._groups[key]
        if out:
            self._schedule_all()
        return out

    def restore(self, deliveries: Iterable[Delivery]) -> None:
        """What rows of this endpoint say after a restart; before any offer, oldest position first."""
        for delivery in deliveries:
            self.resting.take_out(delivery.ref)
            self._saved.add(delivery.ref)
            self._add(delivery)
        if self.endpoint.skips:
            self._give_up(self.endpoint)

    def rest(self, due: Mapping[bytes, int]) -> None:
        """Rows of this endpoint that are read on later; after a restart, once, and after `restore`."""
        self.resting.add(due, besides=self._known)

    def lacking(self, now: int) -> tuple[bytes, ...]:
        """What rests in rows and is to be read now: it may be sent soon, or nobody wants it any more."""
        if self.is_gone or self.endpoint.skips:
            return self.resting.first(_AHEAD, by=NEVER)
        if self.endpoint.state != "active" or len(self._ahead) > _AHEAD // 3:
            return ()
        return self.resting.first(_AHEAD, by=now)

    def rests_until(self, now: int) -> int:
        """When the first of what rests will be due; `NEVER` where it is due, or nothing is sent."""
        due_at = self.resting.due_at
        return NEVER if due_at is None or due_at <= now or self.endpoint.state != "active" else due_at

    def read_on(self, deliveries: Iterable[Delivery], now: int) -> None:
        """What rows say that rested until now; what rests no longer was heard of, or given up, meanwhile."""
        found = [
            replace(delivery, due_at=min(delivery.due_at, due_at))
            for delivery in deliveries
            if (due_at := self.resting.take_out(delivery.ref)) is not None
        ]
        self._ahead.update(delivery.ref for delivery in found if delivery.due_at <= now)
        self.restore(found)

    def room(self, now: int) -> int:
        """How many offers would be taken now; a single one where a probe is wanted."""
        if self.endpoint.state != "active" or len(self._saved) + len(self.resting) >= self._limit:
            return 0
        if not self.breaker.is_open:
            return max(0, self._capacity - (len(self._known) - len(self._retries)))
        if now < self.breaker.probe_at or self._flying:
            return 0
        # In order, a new delivery would stand behind those that wait, and probe nothing.
        is_wanted = self.is_empty if self.endpoint.order != "none" else not self._is_due(now)
        return 1 if is_wanted else 0

    def offer(self, delivery: Delivery, now: int) -> Offer:
        """Take a new delivery, if there is room; `known`: the same event is in the lane already."""
        if delivery.ref in self._known or delivery.ref in self.resting:
            return "known"
        if self.room(now) == 0:
            return "closed"
        self._add(delivery)
        return "taken"

    def take(self, now: int, *, may_retry: bool = True) -> Delivery | int:
        """The next delivery to send now; or when to ask again, Unix milliseconds, or `WITHHELD`.

        Without `may_retry` a retry goes only where it has its turn before something new that is due.
        """
        if self.endpoint.state != "active" or not self._turns:
            return NEVER
        due_at, key = self._turns.peek(now)
        if due_at <= now and self.skip_of(self._groups[key][0]) is not None:
            return self._pop(now)  # it is not sent, and takes nobody's turn
        limit = 1 if self.breaker.is_open else self.slowing.limited(self.endpoint.concurrency)
        if len(self._flying) >= limit:
            return NEVER
        when = max(due_at, self._pace.ready_at(now), self.slowing.until)
        if self.breaker.is_open:
            when = max(when, self.breaker.probe_at)
        if when > now:
            return when
        if not may_retry and self._groups[key][0].attempts and not self._turns.do_both_wait(now):
            return WITHHELD
        self._pace = self._pace.spend(now)
        return self._pop(now)

    def may_begin(self, now: int) -> bool:
        """Whether what was taken may still be sent: its endpoint may be paused by now, or slowed down."""
        return self.endpoint.state == "active" and now >= self.slowing.until

    def skip_of(self, delivery: Delivery) -> Skip | None:
        """What says that a delivery is given up; None where it is wanted."""
        return skip_for(self.endpoint, delivery)

    def settle(
        self,
        delivery: Delivery,
        decision: Decision,
        now: int,
        failure: Reason | None,
        *,
        url: str | None = None,
        pause_ms: int | None = None,
    ) -> None:
        """What became of a delivery that was taken, and what its endpoint's answer says of the endpoint.

        `url`: where it was sent to (None: the endpoint's); an answer from another URL says nothing of it.
        `pause_ms`: the answer asks us to slow down, after a pause (0: however long).

        Raises:
            ValueError: it is not under way: our own bug.
        """
        if delivery.ref not in self._flying:
            raise ValueError("only what was taken can be settled")
        self._flying.discard(delivery.ref)
        if url is None or url == self.endpoint.url:
            self._learn(failure, now, pause_ms)
        key = self._known[delivery.ref]
        queue = self._groups[key]
        match decision:
            case Delivered() | Parked():
                self._drop(delivery)
                self._judge_crowding(now, is_delivered=isinstance(decision, Delivered))
                return
            case RetryAt(at):
                queue[0] = replace(queue[0], attempts=queue[0].attempts + 1, due_at=at)
            case Held():
                queue[0] = replace(queue[0], attempts=queue[0].attempts + 1, due_at=now)
                self.endpoint = replace(self.endpoint, state="disabled")
        self._note_retry(queue[0])
        self._schedule(key)
        self._judge_crowding(now, is_delivered=False)

    def give_back(self, delivery: Delivery, due_at: int) -> None:
        """A delivery that was taken and could not be sent for a reason of ours: no attempt was made."""
        self._flying.discard(delivery.ref)
        key = self._known[delivery.ref]
        self._groups[key][0] = replace(self._groups[key][0], due_at=due_at)
        self._schedule(key)

    def forget(self, delivery: Delivery) -> None:
        """A delivery that was taken, and whose row somebody removed: it is no longer wanted."""
        self._flying.discard(delivery.ref)
        self._drop(delivery)

    def hurry(self, ref: bytes, now: int) -> bool:
        """Make a waiting delivery due, before all others here, and let the endpoint be probed at once.

        Whether it is here. In an order it still goes after those before it.
        """
        if ref not in self._known:
            return False
        queue = self._groups[self._known[ref]]
        at = next(at for at, delivery in enumerate(queue) if delivery.ref == ref)
        queue[at] = replace(queue[at], due_at=0)
        if self.breaker.is_open:
            self.breaker = replace(self.breaker, probe_at=min(self.breaker.probe_at, now))
        self.slowing = replace(self.slowing, until=min(self.slowing.until, now))
        self._schedule_all()
        return True

    def cancel(self, ref: bytes) -> bool:
        """Take out a delivery that is wanted no longer; False where it is under way, and ends first."""
        if ref in self._flying:
            return False
        self.resting.take_out(ref)
        if ref in self._known:
            key = self._leave(ref)
            left = [each for each in self._groups.pop(key) if each.ref != ref]
            if left:
                self._groups[key] = deque(left)
            self._schedule_all()
        return True

    def put_to_rest(self, now: int, is_written: Callable[[bytes], bool] = lambda _: True) -> None:
        """Where very many retries are durable, and due later, forget them until they are due.

        `is_written`: whether the row is as it is to be; else its former state would be read. An endpoint with
        an order keeps all.
        """
        if len(self._retries) <= self._kept or self.endpoint.order != "none":
            return
        kept = len(self._known)
        for ref in [*self._retries]:
            first = self._groups[self._known[ref]][0]
            is_later = first.group is None and ref not in self._flying and first.due_at > now
            if is_later and is_written(ref):
                del self._groups[self._leave(ref)]
                self.resting.put(ref, first.due_at)
        if len(self._known) != kept:
            self._schedule_all()

    @property
    def is_closed(self) -> bool:
        """Whether it takes nothing new for some time to come."""
        return self.endpoint.state != "active" or self.breaker.is_open

    def _give_up(self, endpoint: Endpoint) -> None:
        """What is given up waits for no retry."""
        for queue in self._groups.values():
            for index, delivery in enumerate(queue):
                if skip_for(endpoint, delivery) is not None:
                    queue[index] = replace(delivery, due_at=0)
        self._schedule_all()

    @property
    def _limit(self) -> int:
        if self._saved_limit is not None:
            return self._saved_limit
        return UNORDERED_LIMIT if self.endpoint.order == "none" else SAVED_LIMIT

    def _judge_crowding(self, now: int, *, is_delivered: bool) -> None:
        waiting = len(self._saved) + len(self.resting)
        self.crowding = self.crowding.judged(waiting, self._limit, now, is_delivered=is_delivered)

    def _begin_anew(self) -> None:
        """At another URL nothing is known of it yet: what waits for a retry is due at once."""
        self.breaker, self.slowing = Breaker(), Slowing()
        for queue in self._groups.values():
            for at, delivery in enumerate(queue):
                queue[at] = replace(delivery, due_at=0)
        self.resting.hurry()
        self._schedule_all()

    def _learn(self, failure: Reason | None, now: int, pause_ms: int | None) -> None:
        agreed = self.endpoint.concurrency
        if pause_ms is not None:
            self.slowing = self.slowing.asked(now, pause_ms, agreed=agreed)
        if failure is None:
            self.breaker = self.breaker.succeeded()
            self.slowing = self.slowing.succeeded(agreed=agreed)
        elif failure == "client_error":
            self.breaker = self.breaker.rejected(now)
        else:
            self.breaker = self.breaker.failed(now)
