"""Would the events that came last still be taken? Asked by every plan that changes what a type's schema is.

Each event of the topic is written as the JSON that its sender would write, under the schema that it has, and
shown to the versions that the contract is to accept. What is told of a refusal never holds a value.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final
from uuid import UUID

from gateway.administration.lines import is_other
from gateway.administration.newest import SECONDS, Shelf, read_newest
from gateway.broker.port import Broker, BrokerError, Read
from gateway.catalog import Snapshot
from gateway.channels import Channel, Version, pointers_of
from gateway.record import Envelope, decode_record
from partners.contract import SECTIONS, Direction, Line
from partners.partner import Partner
from schemas.avro_type import Array, AvroType, Map, Record, Union, branch_name
from schemas.codec import compile_codec
from schemas.errors import DatumError, JsonTextError
from schemas.schema import Schema

MOST_FAULTS: Final = 5
"""Kinds of faults that are told of one type."""

TRYING_SECONDS: Final = 5.0
"""For the events of one topic; beyond it only the one at hand is tried to its end."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A line as it is to be: the versions that would be accepted, newest first."""

    direction: Direction
    event_type: str
    versions: tuple[Version, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failing:
    """One fault, and how many of the events have it. `pointer`: `*` for an index, and for a key of a map."""

    pointer: str
    code: str
    events: int


@dataclass(frozen=True, slots=True)
class Recorded:
    """How the newest events of a type would fare.

    `reason`: why they could not be looked at; empty: they were, `checked` of them.
    """

    section: str
    name: str
    checked: int = 0
    refused: int = 0
    faults: tuple[Failing, ...] = ()
    reason: str = ""

    @property
    def words(self) -> str:
        """The line of a plan."""
        begin = f"{self.section} {self.name} "
        if self.reason:
            return f"? {begin} recorded events could not be looked at: {self.reason}"
        if not self.checked:
            return f"= {begin} none of its events is among the newest on the topic"
        if not self.refused:
            return f"= {begin} {_newest(self.checked)} would still be taken"
        faults = ", ".join(f"{one.pointer or '/'} {one.code} ({one.events})" for one in self.faults)
        return f"? {begin} {self.refused} of {_newest(self.checked)} would be refused: {faults}"


def trials(
    before: Mapping[tuple[Direction, str], Line], lines: Sequence[Line], schemas: Mapping[int, Schema]
) -> tuple[Trial, ...]:
    """What is to be tried: the lines that are there already and would accept other versions.

    `schemas`: by id, those that these lines accept.
    """
    return tuple(
        Trial(line.terms.direction, line.terms.event_type, tuple(_versions(line, schemas)))
        for line in lines
        if is_other(before, line)
    )


async def look_back(
    broker: Broker,
    snapshot: Snapshot,
    partner: Partner,
    wanted: Sequence[Trial],
    *,
    trying_seconds: float = TRYING_SECONDS,
) -> tuple[Recorded, ...]:
    """Try the newest events of each line. A broker that is away is told, and is no error."""
    found: list[Recorded] = []
    ticks = asyncio.get_running_loop().time
    end = ticks() + SECONDS
    for direction in dict.fromkeys(one.direction for one in wanted):
        chosen = [one for one in wanted if one.direction == direction]
        shelf = _shelf(snapshot, partner, direction)
        if shelf is None:
            found += [_unseen(one, "its topic is not known to exist yet") for one in chosen]
            continue
        try:
            reads = await read_newest(broker, shelf, seconds=max(0.0, end - ticks()))
        except BrokerError as error:
            found += [_unseen(one, str(error)) for one in chosen]
            continue
        channels = [snapshot.channel(partner.slug, one.event_type, direction) for one in chosen]
        until = ticks() + trying_seconds
        work = partial(_try_all, chosen, channels, reads, partial(_is_before, ticks, until))
        # On a thread: a fault is looked for in every version, which takes a millisecond a kilobyte.
        found += await asyncio.get_running_loop().run_in_executor(None, work)
    return tuple(found)


def _versions(line: Line, schemas: Mapping[int, Schema]) -> Iterator[Version]:
    for schema_id in line.schema_ids:
        schema = schemas.get(schema_id)
        if schema is not None:
            pointers = pointers_of(line) if schema_id == line.schema_ids[0] else ()
            yield Version(schema_id, 0, schema, compile_codec(schema, pointers, line.terms.json))


def _shelf(snapshot: Snapshot, partner: Partner, direction: Direction) -> Shelf | None:
    topics = partner.topics
    inbound = direction == "inbound"
    topic = topics.inbound if inbound else topics.outbound
    own = topics.inbound_partition if inbound else topics.outbound_partition
    topic_id = snapshot.topic_ids.get(topic)
    if topic_id is None:
        return None
    return Shelf(topic, topic_id, (own,) if inbound else tuple(snapshot.partitions_of(topic, own)))


def _unseen(trial: Trial, reason: str) -> Recorded:
    return Recorded(SECTIONS[trial.direction], trial.event_type, reason=reason)


def _is_before(ticks: Callable[[], float], until: float) -> bool:
    return ticks() < until


def _try_all(
    chosen: Sequence[Trial],
    channels: Sequence[Channel | None],
    reads: Sequence[Read],
    has_time: Callable[[], bool],
) -> list[Recorded]:
    """Try each event once, the newest first, as long as there is time."""
    tallies = {
        trial.event_type: _Tally(trial, channel)
        for trial, channel in zip(chosen, channels, strict=True)
        if channel is not None
    }
    is_whole = True
    for read in reversed(reads):
        if not has_time():
            is_whole = False
            break
        envelope = decode_record(read.record)
        if isinstance(envelope, Envelope) and envelope.receipt is not None:
            tally = tallies.get(envelope.attributes.get("type", ""))
            if tally is not None:
                tally.add(envelope)
    return [_told(one, tallies.get(one.event_type), is_whole=is_whole) for one in chosen]


@dataclass(slots=True)
class _Tally:
    """What was found of a type so far."""

    trial: Trial
    channel: Channel
    checked: int = 0
    refused: int = 0
    faults: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, envelope: Envelope) -> None:
        """Try an event of it."""
        written = _written(envelope, self.channel)
        if written is None:
            return
        self.checked += 1
        found = _refusal(self.trial.versions, *written)
        if found is not None:
            self.refused += 1
            self.faults.update(found)


