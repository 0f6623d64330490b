"""The sequencer: reads inbound and outbound topics and pending evidence into the logs of its shards.

One reader over explicitly assigned partitions, positions in SQL, one transaction a round. Whatever goes wrong
in a round, nothing of it was written: the reader is sent back to the stored positions and the round repeats.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from audit import log as audit_log
from audit.checkpoint import split_origin
from audit.errors import StaleHeadError
from audit.evidence import Evidence, Kind, make_evidence
from gateway.broker.port import (
    Broker,
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
from gateway.catalog import Catalog
from gateway.database import Database
from gateway.errors import AwayError, LeaseLostError, PositionMovedError, StoreError
from gateway.keys import KeyRing
from gateway.leases import Lease, Leases
from gateway.positions import Move, Progress, load_all
from gateway.sequencer.checkpoints import Checkpoints
from gateway.sequencer.guard import Guard
from gateway.sequencer.losses import Told, ends_of, look_for
from gateway.sequencer.orphans import Gone, renewed_plots
from gateway.sequencer.round import ROLE, Round, Written, write_round
from gateway.sequencer.sighting import Sighting, Suspect, sight
from gateway.sequencer.territory import Plot, Territory, survey

_BATCH = 1_000
_SLICE = 20
"""Records looked at before the loop has a turn: about 2 ms."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the sequencer is told: origin, host of the logs, the house's log, shards, times (ms)."""

    origin: str
    host: str
    house_log: str
    shards: int
    tick_ms: int


