"""What the checkpoint topic shows: the newest checkpoint of each log, judged by who signed it, and the mark.

Not every record is verified: rounds of days may lie in the topic before it is compacted. Of each log the
newest by each author is, and the last one; where one of these is forged, the topic is read once more, and
each record of that log is verified.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from audit.checkpoint import Checkpoint, read_checkpoint, split_origin
from audit.errors import AuditError
from audit.note import Note
from gateway.broker.port import Broker, BrokerError, Position, Read, Record, Start, TopicSpec
from gateway.sequencer.authors import Author, Authors
from gateway.sequencer.mark import Installation, read_mark

MOST_EPOCH: Final = 999_999_999
"""Paths have room for nine digits."""

_PATIENCE: Final = 4
"""Empty polls in a row before the topic counts as unreadable."""

_SLICE: Final = 50
"""Checkpoints parsed, or judged, before the loop may do something else."""

_MOST_KEPT: Final = 1_000
_MOST_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A checkpoint that may be ours, and may be another's. `who`: the keys that it names; `offset`: of it."""

    checkpoint: Checkpoint
    author: Author
    who: str
    offset: int


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A record that is not ours for certain: `origin` is what it says to be of, if it says so."""

    offset: int
    why: str
    origin: str = ""

    def words(self, topic: str) -> str:
        """Where it is, and what to do."""
        what = f"a checkpoint of {self.origin}" if self.origin else "a record"
        return (
            f"{topic} [0] offset {self.offset}: {what} that this gateway never wrote: {self.why}. It counts "
            "for nothing. Who else may write to this topic?"
        )


@dataclass(frozen=True, slots=True)
class Shown:
    """What the checkpoint topic holds: the newest checkpoint of each origin, and the first mark, if any.

    `checkpoints`: those that we signed; all, where nobody judged them. `notes`: the same, and the doubtful
    ones where we signed none, as they were signed. `hidden`: origins whose newest record is none of ours.
    """

    checkpoints: dict[str, Checkpoint]
    owner: Installation | None
    notes: dict[str, bytes] = field(default_factory=dict)
    doubtful: tuple[Doubtful, ...] = ()
    passed_over: tuple[PassedOver, ...] = ()
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Found:
    checkpoint: Checkpoint
    note: Note
    raw: bytes
    offset: int


@dataclass(slots=True, eq=False)
class Gathering:
    """Makes a `Shown` of the records of the topic, in their order.

    `authors`: None: nothing is judged, and every checkpoint counts.
    """

    authors: Authors | None = None
    _owner: Installation | None = field(default=None, init=False)
    _newest: dict[tuple[str, Author], _Found] = field(default_factory=dict, init=False)
    _last: dict[bytes, _Found | None] = field(default_factory=dict, init=False)
    _passed: list[PassedOver] = field(default_factory=list, init=False)
    _strict: set[str] = field(default_factory=set, init=False)
    _doubted: set[str] = field(default_factory=set, init=False)

    def take(self, record: Record, offset: int) -> None:
        """Take the next record."""
        if (owner := read_mark(record)) is not None:
            self._owner = self._owner or owner
            return
        key, raw = record.key or b"", record.value
        self._last[key] = None
        if raw is None:
            return
        try:
            checkpoint, note = read_checkpoint(raw)
            _, epoch = split_origin(checkpoint.origin)  # one without an epoch is of no log of any gateway
        except AuditError as error:
            self._pass(PassedOver(offset, f"it is no checkpoint of a log ({error})"))
            return
        if epoch > MOST_EPOCH:
            self._pass(PassedOver(offset, f"{MOST_EPOCH} is the last epoch of a log", checkpoint.origin))
            return
        found = _Found(checkpoint, note, raw, offset)
        if not self._is_strict(found) or self._is_genuine(found):
            self._last[key] = found
            place = (checkpoint.origin, self._claimed(found))
            known = self._newest.get(place)
            if known is None or known.checkpoint.size <= checkpoint.size:
                self._newest[place] = found

    def judge(self) -> Iterator[None]:
        """Judge what counts, one a step; whoever calls may let others have a turn between two."""
        last = [one for one in self._last.values() if one is not None]
        for found in [*self._newest.values(), *last]:
            if not self._is_strict(found) and not self._is_genuine(found):
                self._doubted.add(found.checkpoint.origin)
            yield

    def must_repeat(self) -> bool:
        """Whether some of it was found to be forged: the records are to be taken again, from the first."""
        doubted, self._doubted = self._doubted, set()
        if not doubted:
            return False
        self._strict |= doubted
        self._owner = None
        for part in (self._newest, self._last, self._passed):
            part.clear()
        return True

    def shown(self) -> Shown:
        """What is shown, once it was judged."""
        ours = {place[0]: one for place, one in self._newest.items() if place[1] is Author.OURS}
        doubtful = {place: one for place, one in self._newest.items() if place[1] is not Author.OURS}
        covered = {
            key.decode(errors="replace")
            for key, last in self._last.items()
            if last is None or self._claimed(last) is not Author.OURS
        }
        return Shown(
            {origin: one.checkpoint for origin, one in ours.items()},
            self._owner,
            {place[0]: one.raw for place, one in doubtful.items()}
            | {origin: one.raw for origin, one in ours.items()},
            tuple(self._doubtful(author, one) for (_, author), one in sorted(doubtful.items(), key=_place)),
            tuple(self._passed),
            frozenset(covered & ours.keys()),
        )

    def _doubtful(self, author: Author, found: _Found) -> Doubtful:
        who = "" if self.authors is None else self.authors.judge(found.checkpoint.origin, found.note)[1]
        return Doubtful(found.checkpoint, author, who, found.offset)

    def _claimed(self, found: _Found) -> Author:
        if self.authors is None:
            return Author.OURS
        return self.authors.claimed(found.checkpoint.origin, found.note)

    def _is_strict(self, found: _Found) -> bool:
        """Whether each record of this log is judged at once."""
        return found.checkpoint.origin in self._strict or self._claimed(found) is Author.FORGED

    def _is_genuine(self, found: _Found) -> bool:
        """Whether it may be ours; one that can not be is noted."""
        if self.authors is None:
            return True
        author, why = self.authors.judge(found.checkpoint.origin, found.note)
        if author is not Author.FORGED:
            return True
        self._pass(PassedOver(found.offset, why, found.checkpoint.origin))
        return False

    def _pass(self, one: PassedOver) -> None:
        if len(self._passed) < _MOST_KEPT:
            self._passed.append(one)


async def read_shown(
    broker: Broker, topic: str, authors: Authors | None = None, *, wait_ms: int = 500
) -> Shown:
    """Read the checkpoint topic, which is made if it is missing. `authors`: as of `Gathering`.

    Raises:
        BrokerError: the broker is away or refuses.
    """
    made = await broker.ensure([TopicSpec(topic, compacted=True)])
    if topic not in made:
        raise BrokerError("broker_unavailable", f"there is no topic {topic} yet: `gateway serve` makes it")
    gathering = Gathering(authors)
    while True:
        await _read_all(broker, topic, made[topic].id, gathering, wait_ms=wait_ms)
        for number, _ in enumerate(gathering.judge(), 1):
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        if not gathering.must_repeat():
            return gathering.shown()


def gather(records: Callable[[], Iterable[tuple[int, Record]]], authors: Authors) -> Shown:
    """The same of records that are at hand; `records`: each with its offset, from the first, at each call."""
    gathering = Gathering(authors)
    while True:
        for offset, record in records():
            gathering.take(record, offset)
        for _ in gathering.judge():
            pass
        if not gathering.must_repeat():
            return gathering.shown()


async def _read_all(broker: Broker, topic: str, topic_id: str, into: Gathering, *, wait_ms: int) -> None:
    ((first, end),) = await broker.bounds([(topic, 0)])
    reader = broker.reader()
    try:
        reader.assign([Start(topic, Position(topic_id, 0, first))])
        empty = 0
        while (reader.reached(topic, 0) or 0) < end:
            events = await reader.poll(1_000, wait_ms)
            empty = 0 if events else empty + 1
            # A new reader on a busy machine may need more than one wait to connect.
            if empty == _PATIENCE:
                raise BrokerError("broker_unavailable", f"the checkpoint topic {topic} cannot be read")
            for number, event in enumerate(events, 1):
                if number % _SLICE == 0:
                    await asyncio.sleep(0)
                if isinstance(event, Read):
                    into.take(event.record, event.position.offset)
    finally:
        await reader.close()


def tell_passed(shown: Shown, topic: str) -> list[str]:
    """Words on what was passed over, the last ones of many."""
    passed = shown.passed_over
    words = [one.words(topic) for one in passed[-_MOST_TOLD:]]
    more = len(passed) - len(words)
    return [*words, f"{topic} [0]: {more} more records that this gateway never wrote"] if more else words


def _place(item: tuple[tuple[str, Author], _Found]) -> tuple[str, str]:
    return item[0][0], item[0][1].value


def all_shown(shown: Shown) -> Mapping[str, Checkpoint]:
    """The newest of each origin, doubtful ones too."""
    newest = dict(shown.checkpoints)
    for one in shown.doubtful:
        known = newest.get(one.checkpoint.origin)
        if known is None or known.size < one.checkpoint.size:
            newest[one.checkpoint.origin] = one.checkpoint
    return newest
