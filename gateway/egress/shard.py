"""One leased shard of the relay in memory: partitions, lanes, backlogs, and what is yet to be written.

No I/O. Its invariant: an offset is settled in a ledger only together with what makes it so in the outbox, and
the next tick writes both. So a tick that is lost with the process loses the progress too, and all repeats.

An endpoint that others have added may be heard of after what was sent to it was read, by older contracts.
So it begins with a range over all that was read since contracts were last known to be as new as the records:
since the last tick, which is written by nobody whose contracts have changed. Range and position are written
together; what is in the database was always settled by contracts of its time, so that nobody who begins from
there owes an endpoint a range. Its events before are none of its own, and those behind its lane gets. So does
one that others have made to want more, but for what its lane had of it on its former terms.
"""

from collections.abc import Container, Iterable, Mapping

from gateway.broker.port import Position, Read, Start
from gateway.egress.backlog import Backlog, Span
from gateway.egress.books import STEP, Books
from gateway.egress.debts import Partition, Spot
from gateway.egress.deliveries import Stored
from gateway.egress.delivery import Delivery
from gateway.egress.lane import NEVER, WITHHELD, Lane
from gateway.egress.ledger import Ledger, unflatten
from gateway.egress.match import match
from gateway.egress.reading import Reading, Routed, Unreadable, delivery_of
from gateway.egress.recall import Recalled
from gateway.egress.strangers import find_strangers
from gateway.egress.turns import begun_with
from gateway.egress.wording import Place, Voice
from gateway.leases import Lease
from gateway.positions import Progress, owner_in
from gateway.readers import left_in
from partners.endpoint import Endpoint


