"""What an operator is told of a Kafka that cannot be reached, by librdkafka itself: nobody answers it."""

import socket
import time
from collections.abc import Iterator

import pytest

from gateway.broker.kafka_inspection import KafkaInspection
from gateway.broker.port import BrokerError


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is held and not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def told_of(servers: str) -> str:
    inspection = KafkaInspection(
        servers, clock=lambda: time.time_ns() // 1_000_000, properties={}, replication=1
    )
    try:
        with pytest.raises(BrokerError) as told:
            await inspection.cluster()
    finally:
        await inspection.close()
    assert told.value.code == "broker_unavailable"
    return str(told.value)


async def test_a_port_that_nobody_listens_on_is_told_with_its_address_and_a_mend(closed_port: int) -> None:
    words = await told_of(f"127.0.0.1:{closed_port}")
    assert f"127.0.0.1:{closed_port} failed: Connection refused" in words
    assert "check hosts and ports in broker.url" in words


async def test_a_host_that_no_resolver_knows_is_told_with_its_name_and_a_mend() -> None:
    words = await told_of("no-such-host.invalid:9092")
    assert "_RESOLVE" in words
    assert "no-such-host.invalid" in words
    assert "check the names of hosts in broker.url" in words