@dataclass(slots=True)
class _State:
    """What this process believes between two rounds; thrown away whenever a round fails.

    `renewed`: plots whose name stood for another topic before, and where they ended when that was found.
    """

    territory: Territory = field(default_factory=lambda: Territory({}, frozenset()))
    progress: dict[tuple[str, int], Progress] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    unpublished: set[str] = field(default_factory=set)
    renewed: dict[Plot, int] = field(default_factory=dict)
    is_guarded: bool = False
    is_loaded: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Sequencer:
    """See the module. `report` gets suspects: records that no gateway of ours can have written.

    `report`: a word of a closed list (`entry`, `repeat`, or why a record is suspect) and a count.
    """

    database: Database
    broker: Broker
    catalog: Catalog
    leases: Leases
    checkpoints: Checkpoints
    guard: Guard
    keys: Callable[[], KeyRing]
    terms: Terms
    clock: Callable[[], int]
    entropy: Callable[[int], bytes]
    report: Callable[[str, int], None]
    step: Callable[[str], None]
    problem: str = field(default="", init=False)
    lost: dict[tuple[str, int], str] = field(default_factory=dict, init=False)
    strangers: dict[str, str] = field(default_factory=dict, init=False)
    told: Told = field(default_factory=Told, init=False)
    _state: _State = field(default_factory=_State, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Sequence until `stop`; what is away is waited for.

        Raises:
            LogBehindError: the database is behind what was published from it.
            NamesakeError: the topics are another gateway's.
        """
        reader = self.broker.reader()
        renew_at = 0.0
        try:
            while not stop.is_set():
                try:
                    if self.database.is_unvetted:
                        # It refuses everything, leases too, until somebody has looked at its logs.
                        await self.guard.verify()
                        self._state.is_guarded = True
                    if asyncio.get_running_loop().time() >= renew_at:
                        await self.leases.hold()
                        if await self.checkpoints.is_renewed():
                            self._state = _State()
                        renew_at = asyncio.get_running_loop().time() + self.leases.renew_after_ms / 1000
                    await self._turn(reader)
                    self.problem = ""
                except (AwayError, BrokerError) as error:
                    self.problem = f"{error}"
                    self._state = _State()
                    # A head whose COMMIT is unknown may be visible before a standby has it. The next renewal
                    # waits for the standby, and so for that head; only then may it be signed.
                    renew_at = 0.0
                    await _sleep(stop, 0.2)
                except (LeaseLostError, PositionMovedError, StaleHeadError):
                    self._state = _State(is_guarded=True)
                    renew_at = 0.0
        finally:
            await reader.close()
        await self._let_go()

    async def _turn(self, reader: Reader) -> None:
        if not self._state.is_guarded:
            await self.guard.verify()
            self._state.is_guarded = True
        await self._settle_in(reader)
        events = await reader.poll(_BATCH, self.terms.tick_ms)
        written = await self._write(reader, events)
        self._state.unpublished |= written.origins
        self._state.unpublished = await self.checkpoints.publish(self._state.unpublished)

    async def _settle_in(self, reader: Reader) -> None:
        """Follow leases, partners and topics: read what is ours from stored positions, let the rest go."""
        state, terms = self._state, self.terms
        now = survey(
            self.catalog.current,
            self.leases.held,
            shards=terms.shards,
            host=terms.host,
            house_log=terms.house_log,
        )
        if state.is_loaded and now == state.territory:
            return
        old = state.territory.plots if state.is_loaded else {}
        reader.release([place for place in old if now.plots.get(place) != old[place]])
        new = [plot for place, plot in now.plots.items() if old.get(place) != plot]
        stored = await self.database.read(lambda session: load_all(session, ROLE))
        renewed = await self.database.read(lambda session: renewed_plots(session, ROLE, new))
        for plot in new:
            found = stored.get((plot.topic_id, plot.partition))
            if found is None:
                state.progress.pop((plot.topic_id, plot.partition), None)
            else:
                state.progress[plot.topic_id, plot.partition] = found
        reader.assign([self._start(plot) for plot in new])
        heads = await self.database.read(audit_log.heads)
        state.origins = {log: f"{log}/1" for log in now.logs}
        for head in heads:
            log, _ = split_origin(head.head.origin)
            if log in now.logs:
                state.origins[log] = head.head.origin
                if not state.is_loaded and head.head.size and head.head.origin not in self.guard.shown:
                    # The checkpoint topic was made anew: what it showed is shown again.
                    state.unpublished.add(head.head.origin)
        state.unpublished |= await self.checkpoints.unpublished(state.origins.values())
        kept = {plot: end for plot, end in state.renewed.items() if plot in now.plots.values()}
        state.renewed = kept | await ends_of(self.broker, renewed)
        state.territory = now
        state.is_loaded = True
        self.step("proof.1.leased")

    def _start(self, plot: Plot) -> Start:
        progress = self._state.progress.get((plot.topic_id, plot.partition))
        offset = 0 if progress is None else progress.next
        return Start(plot.topic, Position(plot.topic_id, plot.partition, offset))

    async def _write(self, reader: Reader, events: Sequence[ReadEvent]) -> Written:
        sightings: list[Sighting] = []
        suspects: list[Suspect] = []
        evidence: list[Evidence] = []
        lows: list[TooLow] = []
        highs: list[TooHigh] = []
        for number, event in enumerate(events, 1):
            if number % _SLICE == 0:
                await asyncio.sleep(0)
            if isinstance(event, Read):
                self._look(event, sightings, suspects)
            elif isinstance(event, TooLow):
                lows.append(event)
            elif isinstance(event, TooHigh):
                highs.append(event)
            else:
                self._changed(event)
        losses = await look_for(self.database, self._gone(reader, lows))
        leaps = losses.holes()
        for low in lows:
            if (low.topic, low.wanted.partition) in leaps:
                evidence += self._hole(low)
        leaps |= await self._rewind(highs)
        moves = losses.under_leases(self._moves(reader, leaps))
        if not moves and not evidence and not await self._has_pending():
            return Written()
        todo = Round(
            moves,
            sightings,
            evidence,
            dict(self._state.origins),
            self.keys().public_keys("receipt"),
            orphans=[orphan for each in losses.orphans.values() for orphan in each],
            renewed=losses.renewed(),
        )
        self.step("proof.2.checked")
        written = await self.database.write(lambda session: write_round(session, todo))
        self.step("proof.3.committed")
        for _, steps in moves:
            for move in steps:
                self._state.progress[move.topic_id, move.partition] = move.after
        stopped = {(low.topic, low.wanted.partition) for low in lows}
        stopped |= {(high.topic, high.wanted.partition) for high in highs}
        reader.assign(
            [self._start(plot) for place, plot in self._state.territory.plots.items() if place in stopped]
        )
        for plot in todo.renewed:
            self._state.renewed.pop(plot, None)
        self.told.tell(losses)
        self._tell(written, suspects)
        return written

    def _gone(self, reader: Reader, lows: Sequence[TooLow]) -> list[Gone]:
        """Holes that retention made; and former topics, once the present one is read as far as it went."""
        plots = self._state.territory.plots
        gone = [
            Gone(plots[place], (low.wanted.offset, low.first))
            for low in lows
            if (place := (low.topic, low.wanted.partition)) in plots
            and plots[place].topic_id == low.wanted.topic_id
        ]
        taken = {one.plot for one in gone}
        return gone + [
            Gone(plot, None)
            for plot, end in self._state.renewed.items()
            if plot not in taken and (reader.reached(plot.topic, plot.partition) or 0) >= end
        ]

    def _look(self, read: Read, sightings: list[Sighting], suspects: list[Suspect]) -> None:
        plot = self._state.territory.plots.get((read.record.topic, read.position.partition))
        if plot is None or plot.topic_id != read.position.topic_id:
            return
        found = sight(read, partner=plot.partner, direction=plot.direction)
        if isinstance(found, Sighting):
            sightings.append(found)
        elif isinstance(found, Suspect):
            suspects.append(found)

    def _hole(self, event: TooLow) -> list[Evidence]:
        plot = self._state.territory.plots.get((event.topic, event.wanted.partition))
        partner = None if plot is None else self.catalog.current.directory.partner(plot.partner)
        if partner is None:
            return []
        self.report("retention_hole", 1)
        members = {
            "partner": partner.slug,
            "topic": event.topic,
            "topic_id": event.wanted.topic_id,
            "partition": event.wanted.partition,
            "from": event.wanted.offset,
            "to": event.first,
        }
        log = f"{self.terms.host}/log/{partner.log}"
        at, salt = self.clock(), self.entropy(32)
        return [make_evidence(Kind.RETENTION_HOLE, members, iss=self.terms.origin, log=log, at=at, salt=salt)]

    def _changed(self, event: TopicChanged) -> None:
        # The new topic is read from its start at the next turn; refs tell apart what repeats.
        self.catalog.topic_changed(event.topic, event.new_id)
        self.lost = {place: words for place, words in self.lost.items() if place[0] != event.topic}
        self.report("topic_changed", 1)

    async def _rewind(self, highs: Sequence[TooHigh]) -> dict[tuple[str, int], int]:
        """Where to read partitions from that have lost records which we have seen: from their first one.

        Nobody knows from where on the topic's records are others than those that we read; refs tell apart
        what repeats.
        """
        starts: dict[tuple[str, int], int] = {}
        for high in highs:
            place = (high.topic, high.wanted.partition)
            ((starts[place], _),) = await self.broker.bounds([place])
            self.lost[place] = (
                f"{high.topic} [{high.wanted.partition}] ends at {high.end} and was read up to "
                f"{high.wanted.offset}: the broker has lost records that it had acknowledged. Their log "
                "entries stay, and the topic is read again from its first record; whoever reads it gets the "
                "lost ones from the sender alone. Are there three replicas, min.insync.replicas=2, and no "
                "unclean leader election?"
            )
            self.report("topic_truncated", 1)
        return starts

    def _moves(self, reader: Reader, leaps: dict[tuple[str, int], int]) -> list[tuple[Lease, list[Move]]]:
        """Steps to where the reader has come; `leaps`: steps to elsewhere."""
        by_lease: dict[Lease, list[Move]] = {}
        for place, plot in self._state.territory.plots.items():
            before = self._state.progress.get((plot.topic_id, plot.partition))
            reached = leaps.get(place)
            if reached is None:
                reached = reader.reached(*place)
                if reached is None or reached <= (0 if before is None else before.next):
                    continue
            move = Move(plot.topic, plot.topic_id, plot.partition, before, Progress(reached))
            by_lease.setdefault(plot.lease, []).append(move)
        return list(by_lease.items())

    async def _has_pending(self) -> bool:
        logs = await self.database.read(audit_log.pending_logs)
        return not self._state.origins.keys().isdisjoint(logs)

    def _tell(self, written: Written, suspects: Sequence[Suspect]) -> None:
        self.report("entry", written.entries)
        self.report("repeat", written.repeats)
        for suspect in (*suspects, *written.suspects):
            self.report(suspect.reason, 1)
            if suspect.reason == "log_unknown":
                topic = suspect.read.record.topic
                self.strangers[topic] = (
                    f"{topic} holds receipts of logs that this gateway does not have: another gateway writes "
                    "to it; give one of them another broker.topic_prefix and broker.checkpoint_topic"
                )

    async def _let_go(self) -> None:
        try:
            await self.leases.release()
        except (StoreError, AwayError):
            return


async def _sleep(stop: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
