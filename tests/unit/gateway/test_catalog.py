import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlmodel import Session, col
from starlette.requests import Request

from gateway.administration.evidence import Author
from gateway.bootstrap.ground import clock
from gateway.bootstrap.parts import Parts, topic_specs
from gateway.broker.port import Broker, BrokerError, Topic, TopicSpec
from gateway.catalog import STALE_SECONDS, Catalog
from gateway.database import Database
from gateway.errors import BugError, CallerError, StoreError
from gateway.http.gates import GATES
from gateway.http.guard import admit
from gateway.ingress.outcome import Accepted, Failed
from gateway.postgresql import Server
from partners import onboarding, store
from partners.credential import Credential
from partners.credential_index import TOLD_MS
from partners.issuing import WantedCredential
from schemas.registry import draft_of
from schemas.rows import SchemaRow
from schemas.schema import Schema, parse_schema
from schemas.store import _digest
from tests.builders import make_doors
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.world import CONTRACT, ORDER, World, running

BY = Author("operator", None)
HOUR_MS = 3_600_000
A = {"order_id": "A-1", "qty": 1}
OUTBOUND = "partners.acme.outbound"
MORE = {"name": "more", "type": "long", "default": 0}
GATE = next(one for one in GATES if one.path == "/v1/me")
ASKED = Request(
    {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "raw_path": b"/v1/me",
        "headers": [],
        "query_string": b"",
    }
)


class Successor(Database):
    """A database whose server the test names."""

    life: Server | None = None

    def server(self, session: Session) -> Server | None:
        del session
        return self.life


class NoTopics(WilfulBroker):
    """A broker that makes no topics for now."""

    is_refusing = False

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        if self.is_refusing:
            raise BrokerError("broker_unavailable", "the broker is away, says the test")
        return await super().ensure(topics)


