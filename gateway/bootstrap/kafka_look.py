"""What the doctor asks of Kafka, and how it judges the answers."""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Final
from urllib.parse import urlsplit

from gateway.bootstrap.aside import aside
from gateway.bootstrap.database_look import Inside
from gateway.bootstrap.ground import clock
from gateway.bootstrap.parts import topic_specs
from gateway.broker.guest import GuestBroker
from gateway.broker.inspection import Inspection
from gateway.broker.kafka import KafkaBroker
from gateway.broker.kafka_inspection import KafkaInspection
from gateway.broker.kafka_properties import KafkaProperties, load_kafka_properties
from gateway.broker.port import RECORD_BYTES, BrokerError, TopicSpec
from gateway.doctor.broker import (
    BROKER,
    Keeping,
    Wanted,
    judge_cluster,
    judge_silence,
    judge_sizes,
    judge_topics,
)
from gateway.doctor.broker import judge_keeping as judge_terms
from gateway.doctor.finding import Finding
from gateway.doctor.rights import judge_denied, judge_rights
from gateway.errors import SettingsError
from gateway.partner_topics import held_spec
from gateway.sequencer.guard import NamesakeError, verify_owner
from gateway.sequencer.mark import Installation
from gateway.sequencer.published import read_shown
from gateway.settings import Settings
from gateway.units import format_duration, parse_address

_OWNER_SECONDS: Final = 3.0


async def examine_kafka(settings: Settings, inside: Inside | None) -> list[Finding]:
    """Ask Kafka. `inside` None: the database could not be read, and only our own topic is looked at."""
    kind, _, rest = settings.broker.url.partition(":")
    if kind != "kafka":
        return [BROKER.fault(f"broker.url begins with {kind!r}", "use embedded:FILE or kafka://HOST:PORT")]
    servers = rest.removeprefix("//")
    found: list[Finding] = []
    path = settings.broker.properties_file
    properties: KafkaProperties | None = None
    if path is not None:
        try:
            properties = await aside(lambda: load_kafka_properties(path))
        except SettingsError as error:
            return [BROKER.fault(fault, "mend the file") for fault in error.faults]
        found += [BROKER.warning(words, "mend the file, or leave it so") for words in properties.warnings]
    try:
        inspection = KafkaInspection(
            servers,
            clock=clock,
            properties=properties.settings if properties else {},
            replication=settings.broker.replication,
            max_record_bytes=RECORD_BYTES,
        )
    except BrokerError as error:
        words = properties.locate(str(error)) if properties else str(error)
        return [*found, BROKER.fault(words, "mend broker.url or broker.properties_file")]
    try:
        found += await _ask(inspection, settings, inside, servers)
        found += await _in_time(_owner(settings, inside, servers, properties))
    except BrokerError as error:
        found.append(judge_silence(servers, str(error)))
    finally:
        await inspection.close()
    return [*found, judge_keeping(settings), judge_sizes(settings.ingress.body_bytes, RECORD_BYTES)]


def judge_keeping(settings: Settings) -> Finding:
    """Compare how long events and claims are kept."""
    events, claims = settings.broker.retention, settings.retention.claims
    return judge_terms(Keeping(events, claims, format_duration(events), format_duration(claims)))


async def _ask(
    inspection: Inspection, settings: Settings, inside: Inside | None, servers: str
) -> Iterable[Finding]:
    cluster = await inspection.cluster()
    wanted = Wanted(
        servers=servers,
        replication=settings.broker.replication,
        checkpoint_topic=settings.broker.checkpoint_topic,
        has_properties=settings.broker.properties_file is not None,
        is_loopback=all(_is_loopback(one) for one in servers.split(",")),
    )
    found = list(judge_cluster(cluster, wanted))
    specs = [TopicSpec(settings.broker.checkpoint_topic, compacted=True)]
    partners, held = ((), {}) if inside is None else (inside.partners, inside.held)
    for partner in partners:
        specs += (held_spec(spec, held) for spec in topic_specs(partner, settings))
    topics = await inspection.topics(specs)
    asked = [spec.name for spec in specs if spec.name not in topics.denied]
    found += judge_topics(topics.found, asked, topics.mismatches)
    if topics.denied:
        found.append(judge_denied(topics.denied))
    missing = [name for name in asked if name not in topics.found]
    return [*found, *judge_rights(cluster, topics.found, missing, wanted.checkpoint_topic)]


async def _in_time(asked: Coroutine[None, None, Iterable[Finding]]) -> Iterable[Finding]:
    """What comes last must not cost what was found before it."""
    try:
        async with asyncio.timeout(_OWNER_SECONDS):
            return await asked
    except TimeoutError:
        return [BROKER.not_asked("whose topics these are: Kafka took too long")]


async def _owner(
    settings: Settings, inside: Inside | None, servers: str, properties: KafkaProperties | None
) -> Iterable[Finding]:
    """Whose mark is in the checkpoint topic, where there is one; leaves none."""
    if inside is None or inside.house_log is None or inside.origin is None:
        return []
    broker = KafkaBroker.open(
        servers,
        clock=clock,
        properties=properties.settings if properties else {},
        replication=settings.broker.replication,
    )
    topic = settings.broker.checkpoint_topic
    try:
        shown = await read_shown(GuestBroker(broker), topic)
    except BrokerError as error:
        return [BROKER.not_asked(f"whose topics these are is not known: {error}")]
    finally:
        await broker.close()
    if shown.owner is None:
        return [
            BROKER.not_asked(f"no gateway has marked {topic} as its own yet: one does at its first start")
        ]
    us = Installation(f"{urlsplit(inside.origin).netloc}/log/{inside.house_log}", inside.origin)
    try:
        verify_owner(shown.owner, us, topic)
    except NamesakeError as error:
        mend = "give this one names of its own: broker.topic_prefix and broker.checkpoint_topic"
        return [BROKER.fault(error.text, mend)]
    return [BROKER.ok(f"the mark in {topic} is ours")]


def _is_loopback(server: str) -> bool:
    try:
        return parse_address(server).is_loopback
    except ValueError:
        return False