class Shard(Books):
    """See the module.

    `quiet_until`: ordered lanes send nothing before, since a former owner's POSTs may still land.
    """

    def __init__(self, lease: Lease, *, quiet_until: int = 0) -> None:
        super().__init__(lease)
        self._quiet_until = quiet_until
        self._cancelled: set[tuple[str, bytes]] = set()
        self._turns = self._takes = 0
        self.is_withholding = False

    # What is read, and by whom

    def knows(self, partner: str) -> bool:
        """Whether the partner's stored state was taken in."""
        return partner in self._voices

    def adopt(self, stored: Stored) -> None:
        """Take in what waits for partners that are new here; `update` and `watch` come next."""
        self._progress.update(stored.progress)
        self.left.update(left_in(stored.progress))
        self._breakers.adopt(stored.breakers)
        self._cancelled |= stored.cancelled
        for span in stored.spans:
            backlog = Backlog(span, self._progress.get((span.topic_id, span.partition)) or Progress(0))
            self._backlogs[backlog.key] = backlog
            if backlog.begins_earlier:  # the tick that passes over these events must say so
                self._backlogs.changed.add(backlog.key)
        for delivery in stored.deliveries:
            self._waiting.setdefault(delivery.endpoint, []).append(delivery)
            self.outbox.note_row(delivery.endpoint, delivery.ref)
        self._resting.update(stored.resting)
        for endpoint, rows in stored.resting.items():
            self.outbox.note_rows(endpoint, rows.due)

    def watch(
        self, topic: str, topic_id: str, partition: int, partner: str, *, begin: int = 0
    ) -> Start | None:
        """Begin with a partition; where to read it from, or None where it is watched already.

        `partner`: the owner it is read for; nothing before `begin` is for it.
        """
        spot = (topic_id, partition)
        if spot in self.partitions:
            return None
        progress = (stored := self._progress.pop(spot, None)) or Progress(0)
        ledger = Ledger(max(begin, progress.next), unflatten(progress.finished))
        self.partitions[spot] = Partition(topic, spot, partner, ledger, stored)
        return Start(topic, Position(topic_id, partition, ledger.watermark))

    def is_unsure(self, at: Position) -> bool:
        """Whether contracts may have changed before this record, and no tick has found that out yet."""
        partition = self.partitions.get((at.topic_id, at.partition))
        return partition is not None and at.offset >= partition.sure_before

    def update(
        self, voices: Mapping[str, Voice], endpoints: Iterable[Endpoint], *, contracts: int = 0
    ) -> None:
        """Partners and endpoints as they are now; of one that is gone, `dismiss` parks what waits.

        `contracts`: their revision.
        """
        self._voices.update(voices)
        self.contracts = contracts
        here = {endpoint.id: endpoint for endpoint in endpoints}
        for endpoint_id, lane in self.lanes.items():
            if endpoint_id not in here:
                lane.end()
        for endpoint in here.values():
            there = self.lanes.get(endpoint.id)
            if there is None:
                self._open(endpoint)
                self._catch_up(endpoint)
                continue
            former = there.endpoint
            there.update(endpoint)
            if (former.types, former.filter) != (endpoint.types, endpoint.filter):
                self._catch_up(endpoint, former)

    def strangers(self) -> dict[str, str]:
        """Endpoints that something waits for and that `update` never named, with their owners."""
        if not (self._waiting or self._resting or self.has_ranges):
            return {}
        ranges = [*self._backlogs.values(), *self.recall.parts.values()]
        return find_strangers(self._owners_waiting(), ranges, self.partitions.values(), self.lanes)

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
        if isinstance(backlog, Recalled):
            return self._recall(backlog, read, reading, now)
        self._backlogs.changed.add(backlog.key)
        if backlog.ledger.is_known(offset):
            backlog.pass_to(offset + 1)
            return True
        lane = self.lanes[backlog.endpoint]
        if isinstance(reading, Routed) and lane.is_gone:
            return self._dismiss_again(backlog, read, reading, now)
        if isinstance(reading, Routed) and reading.endpoints:
            mine = next((each for each in reading.endpoints if each.id == backlog.endpoint), None)
            if mine is None or backlog.had_before(offset, reading.event_type, reading.data):
                backlog.pass_to(offset + 1)
                return True
            return self._offer_again(backlog, delivery_of(read, reading, mine), now)
        if partition is not None and not isinstance(reading, Unreadable):
            self._record(partition, read, reading, now)
        elif partition is None and not isinstance(reading, Unreadable):
            self._say(lane.endpoint.owner, Place(backlog.place[0], read.position), reading, now)
        backlog.pass_to(offset + 1)
        return True

    def lose(self, spot: Spot, wanted: int, first: int, now: int) -> list[Start]:
        """Retention took [wanted, first) before it was read: evidence, and on at `first`."""
        partition = self.partitions.get(spot)
        if partition is None:
            return []
        place = Place(partition.topic, Position(spot[0], spot[1], wanted))
        self.outbox.add(self._voices[partition.partner].hole(place, first, now))
        partition.lose(first)
        self._moved.add(spot)
        return [Start(partition.topic, Position(*spot, first))]

    def lose_again(self, backlog: Backlog, first: int, now: int) -> None:
        """Retention took a part of a backlog range before it was delivered."""
        if isinstance(backlog, Recalled):
            backlog.lose(first)
            return
        topic, topic_id, number = backlog.place
        lane, partition = self.lanes.get(backlog.endpoint), self.partitions.get(backlog.key[1:])
        first = end = min(first, backlog.end)
        if partition is not None and partition.hole[0] < end <= partition.hole[1]:
            end = partition.hole[0]  # of the rest it was said when the live reader came to it
        if lane is not None and backlog.cursor < end:
            place = Place(topic, Position(topic_id, number, backlog.cursor))
            voice = self._voices[lane.endpoint.owner]
            self.outbox.add(voice.hole(place, end, now))
        backlog.pass_to(first)
        self._backlogs.changed.add(backlog.key)

    def pass_again(self, backlog: Backlog, reached: int) -> None:
        """A range was read up to here: what was not returned holds no record."""
        if backlog.cursor < min(reached, backlog.end):
            backlog.pass_to(min(reached, backlog.end))
            self._backlogs.changed.add(backlog.key)

    def restart(self, spot: Spot, offset: int, now: int) -> list[Start]:
        """The topic ends before what we have seen: what it gets from now on is new, and read.

        What is lost and in memory is still sent, out of rows; what was yet to be read again gets evidence.
        """
        partition = self.partitions.get(spot)
        if partition is None:
            return []
        self._keep_all(spot)
        for backlog in [each for each in self._backlogs.values() if each.key[1:] == spot]:
            first = max(backlog.cursor, offset)
            if first < backlog.end:
                place = Place(partition.topic, Position(*spot, first))
                self.outbox.add(self._voices[partition.partner].hole(place, backlog.end, now))
            left = backlog.cut(offset)
            if left is None:
                del self._backlogs[backlog.key]
            else:
                self._backlogs[backlog.key] = left
            self._backlogs.changed.add(backlog.key)
        for part in self.recall.at(spot):
            part.cut_off(offset)
        partition.restart(offset)
        self._moved.add(spot)
        return [Start(partition.topic, Position(*spot, offset))]

    def abandon(self, spot: Spot, now: int) -> None:
        """The topic is no more: what waits of it in backlogs is lost, and said so.

        What is in lanes is still sent, out of rows: no next owner could read it again.
        """
        for backlog in [each for each in self._backlogs.values() if each.key[1:] == spot]:
            self.lose_again(backlog, backlog.end, now)
        self._keep_all(spot)
        partition = self.partitions.pop(spot, None)
        if partition is not None:
            self.outbox.add(*partition.words())

    # Deliveries go out

    @property
    def has_ranges(self) -> bool:
        """Whether there is any range to be read: of a backlog, or of a replay."""
        return bool(self._backlogs or self.recall.parts)

    def next_backlog(self, now: int, *, besides: Container[tuple[str, str, int]] = ()) -> Backlog | None:
        """A range whose lane has room, each in its turn; none of the places `besides`."""
        wanted = [
            each
            for each in (*self._backlogs.values(), *self.recall.parts.values())
            if not each.is_caught_up and each.place not in besides
            if each.endpoint in self.lanes and self.room(each, now)
        ]
        if not wanted or self.outbox.is_full:
            return None
        self._turns += 1
        return wanted[self._turns % len(wanted)]

    def take(self, now: int, *, retries: int = NEVER) -> tuple[list[Delivery], int]:
        """What is to be sent now, and when to ask again.

        At most so many `retries` are among it, but for those that have their turn in their lane, before
        something new; `is_withholding` says then whether there were more.
        """
        taken: list[Delivery] = []
        wake_at, self.is_withholding = NEVER, False
        if self.outbox.is_full:
            return taken, wake_at
        self._takes += 1
        for lane in begun_with(list(self.lanes.values()), self._takes):
            if lane.endpoint.order != "none" and now < self._quiet_until:
                wake_at = min(wake_at, self._quiet_until)
                continue
            while not isinstance(found := lane.take(now, may_retry=retries > 0), int):
                taken.append(found)
                retries -= found.attempts > 0
            if found == WITHHELD:
                self.is_withholding = True
            else:
                wake_at = min(wake_at, found)
        return taken, min(wake_at, self.look_at_rest(now))

    def dismiss(self, now: int) -> None:
        """Park some of what waits for endpoints that are gone; POSTs under way end first.

        Each is settled with its evidence, so a tick that is lost repeats it and nothing else.
        """
        wanted = {backlog.endpoint for backlog in self._backlogs.values()}
        for lane in [each for each in self.lanes.values() if each.is_gone]:
            for part in [each for each in self.recall.parts.values() if each.endpoint == lane.endpoint.id]:
                part.lose(part.end)
            for delivery in () if self.outbox.is_full else lane.withdraw(STEP):
                self._park(delivery, "gone", now)
                self._save(delivery, "parked", "gone")
                self._pay(delivery)
            if lane.is_empty and lane.endpoint.id not in wanted:
                del self.lanes[lane.endpoint.id]

    # It is written

    def _give(self, delivery: Delivery, partition: Partition, now: int) -> bool:
        """Hand a live delivery to its lane, or to its backlog; whether the offset waits for it."""
        if (delivery.endpoint, delivery.ref) in self._cancelled:
            return False
        offset = delivery.position.offset
        key = (delivery.endpoint, *partition.spot)
        backlog = self._backlogs.get(key)
        if backlog is not None and backlog.covers(offset):
            return False
        if backlog is None or backlog.is_caught_up:
            lane = self.lanes.get(delivery.endpoint)
            offer = "closed" if lane is None else lane.offer(delivery, now)
            if offer != "closed":
                if offer == "taken":
                    self._debts.owe(delivery, partition, now)
                return offer == "taken"
        if backlog is None:
            self._backlogs[key] = Backlog(
                Span(delivery.endpoint, partition.topic, *partition.spot, offset, offset + 1, 1, now)
            )
        else:
            backlog.extend(offset)
        self._backlogs.changed.add(key)
        return False

    def _offer_again(self, backlog: Backlog, delivery: Delivery, now: int) -> bool:
        offset = delivery.position.offset
        if (delivery.endpoint, delivery.ref) in self._cancelled:
            backlog.pass_to(offset + 1)
            return True
        offer = self.lanes[backlog.endpoint].offer(delivery, now)
        if offer == "closed":
            return False
        backlog.pass_to(offset)
        if offer == "taken":
            backlog.ledger.open(offset, 1)
            self._debts.owe(delivery, backlog, now)
        backlog.count_read(offset)
        backlog.pass_to(offset + 1)
        return True

    def _dismiss_again(self, backlog: Backlog, read: Read, reading: Routed, now: int) -> bool:
        """An event of a range whose endpoint is gone: parked without a row, if it was owed at all."""
        if self.outbox.is_full:
            return False
        for endpoint in match([self.lanes[backlog.endpoint].endpoint], reading.event_type, reading.data):
            delivery = delivery_of(read, reading, endpoint)
            if (delivery.endpoint, delivery.ref) not in self._cancelled:
                self._park(delivery, "gone", now)
        backlog.pass_to(read.position.offset + 1)
        return True

    def _catch_up(self, endpoint: Endpoint, former: Endpoint | None = None) -> None:
        """Let a new endpoint have what was read of its partner's topic by contracts that knew nothing of it.

        One that wants other events than before (`former`) gets what it lacks of that. What is read for the
        house, or for whom events go on to, is read by contracts that are looked at anew.
        """
        for partition in self.partitions.values():
            spot, (start, end) = partition.spot, partition.unsure
            if partition.partner != endpoint.partner or owner_in(spot[0]) is not None or start >= end:
                continue
            key = (endpoint.id, *spot)
            backlog = self._backlogs.get(key)
            if backlog is None:
                first, since = (end, endpoint.created_at) if former is None else (start, 0)
                span = Span(endpoint.id, partition.topic, *spot, first, first, 0, since)
                backlog = self._backlogs[key] = Backlog(span)
            if former is None:
                finished = () if partition.written is None else unflatten(partition.written.finished)
                backlog.begin_at(start, end, finished)
            else:
                backlog = self._backlogs[key] = backlog.read_again(start, end, former)
            self._late[key] = backlog.widest_row()
            self._backlogs.changed.add(key)

    def _keep_all(self, spot: Spot) -> None:
        """What lanes have of a partition gets rows, under way or not."""
        for lane in self.lanes.values():
            here = [each for each in lane.held() if (each.position.topic_id, each.position.partition) == spot]
            self._keep(here)

    def _open(self, endpoint: Endpoint) -> Lane:
        lane = self.lanes[endpoint.id] = Lane(endpoint)
        lane.breaker = self._breakers.of(endpoint.id)
        lane.restore(self._waiting.pop(endpoint.id, ()))
        if (rows := self._resting.pop(endpoint.id, None)) is not None:
            lane.rest(rows.due)
        return lane
