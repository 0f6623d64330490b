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
        self._read = Read(START, replace(one, value=encode_prefix(STRANGER, (one.value or b"")[5:])), 0)
        self._asked: Any = odd_broker(OddReader([]), records=1)

    def reader(self) -> OddReader:
        made = Named([self._read])
        self.open.append(made)
        return made

    def __getattr__(self, name: str) -> Any:
        return getattr(self._asked, name)


class Named(OddReader):
    """An odd reader of another topic."""

    def assign(self, starts: Any) -> None:
        assert [one.position for one in starts] == [START]

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
