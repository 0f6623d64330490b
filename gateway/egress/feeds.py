"""Inbound topics that shards read, for the house's endpoints and for partners that events are forwarded to.

One reader for all shards of this process, since several may read one topic, each for its own owners and up
to where it is itself. Each owner has a position of its own, under a name of its own for the topic's id
(`gateway.positions.share`), so that nobody's reading moves anybody else's.

A topic is read from the moment that somebody wants something of it: since the oldest endpoint of the house
was made, or the first contract that forwards came into force, and a little before, since clocks differ. It is
left once nothing goes on to a partner any more, and all that did is settled (`gateway.egress.leaving`).
`read_shared` knows what of it is whose.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from audit.store import Pending
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
from gateway.broker.refusal import Refusal
from gateway.catalog import Snapshot
from gateway.egress.courier import Work
from gateway.egress.leaving import SURE_MS, Leaving
from gateway.egress.reading import Passed, Reading, Routed
from gateway.egress.relay_parts import Parts
from gateway.egress.shared import (
    Source,
    Vouch,
    Vouched,
    forward_of,
    onward_of,
    read_shared,
    seen_by,
)
from gateway.egress.wording import Voice
from gateway.errors import AwayError
from gateway.logs import logger
from gateway.positions import plain, share
from gateway.readers import ended_for, find_begin, readings, ways
from gateway.waits import rest
from partners.forwarding import Ended
from partners.partner import Partner

_POLL: Final = 200
_POLL_MS: Final = 200
_SLICE: Final = 10
_IDLE_SECONDS: Final = 0.1
_EMPTY_SECONDS: Final = 10.0
"""While nothing is read for anybody; whoever comes first is read for at once."""

_ASK_SECONDS: Final = 1.0
_AT_ONCE: Final = 50
"""Topics that are begun with in one turn."""

_LEAVE_SECONDS: Final = 10.0
"""Between two looks whether a topic is read for nothing."""

_REMEMBERED: Final = 4_096
"""Events of a topic of which another record is known to be a double."""

_log = logger(__name__)


@dataclass(eq=False, slots=True)
class _Strand:
    """One owner's reading of one inbound topic. `recent`: offsets by ref, of the events read last.

    `until`: up to where it is read, where nothing goes on any more by that contract and nothing can come.
    """

    work: Work
    owner: str
    sender: Partner
    source: Source
    topic: str
    spot: tuple[str, int]
    recent: OrderedDict[bytes, int] = field(default_factory=OrderedDict)
    until: tuple[Ended, int] | None = None

    def is_double(self, ref: bytes, offset: int) -> bool:
        """Whether another record held the event."""
        first = self.recent.setdefault(ref, offset)
        if len(self.recent) > _REMEMBERED:
            self.recent.popitem(last=False)
        return first != offset


class Feeds:
    """A part of the relay; see the module. `problem`: what keeps it from reading, in words."""

    def __init__(
        self, parts: Parts, url: str, voice: Callable[[Partner], Voice], briefed: Callable[[], Snapshot]
    ) -> None:
        """`url`: our origin; `voice`: speaks for the log of a partner.

        `briefed`: the contracts of now, once all shards have them.
        """
        self._parts = parts
        self._catalog = parts.catalog
        self._url = url
        self._voice = voice
        self._briefed = briefed
        self._clock = parts.chance.clock
        self._leaving = Leaving(parts.database, parts.broker)
        self._leave_at = 0.0
        self._turn = 0
        self._strands: dict[tuple[str, int], list[_Strand]] = {}
        self._reader: Reader | None = None
        self._comes = asyncio.Event()
        self._refusal = Refusal()
        self._vouch: Vouch = lambda _read, _partner: None
        self.problem = ""

    async def run(self) -> None:
        """Read until cancelled."""
        ticks = asyncio.get_running_loop().time
        while True:
            reader = self._reader
            if reader is None or not self._strands:
                self._comes.clear()
                await rest(self._comes, _EMPTY_SECONDS)
                continue
            if self._is_full() or self._parts.doubt():
                await asyncio.sleep(_IDLE_SECONDS)
                continue
            try:
                events = await reader.poll(_POLL, _POLL_MS)
            except BrokerError as error:
                self._refusal.note(error, now=int(ticks() * 1_000))
                events = []
                await asyncio.sleep(_IDLE_SECONDS)
            self.problem = self._refusal.words(now=int(ticks() * 1_000))
            if events:
                await self._look(events)
            for number, event in enumerate(events, 1):
                if reader.is_current(event):  # else it comes again
                    self._take_in(event)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
            if ticks() >= self._leave_at:
                self._leave_at = ticks() + _LEAVE_SECONDS
                await self._let_go(reader)

    async def _look(self, events: Sequence[ReadEvent]) -> None:
        """Find out what vouches for these records, however long the database is away.

        By contracts that are as new as they are: what is passed over by older ones is sent to nobody.
        """
        while True:
            with suppress(AwayError):
                await self._catalog.follow()
                self._vouch = await self._parts.vouch(
                    (event, strand.source.origin)
                    for event in events
                    if isinstance(event, Read)
                    for strand in self._at(event.record.topic, event.position)[:1]
                )
                return
            await asyncio.sleep(_ASK_SECONDS)

    async def close(self) -> None:
        """Let the reader go, and what it read."""
        reader, self._reader = self._reader, None
        self._strands = {}
        if reader is not None:
            await reader.close()

    async def follow(
        self,
        works: Iterable[tuple[Work, Sequence[Partner]]],
        snapshot: Snapshot,
        is_at_work: Callable[[Work], bool],
    ) -> bool:
        """Read what today's endpoints and contracts want; whether all of that is being read now.

        It waits for no broker for long, and begins with a few at a time: whoever calls has leases to renew.

        Raises:
            AwayError: the database is away.
        """
        forwarding, begun = ways(snapshot), 0
        for work, partners in works:
            for owner, sender in readings(snapshot, partners, forwarding, work.shard.left):
                topic_id = snapshot.topic_ids.get(sender.topics.inbound)
                if topic_id is None or not is_at_work(work):
                    continue
                self._leave(sender.topics.inbound, topic_id)
                if (share(topic_id, owner), sender.topics.inbound_partition) in work.shard.partitions:
                    continue
                begin = await self._begin_at(work, owner, sender, snapshot)
                if begin is None:
                    return False
                if is_at_work(work):
                    self._add(work, owner, sender, topic_id, begin)
                begun += 1
                if begun >= _AT_ONCE:
                    return False
        return True

    def drop(self, work: Work) -> None:
        """Read nothing for this shard any more."""
        for place, strands in list(self._strands.items()):
            self._keep(place, [each for each in strands if each.work is not work])

    def _keep(self, place: tuple[str, int], left: list[_Strand]) -> None:
        """Read a place for these alone."""
        if left:
            self._strands[place] = left
        else:
            del self._strands[place]
            if self._reader is not None:
                self._reader.release([place])

    async def _let_go(self, reader: Reader) -> None:
        """Leave what is read for nothing. Called between two polls: what came of the last one is taken in."""
        ticks, now, snapshot = asyncio.get_running_loop().time, self._clock(), self._catalog.current
        until = ticks() + _ASK_SECONDS
        some = [(place, one) for place, strands in self._strands.items() for one in strands]
        # Each time another one is the first: what nobody answers for keeps none from being left.
        self._turn = (self._turn + _AT_ONCE) % max(1, len(some))
        senders = {strand.sender.slug: strand.sender for _, strand in some}
        overs = {slug: ended_for(snapshot, sender) for slug, sender in senders.items()}
        for place, strand in [*some[self._turn :], *some[: self._turn]]:
            over = overs[strand.sender.slug].get(strand.owner)
            if over is None or now < over.at + SURE_MS:
                strand.until = None
                continue
            if (strand.until is None or strand.until[0] != over) and ticks() < until:
                end = await self._leaving.end_of(strand.sender, over)
                strand.until = None if end is None else (over, end)
            if strand.until is not None and strand.until[0] == over:
                reached = reader.reached(*place)
                if reached is not None and reached >= strand.until[1]:
                    await self._leave_settled(place, strand, over)

    async def _leave_settled(self, place: tuple[str, int], strand: _Strand, over: Ended) -> None:
        shard = strand.work.shard
        partition = shard.partitions.get(strand.spot)
        is_there = strand in self._strands.get(place, ())
        if partition is None or not (is_there and partition.is_at_rest):
            return
        move = partition.step()
        if not await self._leaving.note(shard.lease, move, over.contract):
            return
        partition.written = move.after
        there = self._strands.get(place, [])
        # Something may go on again by now: who reads for that goes on then.
        if strand in there and ended_for(self._catalog.current, strand.sender).get(strand.owner) == over:
            shard.leave(strand.spot, over.contract)
            self._keep(place, [each for each in there if each is not strand])

    async def _begin_at(self, work: Work, owner: str, sender: Partner, snapshot: Snapshot) -> int | None:
        """The first offset that can be for an owner; None: the broker does not say now."""
        broker = self._parts.broker
        if broker.away_for_ms():
            return None
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                return await find_begin(broker, snapshot, owner, sender, work.shard.left)
        except (BrokerError, TimeoutError) as error:
            _log.warning("relay.feed_waits", topic=sender.topics.inbound, error=type(error).__name__)
            return None

    def _add(self, work: Work, owner: str, sender: Partner, topic_id: str, begin: int) -> None:
        place = (sender.topics.inbound, sender.topics.inbound_partition)
        spot = (share(topic_id, owner), place[1])
        start = work.shard.watch(place[0], *spot, owner, begin=begin)
        if start is None:
            return
        if self._reader is None:
            self._reader = self._parts.broker.reader()
        source = Source(sender.slug, self._url, self._judge)
        self._strands.setdefault(place, []).append(_Strand(work, owner, sender, source, place[0], spot))
        self._comes.set()
        reached = self._reader.reached(*place)
        if reached is None or reached > start.position.offset:
            self._assign([Start(place[0], replace(start.position, offset=self._least(place, topic_id)))])

    def _least(self, place: tuple[str, int], topic_id: str) -> int:
        """Where the last of all who read a place goes on.

        What was polled and not taken in yet has to come again for each of them; the others know it.
        """
        here = self._at(place[0], Position(topic_id, place[1], 0))
        return min(each.work.shard.partitions[each.spot].ledger.reached for each in here)

    def _judge(self, read: Read, partner: str) -> Vouched | None:
        return self._vouch(read, partner)

    def _assign(self, starts: Sequence[Start]) -> None:
        if self._reader is not None:
            self._reader.assign(
                [
                    Start(one.topic, replace(one.position, topic_id=plain(one.position.topic_id)))
                    for one in starts
                ]
            )

    def _is_full(self) -> bool:
        return any(each.work.shard.outbox.is_full for some in self._strands.values() for each in some)

    def _take_in(self, event: ReadEvent) -> None:
        match event:
            case Read(at):
                for strand in self._at(event.record.topic, at):
                    self._match(strand, event)
            case TooLow(topic, wanted, first):
                self._lose(topic, wanted, first)
            case TooHigh(topic, wanted, end):
                self._restart(topic, wanted, end)
            case TopicChanged(topic, old_id, new_id):
                # It was polled before, and contracts were waited for: another one may be read by now.
                if old_id in self._ids_of(topic):
                    self._leave(topic, new_id)
                self._catalog.topic_changed(topic, new_id, was=old_id)

    def _at(self, topic: str, at: Position) -> list[_Strand]:
        """Who reads this place, and has not left it."""
        return [
            each
            for each in self._strands.get((topic, at.partition), ())
            if plain(each.spot[0]) == at.topic_id and each.spot in each.work.shard.partitions
        ]

    def _match(self, strand: _Strand, read: Read) -> None:
        shard, offset = strand.work.shard, read.position.offset
        partition = shard.partitions[strand.spot]
        if partition.ledger.is_known(offset):
            return
        snapshot, now = self._briefed(), self._clock()
        reading = read_shared(read, strand.owner, snapshot, strand.source)
        if isinstance(reading, Routed) and strand.is_double(reading.ref, offset):
            reading = Passed()
        told = self._told(strand, read, reading, snapshot)
        if told is not None:
            partition.said[offset] = told
        shard.receive(seen_by(read, strand.owner), reading, now)
        self._parts.step("outbound.2.matched")
        strand.work.stir()

    def _told(self, strand: _Strand, read: Read, reading: Reading, snapshot: Snapshot) -> Pending | None:
        """What the sender's log says of an event that goes on to another partner."""
        way = forward_of(read, strand.owner, snapshot, strand.sender.slug)
        onward = None if way is None else onward_of(reading, *way)
        sender = snapshot.directory.partner(strand.sender.slug)
        if onward is None or sender is None:
            return None
        return self._voice(sender).forwarded(onward, self._clock())

    def _lose(self, topic: str, wanted: Position, first: int) -> None:
        _log.warning("relay.retention_hole", topic=topic, wanted=wanted.offset, first=first)
        for strand in self._at(topic, wanted):
            shard = strand.work.shard
            reached = max(wanted.offset, shard.partitions[strand.spot].ledger.reached)
            if reached < first:
                shard.lose(strand.spot, reached, first, self._clock())
                strand.work.stir()
        self._assign([Start(topic, replace(wanted, offset=first))])

    def _restart(self, topic: str, wanted: Position, end: int) -> None:
        _log.error("relay.topic_lost_records", topic=topic, wanted=wanted.offset, end=end)
        if wanted.offset <= end:
            self._assign([Start(topic, wanted)])
            return
        for strand in self._at(topic, wanted):
            shard = strand.work.shard
            if shard.partitions[strand.spot].ledger.reached > end:
                shard.restart(strand.spot, end, self._clock())
                strand.work.stir()
        self._assign([Start(topic, replace(wanted, offset=end))])

    def _ids_of(self, topic: str) -> set[str]:
        """Of the topics of this name, the broker's ids of those that are read."""
        here = [each for place, some in self._strands.items() if place[0] == topic for each in some]
        return {plain(each.spot[0]) for each in here}

    def _leave(self, topic: str, topic_id: str | None) -> None:
        """Read no more of a topic that is another one by now, or gone."""
        for place in [each for each in self._strands if each[0] == topic]:
            for strand in self._strands[place]:
                if plain(strand.spot[0]) != topic_id:
                    _log.error("relay.topic_changed", topic=topic, old_id=strand.spot[0], new_id=topic_id)
                    strand.work.shard.abandon(strand.spot, self._clock())
                    strand.work.stir()
            left = [each for each in self._strands[place] if plain(each.spot[0]) == topic_id]
            self._keep(place, left)
