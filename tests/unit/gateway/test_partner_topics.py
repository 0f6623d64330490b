"""How long partners' topics keep records: as the settings say, or as long as contracts hold what waits."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.broker.port import BrokerError, Topic, TopicSpec
from gateway.ingress.outcome import Accepted
from gateway.units import parse_duration
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

OUTBOUND = "partners.acme.outbound"
GLOBEX = """\
gateway: v1
partner: globex
name: Globex
receives:
  order.received: {schema: order.avsc, id: /order_id}
"""
FORWARDING = CONTRACT.replace("key: /customer}", "key: /customer, forward: {to: globex, as: order.received}}")


def held(time: str, contract: str = CONTRACT) -> str:
    return f"{contract}delivery: {{hold: {time}}}\n"


class Watched(WilfulBroker):
    """A broker that may be away, or not let a topic be lengthened. `asked`: about what, each time."""

    is_away = False
    denied: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[list[TopicSpec]] = []

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        if self.is_away:
            raise BrokerError("broker_unavailable", "the broker is away, says the test")
        self.asked.append(list(topics))
        meek = [replace(spec, least_ms=0) if spec.name in self.denied else spec for spec in topics]
        return await super().ensure(meek)


async def kept(world: World, *topics: str) -> list[str]:
    """How many days each topic keeps its records, as the broker has it."""
    found = await world.parts.broker.compare([TopicSpec(topic) for topic in topics])
    return [f"{(found[topic].keeps_ms or 0) // parse_duration('1d')}d" for topic in topics]


async def plan(world: World, contract: str, slug: str = "acme") -> ContractOutcome:
    text = ContractText(contract, f"{slug}.yaml", {"order.avsc": json.dumps(ORDER)})
    return await world.parts.administration.put_contract(slug, text, Wish(dry_run=True), by=OPERATOR)


@pytest.mark.parametrize(("hold", "days"), [("60d", "60d"), ("1h", "30d"), ("0s", "30d")])
async def test_a_new_partners_outbound_topic_keeps_the_longer_of_setting_and_hold(
    tmp_path: Path, hold: str, days: str
) -> None:
    async with running(tmp_path) as world:
        planned = await plan(world, held(hold))
        assert planned.notes == ()
        await world.apply(held(hold))
        assert await kept(world, TOPIC, OUTBOUND) == ["30d", days]
        assert world.parts.catalog.warnings() == []


async def test_what_no_contract_says_stays_with_the_setting(tmp_path: Path) -> None:
    async with running(tmp_path, flags={"broker.retention": "7d"}) as world:
        await world.apply()
        assert await kept(world, TOPIC, OUTBOUND) == ["7d", "7d"]


@pytest.mark.parametrize(("hold", "first"), [("", 1), ("1d", 0)])
async def test_what_waits_longer_than_the_setting_is_there_as_long_as_it_is_held(
    tmp_path: Path, hold: str, first: int
) -> None:
    broker = Watched(tmp_path)
    async with running(tmp_path, broker=broker, flags={"broker.retention": "1ms"}) as world:
        await world.apply(held(hold) if hold else CONTRACT)
        (sent,) = await world.send({"order_id": "A-1", "qty": 1}, direction="outbound")
        assert isinstance(sent, Accepted)
        await asyncio.sleep(0.02)
        await broker.trim()
        assert await broker.bounds([(OUTBOUND, 0)]) == [(first, 1)]


async def test_a_topic_that_is_there_is_lengthened_by_apply_and_the_plan_says_so(tmp_path: Path) -> None:
    broker = Watched(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        planned = await plan(world, held("60d"))
        assert planned.plan.splitlines() == [
            "acme   contract 1 -> 2",
            "  ~ delivery hold none -> 60d",
            f"  ~ topic {OUTBOUND}  keeps its records 30d -> 60d",
            "1 to change.",
        ]
        assert await kept(world, OUTBOUND) == ["30d"]
        before = len(broker.asked)
        await world.apply(held("60d"))
        assert await kept(world, TOPIC, OUTBOUND) == ["30d", "60d"]
        assert [[spec.name for spec in asked] for asked in broker.asked[before:]] == [[OUTBOUND]]
        assert world.parts.catalog.warnings() == []
        await world.parts.catalog.refresh()
        assert (await plan(world, held("60d"))).plan == "acme   contract 2: no change"
        assert (await plan(world, held("70d", CONTRACT.replace("GmbH", "AG")))).notes == (
            f"~ topic {OUTBOUND}  keeps its records 60d -> 70d",
        )


async def test_ended_between_a_contract_and_its_topics_the_next_process_lengthens_them(
    tmp_path: Path,
) -> None:
    broker = Watched(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        broker.is_away = True
        await world.apply(held("60d"))
        assert await kept(world, OUTBOUND) == ["30d"]
    async with running(tmp_path) as world:
        assert await kept(world, TOPIC, OUTBOUND) == ["30d", "60d"]
        assert world.parts.catalog.warnings() == []
        assert (await plan(world, held("60d"))).plan == "acme   contract 2: no change"


async def test_a_lower_hold_shortens_no_topic_and_plan_and_status_say_so(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(held("60d"))
        stays = (
            f"? topic {OUTBOUND}  keeps its records 60d as before, 30d would do: no topic is ever shortened"
        )
        for contract in (held("1d"), CONTRACT):
            (note,) = (await plan(world, contract)).notes
            assert note.startswith(stays)
        await world.apply(held("1d"))
        assert await kept(world, OUTBOUND) == ["60d"]
        (words,) = world.parts.catalog.warnings()
        assert words.startswith(f"{OUTBOUND} keeps its records 60d, wanted: 30d: ")
        assert (await plan(world, held("2d"))).notes == (f"? topic {words}",)
        await world.apply(held("60d"))
        assert world.parts.catalog.warnings() == []


async def test_what_is_forwarded_to_a_partner_is_kept_in_the_senders_topic(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(GLOBEX, slug="globex")
        await world.apply(held("45d", FORWARDING))
        assert await kept(world, TOPIC, OUTBOUND) == ["30d", "45d"]
        planned = await plan(world, held("90d", GLOBEX), "globex")
        assert planned.notes == (
            "~ topic partners.globex.outbound  keeps its records 30d -> 90d",
            f"~ topic {TOPIC}  keeps its records 30d -> 90d",
        )
        await world.apply(held("90d", GLOBEX), slug="globex")
        topics = (TOPIC, OUTBOUND, "partners.globex.inbound", "partners.globex.outbound")
        assert await kept(world, *topics) == ["90d", "45d", "30d", "90d"]
        (note,) = (await plan(world, held("45d"))).notes
        assert note.startswith(f"? topic {TOPIC}  keeps its records 90d as before, 30d would do")


async def test_a_forward_that_begins_lengthens_the_senders_topic(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(held("90d", GLOBEX), slug="globex")
        await world.apply()
        assert (await plan(world, FORWARDING)).notes == (f"~ topic {TOPIC}  keeps its records 30d -> 90d",)
        await world.apply(FORWARDING)
        assert await kept(world, TOPIC, OUTBOUND) == ["90d", "30d"]


async def test_a_topic_that_may_not_be_lengthened_is_a_warning_and_tried_again(tmp_path: Path) -> None:
    broker = Watched(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        broker.denied = frozenset({OUTBOUND})
        await world.apply(held("60d"))
        (words,) = world.parts.catalog.warnings()
        assert words.startswith(f"{OUTBOUND} keeps its records 30d, wanted: 60d: ")
        assert (await plan(world, held("60d"))).notes == (f"? topic {words}",)
        broker.denied = frozenset()
        # It is looked at again some seconds later.
        world.parts.catalog._topics._compare_at = 0.0
        await world.parts.catalog.refresh()
        assert await kept(world, OUTBOUND) == ["60d"]
        assert world.parts.catalog.warnings() == []


async def test_of_an_away_broker_a_plan_foresees_nothing(tmp_path: Path) -> None:
    broker = Watched(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        broker.away_ms = 1_000
        assert (await plan(world, held("60d"))).notes == ()
