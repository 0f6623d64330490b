"""The backlog of one endpoint in one partition: a range of offsets that its lane has yet to take.

One row, however long the range: a dead endpoint and a million events cost one row. The stored range covers
every offset that is not settled, so a restart drains it again from its start; what the lane had delivered out
of it since the last tick goes out a second time under the same webhook id.

Events before the range went to the lane directly. Those that were not settled when their owner died are read
again by the next one, together with the range and before it, so that an order is kept.
"""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace

from gateway.egress.ledger import Ledger, unflatten
from gateway.positions import Progress, owner_in, plain
from partners.endpoint import Endpoint

SpanKey = tuple[str, str, int]
"""Endpoint, topic id, partition."""


@dataclass(frozen=True, slots=True)
class Span:
    """One endpoint's range in one partition, as stored: from `start` up to, not with, `end`.

    `events`: how many at least of what is in it are the endpoint's (0: perhaps none); `began_at`: when the
    first of them came (0: not known).
    """

    endpoint: str
    topic: str
    topic_id: str
    partition: int
    start: int
    end: int
    events: int = field(default=1, compare=False)
    began_at: int = field(default=0, compare=False)


class Backlog:
    """A range being drained: `cursor` is the next offset to read, the ledger knows what is settled.

    From the offset on at which its reading last began up to the cursor, all was read here. What lies before,
    or behind the end of a range that is caught up, went to the lane directly: there, a range that is to read
    it again passes over what the endpoint wanted on its former terms.
    """

    def __init__(self, span: Span, live: Progress | None = None) -> None:
        """Take up a range.

        `live`: of a range found in the database, how far its partition is settled. What is not, before the
        range, went to the lane of a former owner and may have died with it: the range begins there.
        """
        self._span = span
        self._end = span.end
        self._events = span.events
        self._least = min(1, span.events)
        self._read: deque[int] = deque()
        self._former: tuple[int, Endpoint] | None = None
        self.cursor = span.start if live is None else min(span.start, live.next)
        finished = () if live is None else unflatten(live.finished)
        before = [(first, min(end, span.start)) for first, end in finished if first < span.start]
        self.ledger = Ledger(self.cursor, before)
        self.begins_earlier = self.cursor < span.start
        self._begun = self.cursor
        self._row_start = span.start

    @property
    def place(self) -> tuple[str, str, int]:
        """Topic, topic id, partition, as the broker has them."""
        return self._span.topic, plain(self._span.topic_id), self._span.partition

    @property
    def owner(self) -> str | None:
        """For whom the topic is read, where it is read for several."""
        return owner_in(self._span.topic_id)

    @property
    def key(self) -> SpanKey:
        """What tells it from the other ranges."""
        return self._span.endpoint, self._span.topic_id, self._span.partition

    @property
    def endpoint(self) -> str:
        """The endpoint's id."""
        return self._span.endpoint

    @property
    def is_caught_up(self) -> bool:
        """Everything in the range was read: a new event may go to the lane directly."""
        return self.cursor >= self._end

    def covers(self, offset: int) -> bool:
        """Whether the range holds this offset already."""
        return offset < self._end

    def extend(self, offset: int) -> None:
        """Add a new event. Caught up, the reading goes on at it: what lies between went to the lane."""
        if self.is_caught_up and offset > self.cursor:
            self.pass_to(offset)
            self._begun = offset
        self._end = max(self._end, offset + 1)
        self._events += 1
        self._least = 1

    def begin_at(self, start: int, end: int, finished: Collection[tuple[int, int]] = ()) -> None:
        """Read [start, end) too, but for what is `finished` of it: for an endpoint that gets nothing yet."""
        if start < self.cursor:
            self._span = replace(self._span, start=start)
            self.cursor = self._begun = start
            self.ledger = Ledger(start, finished)
        self._end = max(self._end, end)

    def read_again(self, start: int, end: int, former: Endpoint) -> "Backlog":
        """Read [start, end) again, of which an endpoint's lane got what it wanted on its `former` terms.

        What was read here since the range last began is not read once more: that was on the terms of then in
        any case. Before it, and behind it where all was read, records went to the lane directly.
        Returns this range; or another one in its place, where it has to go back, so that whoever is reading
        this one passes over nothing.
        """
        until = end if self.is_caught_up else self._begun
        if start < self._begun:
            return self._from(start, end, (until, former))
        if self.is_caught_up:
            if start > self.cursor:
                self.pass_to(start)
                self._begun = start
            self._former = (until, former)
        self._end = max(self._end, end)
        return self

    def _from(self, start: int, end: int, former: tuple[int, Endpoint]) -> "Backlog":
        """As this one, and read from `start` on; nothing more comes to this one."""
        first, end = min(start, self._span.start), max(self._end, end)
        other = Backlog(replace(self._span, start=first, end=end, events=self._events))
        other.cursor = other._begun = start
        other.ledger, other._read, other._least = self.ledger, self._read, self._least
        other._former, other._row_start = former, min(start, self._row_start)
        other.ledger.go_back(start, self._begun)
        self.cursor, self.ledger = self._end, Ledger(self._end)
        return other

    def had_before(self, offset: int, event_type: str, data: Callable[[], object]) -> bool:
        """Whether the event went to the lane on the endpoint's former terms. `data`: as `Endpoint.wants`."""
        if self._former is None or offset >= self._former[0]:
            return False
        return self._former[1].wants(event_type, data)

    def count_read(self, offset: int) -> None:
        """This event was one of those that are counted; it is none any more once it is settled."""
        if offset >= self._span.start:
            self._read.append(offset)

    def pass_to(self, cursor: int) -> None:
        """Read up to here."""
        self.cursor = max(self.cursor, cursor)
        self.ledger.pass_to(cursor)

    def cut(self, offset: int) -> "Backlog | None":
        """End here, since the topic lost its records from `offset` on; what of it is left, as another range.

        Another one, so that whoever is reading this one adds nothing to what comes at these offsets next.
        What this one has handed out is settled elsewhere.
        """
        left = None
        if self.cursor < offset:
            left = Backlog(
                replace(self._span, start=self.cursor, end=min(self._end, offset), events=self._events)
            )
            finished = [(first, min(end, offset)) for first, end in self.ledger.finished() if first < offset]
            left.ledger = Ledger(self.cursor, finished)
            left._begun, left._former = min(self._begun, self.cursor), self._former
        self.pass_to(self._end)
        return left

    @property
    def end(self) -> int:
        """The first offset beyond the range."""
        return self._end

    def widest_row(self) -> Span:
        """What may be in the row at any time: all that is not settled, and perhaps something that is."""
        return replace(self._span, start=min(self.cursor, self._row_start), end=self._end)

    def row(self) -> Span | None:
        """What is to be in the row now; None where all is settled."""
        start = min(self.ledger.watermark, self._end)
        while self._read and self._read[0] < start:
            self._read.popleft()
            self._events -= 1
        if start >= self._end:
            return None
        events = max(self._least, min(self._events, self._end - start))
        self._row_start = start
        return replace(self._span, start=start, end=self._end, events=events)


class Backlogs(dict[SpanKey, Backlog]):
    """The ranges of a shard; `changed`: those whose rows are to be written with the next tick."""

    def __init__(self) -> None:
        super().__init__()
        self.changed: set[SpanKey] = set()

    def changes(self) -> tuple[list[Span], list[SpanKey]]:
        """What rows are to be, and which are to go; nothing is `changed` afterwards."""
        spans: list[Span] = []
        drained: list[SpanKey] = []
        for key in sorted(self.changed):
            stored = self[key].row() if key in self else None
            if stored is None:
                drained.append(key)
            else:
                spans.append(stored)
        self.changed.clear()
        return spans, drained

    def drop(self, drained: Collection[SpanKey]) -> None:
        """Forget those of these that are still settled, now that their rows are gone."""
        for key in drained:
            if key in self and self[key].row() is None:
                del self[key]

    def is_waiting(self, key: SpanKey, offset: int) -> bool:
        """Whether a range has yet to read this offset."""
        found = self.get(key)
        return found is not None and found.cursor <= offset < found.end
