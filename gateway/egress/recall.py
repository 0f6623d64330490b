"""Replays in a shard's memory: ranges that are read once more, for those of their events that are owed.

As with a backlog, a range costs the same however long it is: what its lane holds of it is bounded, and the
range is settled up to the first of these that is not. Killed in between, the next owner begins there again,
and what was sent meanwhile goes out a second time under the same webhook id.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, Literal

from audit.outcomes import Fate, Pair
from gateway.broker.port import Read
from gateway.egress.backlog import Backlog, Span
from gateway.egress.pace import Pace
from gateway.egress.reading import Reading, Routed
from gateway.egress.replay import Part, Step, Word
from gateway.positions import is_forwarded

MOST_AT_ONCE: Final = 64
"""Deliveries of one range that its lane holds: the rest of the lane is live traffic's."""

PAGE: Final = 200
"""Records of a range that is only counted, at one read."""

_WAITING: Final = frozenset({"pending", "held"})

End = Literal["delivered", "parked"]

PartKey = tuple[str, str, str, int]
"""Replay, endpoint, topic id, partition."""


class Recalled(Backlog):
    """A part of a replay.

    `fates`: what evidence says of the events that were read last; `rows`: states of the rows they have.
    `lately`: what became, by ref, of those that ended since, or whose end was not written down by then.
    """

    def __init__(self, part: Part) -> None:
        at = part.stretch
        super().__init__(Span(at.endpoint, at.topic, at.topic_id, at.partition, part.next, at.end))
        self.part = part
        self.fates: Mapping[Pair, Fate] = {}
        self.rows: Mapping[Pair, str] = {}
        self.lately: dict[bytes, End] = {}
        self._counts = part.counts
        self._stored = part.next
        self._words: deque[tuple[int, Word, int]] = deque()
        self.pace = Pace(part.wish.rate)

    @property
    def part_key(self) -> PartKey:
        """What tells it from other parts."""
        return (self.part.replay, *self.key)

    def wants(self, routed: Routed) -> bool:
        """Whether the endpoint listens to the event, and its type is asked for."""
        types = self.part.wish.types
        is_ours = any(each.id == self.endpoint for each in routed.endpoints)
        return is_ours and (not types or routed.event_type in types)

    def judge(self, ref: bytes, *, is_waiting: bool) -> Word:
        """What is to become of an event: `handed` to the lane, or the reason why not."""
        pair, which = (self.endpoint, ref), self.part.wish.which
        fate, row, lately = self.fates.get(pair, Fate("")), self.rows.get(pair), self.lately.get(ref)
        if row == "cancelled" or fate.was_cancelled:
            return "cancelled"
        if is_waiting or row in _WAITING:
            return "waiting"
        if which != "all" and (fate.was_delivered or lately == "delivered"):
            return "delivered"
        if which == "failed" and not (fate.was_parked or "parked" in (row, lately)):
            return "passed"
        return "handed"

    def has_row(self, ref: bytes) -> bool:
        """Whether an event that is handed over has a row: it was parked."""
        lately = self.lately.get(ref)
        return (self.endpoint, ref) in self.rows if lately is None else lately == "parked"

    def count(self, offset: int, word: Word) -> None:
        """This is what became of the event at an offset; it counts once all before it is settled."""
        self._words.append((offset, word, 1))

    def take(self, offset: int, now: int) -> None:
        """The lane has the event at this offset, which waits for it."""
        self.ledger.open(offset, 1)
        self.pace = self.pace.spend(now)

    def lose(self, first: int) -> None:
        """The topic has nothing before `first` any more."""
        first = min(first, self.end)
        if self.cursor < first:
            self._words.append((first - 1, "lost", self._lost(first - self.cursor)))
            self.pass_to(first)

    def cut_off(self, offset: int) -> None:
        """The topic has lost what it had from `offset` on: the part ends there, and its rest is lost."""
        self._end = min(self._end, max(self.cursor, offset))

    def _lost(self, records: int) -> int:
        """How many are counted: how much another partner has sent is not said."""
        return min(records, 1) if is_forwarded(self.part.stretch.topic_id) else records

    def step(self) -> Step | None:
        """What the database is to have now; None where it has that."""
        if self._stored >= self.part.stretch.end:
            return None
        reached = min(self.ledger.watermark, self.end)
        while self._words and self._words[0][0] < reached:
            _, word, number = self._words.popleft()
            self._counts = replace(self._counts, **{word: getattr(self._counts, word) + number})
        lost = self.part.stretch.end - self.end
        if reached == self.end and lost:
            reached = self.part.stretch.end
            self._counts = replace(self._counts, lost=self._counts.lost + self._lost(lost))
        if reached == self._stored:
            return None
        self._stored = reached
        return Step(self.part.replay, self.part.stretch, reached, self._counts)


class Recall:
    """The parts of a shard."""

    def __init__(self) -> None:
        self.parts: dict[PartKey, Recalled] = {}

    def adopt(self, parts: Iterable[Part]) -> bool:
        """What is left to do of open replays: new parts are begun, others dropped; whether any is new.

        What was handed to lanes of a replay that was cancelled is theirs. A part that is over stays until the
        database was seen to know that: the look may be older than the last tick, and would begin it anew.
        """
        found = {
            (one.replay, one.stretch.endpoint, one.stretch.topic_id, one.stretch.partition): one
            for one in parts
        }
        new = [key for key in found if key not in self.parts]
        self.parts = {key: one for key, one in self.parts.items() if key in found}
        self.parts |= {key: Recalled(found[key]) for key in new}
        return bool(new)

    def steps(self) -> tuple[Step, ...]:
        """What the next tick is to write."""
        return tuple(step for one in self.parts.values() if (step := one.step()) is not None)

    def at(self, spot: tuple[str, int]) -> list[Recalled]:
        """The parts in one partition."""
        return [one for one in self.parts.values() if one.key[1:] == spot]


def room_of(part: Recalled, lane_room: int, now: int) -> int:
    """How many of a part may be handed over now, where its lane would take `lane_room`."""
    if part.part.wish.dry_run:
        return PAGE
    return min(lane_room, MOST_AT_ONCE - part.ledger.owing, part.pace.allowance(now))


def wanted_ref(part: Recalled, read: Read, reading: Reading) -> bytes | None:
    """The ref of a record's event where the part has to judge it."""
    offset = read.position.offset
    if not isinstance(reading, Routed) or not part.cursor <= offset < part.end:
        return None
    return reading.ref if part.wants(reading) else None
