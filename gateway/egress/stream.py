"""Pages of a topic as decoded events: one bounded reader a page, from where the caller's cursor says.

Nothing is remembered here: the cursor is the position. What is no event of the contract is passed over, once
the contract is known to be as new as what was read.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import UUID

from gateway.broker.port import (
    Broker,
    Position,
    Read,
    Reader,
    ReadEvent,
    Start,
    TopicChanged,
)
from gateway.catalog import Snapshot
from gateway.egress.intake import Carried, NoEvent, Unasked, take_in
from gateway.egress.webhook import encode_body
from gateway.errors import AwayError, CallerError
from gateway.event import Direction
from gateway.external_registry import ExternalRegistry

PAGE_BYTES: Final = 4_194_304
MOST_READ: Final = 20_000
CUT_BYTES: Final = 1_048_576
"""A page that is to have less is cut no earlier: what is read behind it is read again by the next one."""
_CHUNK: Final = 50
_SLICE_BYTES: Final = 262_144
_WAIT_MS: Final = 200
_FETCH_SECONDS: Final = 2.0
"""How long a page waits at least for what is there already: a first fetch takes some round trips."""


@dataclass(frozen=True, slots=True)
class Tap:
    """What is read: a partner's topic in one direction; `types` empty: all of them.

    `partitions`: all that are read. Events of one keep their order, those of two have none.
    """

    partner: str
    direction: Direction
    topic: str
    partitions: tuple[int, ...]
    types: frozenset[str]
    origin: str


@dataclass(frozen=True, slots=True)
class Places:
    """The next offset wanted of each partition; one that is not named is wanted from its first record on.

    So a partition that was added since is read whole, and empty ones need no words.
    """

    topic_id: str
    offsets: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one page takes: items, and how long to wait for the first (seconds).

    `anew`: looks for the contracts of now, before anything is passed over by those that are known; None: they
    are of now.
    """

    limit: int
    wait_seconds: float
    stop: asyncio.Event
    anew: Callable[[], Awaitable[Snapshot]] | None = None


class GoneError(CallerError):
    """`cursor_expired`: what lies at the cursor is gone. `new_id`: of the topic that is there instead."""

    def __init__(self, found: ReadEvent) -> None:
        """`found`: in place of a record."""
        super().__init__("cursor_expired", "What lies at the cursor is gone; start again with from=earliest.")
        self.new_id = found.new_id if isinstance(found, TopicChanged) else None


class UntoldError(AwayError):
    """`registry_unavailable`: what the first event of a page is, only the external registry knows.

    `schema`: that it is asked for, and `outside` knows when it was; `places`: where to go on then.
    """

    def __init__(self, schema: int | UUID, outside: ExternalRegistry | None, places: Places) -> None:
        """It is away, or has not answered yet."""
        text = "The next event names a schema that only the schema registry knows, and that is away."
        super().__init__("registry_unavailable", text)
        self.schema, self.outside, self.places = schema, outside, places


@dataclass(frozen=True, slots=True)
class StreamPage:
    """Events as CloudEvents JSON, where to go on in each partition, and whether that was the end of all.

    `times`: of each item's record, the broker's, Unix milliseconds. `marks`: its partition and offset.
    `is_untold`: it ends before an event of which only the external registry knows what it is.
    """

    items: tuple[bytes, ...] = field(repr=False)
    next: Places
    caught_up: bool
    times: tuple[int, ...] = ()
    marks: tuple[tuple[int, int], ...] = ()
    is_untold: bool = False


