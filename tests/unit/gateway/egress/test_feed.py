"""Pages as a stream asks for them: what waits for somebody else keeps nobody from reading."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.broker.port import Read
from gateway.egress.feed import Feed
from gateway.egress.stream import Tap, UntoldError
from gateway.egress.tails import PAGES, Tails
from gateway.external_registry import Found
from schemas.framing import encode_prefix
from tests.unit.gateway.egress.stage import SCHEMA, TOPIC, Contracts, contracts, record
from tests.unit.gateway.egress.test_stream import PLACES, START, OddReader
from tests.unit.gateway.egress.test_stream import broker as odd_broker

STRANGER = 900
PATIENCE_SECONDS = 30.0
OUR_TAP = Tap("acme", "outbound", TOPIC, (0,), frozenset(), "http://gw.example")


class Library:
    """A registry that says what it is asked once it is `known`, however long one waits."""

    def __init__(self) -> None:
        self.known = asyncio.Event()
        self.waiting = 0
        self.is_waited_for = asyncio.Event()

    def find(self, wanted: int) -> Found | None:
        assert wanted == STRANGER
        return Found(SCHEMA, float("inf")) if self.known.is_set() else None

    async def told(self, seconds: float) -> bool:
        assert seconds > 0
        self.waiting += 1
        if self.waiting == PAGES:
            self.is_waited_for.set()
        await self.known.wait()
        return True


class Silent(Library):
    """One for whose answer nobody waits for ever."""

    async def told(self, seconds: float) -> bool:
        assert seconds > 0
        return False


class Readers:
    """A broker with one record under a schema that only the registry knows, for each of its readers."""

    def __init__(self) -> None:
        self.open: list[OddReader] = []
        one = record("a")
        stranger = replace(one, value=encode_prefix(STRANGER, (one.value or b"")[5:]))
        self.reads = [Read(START, stranger, 0)]
        self._asked: Any = odd_broker(OddReader([]), records=1)

    def put_before(self, event_id: str) -> None:
        """Let another event come first."""
        (read,) = self.reads
        later = replace(read, position=replace(START, offset=START.offset + 1))
        self.reads = [Read(START, record(event_id), 0), later]
        self._asked = odd_broker(OddReader([]), records=2)

    def reader(self) -> OddReader:
        made = Named(self.reads)
        self.open.append(made)
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asked, name)


class Named(OddReader):
    """An odd reader of another topic, which begins where it is to."""

    def assign(self, starts: Any) -> None:
        (one,) = starts
        self._next = one.position.offset
        self._events = [read for read in self._events if read.position.offset >= self._next]  # type: ignore[union-attr]  # all are records

    def reached(self, topic: str, partition: int) -> int | None:
        assert (topic, partition) == (TOPIC, 0)
        return self._next


def stands(outside: Library) -> tuple[Tails, Readers]:
    broker = Readers()
    known: Any = replace(contracts([], "topic-1"), outside=outside)  # type: ignore[arg-type]  # fits as far as it is asked
    catalog: Any = Contracts(known)
    made: Any = broker
    return Tails(made, catalog, asyncio.Event()), broker


async def test_whoever_waits_for_the_registry_keeps_no_turn_and_no_reader() -> None:
    outside = Library()
    tails, broker = stands(outside)
    feeds = [Feed(tails, OUR_TAP, PLACES, is_at_end=False) for _ in range(PAGES)]
    async with asyncio.timeout(PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        pages = [tasks.create_task(each.page(10)) for each in feeds]
        await outside.is_waited_for.wait()
        async with tails.page():
            assert all(each.is_closed for each in broker.open)
        outside.known.set()
    assert [len(page.result().items) for page in pages] == [1] * PAGES


async def test_what_the_registry_never_says_is_away() -> None:
    tails, _ = stands(Silent())
    with pytest.raises(UntoldError) as caught:
        await Feed(tails, OUR_TAP, PLACES, is_at_end=False).page(10)
    assert caught.value.code == "registry_unavailable"


async def test_a_page_goes_on_with_what_the_registry_has_said() -> None:
    outside = Library()
    tails, broker = stands(outside)
    broker.put_before("b")
    outside.known.set()
    batch = await Feed(tails, OUR_TAP, PLACES, is_at_end=False).page(10)
    assert ([one.offset for one in batch.items], batch.caught_up) == ([5, 6], True)


async def test_a_page_ends_before_what_the_registry_never_says() -> None:
    tails, broker = stands(Silent())
    broker.put_before("b")
    feed = Feed(tails, OUR_TAP, PLACES, is_at_end=False)
    batch = await feed.page(10)
    assert ([one.offset for one in batch.items], batch.caught_up) == ([5], False)
    assert feed.places.offsets == {0: 6}
