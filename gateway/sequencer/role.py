"""The sequencer: reads inbound and outbound topics and pending evidence into the logs of its shards.

One reader over explicitly assigned partitions, positions in SQL, one transaction a round. Whatever goes wrong
in a round, nothing of it was written: the reader is sent back to the stored positions and the round repeats.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from audit import log as audit_log
from audit.checkpoint import split_origin
from audit.errors import StaleHeadError
from audit.evidence import Evidence, Kind, make_evidence
from gateway.broker.port import (
    Broker,
    BrokerError,
    Read,
    Reader,
    ReadEvent,
    TooHigh,
    TooLow,
    TopicChanged,
    place_in,
)
from gateway.broker.refusal import Refusal
from gateway.catalog import Catalog
from gateway.database import Database
from gateway.errors import AwayError, LeaseLostError, PositionMovedError, StoreError
from gateway.keys import KeyRing
from gateway.leases import Leases
from gateway.positions import load_all
from gateway.sequencer.belief import Belief, Seen
from gateway.sequencer.checkpoints import Checkpoints
from gateway.sequencer.gathering import gather, next_round
from gateway.sequencer.guard import Guard
from gateway.sequencer.losses import Strays, Told, ends_of, look_for
from gateway.sequencer.orphans import find_orphans, renewed_plots
from gateway.sequencer.round import ROLE, Round, Written, write_round
from gateway.sequencer.sighting import Suspect
from gateway.sequencer.territory import Plot, survey
from gateway.waits import rest

_BATCH = 1_000
_SLICE = 20
"""Records looked at before the loop has a turn: about 2 ms."""

_ENDED_AT_ONCE = 100
"""Ended epochs signed anew in one round, after all else: nobody else's entries wait for them."""

_DISTRUST_SECONDS = 0.2

_SILENT_SECONDS = 1.0

_STRAYS_SECONDS = 10.0
"""Between two looks for accepted events that lost their records unseen."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the sequencer is told: origin, host of the logs, the house's log, shards, times (ms)."""

    origin: str
    host: str
    house_log: str
    shards: int
    tick_ms: int


