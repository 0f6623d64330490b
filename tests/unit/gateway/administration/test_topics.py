import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.broker.port import BrokerError, Topic, TopicSpec
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

REMARK = f"? topic {TOPIC} has 3 partitions, 1 are wanted: "


class Reluctant(WilfulBroker):
    """A broker that may refuse to compare topics. `made`: names of all that it was asked to make."""

    is_refusing = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.made: list[str] = []

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Make them; their names are kept."""
        self.made += [spec.name for spec in topics]
        return await super().ensure(topics)

    async def compare(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """Compare them, unless refusing."""
        if self.is_refusing:
            raise BrokerError("broker_refused", "not allowed, says the test")
        return await super().compare(topics)


async def plan(world: World) -> ContractOutcome:
    text = ContractText(CONTRACT, "acme.yaml", {"order.avsc": json.dumps(ORDER)})
    return await world.parts.administration.put_contract("acme", text, Wish(dry_run=True), by=OPERATOR)


async def test_a_topic_made_elsewhere_is_a_remark_of_the_plan_and_nothing_is_made(tmp_path: Path) -> None:
    broker = Reluctant(tmp_path)
    await broker.ensure([TopicSpec(TOPIC, partitions=3, retention_ms=2_592_000_000)])
    async with running(tmp_path, broker=broker) as world:
        outcome = await plan(world)
        (remark,) = outcome.notes
        assert remark.startswith(REMARK)
        assert f"\n  {remark}\n" in outcome.plan
        assert outcome.blocked == ()
        assert outcome.changed
        assert "partners.acme.outbound" not in broker.made
        await world.apply()
        again = await plan(world)
        assert not again.changed
        assert again.plan.splitlines()[1:] == [f"  {remark}"]


async def test_topics_as_they_should_be_and_topics_to_come_have_no_remark(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        assert (await plan(world)).notes == ()
        await world.apply()
        assert (await plan(world)).notes == ()


async def test_a_plan_does_without_a_broker_that_is_away_or_refuses(tmp_path: Path) -> None:
    broker = Reluctant(tmp_path)
    await broker.ensure([TopicSpec(TOPIC, partitions=3)])
    async with running(tmp_path, broker=broker) as world:
        broker.away_ms = 1_000
        away = await plan(world)
        broker.away_ms, broker.is_refusing = 0, True
        refused = await plan(world)
        assert (refused.plan, refused.notes) == (away.plan, away.notes)
        assert away.notes == ()
        assert away.changed
        broker.is_refusing = False
        assert (await plan(world)).notes
