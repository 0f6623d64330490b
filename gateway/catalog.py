"""Today's contracts, ready to use: directory and channels, replaced as a whole when SQL's revision moves.

A topic is made before a channel on it is used: `topic_ids` holds those that are known to exist
(`gateway.partner_topics`).
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

from sqlmodel import Session

from gateway.broker.port import Broker, BrokerError, TopicSpec
from gateway.channels import Channel, Gone, Version, make_channel
from gateway.database import Database
from gateway.errors import AwayError, BugError
from gateway.event import Direction
from gateway.external_registry import ExternalRegistry
from gateway.leaving import Leaving
from gateway.partner_topics import PartnerTopics, There
from gateway.second_looks import SecondLooks
from gateway.tombstones import Tombstone, Tombstones
from gateway.waits import rest
from partners import store
from partners.contract import Contract, Line
from partners.directory import Account, Directory
from partners.partner import Partner
from schemas import registry
from schemas.codec import Codec, compile_codec
from schemas.leaf import JsonFlavour
from schemas.schema import Schema


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything about partners, contracts and schemas as of one revision; immutable.

    `outside`: who knows schemas that are not in here; None: nobody, the registry is our own. `erased`: refs
    of events that were erased and may still be on their topics; these become more within a revision.
    `gone`: what event types are read with that contracts had once; nothing is accepted by these.
    """

    directory: Directory
    by_type: Mapping[tuple[str, Direction, str], Channel] = field(repr=False)
    by_partner: Mapping[tuple[str, Direction], tuple[Channel, ...]] = field(repr=False)
    topic_ids: Mapping[str, str] = field(repr=False)
    partitions: Mapping[str, int] = field(default_factory=dict, repr=False)
    outside: ExternalRegistry | None = field(default=None, repr=False)
    erased: AbstractSet[bytes] = field(default=frozenset(), repr=False, compare=False)
    gone: Mapping[tuple[str, Direction, str], Gone] = field(default_factory=dict, repr=False)

    @property
    def is_read(self) -> bool:
        """Whether it is from the database: before that nobody is known, which says nothing of anybody."""
        return self.directory.revision > 0

    def channel(self, partner: str, event_type: str, direction: Direction) -> Channel | None:
        """The channel of an event type; None where the contract has no such line."""
        return self.by_type.get((partner, direction, event_type))

    def gone_by(self, partner: str, event_type: str, direction: Direction) -> Gone | None:
        """What events of a type are read with that only earlier contracts had; None: none of them had."""
        return self.gone.get((partner, direction, event_type))

    def gone_from(self, partner: str, direction: Direction) -> list[Gone]:
        """What events of all those types of a partner are read with that only earlier contracts had."""
        former = (one.line.terms for one in self.directory.former(partner))
        types = dict.fromkeys(each.event_type for each in former if each.direction == direction)
        return [gone for one in types if (gone := self.gone_by(partner, one, direction)) is not None]

    def channels(self, partner: str, direction: Direction) -> tuple[Channel, ...]:
        """The channels of a partner in one direction."""
        return self.by_partner.get((partner, direction), ())

    def types(self, partner: str, direction: Direction) -> list[str]:
        """The event types of a partner in one direction."""
        return [channel.event_type for channel in self.channels(partner, direction)]

    def all_types(self, partner: str, direction: Direction) -> frozenset[str]:
        """The event types of a partner in one direction, those of earlier contracts too."""
        former = (one.line.terms for one in self.directory.former(partner))
        gone = (terms.event_type for terms in former if terms.direction == direction)
        return frozenset({*self.types(partner, direction), *gone})

    def is_ready(self, topic: str) -> bool:
        """Whether the topic is known to exist."""
        return topic in self.topic_ids

    def partitions_of(self, topic: str, own: int) -> Sequence[int]:
        """All partitions of a partner's outbound topic, its `own` among them.

        The gateway writes to that one alone; teams that give a key reach them all.
        """
        return sorted({own, *range(self.partitions.get(topic, 0))})


EMPTY = Snapshot(Directory(0, (), ()), {}, {}, {})

_Key = tuple[str, Direction, str]

STALE_SECONDS: Final = 60.0
"""A revoked credential opens nothing after this time, wherever it is shown, even if the database is away."""


