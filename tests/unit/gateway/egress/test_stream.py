import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import pytest

from gateway.broker.port import (
    Broker,
    Position,
    Read,
    ReadEvent,
    Record,
    Start,
    TooHigh,
    TooLow,
    Topic,
    TopicChanged,
)
from gateway.catalog import EMPTY, Snapshot
from gateway.egress.stream import Bounds, GoneError, Places, Tap, find_start, read_page, sliced
from gateway.errors import AwayError, CallerError, StoreError
from tests.unit.gateway.egress.stage import contracts, record

TAP = Tap("acme", "outbound", "partners.acme.outbound", (0,), frozenset(), "http://gw.example")
START = Position("topic-1", 0, 5)
PLACES = Places("topic-1", {0: 5})


class OddReader:
    """A reader that yields nothing for some polls, then what it was given, then nothing."""

    def __init__(self, events: Sequence[ReadEvent], idle: int = 0) -> None:
        self._events = list(events)
        self._idle = idle
        self._next = START.offset
        self.is_closed = False

    def assign(self, starts: Sequence[Start]) -> None:
        assert starts == [Start(TAP.topic, START)]

    def release(self, partitions: Sequence[tuple[str, int]]) -> None:
        raise AssertionError(partitions)

    def reached(self, topic: str, partition: int) -> int | None:
        assert (topic, partition) == (TAP.topic, 0)
        return self._next

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        assert 0 < limit <= 50
        assert wait_ms >= 0
        if self._idle > 0:
            self._idle -= 1
            return []
        events, self._events = self._events, []
        self._next += sum(isinstance(one, Read) for one in events)
        return events

    async def close(self) -> None:
        self.is_closed = True


class Wide(OddReader):
    """An odd reader of any partitions, which tells from where it was to read."""

    starts: Sequence[Start] = ()

    def assign(self, starts: Sequence[Start]) -> None:
        self.starts = starts

    def reached(self, topic: str, partition: int) -> int | None:
        assert partition in {0, 1}
        return super().reached(topic, 0)


