import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

import pytest

from audit.outcomes import Fate, Pair
from gateway.broker.port import BrokerError, Position, Read, ReadEvent, Start
from gateway.egress import drain as drain_of_relay
from gateway.egress.backlog import Span
from gateway.egress.breaker import OPENS_AFTER, Breaker
from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Delivered
from gateway.egress.drain import Drain
from gateway.egress.replay import Counts, Part, Stretch, Wish
from gateway.egress.shard import Shard
from gateway.egress.shared import Vouch
from gateway.leases import Lease
from gateway.positions import share
from partners.endpoint import Endpoint
from tests.unit.gateway.egress.stage import TOPIC, Contracts, contracts, endpoint, record
from tests.unit.gateway.egress.test_shard import NOW, VOICE, attempt, read, receive, ticked

END = 5
"""Each partition holds so many records."""


@dataclass
class Faraway:
    """A reader for which a partition sends nothing for its first `late` polls; `gaps` hold no records."""

    late: dict[int, int] = field(default_factory=dict)
    gaps: set[int] = field(default_factory=set)
    refuses: bool = False
    polls: int = 0
    most_polls: int = 1_000
    begun: list[int] = field(default_factory=list)
    end: int = END
    _next: dict[int, int] = field(default_factory=dict)
    _since: dict[int, int] = field(default_factory=dict)

    def assign(self, starts: Sequence[Start]) -> None:
        for start in starts:
            at = start.position
            self.begun.append(at.partition)
            self._next[at.partition], self._since[at.partition] = at.offset, self.polls

    def release(self, partitions: Sequence[tuple[str, int]]) -> None:
        for _, partition in partitions:
            del self._next[partition]

    @property
    def assigned(self) -> set[int]:
        return set(self._next)

    def is_current(self, event: ReadEvent) -> bool:
        return isinstance(event, Read)

    def reached(self, topic: str, partition: int) -> int | None:
        assert topic == TOPIC
        return self._next.get(partition)

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        assert wait_ms <= 100
        await asyncio.sleep(0)
        self.polls += 1
        if self.polls > self.most_polls:
            raise asyncio.CancelledError
        if self.refuses:
            raise BrokerError("broker_refused", "says the test")
        events: list[ReadEvent] = []
        for partition, offset in self._next.items():
            if self.polls - self._since[partition] <= self.late.get(partition, 0):
                continue
            for at in range(offset, min(self.end, offset + limit - len(events))):
                self._next[partition] = at + 1
                if partition not in self.gaps:
                    events.append(Read(Position("id", partition, at), record(f"{partition}-{at}"), NOW))
        return events

    async def close(self) -> None:
        """Nothing to let go."""


class Named(Faraway):
    """The events have the ids that those of `receive` have."""

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        events = await super().poll(limit, wait_ms)
        return [read(each.position.offset) for each in events if isinstance(each, Read)]


def made(*partitions: int, of: Sequence[Endpoint] = (endpoint(),), end: int = END) -> Shard:
    """A shard with a range of each endpoint in each partition."""
    shard = Shard(Lease("relay", 0, 1, 0))
    spans = [Span(each.id, TOPIC, "id", partition, 0, end) for each in of for partition in partitions]
    shard.adopt(Stored({}, (), tuple(spans)))
    shard.update({"acme": VOICE}, of)
    for partition in partitions:
        shard.watch(TOPIC, "id", partition, "acme")
    return shard


def draining(reader: Faraway, *of: Endpoint) -> Drain:
    catalog = Contracts(contracts(of or [endpoint()], "id"))
    return Drain(reader, catalog, lambda: NOW, "https://gw.example", unasked, vouch=unvouched)


async def unvouched(some: Iterable[tuple[Read, str]]) -> Vouch:
    assert not list(some), "nothing here is shared"
    return lambda _read, _partner: None


async def unasked(_log: str, _refs: Sequence[bytes]) -> None:
    raise AssertionError("nothing here is a replay")


