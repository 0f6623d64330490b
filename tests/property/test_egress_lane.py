"""Any run of a lane: bounded, in order where asked, every delivery either out, waiting, or never taken."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from gateway.dialler import Reason
from gateway.egress.delivery import Decision, Delivered, Delivery, Parked, RetryAt
from gateway.egress.lane import Lane
from partners.endpoint import EndpointState, Order
from tests.unit.gateway.egress.stage import endpoint
from tests.unit.gateway.egress.test_lane import delivery

ACTIONS = st.sampled_from(
    ["offer", "offer", "take", "take", "save", "ok", "retry", "park", "reject", "pause", "resume", "wait"]
)
GROUPS: dict[Order, tuple[str | None, ...]] = {"none": (None,), "key": ("a", "b"), "endpoint": ("",)}


@dataclass
class Run:
    """A lane, and what a simple model says must be in it."""

    order: Order
    concurrency: int
    now: int = 0
    number: int = 0
    inside: dict[bytes, Delivery] = field(default_factory=dict)
    flying: list[Delivery] = field(default_factory=list)

    def __post_init__(self) -> None:
        made = endpoint(order=self.order, concurrency=self.concurrency)
        self.lane = Lane(made, capacity=5, saved_limit=5)

    def act(self, action: str) -> None:
        {"offer": self.offer, "take": self.take, "save": self.save}.get(action, lambda: self.settle(action))()
        if action in {"pause", "resume"}:
            self.set_state("paused" if action == "pause" else "active")
        self.now += 5_000 if action == "wait" else 1
        assert self.lane.flying == len(self.flying) <= self.concurrency

    def offer(self) -> None:
        groups = GROUPS[self.order]
        new = delivery(self.number, groups[self.number % len(groups)])
        if self.lane.offer(new, self.now) == "taken":
            self.inside[new.ref] = new
        self.number += 1

    def take(self) -> None:
        found = self.lane.take(self.now)
        if isinstance(found, int):
            return
        assert found.ref in self.inside
        assert found.ref not in {each.ref for each in self.flying}
        if found.group is not None:
            same = [each.position.offset for each in self.inside.values() if each.group == found.group]
            assert found.position.offset == min(same)
        self.flying.append(found)

    def save(self) -> None:
        if self.inside:
            self.lane.saved(min(self.inside))

    def settle(self, action: str) -> None:
        results: dict[str, tuple[Decision, Reason | None]] = {
            "ok": (Delivered(), None),
            "park": (Parked("server_error"), "server_error"),
            "retry": (RetryAt(self.now + 7), "server_error"),
            "reject": (RetryAt(self.now + 7), "client_error"),
        }
        if action not in results or not self.flying:
            return
        one = self.flying.pop(0)
        self.lane.settle(one, results[action][0], self.now, results[action][1])
        if action in {"ok", "park"}:
            del self.inside[one.ref]

    def set_state(self, state: EndpointState) -> None:
        self.lane.update(endpoint(order=self.order, concurrency=self.concurrency, state=state))

    def finish(self) -> None:
        """Everything that is inside comes out, once."""
        while self.flying:
            self.settle("ok")
        self.set_state("paused")
        self.set_state("active")
        self.now += 1_000_000
        for _ in range(len(self.inside)):
            self.take()
            self.settle("ok")
        assert self.inside == {}


@given(
    actions=st.lists(ACTIONS, max_size=200),
    order=st.sampled_from(list(GROUPS)),
    concurrency=st.integers(1, 3),
)
def test_nothing_is_lost_doubled_or_out_of_order(actions: list[str], order: Order, concurrency: int) -> None:
    run = Run(order, concurrency)
    for action in actions:
        run.act(action)
    run.finish()
