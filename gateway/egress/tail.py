"""The live end of one topic: its newest events, each decoded once, and those who follow it.

Nothing here waits or reads: who reads the topic puts in what it found, and followers take what they have not
had yet. A follower that is behind what is kept has fallen off, and reads pages again from its own place.
"""

import asyncio
from collections import deque
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Final

from gateway.egress.stream import Places, Tap

BACK: Final = 500
"""So many records before its first follower's place a tail begins to read: others come with older places."""

MOST_EVENTS: Final = 1_000
FRAMES: Final = 2
"""So many forms of one event are kept: most followers want the same one, and nobody makes us keep more."""

TAKE_BYTES: Final = 131_072
"""What a follower takes at once, but for a single event that is larger."""


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """One event as it is streamed: CloudEvents JSON, its record's time, and where to go on behind it.

    `number`: its place among those of its tail. `kept`: what was made of it, by whom it is made for.
    """

    type: str
    body: bytes = field(repr=False)
    at: int
    places: Places
    partition: int
    offset: int
    number: int = 0
    kept: dict[Hashable, bytes] = field(default_factory=dict, repr=False)

    def keep(self, form: Hashable, made: bytes) -> None:
        """Keep what was made of it, as far as there is room."""
        if len(self.kept) < FRAMES:
            self.kept[form] = made


class Bell:
    """Wakes the one task that waits at it. Rung while nobody waits, it is not remembered: look, then wait."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        """Nobody waits."""
        self._waiting: asyncio.Future[None] | None = None

    def ring(self) -> None:
        """Wake whoever waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def wait(self) -> None:
        """Until it is rung."""
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None


class Tail:
    """See the module. `is_open`: it has begun. `is_over`: nothing more is put in; followers go back to pages.

    `places`: the next offset to come of each partition. `low`: from where on the kept events are all there.
    """

    def __init__(self, tap: Tap, start: Places) -> None:
        """Empty, at `start`; moved back by `begin` if there is something to be had before it."""
        self.tap = tap
        self.topic_id = start.topic_id
        named = {number: start.offsets.get(number, 0) for number in tap.partitions}
        self.places: dict[int, int] = {**named, **start.offsets}
        self.low: dict[int, int] = dict(self.places)
        self.kept: deque[Streamed] = deque()
        self.end = 0
        self.bytes = 0
        self.is_open = False
        self.is_over = False
        self.idle_since: float | None = None
        self.seats: set[Seat] = set()

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept."""
        return self.end - len(self.kept)

    def begin(self, firsts: Mapping[int, int]) -> None:
        """Read some records before the start, where there are any. `firsts`: what partitions begin with."""
        for number, offset in self.places.items():
            self.places[number] = max(min(offset, firsts[number]), offset - BACK)
        self.low = dict(self.places)
        self.is_open = True

    def add(self, partition: int) -> None:
        """Follow a partition that is new, from its first record on: all followers wanted it from there."""
        self.places[partition] = self.low[partition] = 0

    def reach(self, partition: int, offset: int) -> None:
        """All before this offset was seen."""
        self.places[partition] = max(self.places[partition], offset)

    def put(self, body: bytes, event_type: str, *, at: int, partition: int, offset: int, most: int) -> None:
        """Keep the next event; forget the oldest beyond `most` bytes."""
        self.reach(partition, offset + 1)
        places = Places(self.topic_id, dict(self.places))
        self.kept.append(Streamed(event_type, body, at, places, partition, offset, self.end))
        self.end += 1
        self.bytes += _size(body)
        self.trim(most)

    def trim(self, most: int) -> None:
        """Forget the oldest beyond `most` bytes, but for the newest event."""
        while len(self.kept) > 1 and (len(self.kept) > MOST_EVENTS or self.bytes > most):
            oldest = self.kept.popleft()
            self.bytes -= _size(oldest.body)
            self.low[oldest.partition] = oldest.offset + 1

    def seat(self, places: Places, types: frozenset[str], *, is_sure: bool) -> "Seat | None":
        """A follower that has all before `places`; None: it has to read pages first.

        `is_sure`: these places were found on the topic a moment ago, so that they may be ahead of us.
        """
        if self.is_over or places.topic_id != self.topic_id or places.offsets.keys() - self.places.keys():
            return None
        wanted = {number: places.offsets.get(number, 0) for number in self.places}
        if any(offset < self.low[number] for number, offset in wanted.items()):
            return None
        is_ahead = any(offset > self.places[number] for number, offset in wanted.items())
        if is_ahead and not is_sure:
            return None
        made = Seat(self, types, wanted)
        self.seats.add(made)
        return made

    def close(self) -> None:
        """Let all followers go back to pages, once they have what is kept."""
        self.is_over = True


def _size(body: bytes) -> int:
    return (1 + FRAMES) * len(body)


class Seat:
    """One follower of a tail. `places`: where it is; it has all before them."""

    __slots__ = ("_ahead", "_at", "_tail", "_types", "bell")

    def __init__(self, tail: Tail, types: frozenset[str], had: dict[int, int]) -> None:
        """`had`: the next offset wanted of each partition. `types`: empty: all."""
        self._tail = tail
        self._types = types
        self._at = tail.first
        self._ahead: dict[int, int] | None = had
        self.bell = Bell()
        if tail.is_open and had == tail.places:
            self._at, self._ahead = tail.end, None

    @property
    def places(self) -> Places:
        """Where it is, once it has taken all there is."""
        return Places(self._tail.topic_id, self._merged(self._tail.places))

    @property
    def has_all(self) -> bool:
        """Whether nothing is kept that it has not taken."""
        return self._at >= self._tail.end

    @property
    def is_over(self) -> bool:
        """Whether nothing more comes here: the tail has ended, or has forgotten what comes next."""
        return self._at < self._tail.first or (self._tail.is_over and self.has_all)

    def take(self, limit: int) -> list[Streamed]:
        """The next events, of its types alone; empty: there are none yet, or it is over."""
        tail, size = self._tail, 0
        taken: list[Streamed] = []
        if self._at < tail.first:
            return []
        while self._at < tail.end and len(taken) < limit:
            one = tail.kept[self._at - tail.first]
            is_wanted = self._is_new(one) and (not self._types or one.type in self._types)
            size += len(one.body) if is_wanted else 0
            if taken and size > TAKE_BYTES:
                break
            self._at += 1
            if is_wanted:
                taken.append(self._placed(one))
        if self.has_all and tail.is_open:
            self._settle()
        return taken

    def leave(self) -> None:
        """Follow no more; idempotent."""
        self._tail.seats.discard(self)

    def _is_new(self, one: Streamed) -> bool:
        return self._ahead is None or one.offset >= self._ahead.get(one.partition, 0)

    def _placed(self, one: Streamed) -> Streamed:
        """As it is for all; or with places of its own, as long as it is ahead of the tail."""
        if self._ahead is None:
            return one
        places = Places(one.places.topic_id, self._merged(one.places.offsets))
        return Streamed(one.type, one.body, one.at, places, one.partition, one.offset, one.number)

    def _settle(self) -> None:
        ahead, now = self._ahead, self._tail.places
        if ahead is not None and all(now.get(number, 0) >= offset for number, offset in ahead.items()):
            self._ahead = None

    def _merged(self, offsets: Mapping[int, int]) -> dict[int, int]:
        if self._ahead is None:
            return dict(offsets)
        return {number: max(offset, self._ahead.get(number, 0)) for number, offset in offsets.items()}
