"""All tails of a process, and the one reader of the broker that they share."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from gateway.broker.port import BrokerError, Position, Read, ReadEvent, Record, Start, TooHigh
from gateway.catalog import EMPTY
from gateway.egress.stream import Places, Tap
from gateway.egress.tail import Bell, Tail
from gateway.egress.tails import KEPT_BYTES, Tails
from gateway.errors import StoreError
from tests.unit.gateway.egress.stage import Contracts, contracts, record

PATIENCE_SECONDS = 30.0


def tap(partner: str) -> Tap:
    return Tap(partner, "outbound", f"partners.{partner}.outbound", (0,), frozenset(), "http://gw.example")


class Reader:
    """Has nothing to give. `is_followed`: set once two topics are."""

    def __init__(self) -> None:
        self.assigned: list[str] = []
        self.is_followed = asyncio.Event()

    def assign(self, starts: Sequence[Start]) -> None:
        self.assigned += [one.topic for one in starts]
        if len(self.assigned) > 1:
            self.is_followed.set()

    def release(self, places: Sequence[tuple[str, int]]) -> None:
        pass

    def reached(self, topic: str, partition: int) -> int | None:
        del topic, partition
        return None

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        del limit, wait_ms
        await asyncio.sleep(0.001)
        return []

    async def close(self) -> None:
        pass


class Far:
    """A broker whose first answer takes a while. `meanwhile`: what is done before it comes."""

    def __init__(self, meanwhile: Callable[[], Awaitable[None]]) -> None:
        self.made = Reader()
        self._meanwhile: Callable[[], Awaitable[None]] | None = meanwhile

    def reader(self) -> Reader:
        return self.made

    async def bounds(self, places: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return [(0, 0) for _ in places]


class Known:
    """The contracts of nobody."""

    class Now:
        directory: Mapping[str, str] = {}

        @staticmethod
        def partitions_of(topic: str, own: int) -> tuple[int, ...]:
            del topic
            return (own,)

    current = Now()

    def is_stale(self) -> bool:
        return False


def test_what_was_read_for_a_closed_tail_is_not_for_the_one_in_its_place() -> None:
    broker: Any = None
    catalog: Any = Known()
    reader: Any = Reader()
    of, start = tap("acme"), Places("t", {0: 5})
    tails = Tails(broker, catalog, asyncio.Event())
    tails._is_running = True
    first = Tail(of, start)
    first.begin({0: 5})
    tails._tails[of.topic] = first
    tails._take([TooHigh(of.topic, Position("t", 0, 5), 2)], reader)
    assert first.is_over
    assert tails.join(of, start, is_sure=True, is_at_end=True) is not None
    tails._take([Read(Position("t", 0, 9), Record(of.topic, 0, None, None, (), 0), 0)], reader)
    assert tails._tails[of.topic].places == {0: 5}


async def test_a_topic_that_is_joined_while_another_is_opened_is_followed_too() -> None:
    start = Places("t", {0: 0})

    async def join_another() -> None:
        assert tails.join(tap("globex"), start, is_sure=True, is_at_end=True) is not None

    broker: Any = Far(join_another)
    catalog: Any = Known()
    tails = Tails(broker, catalog, asyncio.Event())
    asked = asyncio.Event()
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(tails.run(asked))
        await asyncio.sleep(0)
        assert tails.join(tap("acme"), start, is_sure=True, is_at_end=True) is not None
        await broker.made.is_followed.wait()
        asked.set()
    assert broker.made.assigned == ["partners.acme.outbound", "partners.globex.outbound"]


async def test_all_are_woken_at_the_end_whatever_is_joined_or_let_go_meanwhile() -> None:
    broker: Any = Far(nothing)
    catalog: Any = Known()
    start, stop, asked = Places("t", {0: 0}), asyncio.Event(), asyncio.Event()
    tails = Tails(broker, catalog, stop)

    class Joining(Bell):
        """Whoever is woken makes a topic followed that was not."""

        def ring(self) -> None:
            tails.join(tap("initech"), start, is_sure=True, is_at_end=True)

    class Last(Bell):
        """The one that is woken last."""

        def ring(self) -> None:
            asked.set()

    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(tails.run(asked))
        await asyncio.sleep(0)
        for name, bells in (("acme", [Joining() for _ in range(60)]), ("globex", [Last()])):
            for bell in bells:
                seat = tails.join(tap(name), start, is_sure=True, is_at_end=True)
                assert seat is not None
                seat.bell = bell
        stop.set()


async def nothing() -> None:
    """Nothing is done before the broker answers."""


def test_all_tails_keep_no_more_together_than_they_may() -> None:
    broker: Any = None
    catalog: Any = Known()
    reader: Any = Reader()
    tails, body = Tails(broker, catalog, asyncio.Event()), bytes(100_000)
    tails._is_running = True
    for name in range(64):
        of = tap(f"p{name}")
        assert tails.join(of, Places("t", {0: 0}), is_sure=True, is_at_end=True) is not None
        tail = tails._tails[of.topic]
        tail.begin({0: 0})
        for offset in range(20):
            tail.put(body, "t", at=0, partition=0, offset=offset, most=tails._most)
    tails._tidy(reader, 0)
    assert sum(tail.bytes for tail in tails._tails.values()) <= KEPT_BYTES
    assert all(tail.kept for tail in tails._tails.values())


class Telling(Reader):
    """Has one record to give."""

    def __init__(self, event: ReadEvent) -> None:
        super().__init__()
        self._events = [event]

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        events, self._events = self._events, []
        return events or await super().poll(limit, wait_ms)


@pytest.mark.parametrize("is_away", [False, True])
async def test_what_this_process_has_no_contract_for_yet_is_followed_too(*, is_away: bool) -> None:
    broker: Any = Far(nothing)
    broker.made = Telling(Read(Position("t", 0, 5), record("a"), 0))
    catalog: Any = Contracts(EMPTY, later=contracts([], "t"))
    catalog.is_stale = lambda: False
    if is_away:
        catalog.follow = away
    asked, tails = asyncio.Event(), Tails(broker, catalog, asyncio.Event())
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(tails.run(asked))
        await asyncio.sleep(0)
        seat = tails.join(tap("acme"), Places("t", {0: 5}), is_sure=True, is_at_end=True)
        assert seat is not None
        seat.bell = Bell()
        await seat.bell.wait()
        assert [one.offset for one in seat.take(10)] == ([] if is_away else [5])
        assert (seat.is_over, seat.places.offsets) == (is_away, {0: 5 if is_away else 6})
        asked.set()


async def away() -> None:
    raise StoreError("store_unavailable", "away")


class Partly(Far):
    """A broker that says nothing of some topics, and refuses to speak of others."""

    def __init__(self, *, silent: str = "", refused: str = "") -> None:
        super().__init__(nothing)
        self._silent, self._refused = silent, refused

    async def bounds(self, places: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        topics = {topic for topic, _ in places}
        if self._silent in topics:
            await asyncio.Event().wait()
        if self._refused in topics:
            raise BrokerError("topic_unknown", "says the test")
        return await super().bounds(places)


@pytest.mark.parametrize("how", ["silent", "refused"])
async def test_a_topic_of_which_the_broker_does_not_speak_closes_no_other(how: str) -> None:
    broker: Any = Partly(**{how: "partners.globex.outbound"})
    catalog: Any = Known()
    start, asked = Places("t", {0: 0}), asyncio.Event()
    tails = Tails(broker, catalog, asyncio.Event())
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(tails.run(asked))
        await asyncio.sleep(0)
        seats = []
        for name in ("globex", "acme", "initech"):
            seat = tails.join(tap(name), start, is_sure=True, is_at_end=True)
            assert seat is not None
            seats.append(seat)
        await broker.made.is_followed.wait()
        assert [seat.is_over for seat in seats] == [how == "refused", False, False]
        asked.set()
    assert broker.made.assigned == ["partners.acme.outbound", "partners.initech.outbound"]


class Refusing(Reader):
    """May not read one topic."""

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        if "partners.globex.outbound" in self.assigned:
            raise BrokerError("broker_refused", "says the test", topic="partners.globex.outbound")
        return await super().poll(limit, wait_ms)

    def release(self, places: Sequence[tuple[str, int]]) -> None:
        self.assigned = [topic for topic in self.assigned if (topic, 0) not in places]


async def test_a_topic_that_may_not_be_read_closes_no_other() -> None:
    broker: Any = Far(nothing)
    broker.made = Refusing()
    catalog: Any = Known()
    start, asked = Places("t", {0: 0}), asyncio.Event()
    tails = Tails(broker, catalog, asyncio.Event())
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(tails.run(asked))
        await asyncio.sleep(0)
        acme, globex = (tails.join(tap(n), start, is_sure=True, is_at_end=True) for n in ("acme", "globex"))
        assert acme is not None
        assert globex is not None
        globex.bell = Bell()
        await globex.bell.wait()
        assert (acme.is_over, globex.is_over) == (False, True)
        asked.set()
    assert broker.made.assigned == ["partners.acme.outbound"]
