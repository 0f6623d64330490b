"""How a partner's topics differ is asked of the broker where it was not asked lately, and else known."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from gateway.broker.port import BrokerError, Topic, TopicSpec
from gateway.catalog import Catalog
from partners.partner import Partner, dedicated_topics
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.unit.gateway.test_catalog import Timed
from tests.world import running

OUTBOUND = "partners.acme.outbound"
WORDS = "it differs, says the test"


class Asked(WilfulBroker):
    """A broker that keeps whom it was asked about. `differing`: topics that are not as they should be."""

    differing: frozenset[str] = frozenset()

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.asked: list[list[str]] = []
        self.meanwhile: Callable[[], None] | None = None

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """With what differs; `meanwhile` happens once, before that is heard."""
        made = await super().ensure(topics)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return self._told(made)

    async def compare(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """With what differs; kept."""
        self.asked.append([spec.name for spec in topics])
        return self._told(await super().compare(topics))

    def _told(self, found: Mapping[str, Topic]) -> Mapping[str, Topic]:
        return {
            name: replace(topic, mismatches=(WORDS,)) if name in self.differing else topic
            for name, topic in found.items()
        }


class Ensured(WilfulBroker):
    """A broker that keeps what its test had ensured; the world's own catalog asks in a task of its own."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.specs: list[TopicSpec] = []
        self.task = asyncio.current_task()

    async def ensure(self, topics: Sequence[TopicSpec]) -> Mapping[str, Topic]:
        """As asked; kept."""
        if asyncio.current_task() is self.task:
            self.specs += topics
        return await super().ensure(topics)


@dataclass
class Compared(Timed):
    """Asks about acme."""

    seconds: float = 100.0

    async def compare(self) -> tuple[str, ...]:
        partner = self.catalog.current.directory.partner("acme")
        assert partner is not None
        return await self.catalog.compare(partner)


async def test_a_topic_that_keeps_its_records_longer_than_wanted_is_told_and_asked_about_no_sooner(
    tmp_path: Path,
) -> None:
    broker = Ensured(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Compared(world, broker)
        await timed.catalog.refresh()
        wanted = broker.specs[-1]
        assert wanted.retention_ms is not None
        # As with a delivery.hold that was longer once.
        held = replace(wanted, retention_ms=2 * wanted.retention_ms, least_ms=2 * wanted.retention_ms)
        await broker.ensure([held])
        timed.seconds += 30.0
        await timed.catalog.refresh()
        (words,) = timed.catalog.warnings()
        assert held.name in words
        broker.specs.clear()
        for seconds in (3.0, 29.9):
            timed.seconds = 130.0 + seconds
            await timed.catalog.refresh()
        assert broker.specs == []
        timed.seconds = 160.0
        await timed.catalog.refresh()
        assert held.name in {spec.name for spec in broker.specs}


async def test_what_was_compared_lately_is_known_without_a_word_to_the_broker(tmp_path: Path) -> None:
    broker = Asked(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Compared(world, broker)
        broker.differing = frozenset({OUTBOUND})
        await timed.catalog.refresh()
        assert await timed.compare() == (WORDS,)
        timed.seconds = 159.0
        assert await timed.compare() == (WORDS,)
        assert broker.asked == []
        timed.seconds = 161.0
        broker.differing = frozenset()
        assert await timed.compare() == ()
        assert broker.asked == [[TOPIC, OUTBOUND]]
        await timed.catalog.refresh()
        broker.differing = frozenset({TOPIC})
        assert await timed.compare() == ()


async def test_a_topic_that_was_made_anew_is_asked_about(tmp_path: Path) -> None:
    broker = Asked(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Compared(world, broker)
        await timed.catalog.refresh()
        broker.differing = frozenset({TOPIC, OUTBOUND})
        timed.catalog.topic_changed(TOPIC, "another", was=timed.catalog.current.topic_ids[TOPIC])
        assert await timed.compare() == (WORDS,)
        assert broker.asked == [[TOPIC]]


async def test_what_is_told_of_a_topic_that_was_made_anew_meanwhile_is_asked_again(tmp_path: Path) -> None:
    broker = Asked(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Compared(world, broker)
        await timed.catalog.refresh()
        broker.meanwhile = partial(change, timed.catalog, "another")
        timed.seconds += 30.0
        await timed.catalog.refresh()
        broker.differing = frozenset({TOPIC, OUTBOUND})
        assert await timed.compare() == (WORDS,)
        assert broker.asked == [[TOPIC]]


async def test_a_topic_that_goes_while_it_is_asked_about_is_not_known_by_what_was_said_of_it(
    tmp_path: Path,
) -> None:
    broker = Asked(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Compared(world, broker)
        await timed.catalog.refresh()
        broker.meanwhile = partial(change, timed.catalog, None)
        timed.seconds += 30.0
        await timed.catalog.refresh()
        assert not timed.catalog.current.is_ready(TOPIC)
        assert timed.catalog.current.is_ready(OUTBOUND)
        await timed.catalog.refresh()
        assert timed.catalog.current.is_ready(TOPIC)


def change(catalog: Catalog, topic_id: str | None) -> None:
    catalog.topic_changed(TOPIC, topic_id, was=catalog.current.topic_ids[TOPIC])


async def test_topics_of_a_partner_to_come_are_asked_about_each_time(tmp_path: Path) -> None:
    broker = Asked(tmp_path)
    broker.differing = frozenset({"partners.globex.inbound"})
    partner = Partner("globex", "log", "Globex", dedicated_topics("partners.", "globex"), "provisioning")
    async with running(tmp_path, broker=broker) as world:
        catalog = world.parts.catalog
        assert await catalog.compare(partner) == ()
        await broker.ensure([TopicSpec("partners.globex.inbound")])
        assert await catalog.compare(partner) == (WORDS,)
        assert len(broker.asked) == 2
        assert catalog.warnings() == []


async def test_a_broker_that_is_away_tells_nothing(tmp_path: Path) -> None:
    broker = Asked(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply()
        timed = Compared(world, broker)
        await timed.catalog.refresh()
        broker.away_ms = 10
        with pytest.raises(BrokerError):
            await timed.compare()
