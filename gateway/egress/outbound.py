"""Outbound topics that shards read, each for the partner that is to get what is in it.

One reader for all shards of this process. A record of which nobody would get anything is read by contracts
that are as new as it is; what happens to a topic itself (records lost, retention, made again) is told to the
shard that reads it.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from gateway.broker.port import (
    Broker,
    BrokerError,
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
from gateway.egress.held_back import HeldBack
from gateway.egress.intake import Unasked
from gateway.egress.reading import Routed, Today, read_event
from gateway.errors import AwayError, BugError
from gateway.logs import logger
from gateway.positions import owner_in
from partners.partner import Partner

_POLL: Final = 200
_POLL_MS: Final = 400
_HELD_POLL_MS: Final = 200
_SLICE: Final = 10
_AGAIN_SECONDS: Final = 0.2

_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Terms:
    """`url`: our origin; `matched` hears of each record. `doubt`: as the relay's.

    `briefed`: the contracts of now, once all shards have them. `rest_ms`: how long to wait where nothing may
    be read now.
    """

    url: str
    clock: Callable[[], int] = field(repr=False)
    matched: Callable[[], None] = field(repr=False)
    doubt: Callable[[], str] = field(repr=False)
    briefed: Callable[[], Snapshot] = field(repr=False)
    rest_ms: int


class Outbound:
    """A part of the relay; see the module. `problem`: what keeps it from reading, in words.

    Open between `open` and `close`.
    """

    def __init__(self, broker: Broker, catalog: Today, terms: Terms) -> None:
        self._broker = broker
        self._catalog = catalog
        self._terms = terms
        self._running: Reader | None = None
        self._spots: dict[tuple[str, int], Work] = {}
        self._held = HeldBack()
        self._refusal = Refusal()
        self.problem = ""

    def open(self) -> None:
        """Have a reader."""
        self._running = self._broker.reader()

    async def close(self) -> None:
        """Let the reader go."""
        await self._reader.close()

    async def run(self, works: Mapping[int, Work]) -> None:
        """Read until cancelled; not while a shard has much to write. `works`: all that there are."""
        while True:
            if self._terms.doubt() or any(work.shard.outbox.is_full for work in works.values()):
                await asyncio.sleep(self._terms.rest_ms / 1000)
                continue
            self._held.go_on(self._reader, self._catalog.current.outside)
            try:
                wait_ms = _HELD_POLL_MS if self._held.has_any else _POLL_MS
                events = await self._reader.poll(_POLL, wait_ms)
            except BrokerError as error:
                self._refusal.note(error, now=_ticks())
                events = []
                await asyncio.sleep(self._terms.rest_ms / 1000)
            self.problem = self._refusal.words(now=_ticks())
            is_fresh = False
            for number, event in enumerate(events, 1):
                if not self._take_in(event, is_fresh=is_fresh):
                    # By contracts that may be older than the event; nothing of this poll is newer than those.
                    await self._look_anew()
                    is_fresh = self._take_in(event, is_fresh=True)
                if number % _SLICE == 0:
                    await asyncio.sleep(0)

    def watch(self, work: Work, partners: Sequence[Partner]) -> None:
        """Read for a shard what today's topics of these partners hold, from where it is."""
        snapshot = self._catalog.current
        starts = []
        watched: dict[str, list[tuple[str, int]]] = {}
        for spot, each in work.shard.partitions.items():
            if owner_in(spot[0]) is None:
                watched.setdefault(each.topic, []).append(spot)
        for partner in partners:
            topic, number_of_partner = partner.topics.outbound, partner.topics.outbound_partition
            topic_id = snapshot.topic_ids.get(topic)
            if topic_id is None:
                continue
            # Somebody else may have told the catalog first that the topic was made again.
            for spot in watched.get(topic, ()):
                if spot[0] != topic_id:
                    self._leave(spot, topic_id)
            for number in snapshot.partitions_of(topic, number_of_partner):
                start = work.shard.watch(topic, topic_id, number, partner.slug)
                if start is not None:
                    self._spots[topic_id, number] = work
                    starts.append(start)
        self._reader.assign(starts)

    def drop(self, work: Work) -> None:
        """Read nothing for this shard any more; what another one in its place reads since, goes on."""
        own = [spot for spot, other in self._spots.items() if other is work]
        self._spots = {spot: other for spot, other in self._spots.items() if other is not work}
        self._held.keep(self._spots)
        self._reader.release([(work.shard.partitions[spot].topic, spot[1]) for spot in own])

    async def _look_anew(self) -> None:
        """Have the contracts of now, however long the database is away."""
        while True:
            with suppress(AwayError):
                await self._catalog.follow()
                return
            await asyncio.sleep(_AGAIN_SECONDS)

    def _take_in(self, event: ReadEvent, *, is_fresh: bool) -> bool:
        """False: nobody would get it, by contracts that are not known to be as new as the event.

        What comes again is passed over: it is held, or was begun anew since.
        """
        if not self._reader.is_current(event):
            return True
        match event:
            case Read(position):
                work = self._spots.get((position.topic_id, position.partition))
                return work is None or self._match(work, event, is_fresh=is_fresh)
            case TooLow(topic, wanted, first):
                _log.warning("relay.retention_hole", topic=topic, wanted=wanted.offset, first=first)
                spot = (wanted.topic_id, wanted.partition)
                if (work := self._spots.get(spot)) is not None:
                    self._reader.assign(work.shard.lose(spot, wanted.offset, first, self._terms.clock()))
                    work.stir()
            case TooHigh(topic, wanted, end):
                _log.error("relay.topic_lost_records", topic=topic, wanted=wanted.offset, end=end)
                spot = (wanted.topic_id, wanted.partition)
                work = self._spots.get(spot)
                if work is not None and wanted.offset <= end:
                    self._reader.assign([Start(topic, wanted)])
                elif work is not None:
                    self._reader.assign(work.shard.restart(spot, end, self._terms.clock()))
                    work.stir()
            case TopicChanged(topic, old_id, new_id):
                for spot in [each for each in self._spots if each[0] == old_id]:
                    self._leave(spot, new_id)
                self._catalog.topic_changed(topic, new_id, was=old_id)
        return True

    def _leave(self, spot: tuple[str, int], new_id: str | None) -> None:
        """Read no more of a topic that is another one now, or gone."""
        work = self._spots.pop(spot, None)
        self._held.keep(self._spots)
        if work is None or spot not in work.shard.partitions:
            return
        left = work.shard.partitions[spot]
        fate = "deleted" if new_id is None else "deleted and made again"
        _log.error(
            "relay.topic_changed",
            topic=left.topic,
            old_id=spot[0],
            new_id=new_id,
            reason=f"{left.topic} was {fate}: what it held from offset {left.ledger.watermark} on is not "
            "delivered, but for what is under way; whoever sent it has to send it again, under a new id",
        )
        work.shard.abandon(spot, self._terms.clock())
        work.stir()

    def _match(self, work: Work, read: Read, *, is_fresh: bool) -> bool:
        position = read.position
        partition = work.shard.partitions[position.topic_id, position.partition]
        reading = read_event(read, partition.partner, self._terms.briefed(), origin=self._terms.url)
        if isinstance(reading, Unasked):
            self._held.hold(self._reader, read, reading)
            return True
        if not is_fresh and not (isinstance(reading, Routed) and reading.endpoints):
            return False
        work.shard.receive(read, reading, self._terms.clock())
        self._terms.matched()
        work.stir()
        return True

    @property
    def _reader(self) -> Reader:
        if self._running is None:
            raise BugError("outbound topics are read only while the relay runs")
        return self._running


def _ticks() -> int:
    """Milliseconds of a clock that nobody sets."""
    return int(asyncio.get_running_loop().time() * 1_000)