class Catalog:
    """Holds today's snapshot and replaces it; see the module.

    To be set before anything is read: `outside`, the registry where it is not our own; `leaving.clock`.
    """

    def __init__(
        self,
        *,
        database: Database,
        broker: Broker,
        topics: Callable[[Partner], Iterable[TopicSpec]],
        event_bytes: int,
        refresh_seconds: float,
        ticks: Callable[[], float] | None = None,
    ) -> None:
        """`topics`: what a partner's topics should be like.

        `event_bytes`: the largest event where a contract names no limit. `ticks`: seconds of a clock that
        nobody sets; without one, the event loop's.
        """
        self._database = database
        self._event_bytes = event_bytes
        self._refresh_seconds = refresh_seconds
        self._ticks = ticks or (lambda: asyncio.get_running_loop().time())
        self._turn = asyncio.Lock()
        self._again = SecondLooks(self._ticks)
        self._topics = PartnerTopics(
            broker,
            topics,
            directory=lambda: self.current.directory,
            changed=self._take_topics,
            ticks=self._ticks,
        )
        self._codecs: dict[tuple[int, tuple[str, ...], JsonFlavour], Codec] = {}
        self._schemas: dict[int, Schema] = {}
        self._versions: dict[tuple[object, int, JsonFlavour], Version] = {}
        self._followed_at = 0.0
        self._server: object = None
        self._tombstones = Tombstones()
        self.outside: ExternalRegistry | None = None
        self.leaving = Leaving()
        self.current = EMPTY

    def warnings(self) -> list[str]:
        """How topics differ from what they should be, in words for an operator, and what Kafka refuses."""
        return self._topics.warnings()

    @property
    def problem(self) -> str:
        """What the broker refuses of topics, in words; empty: nothing."""
        return self._topics.problem

    async def run(self, stop: asyncio.Event) -> None:
        """Follow the tables until `stop`; a dependency that is away is tried again."""
        while not stop.is_set():
            with suppress(AwayError, BrokerError):
                await self.refresh()
            await rest(stop, self._refresh_seconds)

    async def refresh(self) -> None:
        """Take over what changed since the last look, and make the topics that are missing.

        Raises:
            AwayError: the database is away; the last snapshot stays.
            BrokerError: the broker is away or refuses; the new snapshot stands without the new topics.
        """
        await self.follow()
        # Without the turn: a broker that takes seconds to say no must not hold up a revoked key.
        await self._topics.make()

    async def follow(self) -> None:
        """Take over what changed since the last look, without a word to the broker.

        Raises:
            AwayError: the database is away; the last snapshot stays.
        """
        async with self._turn:
            began = self._ticks()
            made, erased, server = await self._database.read(self._look)
            self._tombstones.learn(erased)
            if made is not None:
                # With the snapshot, or not at all: else the next look would find nothing new at this server.
                self._server = server
                there = self._topics.there
                self.current = replace(made, topic_ids=there.ids, partitions=there.partitions)
                self._versions = {key: one for key, one in self._versions.items() if key[0] == self._server}
            self._followed_at = began

    async def look_again(self) -> Snapshot:
        """Today's snapshot, by a look that began after the call: asked before anything is called unknown.

        Another process may have answered its change a moment ago. Where the database is away, or slow, the
        snapshot stays as it is. How often: `gateway.second_looks`.
        """
        await self._again.after(lambda: self._followed_at, self.follow)
        return self.current

    def is_stale(self) -> bool:
        """Whether the last look is so long ago that who was revoked since could still be let in."""
        return self._ticks() - self._followed_at > STALE_SECONDS

    def _take_topics(self, there: There) -> None:
        self.current = replace(self.current, topic_ids=there.ids, partitions=there.partitions)

    async def compare(self, partner: Partner) -> tuple[str, ...]:
        """How those of a partner's topics differ that are there already; as `PartnerTopics.compare`.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        return await self._topics.compare(partner)

    async def foresee(self, partner: Partner, contract: Contract) -> tuple[str, ...]:
        """How long topics would keep their records by this contract; as `PartnerTopics.foresee`.

        Raises:
            BrokerError: the broker is away or refuses.
        """
        return await self._topics.foresee(partner, contract)

    def remarks(self, partner: Partner) -> tuple[str, ...]:
        """How a partner's topics differed when they were last compared; the broker is not asked."""
        return self._topics.remarks(partner)

    def topic_changed(self, topic: str, topic_id: str | None, *, was: str | None) -> None:
        """Take note that the topic `was` was deleted or made again, as a reader found."""
        self._topics.change(topic, topic_id, was=was)

    async def version(self, schema_id: int, json: JsonFlavour = "plain") -> Version:
        """A schema that a claim was made under, whether or not a contract still accepts it.

        `json`: how its data is written.

        Raises:
            AwayError: the database is away.
            BugError: a claim names a schema that the registry does not have.
        """
        known = self._versions.get((self._server, schema_id, json))
        if known is not None:
            return known

        def read(session: Session) -> tuple[object, Version]:
            return self._database.server(session), _compile(session, schema_id, json)

        server, version = await self._database.read(read)
        self._versions[server, schema_id, json] = version
        return version

    def _look(self, session: Session) -> tuple[Snapshot | None, Sequence[Tombstone], object]:
        """What changed, loaded and compiled on an SQL thread: a large schema takes some hundred milliseconds.

        None: nothing did. Another server, or a restored one, may hold other rows under the same number, and
        another schema under the same id: nothing that was read of the one before it counts. And the events
        that were erased since the last look, and which server it was.
        """
        server, revision = self._database.server(session), store.revision(session)
        known = self.current
        erased = self._tombstones.look(session)
        if server != self._server or revision < known.directory.revision:
            known, self._codecs, self._schemas = EMPTY, {}, {}
        elif self.leaving.was_ahead():
            known = EMPTY
        elif revision == known.directory.revision:
            return None, erased, server
        before = self.leaving.ended_before(is_first=known is EMPTY)
        directory = store.load(session, None if known is EMPTY else known.directory, ended_before=before)
        return self._build(session, directory, known), erased, server

    def _build(self, session: Session, directory: Directory, known: Snapshot) -> Snapshot:
        """`known`: of the same server, whose channels stay where nothing of them changed."""
        by_type: dict[_Key, Channel] = {}
        by_partner: dict[tuple[str, Direction], tuple[Channel, ...]] = {}
        gone: dict[_Key, Gone] = {}
        for partner in directory.partners():
            account = directory.account(partner.slug)
            if account is None:
                raise BugError(f"partner {partner.slug} has no account")
            gone |= self._gone(session, account, known)
            for channel in self._channels(session, account, known):
                key: tuple[str, Direction] = (partner.slug, channel.direction)
                by_type[(*key, channel.event_type)] = channel
                by_partner[key] = (*by_partner.get(key, ()), channel)
        erased = self._tombstones.refs
        return Snapshot(directory, by_type, by_partner, {}, outside=self.outside, erased=erased, gone=gone)

    def _channels(self, session: Session, account: Account, known: Snapshot) -> Iterable[Channel]:
        slug = account.partner.slug
        if known.directory.account(slug) is account:
            return [*known.channels(slug, "inbound"), *known.channels(slug, "outbound")]
        return [self._channel(session, account, line, known) for line in account.lines]

    def _channel(self, session: Session, account: Account, line: Line, before: Snapshot) -> Channel:
        partner, contract = account.partner, account.contract
        same = before.channel(partner.slug, line.terms.event_type, line.terms.direction)
        if contract is None or account.sha256 is None:
            raise BugError(f"partner {partner.slug} has lines but no contract")
        if same is not None and same.line == line and same.contract == contract.revision:
            return same
        return self._made(session, account, line, contract)

    def _gone(self, session: Session, account: Account, before: Snapshot) -> Mapping[_Key, Gone]:
        """By type, the newest of the former lines of those that the contract has no more."""
        slug, contract = account.partner.slug, account.contract
        there = {(slug, line.terms.direction, line.terms.event_type) for line in account.lines}
        is_same = before.directory.account(slug) is account
        found: dict[_Key, Gone] = {}
        for one in account.former if contract is not None else ():
            key = (slug, one.line.terms.direction, one.line.terms.event_type)
            if contract is None or key in there or key in found:
                continue
            if is_same and key in before.gone:
                found[key] = before.gone[key]
                continue
            made = self._made(session, account, one.line, contract)
            found[key] = Gone(replace(made, contract=one.contract, contract_sha256=b""), one.until)
        return found

    def _made(self, session: Session, account: Account, line: Line, contract: Contract) -> Channel:
        known = _known(session, account, line)
        self._schemas.update((schema_id, schema) for schema_id, (_, schema) in known.items())
        return make_channel(
            account.partner,
            line,
            known,
            self._codec,
            in_force=(contract, account.sha256 or b""),
            event_bytes=self._event_bytes,
        )

    def _codec(self, schema_id: int, pointers: tuple[str, ...], json: JsonFlavour) -> Codec:
        key = (schema_id, pointers, json)
        codec = self._codecs.get(key)
        if codec is None:
            schema = self._schemas[schema_id]
            codec = compile_codec(schema, pointers, json)
            self._codecs[key] = codec
        return codec