def _told(trial: Trial, tally: _Tally | None, *, is_whole: bool) -> Recorded:
    if tally is None:
        return _unseen(trial, "this process has not heard of the type yet")
    if not (tally.checked or is_whole):
        return _unseen(trial, "others on the topic took too long to try")
    told = tuple(Failing(*place, count) for place, count in tally.faults.most_common(MOST_FAULTS))
    return Recorded(SECTIONS[trial.direction], trial.event_type, tally.checked, tally.refused, told)


def _written(envelope: Envelope, channel: Channel) -> tuple[Version, bytes] | None:
    """The JSON that the sender of an event of this line would write, and the version that it has."""
    for one in channel.readable():
        if envelope.schema == (one.schema.guid if isinstance(envelope.schema, UUID) else one.schema_id):
            try:
                return one, one.codec.decode(envelope.data).json
            except DatumError:
                return None
    return None


def _refusal(versions: Sequence[Version], was: Version, text: bytes) -> set[tuple[str, str]] | None:
    """Pointers and codes of what the newest version finds; None: one of them takes it."""
    found: set[tuple[str, str]] | None = None
    for version in versions:
        try:
            version.codec.avro_from_json(text)
        except DatumError as error:
            roots = (was.schema.root, version.schema.root)
            found = found or {(plain_pointer(one.pointer, roots), one.code) for one in error.faults}
        except JsonTextError:
            found = found or {("", "encoding")}
        else:
            return None
    return found or {("", "union")}


def plain_pointer(pointer: str, roots: Sequence[AvroType]) -> str:
    """A pointer without what only the event has: `*` for indexes, keys of maps, and what no schema names."""
    kinds, told = list(roots), []
    for token in pointer.split("/")[1:]:
        kinds = [*kinds, *(branch for kind in kinds if isinstance(kind, Union) for branch in kind.branches)]
        is_free = not kinds or any(isinstance(kind, Array | Map) for kind in kinds)
        told.append("*" if is_free else token)
        kinds = [inner for kind in kinds for inner in _inside(kind, token)]
    return "".join(f"/{one}" for one in told)


def _inside(kind: AvroType, token: str) -> Iterator[AvroType]:
    match kind:
        case Array(items):
            yield items
        case Map(values):
            yield values
        case Record(_, fields):
            name = token.replace("~1", "/").replace("~0", "~")
            yield from (one.type for one in fields if one.name == name)
        case Union(branches):
            yield from (one for one in branches if branch_name(one) == token)
        case _:
            return


def _newest(count: int) -> str:
    return "the newest event" if count == 1 else f"the {count} newest events"
