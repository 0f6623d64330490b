"""Topics that somebody else has made, with other settings: seen, told, used as they are, calm once mended."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import confluent_kafka.admin
import pytest
from confluent_kafka import Producer

from audit.evidence import Kind
from gateway.broker.passing import PassingBroker
from gateway.broker.port import BrokerError, Topic, TopicSpec
from tests.contract.broker_stands import fresh_name
from tests.kafka_server import KafkaServer
from tests.troubled import Hands, Troubled, troubled, until
from tests.world import CONTRACT

pytestmark = pytest.mark.kafka

_ADMIN: Final[Any] = confluent_kafka.admin


def make_topic(server: KafkaServer, name: str, partitions: int, **settings: str) -> None:
    """Make a topic as a platform team does."""
    admin = _ADMIN.AdminClient({"bootstrap.servers": server.servers})
    config = {key.replace("_", "."): value for key, value in settings.items()}
    for future in admin.create_topics([_ADMIN.NewTopic(name, partitions, 1, config=config)]).values():
        future.result(30)


def watch_topics(world: Troubled) -> None:
    """Let the status warn as that of `gateway serve` does."""
    world.status.warnings = world.parts.catalog.warnings


async def test_what_differs_is_a_warning_until_it_is_mended(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    prefix = fresh_name()
    inbound = f"{prefix}.acme.inbound"
    make_topic(kafka_server, inbound, 1, max_message_bytes="2500", unclean_leader_election_enable="true")
    hands = Hands(kafka_server.servers)
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        watch_topics(world)
        await world.contract()
        mend = f"kafka-configs.sh --alter --entity-type topics --entity-name {inbound} --add-config "
        await world.warned("max.message.bytes=2500", f"{mend}max.message.bytes=")
        await world.warned(inbound, "retention.ms")
        await world.warned(inbound, "it may lose acknowledged records")
        await world.accepted(1)
        await hands.set(inbound, "max.message.bytes", "1048588")
        await hands.set(inbound, "unclean.leader.election.enable", "false")
        await hands.set(inbound, "retention.ms", str(30 * 86_400_000))
        await world.calm()


async def test_every_partition_of_an_outbound_topic_is_read(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    prefix = fresh_name()
    outbound = f"{prefix}.acme.outbound"
    make_topic(kafka_server, outbound, 3)
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        watch_topics(world)
        await world.contract()
        await world.warned(outbound, "has 3 partitions, 1 are wanted")
        await world.accepted(1, "outbound")
        producer = Producer({"bootstrap.servers": kafka_server.servers})
        for partition in (1, 2):
            producer.produce(outbound, b"no event of the contract", b"a key", partition)
        assert producer.flush(30) == 0

        async def logged(count: int) -> bool:
            kinds = [entry.kind for entry in await world.entries()]
            return kinds.count(Kind.UNREADABLE) == count

        await until(lambda: logged(2))
        admin = _ADMIN.AdminClient({"bootstrap.servers": kafka_server.servers})
        for future in admin.create_partitions([_ADMIN.NewPartitions(outbound, 4)]).values():
            future.result(30)
        await world.warned(outbound, "has 4 partitions, 1 are wanted")
        later = Producer({"bootstrap.servers": kafka_server.servers})
        later.produce(outbound, b"no event of the contract", b"a key", 3)
        assert later.flush(30) == 0
        await until(lambda: logged(3))


HELD: Final = f"{CONTRACT}delivery: {{hold: 60d}}\n"
MONTH, TWO_MONTHS = "2592000000", "5184000000"


async def is_set(hands: Hands, topic: str, value: str) -> bool:
    return await hands.setting(topic, "retention.ms") == value


async def test_a_topic_that_is_too_short_for_a_hold_is_lengthened_whoever_made_it_and_stays_so(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    prefix = fresh_name()
    inbound, outbound = f"{prefix}.acme.inbound", f"{prefix}.acme.outbound"
    make_topic(kafka_server, outbound, 1, retention_ms="3600000", retention_bytes="1000000000")
    hands = Hands(kafka_server.servers)
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        watch_topics(world)
        await world.contract()
        await world.warned(outbound, "retention.ms=3600000")
        await world.apply(HELD)
        await until(lambda: is_set(hands, outbound, TWO_MONTHS))
        await world.warned("retention.bytes=1000000000", "it may lose what a delivery.hold keeps")
        await hands.set(outbound, "retention.bytes", "-1")
        await world.calm()
        assert await hands.setting(inbound, "retention.ms") == MONTH
        await world.contract()
        await world.warned(outbound, f"retention.ms={TWO_MONTHS}", "is never shortened by us")
        assert await hands.setting(outbound, "retention.ms") == TWO_MONTHS
        await hands.set(outbound, "retention.ms", MONTH)
        await world.calm()


class Ended(PassingBroker):
    """A broker whose topics nobody here makes or lengthens any more, as of a process that was killed."""

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        raise BrokerError("broker_unavailable", f"ended before {len(topics)} topics were looked at")


async def test_killed_between_a_contract_and_its_topics_the_next_process_lengthens_them(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    prefix = fresh_name()
    outbound = f"{prefix}.acme.outbound"
    hands = Hands(kafka_server.servers)
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        await world.contract()
        await world.accepted(1, "outbound")
        world.parts.catalog._topics._broker = Ended(world.parts.broker)
        await world.apply(HELD)
        assert await hands.setting(outbound, "retention.ms") == MONTH
    async with troubled(tmp_path, kafka_server.servers, prefix):
        await until(lambda: is_set(hands, outbound, TWO_MONTHS))
