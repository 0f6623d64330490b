"""Every adapter of the broker port, for the contract suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.broker.guest import GuestBroker
from gateway.broker.passing import PassingBroker
from tests.contract.broker_stands import EmbeddedStand, KafkaStand, Stand, WrappedStand, gated
from tests.kafka_server import KafkaServer


@pytest.fixture(
    params=["embedded", "passing", "gated", "guest", pytest.param("kafka", marks=pytest.mark.kafka)]
)
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    """One adapter after the other."""
    made: Stand
    if request.param == "embedded":
        made = EmbeddedStand(tmp_path)
    elif request.param == "passing":
        made = WrappedStand(tmp_path, PassingBroker)
    elif request.param == "gated":
        made = WrappedStand(tmp_path, gated)
    elif request.param == "guest":
        made = WrappedStand(tmp_path, GuestBroker, makes_topics=False)
    else:
        server: KafkaServer = request.getfixturevalue("kafka_server")
        made = KafkaStand(server)
    yield made
    await made.close()
