"""A relay whose process has not heard yet of what another one accepts by."""

import json
from pathlib import Path

import pytest

from gateway.broker.port import TopicChanged
from tests.unit.gateway.egress.stage import take_in_slowly
from tests.unit.gateway.egress.test_feeds import (
    FORWARDING,
    apply_globex,
    entries,
    hooks,
    house_endpoint,
    placed,
    positioned,
    relaying,
    until,
)
from tests.world import CONTRACT, ORDER, World, running


class Late:
    """A catalog of another process: it hears of changes only when it is made to look."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.current = world.parts.catalog.current
        self.topic_changed = world.parts.catalog.topic_changed

    async def follow(self) -> None:
        await self._world.parts.catalog.follow()
        self.current = self._world.parts.catalog.current


async def test_nothing_is_refused_by_contracts_that_are_older_than_it(tmp_path: Path) -> None:
    newer = {**ORDER, "fields": [*ORDER["fields"], {"name": "note", "type": "string", "default": ""}]}
    with hooks() as at:
        async with running(tmp_path) as world:
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk")
            late, relay = Late(world), world.parts.relay
            object.__setattr__(relay._parts, "catalog", late)
            relay._feeds._catalog = relay._outbound._catalog = late
            async with relaying(world):
                await placed(world, "A-1")
                await until(lambda: at.ids("/desk") == ["A-1"], str(at.got))
                await world.apply(files={"order.avsc": json.dumps(newer)})
                await placed(world, "A-2")
                await until(lambda: at.ids("/desk") == ["A-1", "A-2"], str(at.got))
            assert await entries(world, "event.refused") == []


def declared(url: str, *names: str) -> str:
    """The contract, with endpoints of these names."""
    lines = "".join(f'    - {{name: {name}, url: "{url}/{name}"}}\n' for name in names)
    return f"{CONTRACT}endpoints:\n  verification: none\n  declared:\n{lines}"


async def test_an_endpoint_that_the_relay_has_not_heard_of_gets_what_is_sent_from_then_on(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        async with running(tmp_path) as world:
            await world.apply(declared(at.url, "one"))
            late, relay = Late(world), world.parts.relay
            object.__setattr__(relay._parts, "catalog", late)
            relay._feeds._catalog = relay._outbound._catalog = late
            async with relaying(world):
                await world.send({"order_id": "B-1", "qty": 1}, direction="outbound")
                await entries(world, "delivery.attempted", 1)
                await world.apply(declared(at.url, "one", "two"))
                await world.send({"order_id": "B-2", "qty": 1}, direction="outbound")
                await until(lambda: at.ids("/two") == ["B-2"], str(at.got))
                await entries(world, "delivery.attempted", 3)
    assert at.ids("/one") == ["B-1", "B-2"]
    assert at.ids("/two") == ["B-2"]


async def test_who_begins_amid_what_was_polled_keeps_nothing_of_it_from_those_who_were_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_in_slowly(monkeypatch)
    names = [f"A-{number}" for number in range(60)]
    with hooks() as at:
        async with running(tmp_path) as world:
            await apply_globex(world, f"{at.url}/globex")
            await world.apply(FORWARDING)
            await placed(world, *names[:40])
            amid = (world.parts.catalog.current.topic_ids["partners.acme.inbound"], 40)
            await placed(world, *names[40:])
            async with relaying(world):
                await until(lambda: bool(at.ids("/globex")), "the one reads")
                await house_endpoint(world, f"{at.url}/desk", begins=amid)
                await until(lambda: set(at.ids("/desk")) == set(names[40:]), f"{at.ids('/desk')}")
                await until(lambda: set(at.ids("/globex")) == set(names), f"{at.ids('/globex')}")


async def test_a_late_word_of_a_former_topic_takes_nothing_from_who_reads_the_present_one(
    tmp_path: Path,
) -> None:
    """What was polled waits for as long as the database is away; who reads is told by others meanwhile."""
    topic = "partners.acme.inbound"
    with hooks() as at:
        async with running(tmp_path) as world:
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk")
            feeds = world.parts.relay._feeds
            async with relaying(world):
                await placed(world, "A-1")
                await until(lambda: at.ids("/desk") == ["A-1"], str(at.got))
                feeds._take_in(TopicChanged(topic, "the-one-before", None))
                assert [place[0] for place, some in feeds._strands.items() if some] == [topic]
                assert world.parts.catalog.current.is_ready(topic)
                await placed(world, "A-2")
                await until(lambda: at.ids("/desk") == ["A-1", "A-2"], str(at.got))


@pytest.mark.parametrize("ahead_ms", [-8_000, 8_000])
async def test_an_endpoint_of_the_house_begins_where_the_topic_ended_whoever_s_clock_is_ahead(
    tmp_path: Path, ahead_ms: int
) -> None:
    """Whoever makes it has another clock than whoever accepts."""
    with hooks() as at:
        async with running(tmp_path) as world:
            await world.apply()
            await placed(world, "before")
            await house_endpoint(world, f"{at.url}/desk", at=world.parts.ground.clock() + ahead_ms)
            await placed(world, "A-1")
            async with relaying(world):
                await placed(world, "A-2")
                await until(lambda: len(at.got) == 2, str(at.got))
                await positioned(world, 3)
    assert sorted(at.ids("/desk")) == ["A-1", "A-2"]


async def test_where_nobody_knows_where_it_begins_nothing_is_kept_from_it_by_clocks(tmp_path: Path) -> None:
    """As of one that was made while the broker was away."""
    with hooks() as at:
        async with running(tmp_path) as world:
            await world.apply()
            ahead = world.parts.ground.clock() + 8_000
            await house_endpoint(world, f"{at.url}/desk", at=ahead, begins=None)
            await placed(world, "A-1")
            far = world.parts.ground.clock() + 90_000
            await house_endpoint(world, f"{at.url}/far", name="far", at=far, begins=None)
            await placed(world, "A-2")
            async with relaying(world):
                await until(lambda: len(at.got) == 2, str(at.got))
                await positioned(world, 2)
    assert sorted(at.ids("/desk")) == ["A-1", "A-2"]
    assert at.ids("/far") == []
