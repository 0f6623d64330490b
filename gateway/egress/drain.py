"""Reads backlog ranges back into their lanes, many at a time, with a reader of its own.

A range stays with the reader until something of it came: a broker that is far away or busy takes longer than
one turn to send anything, and to let go before would begin anew each time, for ever. Whatever sends nothing
holds up no other range meanwhile.

A poll returns what lies behind a range, too, and while that is passed over the live reader may put some of it
into the range. So of one poll only what the range held when it returned counts; what joined is read anew.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from audit.outcomes import Fate, Pair
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
from gateway.egress.intake import Unasked
from gateway.egress.reading import Reading, Refused, Today, read_event
from gateway.egress.recall import PAGE, Recalled, wanted_ref
from gateway.egress.shard import Shard
from gateway.egress.shared import Source, Vouch, Vouched, Vouching, is_newer, read_shared, seen_by, sender_on
from gateway.errors import AwayError
from gateway.waits import rest

_POLL_MS: Final = 100
_PATIENCE_SECONDS: Final = 5.0
"""A range of which nothing came for so long makes room for another one of its partition."""

_IDLE_SECONDS: Final = 0.05
_REST_SECONDS: Final = 1.0
_SLICE: Final = 10

Shards = Callable[[], Iterable[tuple[Shard, Callable[[], None]]]]
"""The shards at work, each with what tells it that its lanes hold something new."""

Judge = Callable[[str, Sequence[bytes]], Awaitable[tuple[Mapping[Pair, Fate], Mapping[Pair, str]] | None]]
"""What evidence and rows say of these events, by a partner's log; None: nobody can say yet."""

_Place = tuple[str, str, int]
"""Topic, topic id, partition."""


@dataclass(slots=True)
class _Open:
    """A range that is being read. `before`: its cursor then; `is_over`: its lane took no more.

    `end`: where it ended when the last poll returned.
    """

    shard: Shard
    wake: Callable[[], None]
    backlog: Backlog
    owner: str
    source: Source | None
    before: int
    until: float
    is_over: bool = False
    end: int = 0


