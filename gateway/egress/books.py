"""What a shard keeps: lanes, ranges and debts, what is yet to be written, and what becomes of one delivery.

No I/O. The invariant of `gateway.egress.shard` is kept here: whatever settles an offset goes through `_pay`,
beside what is written of it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from gateway.broker.port import Read
from gateway.egress.asking import Asked
from gateway.egress.backlog import Backlog, Backlogs, Span, SpanKey
from gateway.egress.breakers import Breakers
from gateway.egress.debts import Debts, Partition, Spot
from gateway.egress.delivery import Attempt, Delivered, Delivery, Held, Parked, RetryAt
from gateway.egress.lane import NEVER, Lane
from gateway.egress.locking import Place as RowPlace
from gateway.egress.outbox import LIMIT, Outbox
from gateway.egress.reading import Passed, Reading, Routed, delivery_of
from gateway.egress.recall import End, Recall, Recalled, room_of
from gateway.egress.resting import Rows
from gateway.egress.slowing import pause_asked
from gateway.egress.ticks import Saved, State, Tick
from gateway.egress.tidings import Tidings
from gateway.egress.traces import excerpt_of
from gateway.egress.wording import Place, Voice
from gateway.leases import Lease
from gateway.positions import Progress, owner_in
from partners.endpoint import Skip

STEP: Final = 100
"""What waits for an endpoint that is gone is parked so many at a time."""


class Books:
    """See the module."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.contracts = 0
        self.lanes: dict[str, Lane] = {}
        self.partitions: dict[Spot, Partition] = {}
        self.left: dict[Spot, int] = {}
        self.outbox = Outbox()
        self.recall = Recall()
        self._voices: dict[str, Voice] = {}
        self._debts = Debts()
        self._moved: set[Spot] = set()
        self._unsure: set[Spot] = set()
        self._looked: list[Spot] = []
        self._backlogs = Backlogs()
        self._breakers = Breakers()
        self._tidings = Tidings()
        self._heard: dict[tuple[str, bytes], int] = {}
        self._waiting: dict[str, list[Delivery]] = {}
        self._resting: dict[str, Rows] = {}
        self.is_lacking = False
        self._ended: dict[tuple[str, bytes], End] = {}
        self._written: dict[tuple[str, bytes], End] = {}
        self._judged: list[Recalled] = []
        self._late: dict[SpanKey, Span] = {}
        self._recorded_at: set[Spot] = set()
        self._progress: dict[Spot, Progress] = {}

    def log_of(self, partner: str) -> str:
        """The name of a partner's log, without an epoch."""
        return self._voices[partner].log

    def room(self, backlog: Backlog, now: int) -> int:
        """How many of a range its lane would take now; where it is gone, none is sent: always some."""
        lane = self.lanes[backlog.endpoint]
        if isinstance(backlog, Recalled) and not lane.is_gone:
            return room_of(backlog, lane.room(now), now)
        return STEP if lane.is_gone else lane.room(now)

    def begin_to_judge(self, part: Recalled) -> None:
        """Evidence of a part's events is about to be read: what it may not show yet is noted beside it."""
        ended = self._written | self._ended
        part.lately = {ref: end for (endpoint, ref), end in ended.items() if endpoint == part.endpoint}
        self._judged.append(part)

    def end_to_judge(self) -> None:
        """What was judged is taken in."""
        for part in self._judged:
            part.lately = {}
        self._judged.clear()

    def settle(self, attempt: Attempt, now: int) -> None:
        """What came of a POST: lane, rows, evidence, and the offset that waited for it."""
        delivery, decision = attempt.delivery, attempt.decision
        lane = self.lanes[delivery.endpoint]
        before, was, crowding = lane.endpoint, lane.breaker, lane.crowding
        pause_ms = pause_asked(attempt.answer, now=now)
        lane.settle(delivery, decision, now, attempt.answer.failure, url=attempt.url, pause_ms=pause_ms)
        self.outbox.tell(self._tidings.attempted(before, was, lane.breaker, attempt, now))
        self.outbox.tell(self._tidings.crowded(before, crowding, lane.crowding, attempt, now))
        voice = self._voices[delivery.partner]
        self.outbox.add(voice.attempted(attempt))
        if attempt.acknowledgement is not None:
            self.outbox.add(voice.acknowledged(attempt, attempt.acknowledgement, now))
        if (excerpt := excerpt_of(attempt)) is not None:
            self.outbox.keep_excerpt(excerpt)
        after = replace(delivery, attempts=attempt.number)
        match decision:
            case Delivered():
                self.outbox.finish(delivery.endpoint, delivery.ref)
                self._end(delivery, "delivered")
            case RetryAt(at):
                self._save(replace(after, due_at=at), "pending", attempt.answer.failure)
            case Parked(reason):
                self._park(after, reason, now)
                self._save(after, "parked", reason)
                self._end(delivery, "parked")
            case Held(reason):
                self._save(replace(after, due_at=now), "held", reason)
                self.outbox.disable(delivery.partner, delivery.endpoint, attempt.url)
        self._pay(delivery)

    def _end(self, delivery: Delivery, end: End) -> None:
        self._ended[delivery.endpoint, delivery.ref] = end
        for part in self._judged:
            if part.endpoint == delivery.endpoint:
                part.lately[delivery.ref] = end

    def forget(self, delivery: Delivery) -> None:
        """The row of a delivery that was to be sent is gone: somebody cancelled it."""
        self.lanes[delivery.endpoint].forget(delivery)
        self.outbox.forget(delivery.endpoint, delivery.ref)
        self._pay(delivery)

    def give_up(self, delivery: Delivery, skip: Skip, now: int) -> None:
        """A delivery that was to be sent, and that somebody has given up since: its row goes."""
        self.outbox.add(self._voices[delivery.partner].cancelled(delivery, skip, now))
        self.lanes[delivery.endpoint].forget(delivery)
        self.outbox.finish(delivery.endpoint, delivery.ref)
        self._pay(delivery)

    def look_at_rest(self, now: int) -> int:
        """See whether lanes lack what rests in rows; when more of it will be due."""
        lanes = [lane for lane in self.lanes.values() if lane.resting]
        self.is_lacking = any(lane.lacking(now) for lane in lanes)
        return min((lane.rests_until(now) for lane in lanes), default=NEVER)

    def _owners_waiting(self) -> dict[str, str]:
        """Whose the endpoints are that rows wait for, and that have no lane yet."""
        waiting = {endpoint: some[0].partner for endpoint, some in self._waiting.items()}
        return waiting | {endpoint: rows.owner for endpoint, rows in self._resting.items()}

    def lacking(self, now: int, most: int) -> list[RowPlace]:
        """Rows that lanes are to have in memory now; at most so many, but for the last lane's."""
        found: list[RowPlace] = []
        for endpoint, lane in self.lanes.items():
            if len(found) >= most:
                break
            found += [(endpoint, ref) for ref in (lane.lacking(now) if lane.resting else ())]
        return found

    def read_on(self, wanted: Iterable[RowPlace], found: Iterable[Delivery], now: int) -> None:
        """Take in what was read of these rows; the others wait no more: cancelled, or erased."""
        by_lane: dict[str, list[Delivery]] = {}
        for delivery in found:
            by_lane.setdefault(delivery.endpoint, []).append(delivery)
        for endpoint, some in by_lane.items():
            if (lane := self.lanes.get(endpoint)) is not None:
                lane.read_on(some, now)
        for endpoint, ref in wanted:
            lane = self.lanes.get(endpoint)
            if lane is not None and lane.resting.take_out(ref) is not None:
                self.outbox.forget(endpoint, ref)

    @property
    def has_asked(self) -> bool:
        """Whether anything that was asked of it is not seen to be done yet."""
        return bool(self._heard or self.recall.parts)

    def hear_all(self, some: Sequence[Asked], now: int) -> bool:
        """Do what was asked of rows; whether anything was new. `some`: all that a look at them found.

        A look may be older than the last tick: what was heard is heard once, until it is seen to be gone.
        """
        there = {(one.delivery.endpoint, one.delivery.ref) for one in some}
        self._heard = {pair: at for pair, at in self._heard.items() if pair in there}
        new = [one for one in some if self._heard.get((one.delivery.endpoint, one.delivery.ref), -1) < one.at]
        heard = [one for one in new if self._hear(one, now)]
        self._heard |= {(one.delivery.endpoint, one.delivery.ref): one.at for one in heard}
        return bool(heard)

    def _hear(self, asked: Asked, now: int) -> bool:
        """Have a delivery tried at once, or leave it; whether it could be heard."""
        delivery, lane = asked.delivery, self.lanes.get(asked.delivery.endpoint)
        if lane is None:
            if not asked.is_cancelled:
                self._await(delivery)
            self.outbox.hear(delivery.endpoint, delivery.ref, asked.at)
            return True
        if asked.is_cancelled and not lane.cancel(delivery.ref):
            return False
        if asked.is_cancelled:
            self.outbox.forget(delivery.endpoint, delivery.ref)
            self._pay(delivery)
        elif not lane.hurry(delivery.ref, now):
            self._try_again(asked, lane, now)
        self.outbox.hear(delivery.endpoint, delivery.ref, asked.at)
        return True

    def _try_again(self, asked: Asked, lane: Lane, now: int) -> None:
        """Have the lane take what it has not, out of its row; unless what it had was wanted as late as this.

        The row may be as it was before what this shard has decided, and is about to write.
        """
        delivery = asked.delivery
        key = (delivery.endpoint, delivery.ref)
        decided = self.outbox.decided(*key)
        if decided is not None:
            if asked.at <= decided.delivery.wanted_at:
                return
            delivery = replace(delivery, attempts=decided.delivery.attempts)
        if (self._written | self._ended).get(key) == "delivered":
            return
        lane.restore([delivery])
        lane.hurry(delivery.ref, now)
        self.outbox.revive(delivery)

    def _await(self, delivery: Delivery) -> None:
        """Keep a delivery that has a row for its lane, once that is opened, or its endpoint known as gone."""
        waiting = self._waiting.setdefault(delivery.endpoint, [])
        if all(one.ref != delivery.ref for one in waiting):
            waiting.append(delivery)
            self.outbox.note_row(delivery.endpoint, delivery.ref)

    # It is written

    def leave(self, spot: Spot, contract: int) -> None:
        """Read a partition no more that is at rest, as `gateway.positions.leave` has noted."""
        partition = self.partitions.pop(spot)
        self.left[spot] = contract
        if partition.written is not None:
            self._progress[spot] = partition.written

    def keep_late(self, now: int, *, most: int = STEP) -> int:
        """Give a row to what waits for its first delivery for longer than is good; when to look again.

        It waits behind the head of an order, behind a rate, or is under way to somebody who does not answer.
        With an order what stands before it gets a row with it, under way or not: rows are read before topics.
        """
        for name, each in self.lanes.items():
            each.put_to_rest(now, partial(self.outbox.is_written, name))
        if not self.outbox.is_full:
            late: dict[str, dict[bytes, None]] = {}
            for one in self._debts.take_late(now, most):
                if (lane := self.lanes.get(one.endpoint)) is not None and lane.skip_of(one) is None:
                    late.setdefault(one.endpoint, {})[one.ref] = None
            for endpoint, refs in late.items():
                self._keep(self.lanes[endpoint].unsaved_up_to(refs))
        at = self._debts.late_at
        return NEVER if at is None else at

    def keep_waiting(self) -> None:
        """Give a row to whatever waits, before a stop; where that is very much, to the first of it."""
        self.keep_late(NEVER, most=LIMIT)

    def make_tick(self) -> Tick | None:
        """Everything decided since the last tick; None where nothing was. One tick at a time."""
        self._save_closed()
        moved = [self.partitions[spot] for spot in sorted(self._moved) if spot in self.partitions]
        moves = [move for each in moved if (move := each.begin_tick()) is not None]
        self.outbox.add(*(one for each in moved for one in each.words()))
        spans, drained = self._backlogs.changes()
        breakers, steps = self._breakers.changes(self.lanes), self.recall.steps()
        self._unsure |= self._moved
        self._moved.clear()
        self._late.clear()
        if self.outbox.is_empty and not (moves or spans or drained or breakers or steps):
            return None
        self._ended, self._written = {}, self._ended
        self._unsure &= self.partitions.keys()
        self._looked = sorted(self._unsure)
        for spot in self._looked:
            self.partitions[spot].begin_to_be_sure()
        return self.outbox.make_tick(
            self.lease, spans=spans, drained=drained, moves=moves, breakers=breakers, steps=steps
        )

    def read_by(self) -> list[tuple[str, int]]:
        """The partners of whose topics anything was read since a tick was sure of it, or is settled now.

        With the revision of contracts that this was read by. What is read for owners among others is read by
        contracts that are looked at anew.
        """
        here = [self.partitions[spot] for spot in self._looked if owner_in(spot[0]) is None]
        return [(partition.partner, self.contracts) for partition in here]

    def amend(self, tick: Tick) -> Tick:
        """The tick, which was not written, with the ranges of endpoints that were heard of since."""
        late, self._late = self._late, {}
        spans = {(span.endpoint, span.topic_id, span.partition): span for span in tick.spans} | late
        drained = tuple(key for key in tick.drained if key not in late)
        return replace(tick, spans=tuple(spans.values()), drained=drained)

    def committed(self, tick: Tick) -> None:
        """The tick is durable."""
        self._written.clear()
        for move in tick.moves:
            partition = self.partitions.get((move.topic_id, move.partition))
            if partition is not None:
                partition.written = move.after
        for spot in self._looked:
            if (partition := self.partitions.get(spot)) is not None and partition.end_to_be_sure():
                self._unsure.discard(spot)
        self._forget_recorded()
        for endpoint, ref in self.outbox.written():
            if (lane := self.lanes.get(endpoint)) is not None:
                lane.saved(ref)
        self._backlogs.drop(tick.drained)

    def _recall(self, part: Recalled, read: Read, reading: Reading, now: int) -> bool:
        """A record of a replay; False where the lane has no room, or nobody has judged the event yet."""
        offset, lane = read.position.offset, self.lanes[part.endpoint]
        if lane.is_gone or not isinstance(reading, Routed) or not part.wants(reading):
            part.pass_to(offset + 1)
            return True
        live = self.partitions.get((read.position.topic_id, read.position.partition))
        # What the live reader has yet to read, it will hand over itself.
        is_ahead = live is not None and not live.ledger.is_known(offset)
        is_waiting = is_ahead or self._backlogs.is_waiting(part.key, offset)
        word = part.judge(reading.ref, is_waiting=is_waiting)
        if word == "handed" and not part.part.wish.dry_run:
            if self.room(part, now) <= 0:
                return False
            delivery = replace(delivery_of(read, reading, lane.endpoint), wanted_at=now)
            part.pass_to(offset)
            if lane.offer(delivery, now) == "known":
                word = "waiting"
            else:
                part.take(offset, now)
                self._debts.owe(delivery, part, now)
                if part.has_row(delivery.ref):
                    self.outbox.note_row(delivery.endpoint, delivery.ref)
        part.count(offset, word)
        part.pass_to(offset + 1)
        return True

    def _pay(self, delivery: Delivery) -> None:
        match self._debts.pay(delivery):
            case Recalled():
                pass  # looked at in each tick
            case Backlog() as backlog:
                self._backlogs.changed.add(backlog.key)
            case Partition() as partition:
                self._moved.add(partition.spot)

    def _save(self, delivery: Delivery, state: State, reason: str | None) -> None:
        self.outbox.save(Saved(delivery, state, reason, is_new=True))

    def _park(self, delivery: Delivery, reason: str, now: int) -> None:
        """Say that nothing more is tried."""
        endpoint = self.lanes[delivery.endpoint].endpoint
        self.outbox.add(self._voices[delivery.partner].parked(delivery, reason, now))
        self.outbox.tell(self._tidings.parked(endpoint, delivery, reason, now))

    def _save_closed(self) -> None:
        """What waits in a lane that has closed gets a row, so that its offset is settled."""
        for lane in self.lanes.values():
            if lane.is_closed:
                self._keep(lane.unsaved())

    def _keep(self, deliveries: Iterable[Delivery]) -> None:
        """Each gets a row, where it has none, and its offset waits for it no longer."""
        for delivery in deliveries:
            if not self.outbox.has_row(delivery.endpoint, delivery.ref):
                self._save(delivery, "pending", None)
                self._pay(delivery)

    def _forget_recorded(self) -> None:
        self._recorded_at &= self.partitions.keys()
        if recorded := [self.partitions[spot] for spot in self._recorded_at]:
            least = {each.spot: each.sure_before for each in recorded}
            for backlog in self._backlogs.values():
                spot = backlog.key[1:]
                least[spot] = min(least.get(spot, backlog.cursor), backlog.cursor)
            for each in recorded:
                each.recorded.forget(least[each.spot])
                if not each.recorded:
                    self._recorded_at.discard(each.spot)

    def _record(self, partition: Partition, read: Read, reading: Reading, now: int) -> None:
        if not isinstance(reading, Passed) and partition.recorded.add(read.position.offset):
            self._recorded_at.add(partition.spot)
            self._say(partition.partner, Place(partition.topic, read.position), reading, now)

    def _say(self, owner: str, place: Place, reading: Reading, now: int) -> None:
        """Say why nobody gets a record that was read for an owner."""
        if not isinstance(reading, Passed):
            self.outbox.add(self._voices[owner].unsent(reading, place, now))
            self.outbox.tell(self._tidings.recorded(owner, reading, place, now))
