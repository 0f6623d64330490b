"""Topics that somebody else has made, with other settings: seen, told, used as they are, calm once mended."""

from pathlib import Path
from typing import Any, Final

import confluent_kafka.admin
import pytest
from confluent_kafka import Producer

from audit.evidence import Kind
from tests.contract.broker_stands import fresh_name
from tests.kafka_server import KafkaServer
from tests.troubled import Hands, Troubled, troubled, until

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
    make_topic(kafka_server, inbound, 1, max_message_bytes="2000", unclean_leader_election_enable="true")
    hands = Hands(kafka_server.servers)
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        watch_topics(world)
        await world.contract()
        mend = f"kafka-configs.sh --alter --entity-type topics --entity-name {inbound} --add-config "
        await world.warned("max.message.bytes=2000", f"{mend}max.message.bytes=")
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