async def find_start(
    broker: Broker, tap: Tap, snapshot: Snapshot, since: Literal["earliest", "now"] | int
) -> Places:
    """Where a reader without a cursor begins; a number is a time, Unix milliseconds.

    Raises:
        AwayError: the topic is not ready yet.
        BrokerError: the broker is away.
    """
    topic_id = snapshot.topic_ids.get(tap.topic)
    if topic_id is None:
        raise AwayError("broker_unavailable", "the topic is not ready yet; try again")
    offsets: dict[int, int] = {}
    places = [(tap.topic, number) for number in tap.partitions]
    for place, (first, end) in zip(places, await broker.bounds(places), strict=True):
        if isinstance(since, int) and first < end:
            offsets[place[1]] = await broker.offset_at(place, since)
        else:
            offsets[place[1]] = first if since == "earliest" else end
    return Places(topic_id, offsets)


async def read_page(
    broker: Broker,
    tap: Tap,
    snapshot: Snapshot,
    start: Places,
    bounds: Bounds,
    *,
    most_bytes: int | None = None,
) -> StreamPage:
    """Read from `start` until there are enough events, or no more and the wait is over.

    The wait is for what is yet to come; what lies on the topic already is fetched without one, too.
    `most_bytes`: of all events, but for some more, up to `CUT_BYTES` and one event; None: `PAGE_BYTES`.

    Raises:
        UntoldError: only the external registry knows what the first event is; a page ends before any other.
        AwayError: contracts are away, and those that are known do not take the first event.
        GoneError: `cursor_expired`: retention has passed the position, or the topic was made again.
        BrokerError: the broker is away, or refuses.
    """
    await _verify_there(broker, tap, snapshot, start)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + bounds.wait_seconds
    fetched_by = max(deadline, loop.time() + _FETCH_SECONDS)
    page = _Page(tap, snapshot, (bounds.limit, most_bytes or PAGE_BYTES), start)
    reader = broker.reader()
    try:
        reader.assign(page.starts())
        ends = await broker.bounds(page.places)
        while True:
            left_ms = max(0, int(((deadline if page.has_reached(ends) else fetched_by) - loop.time()) * 1000))
            patience = 0 if page.items else min(left_ms, _WAIT_MS)
            seen = await reader.poll(min(_CHUNK, bounds.limit - len(page.items)), patience)
            if not await _take_in(page, seen, bounds.anew):
                return page.made(caught_up=False)
            if page.untold is not None and not page.items:
                raise UntoldError(page.untold.schema, page.snapshot.outside, page.next)
            if page.is_cut or page.untold is not None:
                return page.made(caught_up=False)
            ends = await broker.bounds(page.places)
            page.pass_over(reader)
            is_caught_up = page.has_reached(ends)
            is_owed = not page.items and not is_caught_up
            is_over = bounds.stop.is_set() or loop.time() >= (fetched_by if is_owed else deadline)
            if page.is_full or (is_caught_up and (page.items or is_over)) or (not seen and is_over):
                return page.made(caught_up=is_caught_up)
    finally:
        await reader.close()


def sliced(seen: Sequence[ReadEvent]) -> Iterator[Sequence[ReadEvent]]:
    """What was read, in its order, some at a time: others have the loop in between."""
    some: list[ReadEvent] = []
    size = 0
    for one in seen:
        some.append(one)
        size += len(one.record.value or b"") if isinstance(one, Read) else 0
        if len(some) == _CHUNK or size >= _SLICE_BYTES:
            yield some
            some, size = [], 0
    if some:
        yield some


async def _verify_there(broker: Broker, tap: Tap, snapshot: Snapshot, start: Places) -> None:
    """A page is over before a reader is told that its topic is another one: by its name it would be read.

    Raises:
        GoneError: it is; both the broker and this process say so.
        BrokerError: the broker is away, or refuses.
    """
    known = snapshot.topic_ids.get(tap.topic)
    if known is not None and known != start.topic_id:
        there = (await broker.describe([tap.topic])).get(tap.topic)
        if there is not None and there.id == known:
            raise GoneError(TopicChanged(tap.topic, start.topic_id, known))


