"""One leased shard of the relay in memory: partitions, lanes, backlogs, and what is yet to be written.

No I/O. Its invariant: an offset is settled in a ledger only together with what makes it so in the outbox, and
the next tick writes both. So a tick that is lost with the process loses the progress too, and all repeats.
"""

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Final

from gateway.broker.port import Position, Read, Start
from gateway.egress.backlog import Backlog, Span, SpanKey
from gateway.egress.debts import Debts, Owner, Partition, Spot
from gateway.egress.deliveries import Saved, State, Stored, Tick
from gateway.egress.delivery import Attempt, Delivered, Delivery, Held, Parked, RetryAt
from gateway.egress.lane import NEVER, Lane
from gateway.egress.ledger import Ledger, unflatten
from gateway.egress.match import match
from gateway.egress.outbox import Outbox
from gateway.egress.reading import Reading, Routed, Unreadable, delivery_of
from gateway.egress.wording import Place, Voice
from gateway.leases import Lease
from gateway.positions import Progress
from partners.endpoint import Endpoint, Skip

_STEP: Final = 100
"""What waits for an endpoint that is gone is parked so many at a time."""


class Shard:
    """See the module.

    `quiet_until`: ordered lanes send nothing before, since a former owner's POSTs may still land.
    """

    def __init__(self, lease: Lease, *, quiet_until: int = 0) -> None:
        self.lease = lease
        self.lanes: dict[str, Lane] = {}
        self.partitions: dict[Spot, Partition] = {}
        self.outbox = Outbox()
        self._quiet_until = quiet_until
        self._progress: dict[Spot, Progress] = {}
        self._voices: dict[str, Voice] = {}
        self._waiting: dict[str, list[Delivery]] = {}
        self._debts = Debts()
        self._moved: set[Spot] = set()
        self._changed: set[SpanKey] = set()
        self._backlogs: dict[SpanKey, Backlog] = {}
        self._turns = 0

    # What is read, and by whom

    def knows(self, partner: str) -> bool:
        """Whether the partner's stored state was taken in."""
        return partner in self._voices

    def adopt(self, stored: Stored) -> None:
        """Take in what waits for partners that are new here; `update` and `watch` come next."""
        self._progress.update(stored.progress)
        for span in stored.spans:
            backlog = Backlog(span, self._progress.get((span.topic_id, span.partition)) or Progress(0))
            self._backlogs[backlog.key] = backlog
            if backlog.begins_earlier:  # the tick that passes over these events must say so
                self._changed.add(backlog.key)
        for delivery in stored.deliveries:
            self._waiting.setdefault(delivery.endpoint, []).append(delivery)
            self.outbox.note_row(delivery.endpoint, delivery.ref)

    def watch(self, topic: str, topic_id: str, partition: int, partner: str) -> Start | None:
        """Begin with a partition; where to read it from, or None where it is watched already."""
        spot = (topic_id, partition)
        if spot in self.partitions:
            return None
        stored = self._progress.pop(spot, None)
        progress = stored or Progress(0)
        ledger = Ledger(progress.next, unflatten(progress.finished))
        self.partitions[spot] = Partition(topic, spot, partner, ledger, stored)
        return Start(topic, Position(topic_id, partition, progress.next))

    def update(self, voices: Mapping[str, Voice], endpoints: Iterable[Endpoint]) -> None:
        """Partners and endpoints as they are now; of one that is gone, `dismiss` parks what waits."""
        self._voices.update(voices)
        here = {endpoint.id: endpoint for endpoint in endpoints}
        for endpoint_id, lane in self.lanes.items():
            if endpoint_id not in here:
                lane.end()
        for endpoint in here.values():
            if endpoint.id in self.lanes:
                self.lanes[endpoint.id].update(endpoint)
            else:
                self._open(endpoint)

    def strangers(self) -> dict[str, str]:
        """Endpoints that something waits for and that `update` never named, with their partners."""
        partners = {each.topic: each.partner for each in self.partitions.values()}
        found = {key: each[0].partner for key, each in self._waiting.items()}
        for each in self._backlogs.values():
            if each.endpoint not in self.lanes and each.place[0] in partners:
                found[each.endpoint] = partners[each.place[0]]
        return found

    def bury(self, endpoints: Iterable[Endpoint]) -> None:
        """Strangers that are no more: `dismiss` parks what waits for them."""
        for endpoint in endpoints:
            if endpoint.id not in self.lanes:
                self._open(endpoint).end()

    def receive(self, read: Read, reading: Reading, now: int) -> None:
        """A record from the live reader."""
        position = read.position
        partition = self.partitions[position.topic_id, position.partition]
        self._moved.add(partition.spot)
        if partition.ledger.is_known(position.offset):
            partition.ledger.pass_to(position.offset + 1)
            return
        if not isinstance(reading, Routed) or not reading.endpoints:
            self._record(partition, read, reading, now)
            partition.ledger.pass_to(position.offset + 1)
            return
        partition.ledger.open(position.offset, len(reading.endpoints))
        for endpoint in reading.endpoints:
            if not self._give(delivery_of(read, reading, endpoint), partition, now):
                partition.ledger.settle(position.offset)

    def receive_again(self, backlog: Backlog, read: Read, reading: Reading, now: int) -> bool:
        """A record of a backlog range; False where the lane has no room and the reading must stop."""
        offset = read.position.offset
        partition = self.partitions.get((read.position.topic_id, read.position.partition))
        if offset < backlog.cursor or offset >= backlog.end:
            return True
        self._changed.add(backlog.key)
        if backlog.ledger.is_known(offset):
            backlog.pass_to(offset + 1)
            return True
        lane = self.lanes[backlog.endpoint]
        if isinstance(reading, Routed) and lane.is_gone:
            return self._dismiss_again(backlog, read, reading, now)
        if isinstance(reading, Routed) and reading.endpoints:
            mine = next((each for each in reading.endpoints if each.id == backlog.endpoint), None)
            if mine is None:
                backlog.pass_to(offset + 1)
                return True
            return self._offer_again(backlog, delivery_of(read, reading, mine), now)
        if partition is not None and not isinstance(reading, Unreadable):
            self._record(partition, read, reading, now)
        backlog.pass_to(offset + 1)
        return True

    def lose(self, spot: Spot, wanted: int, first: int, now: int) -> list[Start]:
        """Retention took [wanted, first) before it was read: evidence, and on at `first`."""
        partition = self.partitions.get(spot)
        if partition is None:
            return []
        place = Place(partition.topic, Position(spot[0], spot[1], wanted))
        self.outbox.add(self._voices[partition.partner].hole(place, first, now))
        partition.ledger.pass_to(first)
        self._moved.add(spot)
        return [Start(partition.topic, Position(*spot, first))]

    def lose_again(self, backlog: Backlog, first: int, now: int) -> None:
        """Retention took a part of a backlog range before it was delivered."""
        topic, topic_id, number = backlog.place
        lane = self.lanes.get(backlog.endpoint)
        if lane is not None and backlog.cursor < first:
            place = Place(topic, Position(topic_id, number, backlog.cursor))
            voice = self._voices[lane.endpoint.partner]
            self.outbox.add(voice.hole(place, min(first, backlog.end), now))
        backlog.pass_to(min(first, backlog.end))
        self._changed.add(backlog.key)

    def pass_again(self, backlog: Backlog, reached: int) -> None:
        """A range was read up to here: what was not returned holds no record."""
        if backlog.cursor < min(reached, backlog.end):
            backlog.pass_to(min(reached, backlog.end))
            self._changed.add(backlog.key)

    def restart(self, spot: Spot, offset: int, now: int) -> list[Start]:
        """The topic ends before what we have seen: what it gets from now on is new, and read.

        What is lost and in memory is still sent, out of rows; what was yet to be read again gets evidence.
        """
        partition = self.partitions.get(spot)
        if partition is None:
            return []
        for lane in self.lanes.values():
            here = [each for each in lane.held() if (each.position.topic_id, each.position.partition) == spot]
            self._keep(here)
        for backlog in [each for each in self._backlogs.values() if each.place[1:] == spot]:
            first = max(backlog.cursor, offset)
            if first < backlog.end:
                place = Place(partition.topic, Position(*spot, first))
                self.outbox.add(self._voices[partition.partner].hole(place, backlog.end, now))
            left = backlog.cut(offset)
            if left is None:
                del self._backlogs[backlog.key]
            else:
                self._backlogs[backlog.key] = left
            self._changed.add(backlog.key)
        partition.ledger = Ledger(offset)
        self._moved.add(spot)
        return [Start(partition.topic, Position(*spot, offset))]

    def abandon(self, spot: Spot, now: int) -> None:
        """The topic is no more: what waits of it in backlogs is lost, and said so."""
        for backlog in [each for each in self._backlogs.values() if each.place[1:] == spot]:
            self.lose_again(backlog, backlog.end, now)
        self.partitions.pop(spot, None)

    # Deliveries go out

    def next_backlog(self, now: int, *, besides: Container[tuple[str, str, int]] = ()) -> Backlog | None:
        """A range whose lane has room, each in its turn; none of the places `besides`."""
        wanted = [
            each
            for each in self._backlogs.values()
            if not each.is_caught_up and each.place not in besides
            if each.endpoint in self.lanes and self.room(each, now)
        ]
        if not wanted or self.outbox.is_full:
            return None
        self._turns += 1
        return wanted[self._turns % len(wanted)]

    def room(self, backlog: Backlog, now: int) -> int:
        """How many of a range its lane would take now; where it is gone, none is sent: always some."""
        lane = self.lanes[backlog.endpoint]
        return _STEP if lane.is_gone else lane.room(now)

    def take(self, now: int) -> tuple[list[Delivery], int]:
        """What is to be sent now, and when to ask again."""
        taken: list[Delivery] = []
        wake_at = NEVER
        if self.outbox.is_full:
            return taken, wake_at
        for lane in self.lanes.values():
            if lane.endpoint.order != "none" and now < self._quiet_until:
                wake_at = min(wake_at, self._quiet_until)
                continue
            while not isinstance(found := lane.take(now), int):
                taken.append(found)
            wake_at = min(wake_at, found)
        return taken, wake_at

    def settle(self, attempt: Attempt, now: int) -> None:
        """What came of a POST: lane, rows, evidence, and the offset that waited for it."""
        delivery, decision = attempt.delivery, attempt.decision
        lane = self.lanes[delivery.endpoint]
        lane.settle(delivery, decision, now, attempt.answer.failure, url=attempt.url)
        voice = self._voices[delivery.partner]
        self.outbox.add(voice.attempted(attempt))
        after = replace(delivery, attempts=attempt.number)
        match decision:
            case Delivered():
                self.outbox.finish(delivery.endpoint, delivery.ref)
            case RetryAt(at):
                self._save(replace(after, due_at=at), "pending", attempt.answer.failure)
            case Parked(reason):
                self.outbox.add(voice.parked(after, reason, now))
                self._save(after, "parked", reason)
            case Held(reason):
                self._save(replace(after, due_at=now), "held", reason)
                self.outbox.disable(delivery.partner, delivery.endpoint)
        self._pay(delivery)

    def forget(self, delivery: Delivery) -> None:
        """A delivery that was to be sent and is not wanted any more: its row is gone, or goes."""
        self.lanes[delivery.endpoint].forget(delivery)
        self.outbox.finish(delivery.endpoint, delivery.ref)
        self._pay(delivery)

    def give_up(self, delivery: Delivery, skip: Skip, now: int) -> None:
        """A delivery that was to be sent, and that somebody has given up since."""
        self.outbox.add(self._voices[delivery.partner].cancelled(delivery, skip, now))
        self.forget(delivery)

    def dismiss(self, now: int) -> None:
        """Park some of what waits for endpoints that are gone; POSTs under way end first.

        Each is settled with its evidence, so a tick that is lost repeats it and nothing else.
        """
        wanted = {backlog.endpoint for backlog in self._backlogs.values()}
        for lane in [each for each in self.lanes.values() if each.is_gone]:
            for delivery in () if self.outbox.is_full else lane.withdraw(_STEP):
                self.outbox.add(self._voices[delivery.partner].parked(delivery, "gone", now))
                self._save(delivery, "parked", "gone")
                self._pay(delivery)
            if lane.is_empty and lane.endpoint.id not in wanted:
                del self.lanes[lane.endpoint.id]

    def make_tick(self) -> Tick | None:
        """Everything decided since the last tick; None where nothing was. One tick at a time."""
        self._save_closed()
        moved = [self.partitions[spot] for spot in sorted(self._moved) if spot in self.partitions]
        moves = [move for each in moved if (move := each.move()) is not None]
        spans: list[Span] = []
        drained: list[SpanKey] = []
        for key in sorted(self._changed):
            stored = self._backlogs[key].stored() if key in self._backlogs else None
            if stored is None:
                drained.append(key)
            else:
                spans.append(stored)
        self._moved.clear()
        self._changed.clear()
        if self.outbox.is_empty and not moves and not spans and not drained:
            return None
        return self.outbox.make_tick(self.lease, spans=spans, drained=drained, moves=moves)

    def committed(self, tick: Tick) -> None:
        """The tick is durable."""
        for move in tick.moves:
            partition = self.partitions.get((move.topic_id, move.partition))
            if partition is not None:
                partition.stored = move.after
        for saved in tick.saved:
            lane = self.lanes.get(saved.delivery.endpoint)
            if lane is not None and saved.state != "parked":
                lane.saved(saved.delivery.ref)
        for key in tick.drained:
            if key in self._backlogs and self._backlogs[key].stored() is None:
                del self._backlogs[key]

    def _give(self, delivery: Delivery, partition: Partition, now: int) -> bool:
        """Hand a live delivery to its lane, or to its backlog; whether the offset waits for it."""
        offset = delivery.position.offset
        key = (delivery.endpoint, *partition.spot)
        backlog = self._backlogs.get(key)
        if backlog is not None and backlog.covers(offset):
            return False
        if backlog is None or backlog.is_caught_up:
            lane = self.lanes.get(delivery.endpoint)
            offer = "closed" if lane is None else lane.offer(delivery, now)
            if offer != "closed":
                return offer == "taken" and self._owe(delivery, partition)
        if backlog is None:
            self._backlogs[key] = Backlog(
                Span(delivery.endpoint, partition.topic, *partition.spot, offset, offset + 1)
            )
        else:
            backlog.extend(offset)
        self._changed.add(key)
        return False

    def _offer_again(self, backlog: Backlog, delivery: Delivery, now: int) -> bool:
        offset = delivery.position.offset
        offer = self.lanes[backlog.endpoint].offer(delivery, now)
        if offer == "closed":
            return False
        backlog.pass_to(offset)
        if offer == "taken":
            backlog.ledger.open(offset, 1)
            self._owe(delivery, backlog)
        backlog.pass_to(offset + 1)
        return True

    def _dismiss_again(self, backlog: Backlog, read: Read, reading: Routed, now: int) -> bool:
        """An event of a range whose endpoint is gone: parked without a row, if it was owed at all."""
        if self.outbox.is_full:
            return False
        for endpoint in match([self.lanes[backlog.endpoint].endpoint], reading.event_type, reading.data):
            delivery = delivery_of(read, reading, endpoint)
            self.outbox.add(self._voices[delivery.partner].parked(delivery, "gone", now))
        backlog.pass_to(read.position.offset + 1)
        return True

    def _open(self, endpoint: Endpoint) -> Lane:
        lane = self.lanes[endpoint.id] = Lane(endpoint)
        lane.restore(self._waiting.pop(endpoint.id, ()))
        return lane

    def _owe(self, delivery: Delivery, owner: Owner) -> bool:
        self._debts.owe(delivery, owner)
        return True

    def _pay(self, delivery: Delivery) -> None:
        match self._debts.pay(delivery):
            case Backlog() as backlog:
                self._changed.add(backlog.key)
            case Partition() as partition:
                self._moved.add(partition.spot)

    def _save(self, delivery: Delivery, state: State, reason: str | None) -> None:
        self.outbox.save(Saved(delivery, state, reason, is_new=True))

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

    def _record(self, partition: Partition, read: Read, reading: Reading, now: int) -> None:
        place = Place(partition.topic, read.position)
        self.outbox.add(self._voices[partition.partner].unsent(reading, place, now))