def work(*shards: Shard) -> list[tuple[Shard, Callable[[], None]]]:
    return [(shard, lambda: None) for shard in shards]


async def test_a_range_that_sends_nothing_holds_up_no_other() -> None:
    reader = Faraway(late={0: 1_000, 2: 1_000}, most_polls=10)
    silent, busy = made(0), made(1, 2)
    with contextlib.suppress(asyncio.CancelledError):
        await draining(reader).run(lambda: work(silent, busy), asyncio.Event())
    assert [each.event_id for each in silent.take(NOW)[0]] == []
    assert [each.event_id for each in busy.take(NOW)[0]] == ["1-0", "1-1", "1-2", "1-3"]


async def test_a_range_that_begins_while_it_rests_is_read_once_it_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(drain_of_relay, "_REST_SECONDS", 3_600.0)
    at_work, stirred = work(made()), asyncio.Event()
    looked, moved = asyncio.Event(), asyncio.Event()

    def shards() -> list[tuple[Shard, Callable[[], None]]]:
        looked.set()
        return at_work

    task = asyncio.create_task(draining(Faraway()).run(shards, stirred))
    await looked.wait()
    shard = made(1)
    at_work = [(shard, moved.set)]
    stirred.set()
    await moved.wait()
    assert shard.take(NOW)[0][0].event_id == "1-0"
    task.cancel()
    await asyncio.wait({task})


async def test_ranges_that_are_slow_to_come_are_not_begun_anew_each_turn() -> None:
    reader = Faraway(late={0: 7, 1: 7, 2: 7})
    shard = made(0, 1, 2)
    drain = draining(reader)
    for _ in range(12):
        await drain.turn(work(shard))
    assert sorted(reader.begun) == [0, 1, 2]
    assert shard.next_backlog(NOW) is None


async def test_what_joins_a_range_while_it_is_read_is_not_passed_over() -> None:
    shard, reader = made(0), Faraway(end=25)
    drain, lane = draining(reader), shard.lanes["ep_1"]

    async def join() -> None:
        """The live reader finds the lane full for a moment, while the range is read beyond its end."""
        while lane.is_empty:  # noqa: ASYNC110 - the very moment is the subject
            await asyncio.sleep(0)
        lane.breaker = Breaker(OPENS_AFTER, NOW + 1, NOW)
        receive(shard, *range(END, 25))
        lane.breaker = Breaker()

    async with asyncio.TaskGroup() as tasks:
        joining = tasks.create_task(join())
        await drain.turn(work(shard))
        assert joining.done()
    for _ in range(5):
        await drain.turn(work(shard))
    held = sorted(each.position.offset for each in lane.held())
    assert held == list(range(25))


async def test_a_range_is_judged_by_contracts_that_are_as_new() -> None:
    shard, catalog = made(0), Contracts(contracts([endpoint()], "id"))
    today = catalog.current
    catalog.current, catalog.later = replace(today, by_type={}, by_partner={}), today
    drain = Drain(Faraway(), catalog, lambda: NOW, "https://gw.example", unasked, vouch=unvouched)
    for _ in range(6):
        await drain.turn(work(shard))
    assert [each.position.offset for each in shard.lanes["ep_1"].held()] == list(range(END))
    tick = shard.make_tick()
    assert tick is None or not tick.evidence


async def test_what_was_just_read_is_passed_over_by_contracts_that_are_as_new_alone() -> None:
    """Another process has just had the endpoint want more; no tick has found that out yet."""
    former = endpoint(types=frozenset({"other.type"}))
    shard, catalog = made(0, of=(former,)), Contracts(contracts([former], "id"))
    receive(shard, *range(END))
    catalog.later = contracts([endpoint()], "id", revision=2)
    drain = Drain(Faraway(), catalog, lambda: NOW, "https://gw.example", unasked, vouch=unvouched)
    await drain.turn(work(shard))
    assert [each.position.offset for each in shard.lanes["ep_1"].held()] == list(range(END))


