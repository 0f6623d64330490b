"""Any run of a shard, with stops and kills: an order is kept, and a stop sends nothing twice to anybody."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.broker.port import Position, Read
from gateway.egress.backlog import Span, SpanKey
from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Delivered, Delivery, RetryAt
from gateway.egress.reading import Reading
from gateway.egress.shard import Shard
from gateway.egress.ticks import Tick
from gateway.positions import Progress
from partners.endpoint import EndpointState, Order
from tests.unit.gateway.egress.stage import answer, contracts, endpoint, record
from tests.unit.gateway.egress.test_shard import NOW, SPOT, attempt, made, seen

CLEAN = [
    "new",
    "new",
    "new",
    "take",
    "ok",
    "ok",
    "reject",
    "late",
    "tick",
    "pause",
    "resume",
    "drain",
    "stop",
]
LATER = NOW + 1_000_000
QUICK, ORDERED = "ep_1", "ep_2"


@dataclass
class Kept:
    """What the database has."""

    progress: dict[tuple[str, int], Progress] = field(default_factory=dict)
    rows: dict[tuple[str, bytes], Delivery] = field(default_factory=dict)
    spans: dict[SpanKey, Span] = field(default_factory=dict)

    def write(self, tick: Tick) -> None:
        for place in tick.finished:
            self.rows.pop(place, None)
        for saved in tick.saved:
            self.rows[saved.delivery.endpoint, saved.delivery.ref] = replace(saved.delivery, body=None)
        for key in tick.drained:
            self.spans.pop(key, None)
        self.spans |= {(one.endpoint, one.topic_id, one.partition): one for one in tick.spans}
        self.progress |= {(move.topic_id, move.partition): move.after for move in tick.moves}

    def found(self) -> Stored:
        rows = sorted(self.rows.values(), key=lambda one: one.position.offset)
        return Stored(dict(self.progress), tuple(rows), tuple(self.spans.values()))


@dataclass
class Run:
    """A shard, its successors, and what was answered by a 2xx, in turn."""

    order: Order
    kept: Kept = field(default_factory=Kept)
    end: int = 0
    state: EndpointState = "active"
    flying: list[Delivery] = field(default_factory=list)
    done: list[tuple[str, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Another owner, of whom nothing is known here but what is stored."""
        quick, ordered = endpoint(QUICK), endpoint(ORDERED, order=self.order, state=self.state)
        self.shard: Shard = made(quick, ordered, stored=self.kept.found())
        self.flying = []
        self.live(0)

    def live(self, first: int) -> None:
        for offset in range(first, self.end):
            self.shard.receive(read(offset), self.reading(offset), NOW)

    def reading(self, offset: int) -> Reading:
        snapshot = contracts([lane.endpoint for lane in self.shard.lanes.values()], "id")
        return seen(read(offset), "acme", snapshot, origin="https://gw.example")

    def act(self, action: str) -> None:
        getattr(self, f"do_{action}")()

    def do_new(self) -> None:
        self.end += 1
        self.live(self.end - 1)

    def do_take(self) -> None:
        self.flying += self.shard.take(LATER)[0]

    def do_ok(self) -> None:
        if self.flying:
            one = self.flying.pop(0)
            self.done.append((one.endpoint, one.position.offset))
            self.shard.settle(attempt(one, Delivered()), NOW)

    def do_reject(self) -> None:
        if self.flying:
            refused = replace(attempt(self.flying.pop(), RetryAt(NOW)), answer=answer(400, "client_error"))
            self.shard.settle(refused, NOW)

    def do_late(self) -> None:
        self.shard.keep_late(LATER)

    def do_tick(self) -> None:
        if (tick := self.shard.make_tick()) is not None:
            self.kept.write(tick)
            self.shard.committed(tick)

    def do_pause(self) -> None:
        self.set_state("paused")

    def do_resume(self) -> None:
        self.set_state("active")

    def set_state(self, state: EndpointState) -> None:
        self.state = state
        self.shard.update({}, [endpoint(QUICK), endpoint(ORDERED, order=self.order, state=state)])

    def do_drain(self) -> None:
        if (backlog := self.shard.next_backlog(NOW)) is not None:
            for offset in range(backlog.cursor, min(backlog.cursor + 2, backlog.end)):
                if not self.shard.receive_again(backlog, read(offset), self.reading(offset), NOW):
                    return

    def do_stop(self) -> None:
        """What is under way is waited for."""
        while self.flying:
            self.do_ok()
        self.shard.keep_waiting()
        self.do_tick()
        self.begin()

    def do_kill(self) -> None:
        """What is under way goes no further, and what was decided since the last tick is forgotten."""
        self.begin()

    def do_cut(self) -> None:
        """It is paused while something is under way, and its owner dies."""
        self.do_pause()
        self.do_tick()
        self.do_kill()

    def finish(self) -> None:
        self.do_resume()
        for _ in range(4 * self.end + 4):
            self.do_take()
            self.do_ok()
            self.do_drain()
            self.do_tick()
        assert (self.kept.rows, self.kept.spans) == ({}, {})
        assert self.end == 0 or self.kept.progress[SPOT].next == self.end


def read(offset: int) -> Read:
    return Read(Position("id", 0, offset), record(f"e{offset}", key=b"k"), NOW)


def play(order: Order, actions: list[str]) -> Run:
    run = Run(order)
    for action in actions:
        run.act(action)
    run.finish()
    return run


@settings(max_examples=200, deadline=None)
@given(
    order=st.sampled_from(["endpoint", "key", "none"]),
    actions=st.lists(st.sampled_from([*CLEAN, "kill", "cut"]), min_size=12, max_size=60),
)
def test_everything_is_delivered_and_an_order_is_kept_over_stops_and_kills(
    order: Order, actions: list[str]
) -> None:
    run = play(order, actions)
    for name in (QUICK, ORDERED):
        first = list(dict.fromkeys(offset for endpoint, offset in run.done if endpoint == name))
        assert sorted(first) == list(range(run.end))
        assert name == QUICK or order == "none" or first == sorted(first)


@settings(max_examples=200, deadline=None)
@given(
    order=st.sampled_from(["endpoint", "key", "none"]),
    actions=st.lists(st.sampled_from(CLEAN), min_size=12, max_size=60),
)
def test_a_stop_sends_nothing_twice(order: Order, actions: list[str]) -> None:
    run = play(order, actions)
    assert len(run.done) == len(set(run.done)) == 2 * run.end
