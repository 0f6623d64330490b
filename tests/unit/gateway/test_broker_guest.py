import os
from pathlib import Path

from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.guest import GuestBroker
from gateway.broker.port import Stored, TopicSpec
from tests.contract.broker_stands import now, record


async def test_a_guest_makes_no_topic_and_uses_those_that_are_there(tmp_path: Path) -> None:
    inner = EmbeddedBroker.open(tmp_path / "b.db", clock=now, entropy=os.urandom, limit_bytes=10**6)
    broker = GuestBroker(inner)
    made = await inner.ensure([TopicSpec("there", 2)])
    found = await broker.ensure([TopicSpec("there"), TopicSpec("new")])
    assert {name: (topic.id, topic.partitions) for name, topic in found.items()} == {
        "there": (made["there"].id, 2)
    }
    assert set(await broker.describe(["there", "new"])) == {"there"}
    assert isinstance((await broker.append([record("there")]))[0], Stored)
    assert await broker.bounds([("there", 0)]) == [(0, 1)]
    assert await broker.offset_at(("there", 0), 0) == 0
    assert (broker.away_for_ms(), list(broker.warnings())) == (0, [])
    assert broker.max_record_bytes == inner.max_record_bytes
    reader = broker.reader()
    assert reader.reached("there", 0) is None
    await reader.close()
    await broker.close()