async def test_what_no_contract_takes_is_refused_once_it_was_looked_at_anew() -> None:
    shard, catalog = made(0), Contracts(contracts([endpoint()], "id"))
    catalog.current = replace(catalog.current, by_type={}, by_partner={})
    drain = Drain(Faraway(), catalog, lambda: NOW, "https://gw.example", unasked, vouch=unvouched)
    for _ in range(6):
        await drain.turn(work(shard))
    assert [one.evidence.kind.value for one in ticked(shard).evidence] == ["event.refused"] * END


async def test_what_was_delivered_while_it_was_judged_is_not_replayed() -> None:
    """Neither what was delivered before, and is not written down yet, nor what is delivered meanwhile."""
    shard = Shard(Lease("relay", 0, 1, 0))
    shard.adopt(Stored({}, (), ()))
    shard.update({"acme": VOICE}, [endpoint()])
    shard.watch(TOPIC, "id", 0, "acme")
    receive(shard, 0, 1, 2)
    first, second, third = shard.take(NOW)[0]
    wish = Wish("acme", None, "undelivered", (), 0, NOW, None, dry_run=False)
    shard.recall.adopt([Part("rpl_1", wish, Stretch("ep_1", TOPIC, "id", 0, 0, 3), 0, Counts())])
    shard.settle(attempt(first, Delivered()), NOW)
    tick = shard.make_tick()
    shard.settle(attempt(second, Delivered()), NOW)

    async def judge(_log: str, refs: Sequence[bytes]) -> tuple[dict[Pair, Fate], dict[Pair, str]]:
        assert refs == [first.ref, second.ref, third.ref]
        shard.settle(attempt(third, Delivered()), NOW)
        assert tick is not None
        shard.committed(tick)
        return {}, {}

    reader, catalog = Named(end=3), Contracts(contracts([endpoint()], "id"))
    drain = Drain(reader, catalog, lambda: NOW, "https://gw.example", judge, vouch=unvouched)
    await drain.turn(work(shard))
    assert shard.take(NOW)[0] == []
    assert [one.counts for one in ticked(shard).steps] == [Counts(delivered=3)]


async def test_a_turn_without_an_event_got_nowhere() -> None:
    drain = draining(Faraway(late={0: 1}))
    shard = made(0)
    assert [await drain.turn(work(shard)) for _ in range(3)] == [False, True, False]


async def test_two_ranges_of_a_partition_are_read_one_after_the_other() -> None:
    both = (endpoint("ep_1", concurrency=9), endpoint("ep_2", concurrency=9))
    reader, shard = Faraway(late={0: 3}), made(0, of=both)
    drain = draining(reader, *both)
    for _ in range(8):
        await drain.turn(work(shard))
    assert reader.begun == [0, 0]
    taken = sorted((each.endpoint, each.event_id) for each in shard.take(NOW)[0])
    assert taken == [(each.id, f"0-{at}") for each in both for at in range(END)]


async def test_a_range_whose_lane_closes_is_let_go_and_read_later() -> None:
    first, second = endpoint("ep_1", concurrency=9), endpoint("ep_2", concurrency=9)
    shard, reader = made(0, of=(first,)), Faraway(late={0: 1})
    other = made(1, of=(second,))
    drain = draining(reader, first, second)
    await drain.turn(work(shard, other))
    shard.update({}, [endpoint("ep_1", concurrency=9, state="paused")])
    for _ in range(3):
        await drain.turn(work(shard, other))
    assert (reader.assigned, shard.take(NOW)[0]) == (set(), [])
    shard.update({}, [first])
    for _ in range(3):
        await drain.turn(work(shard, other))
    assert [each.event_id for each in shard.take(NOW)[0]] == [f"0-{at}" for at in range(END)]


async def test_a_range_that_its_shard_lost_is_read_no_more() -> None:
    reader, shard = Faraway(late={0: 9}), made(0)
    drain = draining(reader)
    await drain.turn(work(shard))
    assert reader.assigned == {0}
    await drain.turn([])
    assert reader.assigned == set()


