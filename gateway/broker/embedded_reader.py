"""Reading the embedded broker: pages of a partition, and the `Reader` over them.

Each page is read in one SQL transaction together with the partition's bounds, so that a record deleted
meanwhile is reported as a hole and never passed over in silence.
"""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass

from gateway.broker.embedded_format import decode_headers, offset_of, place_of, places_of
from gateway.broker.port import (
    Position,
    Read,
    ReadEvent,
    Record,
    Start,
    TooHigh,
    TooLow,
    TopicChanged,
    place_in,
)

PAGE_BYTES = 8_000_000
"""A poll stops after so many bytes of records, whatever its limit."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A place to read on from, for the assignment `turn` of its partition."""

    topic: str
    position: Position
    turn: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """What one partition had. `next`: where to read on, None where the partition is no longer read."""

    wanted: Wanted
    events: tuple[ReadEvent, ...]
    next: int | None
    is_exhausted: bool


Ask = Callable[[Callable[[sqlite3.Connection], list[Page]]], Awaitable[list[Page]]]
"""Runs a function of the reading connection on the readers' thread."""


def read_pages(sql: sqlite3.Connection, wanted: Sequence[Wanted], limit: int) -> list[Page]:
    """Read the partitions in turn until `limit` events or `PAGE_BYTES`; what was not reached is left out."""
    pages: list[Page] = []
    budget = PAGE_BYTES
    for one in wanted:
        if limit <= 0 or budget <= 0:
            break
        page, used = _read_page(sql, one, limit, budget)
        pages.append(page)
        limit -= len(page.events)
        budget -= used
    return pages


def find_offset(sql: sqlite3.Connection, number: int, at: int) -> int | None:
    """The first offset of a partition whose record time is `at` or later; None where there is none.

    Bisects over `latest_at`, which never falls: a record of that time or later has at least that `latest_at`.
    The record found may itself be older (what raised `latest_at` may be deleted), so a short walk follows.
    """
    low, high = places_of(number)
    while low < high:
        middle = (low + high) // 2
        row = sql.execute(
            "SELECT place, latest_at FROM record WHERE place BETWEEN ? AND ? ORDER BY place LIMIT 1",
            (middle, high),
        ).fetchone()
        if row is None or row[1] >= at:
            high = middle
        else:
            low = row[0] + 1
    row = sql.execute(
        "SELECT place FROM record WHERE place BETWEEN ? AND ? AND at >= ? ORDER BY place LIMIT 1",
        (low, places_of(number)[1], at),
    ).fetchone()
    return None if row is None else offset_of(row[0])


def _read_page(sql: sqlite3.Connection, wanted: Wanted, limit: int, budget: int) -> tuple[Page, int]:
    sql.execute("BEGIN")
    try:
        return _read_consistent(sql, wanted, limit, budget)
    finally:
        sql.execute("COMMIT")


def _read_consistent(sql: sqlite3.Connection, wanted: Wanted, limit: int, budget: int) -> tuple[Page, int]:
    topic, position = wanted.topic, wanted.position
    row = sql.execute(
        "SELECT topic.id, number, first, next FROM topic JOIN topic_partition ON topic_id = topic.id"
        " WHERE name = ? AND partition = ?",
        (topic, position.partition),
    ).fetchone()
    if row is None or row[0] != position.topic_id:
        changed = TopicChanged(topic, position.topic_id, None if row is None else row[0])
        return Page(wanted, (changed,), None, is_exhausted=True), 0
    _, number, first, end = row
    if position.offset < first:
        return Page(wanted, (TooLow(topic, position, first, wanted.turn),), None, is_exhausted=True), 0
    if position.offset > end:
        return Page(wanted, (TooHigh(topic, position, end, wanted.turn),), None, is_exhausted=True), 0
    reads, used = _read_records(sql, wanted, number, (limit, budget))
    is_exhausted = not reads or (len(reads) < limit and used < budget)
    after = end if is_exhausted else reads[-1].position.offset + 1
    return Page(wanted, tuple(reads), after, is_exhausted), used


def _read_records(
    sql: sqlite3.Connection, wanted: Wanted, number: int, bounds: tuple[int, int]
) -> tuple[list[Read], int]:
    limit, budget = bounds
    topic, position = wanted.topic, wanted.position
    rows = sql.execute(
        "SELECT place, at, key, headers, value FROM record WHERE place BETWEEN ? AND ?"
        " ORDER BY place LIMIT ?",
        (place_of(number, position.offset), places_of(number)[1], limit),
    )
    reads, used = [], 0
    for place, at, key, headers, value in rows:
        found = Position(position.topic_id, position.partition, offset_of(place))
        record = Record(topic, position.partition, key, value, decode_headers(headers), at)
        reads.append(Read(found, record, at, wanted.turn))
        used += len(key or b"") + len(value or b"") + len(headers)
        if used >= budget:
            break
    rows.close()
    return reads, used


