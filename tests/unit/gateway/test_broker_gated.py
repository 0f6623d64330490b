import os
from pathlib import Path

import pytest

from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.gated import GatedBroker
from gateway.broker.port import AWAY_MS, BrokerError, Refused, Stored, TopicSpec
from tests.contract.broker_stands import now, record


async def test_nothing_is_made_or_appended_before_the_gate_opens(tmp_path: Path) -> None:
    inner = EmbeddedBroker.open(tmp_path / "b.db", clock=now, entropy=os.urandom, limit_bytes=10**6)
    closed_ms = 700
    broker = GatedBroker(inner, closed_for_ms=lambda: closed_ms)
    await inner.ensure([TopicSpec("there")])
    with pytest.raises(BrokerError, match="not known yet whether these topics belong") as caught:
        await broker.ensure([TopicSpec("new")])
    assert caught.value.code == "broker_unavailable"
    (answer,) = await broker.append([record("there")])
    assert isinstance(answer, Refused)
    assert answer.code == "unavailable"
    assert broker.away_for_ms() == 700
    assert broker.is_taking()
    closed_ms = AWAY_MS + 1
    assert not broker.is_taking()
    closed_ms = 0
    assert broker.away_for_ms() == 0
    assert broker.is_taking()
    assert set(await inner.describe(["there", "new"])) == {"there"}
    assert await inner.bounds([("there", 0)]) == [(0, 0)]
    assert isinstance((await broker.append([record("there")]))[0], Stored)
    await broker.close()
