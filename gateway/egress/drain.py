"""Reads backlog ranges back into their lanes, one range at a time, with a reader of its own."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from gateway.broker.port import (
    BrokerError,
    Position,
    Read,
    Reader,
    ReadEvent,
    Start,
    TooHigh,
    TooLow,
    TopicChanged,
)
from gateway.egress.backlog import Backlog
from gateway.egress.reading import Today, read_event
from gateway.egress.shard import Shard

_POLL_MS: Final = 100
_POLLS: Final = 50
"""A broker that is far away or busy takes longer than one poll to send anything at all."""

_IDLE_SECONDS: Final = 0.05
_SLICE: Final = 10

Shards = Callable[[], Iterable[tuple[Shard, Callable[[], None]]]]
"""The shards at work, each with what tells it that its lanes hold something new."""


class Drain:
    """One a relay: ranges take turns, so that a long one holds up no other."""

    def __init__(self, reader: Reader, catalog: Today, clock: Callable[[], int], origin: str) -> None:
        self._reader = reader
        self._catalog = catalog
        self._clock = clock
        self._origin = origin

    async def run(self, shards: Shards) -> None:
        """Go on until cancelled."""
        while True:
            has_moved = False
            for shard, wake in list(shards()):
                backlog = shard.next_backlog(self._clock())
                if backlog is not None:
                    has_moved |= await self.drain(shard, backlog)
                    wake()
            if not has_moved:
                await asyncio.sleep(_IDLE_SECONDS)

    async def drain(self, shard: Shard, backlog: Backlog) -> bool:
        """Read as much of one range as its lane has room for; whether that got anywhere."""
        topic, topic_id, partition = backlog.place
        before = backlog.cursor
        current = self._catalog.current.topic_ids.get(topic)
        if current is not None and current != topic_id:
            shard.lose_again(backlog, backlog.end, self._clock())
            return True
        self._reader.assign([Start(topic, Position(topic_id, partition, before))])
        try:
            await self._read(shard, backlog)
        finally:
            self._reader.release([(topic, partition)])
        return backlog.cursor > before

    async def _read(self, shard: Shard, backlog: Backlog) -> None:
        topic, _, partition = backlog.place
        owner = shard.lanes[backlog.endpoint].endpoint.partner
        events = await self._fetch(max(1, shard.room(backlog, self._clock())), backlog)
        for number, event in enumerate(events, 1):
            match event:
                case Read():
                    reading = read_event(event, owner, self._catalog.current, origin=self._origin)
                    if not shard.receive_again(backlog, event, reading, self._clock()):
                        return
                case TooLow(_, _, first):
                    shard.lose_again(backlog, first, self._clock())
                case TooHigh(_, wanted, end) if wanted.offset <= end:
                    continue  # what was lost may be other records: the next round reads on
                case TooHigh() | TopicChanged():
                    shard.lose_again(backlog, backlog.end, self._clock())
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        reached = self._reader.reached(topic, partition)
        if reached is not None:
            shard.pass_again(backlog, reached)

    async def _fetch(self, room: int, backlog: Backlog) -> Sequence[ReadEvent]:
        """What comes first of a range. To let go before it came would begin anew each time, for ever."""
        topic, _, partition = backlog.place
        events: Sequence[ReadEvent] = ()
        for _ in range(_POLLS):
            try:
                events = await self._reader.poll(room, _POLL_MS)
            except BrokerError:
                # The live reader meets the same refusal, and tells of it.
                break
            if events or (self._reader.reached(topic, partition) or 0) > backlog.cursor:
                break
        return events

    async def close(self) -> None:
        """Let the reader go."""
        await self._reader.close()