async def test_a_change_is_followed_and_what_did_not_change_is_kept(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        catalog = world.parts.catalog
        one = catalog.current.channel("acme", "order.placed", "inbound")
        assert one is not None
        await world.apply(CONTRACT.replace("acme\nname", "globex\nname"), slug="globex")
        assert catalog.current.channel("acme", "order.placed", "inbound") is one
        assert catalog.current.types("globex", "outbound") == ["order.accepted"]
        assert catalog.current.channel("globex", "order.placed", "outbound") is None
        assert catalog.current.channels("nobody", "inbound") == ()


async def test_without_a_change_the_snapshot_stays(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        before = world.parts.catalog.current
        await world.parts.catalog.refresh()
        assert world.parts.catalog.current.by_type is before.by_type


async def test_a_topic_exists_before_its_channel_is_used(tmp_path: Path, database_url: str) -> None:
    broker = NoTopics(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        broker.is_refusing = True
        await world.apply()
        assert not world.parts.catalog.current.is_ready(TOPIC)
        (one,) = await world.send(A)
        assert isinstance(one, Failed)
        assert one.code == "broker_unavailable"
        with pytest.raises(BrokerError):
            await world.parts.catalog.refresh()
        broker.is_refusing = False
        await world.parts.catalog.refresh()
        assert isinstance((await world.send(A))[0], Accepted)


class Particular(WilfulBroker):
    """A broker that refuses some topics, and finds fault with others."""

    refused: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        if bad := sorted(self.refused.intersection(spec.name for spec in topics)):
            raise BrokerError("broker_refused", f"{bad[0]} is refused, says the test")
        made = await super().ensure(topics)
        words = "{} has 3 partitions, says the test"
        return {
            name: Topic(topic.id, (words.format(name),), 3) if name in self.faults else topic
            for name, topic in made.items()
        }


async def test_one_topic_that_is_refused_holds_up_no_other(tmp_path: Path, database_url: str) -> None:
    broker = Particular(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        catalog = world.parts.catalog
        broker.refused = frozenset({TOPIC})
        await world.apply()
        assert not catalog.current.is_ready(TOPIC)
        assert catalog.current.is_ready("partners.acme.outbound")
        assert catalog.warnings() == [f"{TOPIC} is refused, says the test"]
        broker.refused = frozenset()
        await catalog.refresh()
        assert catalog.warnings() == []
        assert isinstance((await world.send(A))[0], Accepted)


class Noting(WilfulBroker):
    """A broker that keeps the names of the topics that are to be there."""

    made: frozenset[str] = frozenset()

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        self.made |= {spec.name for spec in topics}
        return await super().ensure(topics)


async def test_what_a_closed_partner_has_left_is_found_and_nothing_is_made_for_it(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        topics = dict(world.parts.catalog.current.topic_ids)
        close = partial(onboarding.set_partner_state, slug="acme", state="closed")
        await world.parts.ground.database.write(close)
    broker = Noting(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        assert world.parts.catalog.current.topic_ids == topics
        assert topics.keys() >= {TOPIC, OUTBOUND}
    assert not broker.made & {TOPIC, OUTBOUND}


class Refusing(Noting):
    """Says nothing of topics of acme's."""

    async def describe(self, names: Sequence[str]) -> Mapping[str, Topic]:
        if any("acme" in name for name in names):
            raise BrokerError("broker_refused", "not yours, says the test")
        return await super().describe(names)


async def test_what_a_closed_partner_has_left_and_nobody_may_look_at_holds_up_no_other(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.apply(CONTRACT.replace("acme", "globex"), slug="globex")
        close = partial(onboarding.set_partner_state, slug="acme", state="closed")
        await world.parts.ground.database.write(close)
    async with running(tmp_path, url=database_url, broker=Refusing(tmp_path)) as world:
        await world.parts.catalog.refresh()
        known = world.parts.catalog.current.topic_ids.keys()
        assert known >= {TOPIC.replace("acme", "globex"), OUTBOUND.replace("acme", "globex")}
        assert not known & {TOPIC, OUTBOUND}
        assert world.parts.catalog.problem == ""


async def test_how_a_topic_differs_is_a_warning_and_all_its_partitions_are_known(
    tmp_path: Path, database_url: str
) -> None:
    broker = Particular(tmp_path)
    outbound = "partners.acme.outbound"
    broker.faults = frozenset({outbound})
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        catalog = world.parts.catalog
        assert catalog.warnings() == [f"{outbound} has 3 partitions, says the test"]
        assert catalog.current.partitions_of(outbound, 0) == [0, 1, 2]
        assert catalog.current.partitions_of(outbound, 7) == [0, 1, 2, 7]
        assert catalog.current.partitions_of(TOPIC, 0) == [0]
        assert catalog.current.partitions_of("not known yet", 0) == [0]


@dataclass
class Timed:
    """A catalog of its own beside a world's, whose time is the test's."""

    world: World
    broker: Broker
    seconds: float = 0.0

    def __post_init__(self) -> None:
        settings = self.world.parts.ground.settings
        self.catalog = Catalog(
            database=self.world.parts.ground.database,
            broker=self.broker,
            topics=lambda partner: topic_specs(partner, settings),
            event_bytes=1_000,
            refresh_seconds=1.0,
            ticks=lambda: self.seconds,
        )

    async def partitions_at(self, seconds: float) -> Sequence[int]:
        """Which partitions of the outbound topic it knows after a refresh at that time."""
        self.seconds = seconds
        await self.catalog.refresh()
        return self.catalog.current.partitions_of(OUTBOUND, 0)


class Counting(WilfulBroker):
    """A broker whose topics grow. `partitions`: of the outbound topic; `words`: how it differs."""

    partitions = 1
    words: tuple[str, ...] = ()

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        made = await super().ensure(topics)
        grown = {OUTBOUND: Topic(made[OUTBOUND].id, self.words, self.partitions)} if OUTBOUND in made else {}
        return {**made, **grown}


async def test_partitions_that_were_added_later_are_found_within_half_a_minute(tmp_path: Path) -> None:
    broker = Counting(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Timed(world, broker)
        assert await timed.partitions_at(100.0) == [0]
        broker.partitions = 3
        assert await timed.partitions_at(129.9) == [0]
        assert await timed.partitions_at(130.0) == [0, 1, 2]
        broker.partitions = 4
        assert await timed.partitions_at(159.9) == [0, 1, 2]
        assert await timed.partitions_at(160.0) == [0, 1, 2, 3]


async def test_while_a_topic_differs_it_is_looked_at_every_few_seconds(tmp_path: Path) -> None:
    broker = Counting(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Timed(world, broker)
        broker.words = ("it differs, says the test",)
        assert await timed.partitions_at(100.0) == [0]
        broker.partitions = 2
        assert await timed.partitions_at(102.9) == [0]
        assert await timed.partitions_at(103.0) == [0, 1]
        assert timed.catalog.warnings() == ["it differs, says the test"]
        broker.words = ()
        await timed.partitions_at(106.0)
        assert timed.catalog.warnings() == []
        broker.partitions = 3
        assert await timed.partitions_at(135.9) == [0, 1]
        assert await timed.partitions_at(136.0) == [0, 1, 2]


async def test_a_topic_that_was_deleted_is_made_again_under_its_new_id(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        catalog = world.parts.catalog
        old = catalog.current.topic_ids[TOPIC]
        catalog.topic_changed(TOPIC, "another", was=old)
        assert catalog.current.topic_ids[TOPIC] == "another"
        catalog.topic_changed(TOPIC, None, was="another")
        catalog.topic_changed(TOPIC, None, was="another")
        assert not catalog.current.is_ready(TOPIC)
        await catalog.refresh()
        assert catalog.current.topic_ids[TOPIC] == old


async def test_who_hears_late_that_a_topic_is_another_one_does_not_undo_what_is_known_since(
    tmp_path: Path,
) -> None:
    """A reader that was not polled for long: what holds a backlog of the present one would give it up."""
    async with running(tmp_path) as world:
        await world.apply()
        catalog = world.parts.catalog
        known = catalog.current.topic_ids[TOPIC]
        for late in (None, "the-one-before", known):
            catalog.topic_changed(TOPIC, late, was="the-first")
            assert catalog.current.topic_ids[TOPIC] == known


async def test_a_topic_that_was_made_again_with_fewer_partitions_is_known_by_these_soon(
    tmp_path: Path,
) -> None:
    broker = Counting(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Timed(world, broker)
        broker.partitions = 3
        assert await timed.partitions_at(100.0) == [0, 1, 2]
        broker.partitions = 1
        timed.catalog.topic_changed(OUTBOUND, "new", was=timed.catalog.current.topic_ids[OUTBOUND])
        assert await timed.partitions_at(101.0) == [0]
        assert timed.catalog.current.topic_ids[OUTBOUND] == "new"


async def test_a_schema_is_compiled_once_for_each_way_of_writing(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        catalog = world.parts.catalog
        channel = catalog.current.channel("acme", "order.placed", "inbound")
        assert channel is not None
        schema_id = channel.versions[0].schema_id
        plain, avro = await catalog.version(schema_id), await catalog.version(schema_id, "avro")
        assert await catalog.version(schema_id) is plain
        assert plain is not avro
        wrapped = b'{"order_id":"A","customer":{"string":"C"},"qty":1}'
        assert avro.codec.avro_from_json(wrapped).avro
        with pytest.raises(BugError, match="9999"):
            await catalog.version(9_999)


async def test_a_provisioned_partner_becomes_active_once_its_topics_exist(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        partner = await world.parts.ground.database.read(lambda session: store.partner(session, "acme"))
        assert partner is not None
        assert partner[0].state == "active"


async def test_a_record_that_was_renamed_takes_its_former_versions_along(
    tmp_path: Path, database_url: str
) -> None:
    """Its subject is another one since; what is still accepted of the former subject stays accepted."""
    renamed = {"order.avsc": json.dumps({**ORDER, "name": "Purchase"})}
    text = CONTRACT.replace("key: /customer}", "key: /customer, accept_versions: 2}", 1)
    async with running(tmp_path, url=database_url) as world:
        await world.apply(text)
        await world.apply(text, renamed, allow=frozenset({"incompatible"}))
        channel = world.parts.catalog.current.channel("acme", "order.placed", "inbound")
        assert channel is not None
        assert channel.line.subject == "partners.acme.inbound-com.acme.Purchase"
        assert [one.schema.name for one in channel.versions] == ["com.acme.Purchase", "com.acme.Order"]
        assert [one.number for one in channel.versions] == [1, 1]
        (one,) = await world.send(A)
        assert isinstance(one, Accepted)


async def test_a_look_that_is_too_long_ago_lets_nobody_in_until_the_next(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        parts, now = world.parts, [1_000.0]
        catalog = Catalog(
            database=parts.ground.database,
            broker=parts.broker,
            topics=lambda partner: topic_specs(partner, parts.ground.settings),
            event_bytes=1_000,
            refresh_seconds=1,
            ticks=lambda: now[0],
        )
        await catalog.follow()
        assert not catalog.is_stale()
        now[0] += STALE_SECONDS
        assert not catalog.is_stale()
        now[0] += 1
        assert catalog.is_stale()
        with pytest.raises(StoreError, match="heard"):
            await admit(GATE, replace(make_doors(world), catalog=catalog), ASKED, "req_1")
        await catalog.follow()
        assert not catalog.is_stale()
        with pytest.raises(CallerError, match="shows no credential"):
            await admit(GATE, replace(make_doors(world), catalog=catalog), ASKED, "req_1")


async def test_another_server_may_have_another_schema_under_the_same_id(
    tmp_path: Path, database_url: str
) -> None:
    """A standby took over that lacked the last commits, and the contract was applied once more, mended."""
    other = parse_schema(json.dumps({**ORDER, "fields": [*ORDER["fields"], MORE]}))
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        parts, database = world.parts, Successor(world.parts.ground.settings.database.url)
        catalog = Catalog(
            database=database,
            broker=parts.broker,
            topics=lambda partner: topic_specs(partner, parts.ground.settings),
            event_bytes=1_000,
            refresh_seconds=1,
        )
        await catalog.follow()
        before = catalog.current.channel("acme", "order.placed", "inbound")
        assert before is not None
        schema_id = before.versions[0].schema_id
        assert (await catalog.version(schema_id)).schema.text == before.versions[0].schema.text
        await parts.ground.database.write(lambda session: put_under(session, schema_id, other))
        await catalog.follow()
        assert catalog.current.channel("acme", "order.placed", "inbound") is before
        database.life = Server(1, 2)
        await catalog.follow()
        after = catalog.current.channel("acme", "order.placed", "inbound")
        assert after is not None
        assert after.versions[0].schema.text == other.text
        assert after.versions[0].codec.avro_from_json(b'{"order_id":"A","qty":1,"more":2}').avro
        assert (await catalog.version(schema_id)).schema.text == other.text
        await catalog.follow()
        assert catalog.current.channel("acme", "order.placed", "inbound") is after
        database.close()


def put_under(session: Session, schema_id: int, schema: Schema) -> None:
    made = draft_of(schema)
    session.execute(
        update(SchemaRow)
        .where(col(SchemaRow.id) == schema_id)
        .values(
            text=made.text,
            fingerprint=made.fingerprint,
            guid=str(made.guid),
            text_sha256=_digest(made.text, made.links),
        )
    )


async def test_keys_that_ended_long_ago_leave_and_are_back_once_a_clock_was_set_right(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        parts, now = world.parts, [clock()]
        made = [await _key(parts, name) for name in ("first", "second", "third")]
        await parts.administration.revoke_credential(made[0].id, owner=None, reason="", by=BY)
        catalog = Catalog(
            database=parts.ground.database,
            broker=parts.broker,
            topics=lambda partner: topic_specs(partner, parts.ground.settings),
            event_bytes=1_000,
            refresh_seconds=1,
        )
        catalog.leaving.clock = lambda: now[0]

        async def found() -> list[bool]:
            await catalog.follow()
            directory = catalog.current.directory
            return [directory.credential("api_key", one.match) is not None for one in made]

        # Nothing leaves by itself: what weighs is each change.
        assert await found() == [True, True, True]
        now[0] += TOLD_MS - HOUR_MS
        await _key(parts, "fourth")
        assert await found() == [True, True, True]
        now[0] += 2 * HOUR_MS
        await parts.administration.revoke_credential(made[1].id, owner=None, reason="", by=BY)
        assert await found() == [False, False, True]
        now[0] = clock()
        assert await found() == [True, True, True]


async def _key(parts: Parts, name: str) -> Credential:
    wanted = WantedCredential(None, "team", name)
    return (await parts.administration.create_credential(wanted, by=BY)).credential