class EmbeddedReader:
    """A reader of the embedded broker; see `gateway.broker.port.Reader`."""

    def __init__(self, ask: Ask, forget: Callable[["EmbeddedReader"], None]) -> None:
        """`ask` runs on the readers' thread; `forget` tells the broker that this reader is closed."""
        self._ask = ask
        self._forget = forget
        self._places: dict[tuple[str, int], Position] = {}
        self._turns: dict[tuple[str, int], int] = {}
        self._turn = 0
        self._ready: dict[tuple[str, int], None] = {}
        self._touched: deque[Iterable[tuple[str, int]]] = deque()
        self._woken = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    def assign(self, starts: Sequence[Start]) -> None:
        """Add or move partitions."""
        for start in starts:
            key = (start.topic, start.position.partition)
            self._turn += 1
            self._turns[key] = self._turn
            self._places[key] = start.position
            self._ready[key] = None
        if starts:
            self._woken.set()

    def release(self, partitions: Sequence[tuple[str, int]]) -> None:
        """Stop reading these."""
        for key in partitions:
            self._turns.pop(key, None)
        self._leave(partitions)

    def reached(self, topic: str, partition: int) -> int | None:
        """The next offset to come."""
        position = self._places.get((topic, partition))
        return None if position is None else position.offset

    def is_current(self, event: ReadEvent) -> bool:
        """Whether its partition was neither assigned nor released since."""
        return isinstance(event, TopicChanged) or self._turns.get(place_in(event)) == event.turn

    async def poll(self, limit: int, wait_ms: int) -> list[ReadEvent]:
        """Return what is there, or wait for it."""
        self._loop = asyncio.get_running_loop()
        until = time.monotonic() + wait_ms / 1000
        while True:
            self._woken.clear()
            self._note_touched()
            events = await self._read(limit)
            left = until - time.monotonic()
            if events or left <= 0 or self._is_closed:
                return events
            try:
                async with asyncio.timeout(left):
                    await self._woken.wait()
            except TimeoutError:
                return []

    async def close(self) -> None:
        """Read nothing more; a poll that waits returns."""
        self._is_closed = True
        self._places.clear()
        self._turns.clear()
        self._ready.clear()
        self._woken.set()
        self._forget(self)

    def notify(self, keys: Iterable[tuple[str, int]]) -> None:
        """Say that these partitions changed. Called on the writer's thread, after the commit."""
        loop = self._loop
        if not any(key in self._places for key in keys):
            return
        self._touched.append(keys)
        if loop is not None and not loop.is_closed():
            loop.call_soon_threadsafe(self._woken.set)

    def _note_touched(self) -> None:
        while self._touched:
            for key in self._touched.popleft():
                if key in self._places:
                    self._ready[key] = None

    async def _read(self, limit: int) -> list[ReadEvent]:
        wanted = [Wanted(key[0], self._places[key], self._turns[key]) for key in self._ready]
        if not wanted:
            return []
        events: list[ReadEvent] = []
        for page in await self._ask(lambda sql: read_pages(sql, wanted, limit)):
            events += self._settle(page)
        return events

    def _settle(self, page: Page) -> tuple[ReadEvent, ...]:
        key = (page.wanted.topic, page.wanted.position.partition)
        if key not in self._places or self._turns.get(key) != page.wanted.turn:
            return ()  # released or moved meanwhile: the next poll reads there
        # Out of the queue, and to its end while there is more: every partition gets its turn.
        self._ready.pop(key, None)
        if page.next is None:
            self._drop(key, page.events)
            return page.events
        position = page.wanted.position
        self._places[key] = Position(position.topic_id, position.partition, page.next)
        if not page.is_exhausted:
            self._ready[key] = None
        return page.events

    def _drop(self, key: tuple[str, int], events: tuple[ReadEvent, ...]) -> None:
        """Read no more here; where the topic is another one, nowhere in it."""
        topic_id = self._places[key].topic_id
        is_changed = any(isinstance(event, TopicChanged) for event in events)
        self._leave(
            [
                place
                for place, position in self._places.items()
                if place == key or (is_changed and place[0] == key[0] and position.topic_id == topic_id)
            ]
        )

    def _leave(self, partitions: Iterable[tuple[str, int]]) -> None:
        for key in partitions:
            self._places.pop(key, None)
            self._ready.pop(key, None)