def _known(session: Session, account: Account, line: Line) -> Mapping[int, tuple[int, Schema]]:
    """Number and schema of all that events of a line's type may have, by id: of each subject it ever had."""
    terms = line.terms
    former = [
        one.line
        for one in account.former
        if (one.line.terms.direction, one.line.terms.event_type) == (terms.direction, terms.event_type)
    ]
    found: dict[int, tuple[int, Schema]] = {}
    for each in (line, *(one for one in former if one.subject != line.subject)):
        there = ((one.id, (one.number, one.schema)) for one in registry.versions(session, each.subject))
        found = {**dict(there), **found}
        found |= {one: _earlier(session, one, each) for one in each.schema_ids if one not in found}
    return found


def _earlier(session: Session, schema_id: int, line: Line) -> tuple[int, Schema]:
    """Number and schema of a version that is still accepted, of the time when its record had another name."""
    schema = registry.by_id(session, schema_id)
    if schema is None:
        raise BugError(f"schema {schema_id} of {line.subject} is missing from the registry")
    topic = line.subject.rpartition("-")[0]
    numbers = [
        number for subject, number in registry.uses(session, schema_id) if subject.startswith(f"{topic}-")
    ]
    return (numbers[0] if numbers else 0, schema)


def _compile(session: Session, schema_id: int, json: JsonFlavour) -> Version:
    """On an SQL thread, as `Catalog._build`."""
    schema = registry.by_id(session, schema_id)
    if schema is None:
        raise BugError(f"schema {schema_id} is missing from the registry")
    return Version(schema_id, 0, schema, compile_codec(schema, (), json))