async def _take_in(
    page: "_Page", seen: Sequence[ReadEvent], anew: Callable[[], Awaitable[Snapshot]] | None
) -> bool:
    """False: the page ends before what is no event by contracts that may be older, since newer are away.

    Raises:
        AwayError: they are, and the page is empty.
    """
    is_fresh = anew is None
    for some in sliced(seen):
        left = page.take(some, is_fresh=is_fresh)
        if left and anew is not None:
            try:
                page.snapshot = await anew()
            except AwayError:
                if not page.items:
                    raise
                return False
            is_fresh = True  # nothing of this poll is newer than those
            page.take(left, is_fresh=True)
        if page.untold is not None or page.is_cut:
            break
        await asyncio.sleep(0)
    return True


class _Page:
    """Collects one page.

    `untold`: an event came of which nothing can be said yet. `is_cut`: events came that it has no room for.
    """

    def __init__(self, tap: Tap, snapshot: Snapshot, most: tuple[int, int], start: Places) -> None:
        self._tap = tap
        self.snapshot = snapshot
        self._limit, self._most_bytes = most
        self._topic_id = start.topic_id
        self._bytes = 0
        self._read = 0
        self.items: list[bytes] = []
        self.times: list[int] = []
        self.marks: list[tuple[int, int]] = []
        self.is_cut = False
        self.untold: Unasked | None = None
        # What a cursor knows of is read on, though this process may not have heard of it yet.
        numbers = sorted({*tap.partitions, *start.offsets})
        self._offsets = {number: start.offsets.get(number, 0) for number in numbers}
        self.places = [(tap.topic, number) for number in numbers]

    @property
    def is_full(self) -> bool:
        is_long = len(self.items) >= self._limit or self._bytes >= self._most_bytes
        return is_long or self._read >= MOST_READ

    def made(self, *, caught_up: bool) -> StreamPage:
        is_untold, found = self.untold is not None, (tuple(self.times), tuple(self.marks))
        return StreamPage(tuple(self.items), self.next, caught_up, *found, is_untold)

    @property
    def next(self) -> Places:
        return Places(self._topic_id, self._offsets)

    def starts(self) -> list[Start]:
        found = self._offsets.items()
        return [Start(self._tap.topic, Position(self._topic_id, *each)) for each in found]

    def has_reached(self, ends: Sequence[tuple[int, int]]) -> bool:
        """Whether all was seen; `ends`: bounds of the places."""
        return all(
            self._offsets[number] >= end for (_, number), (_, end) in zip(self.places, ends, strict=True)
        )

    def pass_over(self, reader: Reader) -> None:
        """Go on behind what holds no record."""
        for topic, number in self.places:
            self._offsets[number] = max(self._offsets[number], reader.reached(topic, number) or 0)

    def take(self, seen: Sequence[ReadEvent], *, is_fresh: bool) -> Sequence[ReadEvent]:
        """What is left: from what is no event by contracts that are not known to be as new."""
        for number, one in enumerate(seen):
            if self._bytes >= max(self._most_bytes, CUT_BYTES):
                self.is_cut = True
                return ()
            if not isinstance(one, Read):
                raise GoneError(one)
            carried = take_in(one, self.snapshot, self._tap.partner, self._tap.direction)
            if isinstance(carried, NoEvent) and not (is_fresh or carried.is_erased):
                return seen[number:]
            self._read += 1
            if isinstance(carried, Unasked):
                self.untold = carried
                return ()
            self._offsets[one.position.partition] = one.position.offset + 1
            if isinstance(carried, Carried) and (not self._tap.types or carried.type in self._tap.types):
                item = body_of(carried, self._tap.origin)
                self.items.append(item)
                self.times.append(one.at)
                self.marks.append((one.position.partition, one.position.offset))
                self._bytes += len(item)
        return ()


def body_of(carried: Carried, origin: str) -> bytes:
    """An event as it is streamed: CloudEvents JSON on one line."""
    return encode_body(
        carried.attributes,
        (carried.key.id, carried.key.source, carried.type),
        data_schema=f"{origin}/v1/schemas/{carried.version.schema_id}",
        data=carried.json,
    )