@dataclass(slots=True, kw_only=True, eq=False)
class Sequencer:
    """See the module. `report` gets suspects: records that no gateway of ours can have written.

    `clock` raises, and `distrust` says why, where our clock is not to be trusted: nothing is entered or
    signed then. The leases are kept: they go by the database's clock.

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
    distrust: Callable[[], str] = field(default=lambda: "")
    problem: str = field(default="", init=False)
    refused: str = field(default="", init=False)
    lost: dict[tuple[str, int], str] = field(default_factory=dict, init=False)
    strangers: dict[str, str] = field(default_factory=dict, init=False)
    told: Told = field(default_factory=Told, init=False)
    _state: Belief = field(default_factory=Belief, init=False)
    _refusal: Refusal = field(default_factory=Refusal, init=False)
    _read: Mapping[tuple[str, int], Plot] = field(default_factory=dict, init=False)
    _owed: dict[tuple[str, int], TooHigh] = field(default_factory=dict, init=False)
    _silent_at: float = field(default=0.0, init=False)
    _strays_at: float = field(default=0.0, init=False)
    _next_at: float = field(default=0.0, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Sequence until `stop`; what is away is waited for.

        Raises:
            LogBehindError: the database is behind what was published from it.
            NamesakeError: the topics are another gateway's.
        """
        # What a record waits for others adds to what it waits for the round: a part of a tick, and no more.
        reader = self.broker.reader(patience_ms=self.terms.tick_ms // 16)
        renew_at = 0.0
        try:
            while not stop.is_set():
                try:
                    if self.database.is_unvetted:
                        # It refuses everything, leases too, until somebody has looked at its logs.
                        await self.guard.verify()
                        # What was believed was stored on another one, which may have had more.
                        self._state, renew_at = Belief(is_guarded=True), 0.0
                    if asyncio.get_running_loop().time() >= renew_at:
                        await self.leases.hold()
                        if await self.checkpoints.is_renewed():
                            self._state = Belief()
                        renew_at = asyncio.get_running_loop().time() + self.leases.renew_after_ms / 1000
                    if words := self.distrust():
                        self.problem = words
                        await rest(stop, _DISTRUST_SECONDS)
                        continue
                    await self._turn(reader)
                    self.problem, self.refused = "", self._refusal.words(now=_ticks())
                except (AwayError, BrokerError) as error:
                    self.problem = f"{error}"
                    # A database that came back as another one has to be vetted first, in any case.
                    self._state = Belief(is_guarded=isinstance(error, AwayError) and self._state.is_guarded)
                    # A head whose COMMIT is unknown may be visible before a standby has it. The next renewal
                    # waits for the standby, and so for that head; only then may it be signed.
                    renew_at = 0.0
                    await rest(stop, 0.2)
                except (LeaseLostError, PositionMovedError, StaleHeadError):
                    self._state = Belief(is_guarded=True)
                    renew_at = 0.0
        finally:
            await reader.close()
        await self._let_go()

    async def _turn(self, reader: Reader) -> None:
        if not self._state.is_guarded:
            await self.guard.verify()
            self._state.is_guarded = True
        await self._settle_in(reader)
        if self.checkpoints.has_other_signers():
            self._state.unpublished |= await self.checkpoints.unpublished(self._state.origins.values())
            heads = await self.database.read(audit_log.heads)
            self._state.ended = self.checkpoints.ended(heads, self._state.origins.keys())
        # Before records are read: else all of them would wait for it.
        strays = await self._find_strays()
        events = await self._poll(reader)
        time, tick_ms = asyncio.get_running_loop().time, self.terms.tick_ms
        begun = time()
        self._next_at = begun + tick_ms / 1000
        if words := self.distrust():
            # The clock was set while we waited for records: they are read again once it is right.
            raise AwayError("clock_untrusted", words)
        written = await self._write(reader, events, strays)
        self._state.unpublished |= written.heads.keys()
        self._state.unpublished = await self.checkpoints.publish(self._state.unpublished, written.heads)
        some, self._state.ended = self._state.ended[:_ENDED_AT_ONCE], self._state.ended[_ENDED_AT_ONCE:]
        await self.checkpoints.renew(some)
        self._next_at = next_round(begun, time(), tick_ms=tick_ms)

    async def _poll(self, reader: Reader) -> list[ReadEvent]:
        """Read; what we may not read costs nothing that was read or believed, and holds up nothing else."""

        def note(error: BrokerError) -> None:
            # One that is away says so again at once, and is waited for.
            if error.code == "broker_refused":
                self._refusal.note(error, now=_ticks())

        try:
            return await gather(
                reader, limit=_BATCH, tick_ms=self.terms.tick_ms, until=self._next_at, told=note
            )
        except BrokerError as error:
            if error.code != "broker_refused":
                raise
            note(error)
            await asyncio.sleep(self.terms.tick_ms / 1000)
            return []

    async def _settle_in(self, reader: Reader) -> None:
        """Follow leases, partners and topics: read what is ours from stored positions, let the rest go."""
        state, terms, snapshot, held = self._state, self.terms, self.catalog.current, self.leases.held
        if state.is_loaded and state.snapshot is snapshot and state.held == held:
            return
        now = survey(
            snapshot,
            held,
            shards=terms.shards,
            host=terms.host,
            house_log=terms.house_log,
        )
        if state.is_loaded and now == state.territory:
            state.snapshot, state.held = snapshot, held
            return
        old = state.territory.plots if state.is_loaded else {}
        # What a thrown-away belief had assigned is still read: another's by now, where leases ran out.
        reader.release([place for place in self._read if now.plots.get(place) != self._read[place]])
        new = [plot for place, plot in now.plots.items() if old.get(place) != plot]
        stored = await self.database.read(lambda session: load_all(session, ROLE))
        renewed = await self.database.read(lambda session: renewed_plots(session, ROLE, new))
        state.learn(new, stored)
        reader.assign([state.start(plot) for plot in new])
        self._read = now.plots
        heads = await self.database.read(audit_log.heads)
        state.origins = {log: f"{log}/1" for log in now.logs}
        # They come in order: of each log, the newest epoch counts. Earlier ones never grow again.
        newest = {split_origin(one.head.origin)[0]: one.head for one in heads}
        for log in now.logs.keys() & newest.keys():
            head = newest[log]
            state.origins[log] = head.origin
            if not state.is_loaded and head.size and head.origin not in self.guard.shown:
                # The checkpoint topic was made anew: what it showed is shown again.
                state.unpublished.add(head.origin)
        state.unpublished |= await self.checkpoints.unpublished(state.origins.values())
        state.ended = self.checkpoints.ended(heads, now.logs.keys())
        kept = {plot: end for plot, end in state.renewed.items() if plot in now.plots.values()}
        state.renewed = kept | await ends_of(self.broker, renewed)
        state.territory = now
        state.snapshot, state.held = snapshot, held
        state.is_loaded = True
        self.step("proof.1.leased")

    async def _write(self, reader: Reader, events: Sequence[ReadEvent], strays: Strays) -> Written:
        """Enter what was read, and what waits, in one transaction; all is as before where that fails."""
        seen = await self._sort(events)
        cut = await self._rewind(seen.highs)
        losses = await look_for(
            self.database,
            self._state.gone(reader, seen.lows),
            strays=strays,
            cut=self._state.plots_at(cut),
            ends=partial(ends_of, self.broker),
        )
        passed = losses.holes()
        evidence = [one for low in seen.lows if place_in(low) in passed for one in self._hole(low)]
        leaps = passed | cut
        moved = self._state.moves(reader, leaps, seen.sightings, among=self._to_look_at(events))
        moves = losses.under_leases(moved)
        if not moves and not evidence and not await self._has_pending():
            return Written()
        todo = Round(
            moves,
            seen.sightings,
            evidence,
            dict(self._state.origins),
            self.keys().trusted("receipt"),
            self._state.territory.logs,
            orphans=losses.events(),
            renewed=losses.renewed(),
        )
        self.step("proof.2.checked")
        written = await self.database.write(lambda session: write_round(session, todo))
        self.step("proof.3.committed")
        self._state.settle(todo.moves, todo.renewed)
        self._owed.clear()
        reader.assign(self._state.starts(seen.stopped()))
        self.told.tell(losses)
        self._tell(written, seen.suspects)
        return written

    async def _sort(self, events: Sequence[ReadEvent]) -> Seen:
        seen = Seen()
        for number, event in enumerate(events, 1):
            if number % _SLICE == 0:
                await asyncio.sleep(0)
            match event:
                case Read():
                    self._state.look(event, seen)
                case TooLow():
                    seen.lows.append(event)
                case TooHigh():
                    seen.highs.append(event)
                case TopicChanged():
                    self._changed(event)
        # A reader tells of a cut once; where a round fails, the next one still knows of it.
        self._owed |= {place_in(high): high for high in seen.highs}
        self._owed = {place: high for place, high in self._owed.items() if self._state.is_ours(high)}
        seen.highs = list(self._owed.values())
        return seen

    def _to_look_at(self, events: Sequence[ReadEvent]) -> set[tuple[str, int]] | None:
        """Where the reader may have come further; None, once a second: anywhere.

        It passes over what holds no record without a word, and librdkafka searches its list for each place.
        """
        now = asyncio.get_running_loop().time()
        if now >= self._silent_at:
            self._silent_at = now + _SILENT_SECONDS
            return None
        return {place_in(event) for event in events if not isinstance(event, TopicChanged)}

    async def _find_strays(self) -> Strays:
        """Accepted events whose records will never be read; most of the time nobody looks for any."""
        now = asyncio.get_running_loop().time()
        if now < self._strays_at:
            return {}
        self._strays_at = now + _STRAYS_SECONDS
        return await self.database.read(partial(find_orphans, reached=self._state.reached()))

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
        self.catalog.topic_changed(event.topic, event.new_id, was=event.old_id)
        self.lost = {place: words for place, words in self.lost.items() if place[0] != event.topic}
        self.report("topic_changed", 1)

    async def _rewind(self, highs: Sequence[TooHigh]) -> dict[tuple[str, int], int]:
        """Where to go on in partitions that have lost records which we have seen: at the first of all.

        Nobody knows from where on the topic's records are others than those that we read; refs tell apart
        what repeats.
        """
        firsts: dict[tuple[str, int], int] = {}
        for high in highs:
            place = place_in(high)
            ((firsts[place], _),) = await self.broker.bounds([place])
            self.lost[place] = (
                f"{high.topic} [{high.wanted.partition}] was cut at {high.end} and had been read up to "
                f"{high.wanted.offset}: the broker has lost records that it had acknowledged. Their log "
                "entries stay, and the topic is read again from its first record; whoever reads it gets the "
                "lost ones from the sender alone. Are there three replicas, min.insync.replicas=2, and no "
                "unclean leader election?"
            )
            self.report("topic_truncated", 1)
        return firsts

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


def _ticks() -> int:
    """Milliseconds of a clock that nobody sets."""
    return int(asyncio.get_running_loop().time() * 1000)