class OddBroker:
    """A broker with one reader; its topic ends where the start is, or so many records later."""

    def __init__(self, reader: OddReader, records: int, topic_id: str) -> None:
        self._reader = reader
        self._records = records
        self._topic_id = topic_id

    async def describe(self, names: Sequence[str]) -> Mapping[str, Topic]:
        return dict.fromkeys(names, Topic(self._topic_id))

    def reader(self) -> OddReader:
        return self._reader

    async def bounds(self, partitions: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        return [(0, START.offset + self._records) for _ in partitions]


def broker(reader: OddReader, records: int = 0, topic_id: str = "topic-1") -> Broker:
    return cast("Any", OddBroker(reader, records, topic_id))  # type: ignore[no-any-return]  # only what a page needs of a broker


@pytest.mark.parametrize(
    "event",
    [
        TooLow(TAP.topic, START, 9),
        TooHigh(TAP.topic, START, 2),
        TopicChanged(TAP.topic, "topic-1", "topic-2"),
    ],
)
async def test_a_cursor_into_what_is_gone_has_expired(event: ReadEvent) -> None:
    reader = OddReader([event])
    with pytest.raises(CallerError) as caught:
        await read_page(broker(reader), TAP, EMPTY, PLACES, Bounds(10, 0, asyncio.Event()))
    assert caught.value.code == "cursor_expired"
    assert reader.is_closed


@pytest.mark.parametrize("topic_id", ["topic-1", "topic-2"])
async def test_a_cursor_of_a_topic_that_was_made_again_has_expired_before_a_reader_hears_of_it(
    topic_id: str,
) -> None:
    """Where this process alone has heard of another topic, the broker's word counts."""
    odd = broker(OddReader([]), topic_id=topic_id)
    page = read_page(odd, TAP, contracts([], "topic-2"), PLACES, Bounds(10, 0, asyncio.Event()))
    if topic_id == "topic-1":
        assert (await page).next == PLACES
    else:
        with pytest.raises(GoneError) as caught:
            await page
        assert (caught.value.code, caught.value.new_id) == ("cursor_expired", "topic-2")


async def test_an_empty_page_keeps_the_position_and_says_caught_up() -> None:
    reader = OddReader([])
    page = await read_page(broker(reader), TAP, EMPTY, PLACES, Bounds(10, 0, asyncio.Event()))
    assert (page.items, page.next, page.caught_up) == ((), PLACES, True)
    assert reader.is_closed


async def test_what_lies_on_the_topic_is_fetched_although_the_caller_does_not_wait() -> None:
    reader = OddReader([Read(START, Record(TAP.topic, 0, None, None, (), 0), 0)], idle=3)
    page = await read_page(broker(reader, records=1), TAP, EMPTY, PLACES, Bounds(10, 0, asyncio.Event()))
    assert (page.next.offsets[0], page.caught_up) == (START.offset + 1, True)


async def test_a_partition_that_a_cursor_does_not_name_is_read_from_its_start() -> None:
    wide = replace(TAP, partitions=(0, 1))
    reader = Wide([])
    page = await read_page(broker(reader), wide, EMPTY, PLACES, Bounds(10, 0, asyncio.Event()))
    assert reader.starts == [Start(TAP.topic, START), Start(TAP.topic, Position("topic-1", 1, 0))]
    assert page.caught_up


async def test_a_partition_that_only_the_cursor_knows_of_is_read_on() -> None:
    reader = Wide([])
    places = Places("topic-1", {0: 5, 1: 5})
    page = await read_page(broker(reader), TAP, EMPTY, places, Bounds(10, 0, asyncio.Event()))
    assert reader.starts == [Start(TAP.topic, START), Start(TAP.topic, Position("topic-1", 1, 5))]
    assert page.next == places


def test_large_records_are_worked_on_few_at_a_time_and_small_ones_not_too_many() -> None:
    def read(offset: int, size: int) -> Read:
        return Read(Position("t", 0, offset), Record(TAP.topic, 0, None, b"x" * size, (), 0), 0)

    seen = [*(read(offset, 200_000) for offset in range(3)), *(read(offset, 1) for offset in range(3, 120))]
    slices = [list(one) for one in sliced(seen)]
    assert [each for one in slices for each in one] == seen
    assert [len(one) for one in slices] == [2, 50, 50, 18]
    assert list(sliced([])) == []


async def test_a_topic_that_does_not_exist_yet_is_away_not_empty() -> None:
    with pytest.raises(AwayError) as caught:
        await find_start(broker(OddReader([])), TAP, EMPTY, "earliest")
    assert caught.value.code == "broker_unavailable"


async def test_nothing_is_passed_over_by_contracts_that_are_older_than_it() -> None:
    reader = OddReader([Read(START, record("a"), 0), Read(replace(START, offset=6), record("b"), 0)])
    looks = 0

    async def anew() -> Snapshot:
        nonlocal looks
        looks += 1
        return contracts([], "topic-1")

    bounds = Bounds(10, 0, asyncio.Event(), anew)
    page = await read_page(broker(reader, records=2), TAP, EMPTY, PLACES, bounds)
    assert ([offset for _, offset in page.marks], looks) == ([5, 6], 1)


async def test_a_page_ends_before_what_cannot_be_judged_while_contracts_are_away() -> None:
    async def anew() -> Snapshot:
        raise StoreError("store_unavailable", "away")

    odd = Read(replace(START, offset=6), Record(TAP.topic, 0, None, None, (), 0), 0)
    reader, bounds = OddReader([Read(START, record("a"), 0), odd]), Bounds(10, 0, asyncio.Event(), anew)
    known = contracts([], "topic-1")
    page = await read_page(broker(reader, records=2), TAP, known, PLACES, bounds)
    assert (len(page.items), page.next.offsets, page.caught_up) == (1, {0: 6}, False)
    with pytest.raises(AwayError):
        await read_page(broker(OddReader([odd])), TAP, known, PLACES, bounds)