async def test_a_range_that_ended_while_it_was_read_makes_room() -> None:
    reader, shard = Faraway(late={0: 9}), made(0)
    drain = draining(reader)
    await drain.turn(work(shard))
    shard.restart(("id", 0), 0, NOW)
    await drain.turn(work(shard))
    assert reader.assigned == set()


async def test_what_the_reader_may_not_read_stays_and_moves_nothing() -> None:
    reader, shard = Faraway(refuses=True), made(0)
    drain = draining(reader)
    assert [await drain.turn(work(shard)) for _ in range(2)] == [False, False]
    reader.refuses = False
    assert await drain.turn(work(shard))
    assert reader.begun == [0]


async def test_what_a_lane_refuses_of_a_batch_is_not_passed_over() -> None:
    first, second = endpoint("ep_1", concurrency=9), endpoint("ep_2", concurrency=9)
    probing, healthy, reader = made(0, of=(first,)), made(1, of=(second,)), Faraway()
    probing.lanes["ep_1"].breaker = Breaker(failures=OPENS_AFTER, probe_at=NOW)
    drain = draining(reader, first, second)
    await drain.turn(work(probing, healthy))
    assert [each.event_id for each in probing.take(NOW)[0]] == ["0-0"]
    probing.lanes["ep_1"].breaker = Breaker()
    await drain.turn(work(probing, healthy))
    assert [each.event_id for each in probing.take(NOW)[0]] == [f"0-{at}" for at in range(1, END)]


async def test_offsets_without_a_record_are_passed_over() -> None:
    reader, shard = Faraway(gaps={0}), made(0)
    assert await draining(reader).turn(work(shard))
    assert (shard.take(NOW)[0], shard.next_backlog(NOW), ticked(shard).spans) == ([], None, ())


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_comes_between_each_event_is_delivered_once(seed: int) -> None:
    chance, end = Random(seed), 90  # noqa: S311 - a plan that is the same in every run
    first = chance.randint(1, 9)
    shard, reader = made(0, end=first), Faraway(end=end, most_polls=100_000)
    drain, lane = draining(reader), shard.lanes["ep_1"]
    delivered: list[int] = []

    async def pause() -> None:
        for _ in range(chance.randint(0, 4)):
            await asyncio.sleep(0)

    async def live() -> None:
        at = chance.randint(0, first)
        while at < end:
            some = chance.randint(1, 8)
            receive(shard, *range(at, min(end, at + some)))
            at += some
            await pause()

    async def receiver() -> None:
        """The lane is closed now and then, and what it has goes out in pieces."""
        while len(delivered) < end:
            lane.breaker = Breaker(OPENS_AFTER, NOW + 1, NOW) if chance.random() < 0.4 else Breaker()
            for each in shard.take(NOW)[0]:
                delivered.append(each.position.offset)
                shard.settle(attempt(each, Delivered()), NOW)
            if chance.random() < 0.2 and (tick := shard.make_tick()) is not None:
                shard.committed(tick)
            await pause()

    # What lies before the live reader's first offset is in the range, or was settled before.
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        draining_on = tasks.create_task(drain.run(lambda: work(shard), asyncio.Event()))
        lived = tasks.create_task(live())
        receiving = tasks.create_task(receiver())
        await asyncio.wait([lived, receiving])
        draining_on.cancel()
    assert sorted(delivered) == list(range(end))


async def test_a_shared_topic_is_not_read_before_its_sender_is_known() -> None:
    """Read as the owner's own it would be judged by no receipt."""
    reader, shard = Faraway(), Shard(Lease("relay", 0, 1, 0))
    shard.adopt(Stored({}, (), (Span("ep_1", "partners.late.inbound", share("id", "acme"), 0, 0, END),)))
    shard.update({"acme": VOICE}, [endpoint()])
    assert not await draining(reader).turn(work(shard))
    assert (reader.begun, reader.polls) == ([], 0)