class Drain:
    """One a relay: of each shard one more range a turn is read, and one range of each partition at a time."""

    def __init__(
        self,
        reader: Reader,
        catalog: Today,
        clock: Callable[[], int],
        origin: str,
        judge: Judge,
        *,
        vouch: Vouching,
    ) -> None:
        self._reader = reader
        self._catalog = catalog
        self._clock = clock
        self._origin = origin
        self._vouching = vouch
        self._vouch: Vouch = lambda _read, _partner: None
        self._judge = judge
        self._open: dict[_Place, _Open] = {}
        self._doubtful: set[_Place] = set()
        self._fresh: frozenset[_Place] = frozenset()

    async def run(self, shards: Shards, stirred: asyncio.Event) -> None:
        """Go on until cancelled. `stirred`: set whenever there may be a range where there was none."""
        while True:
            stirred.clear()
            at_work = list(shards())
            if not await self.turn(at_work):
                await asyncio.sleep(_IDLE_SECONDS)
                if not any(shard.has_ranges for shard, _ in at_work):
                    await rest(stirred, _REST_SECONDS)

    async def turn(self, at_work: Sequence[tuple[Shard, Callable[[], None]]]) -> bool:
        """Read once, and wait no longer than one poll; whether any range got anywhere."""
        if not self._open and not any(shard.has_ranges for shard, _ in at_work):
            return False
        self._let_go([shard for shard, _ in at_work])
        has_moved = False
        for shard, wake in at_work:
            if not shard.has_ranges:
                continue
            backlog = shard.next_backlog(self._clock(), besides=self._open)
            if backlog is not None:
                has_moved |= self._begin(shard, wake, backlog)
        if not self._open:
            return has_moved
        await self._read()
        for place, each in list(self._open.items()):
            if each.is_over or each.backlog.cursor > each.before:
                has_moved |= each.backlog.cursor > each.before
                self._end(place)
                each.wake()
        return has_moved

    def _let_go(self, shards: Sequence[Shard]) -> None:
        """Read no more of what is not ours, not wanted or not there any longer."""
        now, at = self._clock(), asyncio.get_running_loop().time()
        for place, each in list(self._open.items()):
            is_wanted = any(each.shard is shard for shard in shards) and not each.backlog.is_caught_up
            if (
                not is_wanted
                or self._is_other(place)
                or at > each.until
                or not each.shard.room(each.backlog, now)
            ):
                self._end(place)

    def _begin(self, shard: Shard, wake: Callable[[], None], backlog: Backlog) -> bool:
        """Join a range to those that are read; whether it is over instead, its topic being no more."""
        place, before = backlog.place, backlog.cursor
        topic, topic_id, partition = place
        if self._is_other(place):
            shard.lose_again(backlog, backlog.end, self._clock())
            wake()
            return True
        owner = backlog.owner or shard.lanes[backlog.endpoint].endpoint.partner
        source = None
        if backlog.owner is not None:
            sender = sender_on(self._catalog.current, topic)
            if sender is None:
                return (
                    False  # not heard of yet; read as the owner's own topic it would be judged by no receipt
                )
            source = Source(sender, self._origin, self._judge_shared)
        until = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        self._open[place] = _Open(shard, wake, backlog, owner, source, before, until)
        self._reader.assign([Start(topic, Position(topic_id, partition, before))])
        return False

    def _end(self, place: _Place) -> None:
        del self._open[place]
        self._reader.release([(place[0], place[2])])

    def _is_other(self, place: _Place) -> bool:
        """Whether the topic is known to be another one now."""
        return self._catalog.current.topic_ids.get(place[0], place[1]) != place[1]

    async def _read(self) -> None:
        room = max(self._most(each) for each in self._open.values())
        try:
            events = await self._reader.poll(max(1, room), _POLL_MS)
        except BrokerError:
            # The live reader meets the same refusal, and tells of it.
            return
        reached = {place: self._reader.reached(place[0], place[2]) for place in self._open}
        for each in self._open.values():
            each.end = each.backlog.end
        if not await self._is_fresh(events):
            return
        await self._look(events)
        await self._ask(events)
        for number, event in enumerate(events, 1):
            for each in self._concerned(event):
                self._take_in(each, event)
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        self._pass(reached)
        for each in self._open.values():
            each.shard.end_to_judge()

    async def _is_fresh(self, events: Sequence[ReadEvent]) -> bool:
        """Have the contracts of now where older ones would not do; False: they are away.

        They would have refused something, or something was sent so lately that an endpoint may have wanted
        more by then than is known here: nothing is passed over before that was looked at.
        """
        self._fresh = frozenset(self._doubtful & self._open.keys())
        if self._fresh or any(self._is_unsure(event) for event in events):
            try:
                await self._catalog.follow()
            except AwayError:
                for each in self._open.values():
                    each.is_over = True
                return False
            self._doubtful -= self._fresh
        return True

    def _is_unsure(self, event: ReadEvent) -> bool:
        if not isinstance(event, Read):
            return False
        return any(each.shard.is_unsure(event.position) for each in self._concerned(event))

    async def _look(self, events: Sequence[ReadEvent]) -> None:
        """Find out what vouches for records of partners; where nobody can say, they are read again later.

        And have the contracts by which they were accepted: older ones do not say whose they are.
        """
        shared = [
            (event, each, each.source.origin)
            for event in events
            if isinstance(event, Read)
            for each in self._concerned(event)
            if each.source is not None
        ]
        try:
            self._vouch = await self._vouching((event, partner) for event, _, partner in shared)
            if any(self._is_newer(event, partner) for event, _, partner in shared):
                await self._catalog.follow()
        except AwayError:
            for _, each, _ in shared:
                each.is_over = True

    def _is_newer(self, read: Read, partner: str) -> bool:
        seen = self._vouch(read, partner)
        return seen is not None and is_newer(seen, self._catalog.current, partner)

    def _most(self, each: _Open) -> int:
        """How many records to read for a range: of a replay that passes most of them over, some more."""
        room = each.shard.room(each.backlog, self._clock())
        is_sparse = isinstance(each.backlog, Recalled) and each.backlog.part.wish.which != "all"
        return max(room, PAGE) if is_sparse else room

    async def _ask(self, events: Sequence[ReadEvent]) -> None:
        """Have the events of replays judged before they are taken in; a part that cannot be is over."""
        wanted: dict[_Place, list[bytes]] = {}
        for number, event in enumerate(events, 1):
            for each in self._concerned(event) if isinstance(event, Read) else ():
                if isinstance(each.backlog, Recalled) and isinstance(event, Read):
                    reading = self._reading(each, event)
                    ref = None if isinstance(reading, Unasked) else wanted_ref(each.backlog, event, reading)
                    wanted.setdefault(each.backlog.place, []).extend([] if ref is None else [ref])
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        for place, refs in wanted.items():
            each = self._open[place]
            if isinstance(each.backlog, Recalled):
                each.shard.begin_to_judge(each.backlog)
            owner = each.shard.lanes[each.backlog.endpoint].endpoint.owner
            found = await self._judge(each.shard.log_of(owner), refs) if refs else ({}, {})
            if found is None:
                each.is_over = True
            elif isinstance(each.backlog, Recalled):
                each.backlog.fates, each.backlog.rows = found

    def _concerned(self, event: ReadEvent) -> list[_Open]:
        match event:
            case Read(at):
                place = (event.record.topic, at.topic_id, at.partition)
            case TooLow(topic, at) | TooHigh(topic, at):
                place = (topic, at.topic_id, at.partition)
            case TopicChanged(topic, old_id):
                return [each for place, each in self._open.items() if place[:2] == (topic, old_id)]
        each = self._open.get(place)
        if each is None or each.is_over or each.backlog.endpoint not in each.shard.lanes:
            return []
        return [each]

    def _take_in(self, each: _Open, event: ReadEvent) -> None:
        shard, backlog = each.shard, each.backlog
        match event:
            case Read() if event.position.offset >= each.end:
                return
            case Read():
                reading = self._reading(each, event)
                event = seen_by(event, backlog.owner)
                if isinstance(reading, Refused) and backlog.place not in self._fresh:
                    self._doubtful.add(backlog.place)
                    each.is_over = True
                    return
                # What cannot be read yet is read again in a later turn.
                each.is_over = isinstance(reading, Unasked) or not shard.receive_again(
                    backlog, event, reading, self._clock()
                )
            case TooLow(_, _, first):
                shard.lose_again(backlog, first, self._clock())
            case TooHigh(_, wanted, end) if wanted.offset <= end:
                each.is_over = True  # what was lost may be other records: the next turn reads on
            case TooHigh() | TopicChanged():
                shard.lose_again(backlog, backlog.end, self._clock())

    def _reading(self, each: _Open, event: Read) -> Reading | Unasked:
        if each.source is None:
            return read_event(event, each.owner, self._catalog.current, origin=self._origin)
        lane = each.shard.lanes[each.backlog.endpoint]
        gone = (lane.endpoint,) if lane.is_gone else ()
        # A backlog holds what was sent, by the contracts of then; a replay what contracts allow today.
        is_recalled = isinstance(each.backlog, Recalled)
        return read_shared(
            event,
            each.owner,
            self._catalog.current,
            each.source,
            gone=gone,
            why="replayed" if is_recalled else "sent",
        )

    def _pass(self, reached: Mapping[_Place, int | None]) -> None:
        """Up to where a range was read, what did not come holds no record."""
        for place, each in self._open.items():
            offset = reached[place]
            if offset is not None and not each.is_over:
                each.shard.pass_again(each.backlog, min(offset, each.end))

    def _judge_shared(self, read: Read, partner: str) -> Vouched | None:
        return self._vouch(read, partner)

    async def close(self) -> None:
        """Let the reader go."""
        await self._reader.close()
