from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gateway.bootstrap.ground import clock
from gateway.broker.port import BrokerError, Record, TopicSpec
from gateway.catalog import Catalog
from gateway.status import Status
from tests.unit.gateway.ingress.brokers import TOPIC, WilfulBroker
from tests.world import BARE, FIRST, World, running

A = {"order_id": "A-1", "qty": 1}


class HalfLed(WilfulBroker):
    """A broker where one partition may have no leader."""

    leaderless: tuple[str, int] | None = None

    async def bounds(self, partitions: Sequence[tuple[str, int]]) -> list[tuple[int, int]]:
        """Of all but that partition."""
        if self.leaderless in partitions:
            raise BrokerError("broker_unavailable", "no leader, says the test")
        return await super().bounds(partitions)


def status(world: World, **problems: str) -> Status:
    return Status(
        database=world.parts.ground.database,
        broker=world.parts.broker,
        catalog=world.parts.catalog,
        clock=clock,
        roles=("serve",),
        problems=lambda: problems,
    )


def lag(found: dict[str, Any]) -> dict[str, dict[str, int]]:
    keys = ("end", "sequence", "relay")
    return {one["topic"]: {key: one[key] for key in keys if key in one} for one in found["lag"]}


async def test_what_is_behind_is_told_by_topic_and_role(tmp_path: Path, database_url: str) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(A)
        await world.send({**A, "order_id": "B"}, direction="outbound")
        await world.settled(FIRST + 2)
        found = await status(world, relay="the database is away", serve="").look()
        assert lag(found) == {
            TOPIC: {"end": 1, "sequence": 0},
            "partners.acme.outbound": {"end": 1, "sequence": 0, "relay": 1},
        }
        assert found["broker"] == {"state": "up", "away_ms": 0}
        assert found["claims"] == {"unconfirmed": 0}
        assert found["warnings"] == ["relay: the database is away"]
        assert sorted(one["size"] for one in found["logs"]) == [3, BARE]


async def test_every_partition_of_an_outbound_topic_has_a_lag_of_its_own(
    tmp_path: Path, database_url: str
) -> None:
    broker = HalfLed(tmp_path)
    outbound = "partners.acme.outbound"
    await broker.ensure([TopicSpec(outbound, partitions=3)])
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        await world.settled(FIRST)
        await broker.append([Record(outbound, 2, None, b"no event of the contract", (), clock())])
        found = (await status(world).look())["lag"]
        assert [(one["topic"], one["partition"], one["end"], one.get("relay")) for one in found] == [
            (TOPIC, 0, 0, None),
            (outbound, 0, 0, 0),
            (outbound, 1, 0, 0),
            (outbound, 2, 1, 1),
        ]
        broker.leaderless = (outbound, 2)
        told = [one for one in (await status(world).look())["warnings"] if f"{outbound} [2]" in one]
        assert len(told) == 1
        assert "503" not in told[0]


async def test_with_the_broker_away_the_rest_is_told(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        await world.settled(FIRST)
        broker.away_ms = 2_000
        found = await status(world).look()
        assert (found["broker"]["state"], found["broker"]["away_ms"]) == ("away", 2_000)
        assert found["lag"] == []
        assert found["partners"] == 1
        assert await status(world).ready() == ["the broker has been away for 2000 ms"]
        broker.away_ms = 0
        assert await status(world, relay="stuck").ready() == ["relay: stuck"]


async def test_a_lost_event_is_an_unconfirmed_claim(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        broker.fates = ["lose"]
        await world.send(A)
        assert (await status(world).look())["claims"] == {"unconfirmed": 1}


async def test_a_hole_that_a_role_will_find_is_told_before_it_does(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        await world.send(*({**A, "order_id": f"B-{n}"} for n in range(3)))
        await world.settled(FIRST + 3)
        broker.first_ahead = 5
        broker.end_ahead = 5
        (told,) = (await status(world).look())["warnings"]
        assert f"{TOPIC} [0]: retention took 2 records, from offset 3 to 5, before sequence read them" in told


async def test_records_that_the_broker_lost_are_told(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        await world.send(*({**A, "order_id": f"B-{n}"} for n in range(3)))
        await world.settled(FIRST + 3)
        broker.end_ahead = -1
        told = (await status(world).look())["warnings"]
        assert any(f"{TOPIC} [0] ends at 2, and sequence has read up to 3" in words for words in told)


async def test_one_topic_that_does_not_answer_hides_no_other(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        await world.settled(FIRST)
        broker.silent = {TOPIC: BrokerError("broker_unavailable", "no leader, says the test")}
        found = await status(world).look()
        assert lag(found).keys() == {"partners.acme.outbound"}
        assert found["broker"]["state"] == "up"
        (told,) = found["warnings"]
        assert told.startswith(f"{TOPIC} [0]: no leader, says the test: while the partition has no leader")
        broker.silent = {TOPIC: BrokerError("topic_unknown", "there is none")}
        (told,) = (await status(world).look())["warnings"]
        assert "has somebody deleted it" in told


async def test_where_no_topic_answers_the_broker_counts_as_away(tmp_path: Path, database_url: str) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, url=database_url, broker=broker) as world:
        await world.apply()
        await world.settled(FIRST)
        error = BrokerError("broker_unavailable", "gone, says the test")
        broker.silent = dict.fromkeys((TOPIC, "partners.acme.outbound"), error)
        assert (await status(world).look())["broker"]["reason"] == "gone, says the test"
        error = BrokerError("broker_refused", "not allowed, says the test")
        broker.silent = {TOPIC: error}
        assert (await status(world).look())["broker"]["state"] == "refuses"


async def test_who_has_not_read_the_partners_is_not_ready(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        unread = status(world)
        unread.catalog = Catalog(
            database=unread.database,
            broker=unread.broker,
            topics=lambda _: (),
            event_bytes=1_000,
            refresh_seconds=1.0,
        )
        assert await unread.ready() == ["the partners have not been read from the database yet"]
        await unread.catalog.follow()
        assert await unread.ready() == []
