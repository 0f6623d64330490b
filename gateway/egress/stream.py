"""Pages of a topic as decoded events: one bounded reader a page, from where the caller's cursor says.

Nothing is remembered here: the cursor is the position. What is no event of the contract is passed over.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from gateway.broker.port import Broker, Position, Read, Start, TooHigh, TooLow, TopicChanged
from gateway.catalog import Snapshot
from gateway.egress.intake import Carried, take_in
from gateway.egress.webhook import encode_body
from gateway.errors import AwayError, CallerError
from gateway.event import Direction

PAGE_BYTES: Final = 4_194_304
MOST_READ: Final = 20_000
_CHUNK: Final = 50
_WAIT_MS: Final = 200
_FETCH_SECONDS: Final = 2.0
"""How long a page waits at least for what is there already: a first fetch takes some round trips."""


@dataclass(frozen=True, slots=True)
class Tap:
    """What is read: a partner's topic in one direction; `types` empty: all of them."""

    partner: str
    direction: Direction
    topic: str
    partition: int
    types: frozenset[str]
    origin: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one page takes: items, and how long to wait for the first (seconds)."""

    limit: int
    wait_seconds: float
    stop: asyncio.Event


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Events as CloudEvents JSON, the position after the last record seen, and whether that was the end.

    `times`: of each item's record, the broker's, Unix milliseconds.
    """

    items: tuple[bytes, ...] = field(repr=False)
    next: Position
    caught_up: bool
    times: tuple[int, ...] = ()


async def find_start(
    broker: Broker, tap: Tap, snapshot: Snapshot, since: Literal["earliest", "now"] | int
) -> Position:
    """Where a reader without a cursor begins; a number is a time, Unix milliseconds.

    Raises:
        AwayError: the topic is not ready yet.
        BrokerError: the broker is away.
    """
    topic_id = snapshot.topic_ids.get(tap.topic)
    if topic_id is None:
        raise AwayError("broker_unavailable", "the topic is not ready yet; try again")
    partition = (tap.topic, tap.partition)
    if isinstance(since, int):
        return Position(topic_id, tap.partition, await broker.offset_at(partition, since))
    ((first, end),) = await broker.bounds([partition])
    return Position(topic_id, tap.partition, first if since == "earliest" else end)


async def read_page(
    broker: Broker, tap: Tap, snapshot: Snapshot, start: Position, bounds: Bounds
) -> StreamPage:
    """Read from `start` until there are enough events, or no more and the wait is over.

    The wait is for what is yet to come; what lies on the topic already is fetched without one, too.

    Raises:
        CallerError: `cursor_expired`: retention has passed the position, or the topic was made again.
        BrokerError: the broker is away, or refuses.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bounds.wait_seconds
    fetched_by = max(deadline, loop.time() + _FETCH_SECONDS)
    page = _Page(tap, snapshot, bounds.limit, start)
    reader = broker.reader()
    try:
        reader.assign([Start(tap.topic, start)])
        ((_, end),) = await broker.bounds([(tap.topic, tap.partition)])
        while True:
            left_ms = max(0, int(((fetched_by if page.offset < end else deadline) - loop.time()) * 1000))
            patience = 0 if page.items else min(left_ms, _WAIT_MS)
            seen = await reader.poll(min(_CHUNK, bounds.limit - len(page.items)), patience)
            page.take(seen)
            ((_, end),) = await broker.bounds([(tap.topic, tap.partition)])
            reached = reader.reached(tap.topic, tap.partition)
            page.offset = max(page.offset, reached or 0)
            is_caught_up = page.offset >= end
            is_owed = not page.items and not is_caught_up
            is_over = bounds.stop.is_set() or loop.time() >= (fetched_by if is_owed else deadline)
            if page.is_full or (is_caught_up and (page.items or is_over)) or (not seen and is_over):
                return StreamPage(tuple(page.items), page.position, is_caught_up, tuple(page.times))
    finally:
        await reader.close()


class _Page:
    """Collects one page."""

    def __init__(self, tap: Tap, snapshot: Snapshot, limit: int, start: Position) -> None:
        self._tap = tap
        self._snapshot = snapshot
        self._limit = limit
        self._start = start
        self._bytes = 0
        self._read = 0
        self.items: list[bytes] = []
        self.times: list[int] = []
        self.offset = start.offset

    @property
    def is_full(self) -> bool:
        return len(self.items) >= self._limit or self._bytes >= PAGE_BYTES or self._read >= MOST_READ

    @property
    def position(self) -> Position:
        return Position(self._start.topic_id, self._start.partition, self.offset)

    def take(self, seen: Sequence[Read | TooLow | TooHigh | TopicChanged]) -> None:
        for one in seen:
            if not isinstance(one, Read):
                text = "What lies at the cursor is gone; start again with from=earliest."
                raise CallerError("cursor_expired", text)
            self._read += 1
            self.offset = one.position.offset + 1
            item = self._item(one)
            if item is not None:
                self.items.append(item)
                self.times.append(one.at)
                self._bytes += len(item)

    def _item(self, read: Read) -> bytes | None:
        carried = take_in(read, self._snapshot, self._tap.partner, self._tap.direction)
        if not isinstance(carried, Carried) or (self._tap.types and carried.type not in self._tap.types):
            return None
        return encode_body(
            carried.attributes,
            (carried.key.id, carried.key.source, carried.type),
            data_schema=f"{self._tap.origin}/v1/schemas/{carried.version.schema_id}",
            data=carried.json,
        )
