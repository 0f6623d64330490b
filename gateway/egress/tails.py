"""All tails of this process: one reader of the broker for all of them, and one pulse for all who follow.

A tail is opened for its first follower, and closed some time after its last one: who asks again and again
finds it. What cannot be read closes its tail, and no other one; its followers read pages then, and hear why.
A broker of which nothing can be read closes all.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, Protocol

from gateway.broker.port import Broker, BrokerError, Position, Read, Reader, ReadEvent, Start
from gateway.catalog import Catalog, Snapshot
from gateway.egress.intake import Carried, NoEvent, Unasked, take_in
from gateway.egress.stream import Places, Tap, body_of, sliced
from gateway.egress.tail import Bell, Seat, Tail
from gateway.errors import AwayError

LINGER_SECONDS: Final = 30.0
PULSE_SECONDS: Final = 1.0
KEPT_BYTES: Final = 67_108_864
"""What all tails together keep."""
TAIL_BYTES: Final = 4_194_304
PAGES: Final = 16
"""Pages that are read at once: each has a reader of its own."""
_PAGE_PATIENCE_SECONDS: Final = 10.0
_POLL_MS: Final = 100
_POLL_EVENTS: Final = 200
_SLICE: Final = 50
_AGAIN_SECONDS: Final = 1.0
_LOOKS: Final = 8
"""Topics of which the broker is asked at once where they begin."""


class Watched(Protocol):
    """A stream that is open for long."""

    bell: Bell

    def look(self, now: float, *, is_changed: bool) -> None:
        """Called every second. `now`: of the loop. `is_changed`: who may read may be others now."""
        ...


class Tails:
    """See the module. `run` it, or there are none: followers then ask for pages from time to time."""

    def __init__(self, broker: Broker, catalog: Catalog, stop: asyncio.Event) -> None:
        """`stop`: set when the program begins to end, so that whoever waits goes home."""
        self.broker = broker
        self.stop = stop
        self._catalog = catalog
        self._tails: dict[str, Tail] = {}
        self._opening: list[Tail] = []
        self._found: list[tuple[Tail, dict[int, int]]] = []
        self._looks: set[asyncio.Task[None]] = set()
        self._looking = asyncio.Semaphore(_LOOKS)
        self._woken = asyncio.Event()
        self._streams: set[Watched] = set()
        self._pages = asyncio.Semaphore(PAGES)
        self._is_running = False

    @property
    def snapshot(self) -> Snapshot:
        """Today's contracts."""
        return self._catalog.current

    async def look_anew(self) -> Snapshot:
        """The contracts of now.

        Raises:
            AwayError: the database is away.
        """
        await self._catalog.follow()
        return self.snapshot

    def join(self, tap: Tap, places: Places, *, is_sure: bool, is_at_end: bool) -> Seat | None:
        """Follow a topic from `places` on; None: read pages until nothing is left, and come again.

        `is_sure`: they were found on the topic a moment ago; `is_at_end`: nothing was behind them then.
        """
        tail = self._tails.get(tap.topic)
        if tail is None or tail.is_over:
            if not self._is_running or not is_at_end:
                return None
            tail = self._tails[tap.topic] = Tail(tap, places)
            self._opening.append(tail)
            self._woken.set()
        return tail.seat(places, tap.types, is_sure=is_sure)

    def watch(self, stream: Watched) -> None:
        """Look after a stream every second, until `unwatch`."""
        self._streams.add(stream)

    def unwatch(self, stream: Watched) -> None:
        """Look after it no more; idempotent."""
        self._streams.discard(stream)

    @asynccontextmanager
    async def page(self) -> AsyncIterator[None]:
        """A turn at reading a page.

        Raises:
            AwayError: `overloaded`: too many others wait for theirs.
        """
        try:
            async with asyncio.timeout(_PAGE_PATIENCE_SECONDS):
                await self._pages.acquire()
        except TimeoutError as error:
            raise AwayError("overloaded", "many streams are read from far behind; try again") from error
        try:
            yield
        finally:
            self._pages.release()

    async def run(self, asked: asyncio.Event) -> None:
        """Read for all tails, until `asked`."""
        self._is_running = True
        try:
            async with asyncio.TaskGroup() as tasks:
                parts = [self._pulse(), self._let_go(), self._read_on(tasks)]
                running = [tasks.create_task(each) for each in parts]
                await asked.wait()
                for one in (*running, *self._looks):
                    one.cancel()
        finally:
            self._is_running = False
            self._close_all()

    async def _read_on(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._woken.clear()
            if not self._tails:
                await self._woken.wait()
            try:
                reader = self.broker.reader()
                try:
                    await self._read_with(reader, tasks)
                finally:
                    await reader.close()
            except BrokerError:
                self._close_all()
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _read_with(self, reader: Reader, tasks: asyncio.TaskGroup) -> None:
        """Until there is no tail any more."""
        loop, tidied_at = asyncio.get_running_loop(), 0.0
        while self._tails:
            await self._open(reader, tasks)
            seen = await self._poll(reader)
            is_fresh = False
            for some in sliced(seen):
                left = some
                while left := self._take(left, reader, is_fresh=is_fresh):
                    try:
                        await self.look_anew()
                        is_fresh = True  # nothing of this poll is newer than those
                    except AwayError:
                        self._end(self._tails[_topic_of(left[0])], reader)
                await asyncio.sleep(0)
            for topic in {_topic_of(one) for one in seen} & self._tails.keys():
                await _ring(tuple(self._tails[topic].seats))
            if loop.time() - tidied_at >= PULSE_SECONDS:
                tidied_at = loop.time()
                self._tidy(reader, tidied_at)

    def _tidy(self, reader: Reader, now: float) -> None:
        """Pass over what holds no record; follow new partitions; let go what nobody follows.

        What came while there were fewer tails is trimmed too: of a quiet topic nothing else would do it.
        """
        for topic, tail in tuple(self._tails.items()):
            tail.trim(self._most)
            if tail.is_open:
                for number in tail.places:
                    tail.reach(number, reader.reached(topic, number) or 0)
                self._widen(tail, reader)
            if tail.seats:
                tail.idle_since = None
            elif tail.idle_since is None:
                tail.idle_since = now
            is_idle = tail.idle_since is not None and now - tail.idle_since > LINGER_SECONDS
            if tail.is_open and (is_idle or tail.is_over):
                tail.close()
                del self._tails[topic]
                reader.release([(topic, number) for number in tail.places])

    async def _poll(self, reader: Reader) -> Sequence[ReadEvent]:
        """What came; nothing where one topic cannot be read, which is closed.

        Raises:
            BrokerError: nothing can be read.
        """
        try:
            return await reader.poll(_POLL_EVENTS, _POLL_MS)
        except BrokerError as error:
            if error.topic is None:
                raise
            tail = self._tails.get(error.topic)
            if tail is not None and tail.is_open and not tail.is_over:
                self._end(tail, reader)
                await _ring(tuple(tail.seats))
            return ()

    async def _open(self, reader: Reader, tasks: asyncio.TaskGroup) -> None:
        """Begin those of which the broker has said soon what they have; the others are read meanwhile."""
        opening, self._opening = self._opening, []
        looks = [tasks.create_task(self._look_at(tail)) for tail in opening]
        for look in looks:
            self._looks.add(look)
            look.add_done_callback(self._looks.discard)
        if looks:
            await asyncio.wait(looks, timeout=_POLL_MS / 1000, return_when=asyncio.FIRST_COMPLETED)
        found, self._found = self._found, []
        for tail, firsts in found:
            if self._tails.get(tail.tap.topic) is tail:
                tail.begin(firsts)
                reader.assign(_starts(tail, sorted(firsts)))

    async def _look_at(self, tail: Tail) -> None:
        """Ask what a topic has; where nobody says, its followers read pages, and hear why."""
        topic, numbers = tail.tap.topic, sorted(tail.places)
        try:
            async with self._looking:
                bounds = await self.broker.bounds([(topic, number) for number in numbers])
        except BrokerError:
            tail.close()
            if self._tails.get(topic) is tail:
                del self._tails[topic]
            await _ring(tuple(tail.seats))
        else:
            firsts = {number: first for number, (first, _) in zip(numbers, bounds, strict=True)}
            self._found.append((tail, firsts))

    def _widen(self, tail: Tail, reader: Reader) -> None:
        if tail.tap.direction == "outbound" and not tail.is_over:
            known = self.snapshot.partitions_of(tail.tap.topic, tail.tap.partitions[0])
            for number in set(known) - tail.places.keys():
                tail.add(number)
                reader.assign(_starts(tail, [number]))

    def _take(
        self, seen: Sequence[ReadEvent], reader: Reader, *, is_fresh: bool = True
    ) -> Sequence[ReadEvent]:
        """What is left: from what is no event by contracts that are not known to be as new."""
        most = self._most
        for number, one in enumerate(seen):
            tail = self._tails.get(_topic_of(one))
            # What was read for one that is closed is not for the one that was joined in its place meanwhile.
            if tail is None or tail.is_over or not tail.is_open:
                continue
            carried = _carried(tail, one, self.snapshot)
            if carried is None:
                self._end(tail, reader)
            elif isinstance(carried, NoEvent) and not (is_fresh or carried.is_erased):
                return seen[number:]
            elif isinstance(one, Read):
                _put(tail, one, carried, most)
        return ()

    @property
    def _most(self) -> int:
        """What one tail may keep, in bytes."""
        return min(TAIL_BYTES, KEPT_BYTES // max(1, len(self._tails)))

    def _end(self, tail: Tail, reader: Reader) -> None:
        """Nothing more is put in: whoever reads a page hears why."""
        tail.close()
        reader.release([(tail.tap.topic, number) for number in tail.places])

    def _close_all(self) -> None:
        for tail in self._tails.values():
            tail.close()
            for seat in tuple(tail.seats):
                seat.bell.ring()
        self._tails.clear()
        self._opening.clear()
        self._found.clear()

    async def _pulse(self) -> None:
        loop = asyncio.get_running_loop()
        known = self.snapshot.directory
        while True:
            is_changed = self.snapshot.directory is not known or self._catalog.is_stale()
            known = self.snapshot.directory
            for number, one in enumerate(tuple(self._streams)):
                one.look(loop.time(), is_changed=is_changed)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
            await asyncio.sleep(PULSE_SECONDS)

    async def _let_go(self) -> None:
        """Wake all who wait once the program begins to end."""
        await self.stop.wait()
        for tail in tuple(self._tails.values()):
            await _ring(tuple(tail.seats))
        await _ring(tuple(self._streams))


def _carried(tail: Tail, one: ReadEvent, snapshot: Snapshot) -> Carried | NoEvent | None:
    """None: it is gone, or another topic, or only an external registry knows what it is."""
    if not isinstance(one, Read):
        return None
    carried = take_in(one, snapshot, tail.tap.partner, tail.tap.direction)
    return None if isinstance(carried, Unasked) else carried


def _put(tail: Tail, read: Read, carried: Carried | NoEvent, most: int) -> None:
    partition, offset = read.position.partition, read.position.offset
    if isinstance(carried, Carried):
        body = body_of(carried, tail.tap.origin)
        tail.put(body, carried.type, at=read.at, partition=partition, offset=offset, most=most)
    else:
        tail.reach(partition, offset + 1)


class _Woken(Protocol):
    bell: Bell


async def _ring(those: Sequence[_Woken]) -> None:
    """Wake some at a time: what they send is written before the next ones are woken."""
    for number, one in enumerate(those, 1):
        one.bell.ring()
        if number % _SLICE == 0:
            await asyncio.sleep(0)


def _topic_of(event: ReadEvent) -> str:
    return event.record.topic if isinstance(event, Read) else event.topic


def _starts(tail: Tail, numbers: Sequence[int]) -> list[Start]:
    return [Start(tail.tap.topic, Position(tail.topic_id, one, tail.places[one])) for one in numbers]
