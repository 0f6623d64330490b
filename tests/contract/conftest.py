"""Every adapter of the broker port, for the contract suite."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.broker_stands import EmbeddedStand, GatedStand, KafkaStand, Stand
from tests.kafka_server import KafkaServer


@pytest.fixture(params=["embedded", "gated", pytest.param("kafka", marks=pytest.mark.kafka)])
async def stand(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stand]:
    """One adapter after the other."""
    made: Stand
    if request.param == "embedded":
        made = EmbeddedStand(tmp_path)
    elif request.param == "gated":
        made = GatedStand(tmp_path)
    else:
        server: KafkaServer = request.getfixturevalue("kafka_server")
        made = KafkaStand(server)
    yield made
    await made.close()
