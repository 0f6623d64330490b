"""What is offered while the broker is slow or away, and after it has come back."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.bootstrap.ground import clock, entropy
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.port import Topic, TopicSpec
from gateway.ingress.outcome import Accepted, Failed, Outcome
from partners.issuing import WantedCredential
from tests.waiting import LONG_SECONDS, until
from tests.world import OPERATOR, running


class AbsentBroker(EmbeddedBroker):
    """Does not answer who wants a partner's topic, until it is back."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, clock=clock, entropy=entropy, limit_bytes=10_000_000)
        self.back = asyncio.Event()
        self.asked = asyncio.Event()

    def away_for_ms(self) -> int:
        return 0 if self.back.is_set() else 500

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        if any(spec.name.startswith("partners.") for spec in topics):
            self.asked.set()
            await self.back.wait()
        return await super().ensure(topics)


async def test_an_absent_broker_holds_up_no_change_of_contracts_and_keys(tmp_path: Path) -> None:
    broker = AbsentBroker(tmp_path / "broker.db")
    body = {"order_id": "A-1", "qty": 1}
    async with running(tmp_path, broker=broker, flags={"catalog.refresh": "20ms"}) as world:
        async with asyncio.timeout(LONG_SECONDS):
            await world.apply()
            await broker.asked.wait()
            wanted = WantedCredential("acme", "partner", "first")
            made = await world.parts.administration.create_credential(wanted, by=OPERATOR)
            known = world.parts.catalog.current.directory.credential(
                made.credential.method, made.credential.match
            )
            assert known is not None
            first = await world.send(body)
            assert [one.code for one in first if isinstance(one, Failed)] == ["broker_unavailable"]
        broker.back.set()
        told: list[Outcome] = []

        async def is_taken() -> bool:
            told[:] = await world.send(body)
            return isinstance(told[0], Accepted)

        await until(is_taken, lambda: told)
