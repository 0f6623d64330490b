"""Gateways whose schemas are registered elsewhere: in the registry of another gateway, over HTTP."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.administration.desk import ContractText, Wish
from gateway.administration.standing import Seen
from gateway.broker.port import Record, Stored
from gateway.egress.feed import Feed
from gateway.egress.stream import Places, Tap, find_start
from gateway.egress.tails import Tails
from gateway.errors import AwayError, CallerError
from gateway.ingress.outcome import Accepted
from schemas import registry
from schemas.codec import compile_codec
from schemas.framing import encode_guid, encode_prefix
from schemas.schema import parse_schema
from tests.builders import House, make_doors
from tests.external_registry import Library, open_library
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

GROWN = {**ORDER, "fields": [*ORDER["fields"], {"name": "note", "type": ["null", "string"], "default": None}]}
BROKEN = {**ORDER, "fields": [*ORDER["fields"], {"name": "must", "type": "string"}]}
ALIKE = {**ORDER, "doc": "as the team writes it"}
pytestmark = pytest.mark.asyncio(loop_scope="module")

A = {"order_id": "A-1", "customer": None, "qty": 1}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Library]:
    async with open_library(tmp_path_factory.mktemp("library")) as made:
        yield made


@pytest.fixture
def library(opened: Library) -> Library:
    """The one registry of all tests here; each has topics of its own."""
    opened.is_away = False
    opened.asked.clear()
    return opened


@dataclass(frozen=True)
class Own:
    """What is a test's own: a folder, and the names of its topics."""

    library: Library
    folder: Path
    prefix: str

    @property
    def inbound(self) -> str:
        return f"{self.prefix}acme.inbound-com.acme.Order"

    @property
    def outbound(self) -> str:
        return f"{self.prefix}acme.outbound-com.acme.Order"

    @property
    def topic(self) -> str:
        return f"{self.prefix}acme.outbound"

    def running(self, name: str = "one", key: str = "team") -> AbstractAsyncContextManager[World]:
        """A gateway whose registry is the library."""
        folder = self.folder / name
        flags = {**self.library.flags(folder, key), "broker.topic_prefix": self.prefix}
        return running(folder, flags=flags)

    async def subjects(self) -> Any:
        return await self.library.ask(f"GET /subjects?subjectPrefix={self.prefix}")


@pytest.fixture
def own(library: Library, tmp_path: Path) -> Own:
    return Own(library, tmp_path, f"{secrets.token_hex(4)}.")


async def put(world: World, schema: dict[str, Any] = ORDER, wish: Wish = Wish()) -> Any:  # noqa: B008 - immutable
    sent = ContractText(CONTRACT, "acme.yaml", {"order.avsc": json.dumps(schema)})
    return await world.parts.administration.put_contract("acme", sent, wish, by=OPERATOR)


async def ids(world: World, own: Own) -> dict[str, list[tuple[int, int]]]:
    """Number and id of each version that the gateway's own tables hold."""

    def look(session: Any) -> dict[str, list[tuple[int, int]]]:
        return {
            subject: [(one.number, one.id) for one in registry.versions(session, subject)]
            for subject in (own.inbound, own.outbound)
        }

    return await world.parts.ground.database.read(look)


async def test_two_gateways_that_share_a_registry_have_the_same_ids(own: Own) -> None:
    await own.library.register("somebody-value", {**ORDER, "name": "First"})
    async with (
        own.running() as one,
        own.running("two") as two,
    ):
        async with asyncio.TaskGroup() as at_once:
            for each in (one, two):
                at_once.create_task(put(each))
        await put(one, GROWN)
        first = (await own.library.ask(f"GET /subjects/{own.inbound}/versions/1"))["id"]
        second = (await own.library.ask(f"GET /subjects/{own.inbound}/versions/2"))["id"]
        assert (await ids(one, own))[own.inbound] == [(2, second), (1, first)]
        assert (await ids(two, own))[own.inbound] == [(1, first)]
        (sent,) = await two.send(A)
        assert isinstance(sent, Accepted)
        assert sent.schema[2] == first


async def test_a_dry_run_registers_nothing_and_tells_what_the_registry_would(own: Own) -> None:
    async with own.running() as one:
        await put(one, ORDER, Wish(dry_run=True))
        assert await own.subjects() == []
        await put(one)
        blocked = await put(one, BROKEN, Wish(dry_run=True))
        assert "the schema registry refuses it" in blocked.plan
        assert blocked.blocked == ("incompatible",)
        assert await own.library.ask(f"GET /subjects/{own.inbound}/versions") == [1]


async def test_what_is_refused_here_leaves_nothing_there(own: Own) -> None:
    async with own.running() as one:
        with pytest.raises(CallerError) as caught:
            await put(one, ORDER, Wish(if_match=Seen(7)))
        assert caught.value.code == "precondition_failed"
        assert await own.subjects() == []


async def test_what_the_registry_calls_incompatible_is_refused_in_its_words(own: Own) -> None:
    async with own.running() as one:
        await put(one)
        before = (await ids(one, own))[own.inbound]
        with pytest.raises(CallerError) as caught:
            await put(one, BROKEN, Wish(allow=frozenset({"incompatible"})))
        assert caught.value.code == "schema_incompatible"
        assert "incompatible with an earlier schema" in caught.value.text
        assert (await ids(one, own))[own.inbound] == before


async def test_while_it_is_away_contracts_wait_and_events_go_on(own: Own) -> None:
    async with own.running() as one:
        await put(one)
        own.library.is_away = True
        with pytest.raises(AwayError) as caught:
            await put(one, GROWN)
        assert caught.value.code == "registry_unavailable"
        assert "Traceback" not in caught.value.text
        assert isinstance((await one.send(A))[0], Accepted)
        own.library.is_away = False
        assert (await put(one, GROWN)).revision == 2


async def test_credentials_that_it_refuses_are_an_operators_matter(own: Own) -> None:
    async with own.running(key="gw_wrong") as one:
        with pytest.raises(AwayError, match="401") as caught:
            await put(one)
        assert "gw_wrong" not in caught.value.text


async def test_a_database_of_another_registry_is_refused_clearly(own: Own) -> None:
    async with running(own.folder / "one", flags={"broker.topic_prefix": own.prefix}) as one:
        await put(one, GROWN)
    async with own.running() as one:
        with pytest.raises(CallerError) as caught:
            await put(one)
        assert caught.value.code == "state_conflict"
        assert "used with another registry before" in caught.value.text


async def test_our_own_routes_name_the_registry_to_those_who_may_ask(own: Own) -> None:
    async with own.running() as one:
        await put(one)
        assert one.parts.outside is not None
        house = House(one, make_doors(one, external_registry=one.parts.outside.url))
        await house.issue("team", "team")
        schema_id = (await ids(one, own))[own.inbound][0][1]
        async with house.client("team") as team, house.client() as nobody:
            told = await team.get(f"/registry/schemas/ids/{schema_id}")
            asked = await team.post(f"/registry/subjects/{own.inbound}/versions", json={"schema": "{}"})
            refused = await nobody.get("/registry/subjects")
            kept = await team.get(f"/v1/schemas/{schema_id}")
        assert [told.status_code, asked.status_code, told.json()["error_code"]] == [404, 404, 404]
        assert told.json() == asked.json()
        assert own.library.url in told.json()["message"]
        assert (refused.status_code, own.library.url in refused.text) == (401, False)
        assert kept.json() == ORDER


def topic_of(world: World) -> str:
    partner = world.parts.catalog.current.directory.partner("acme")
    assert partner is not None
    return partner.topics.outbound


class Reader:
    """A partner that pulls what is on the outbound topic."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.next: Places | None = None

    async def page(self) -> list[str]:
        """The ids of the events from where the last page ended."""
        catalog, broker = self.world.parts.catalog, self.world.parts.broker
        topic = topic_of(self.world)
        tap = Tap("acme", "outbound", topic, (0,), frozenset(), "http://gw")
        start = self.next or await find_start(broker, tap, catalog.current, "earliest")
        feed = Feed(Tails(broker, catalog, asyncio.Event()), tap, start, is_at_end=False)
        page = await feed.page(10)
        self.next = feed.places
        return [json.loads(item.body)["id"] for item in page.items]

    async def page_at_last(self) -> list[str]:
        """The next page, once the registry has answered."""
        for _ in range(200):
            with suppress(AwayError):
                return await self.page()
            await asyncio.sleep(0.05)
        raise AssertionError("the registry is back, and the reader is told of nothing")


async def produce(world: World, schema: dict[str, Any], order: str, *, schema_id: int | None) -> None:
    """A record of a stock producer: framed by id, or by GUID, without any header of ours."""
    parsed = parse_schema(json.dumps(schema))
    body = {"order_id": order, "customer": None, "qty": 1}
    datum = compile_codec(parsed, (), "plain").avro_from_json(json.dumps(body).encode()).avro
    framing = () if schema_id else (("__value_schema_id", encode_guid(parsed.guid)),)
    value = encode_prefix(schema_id, datum) if schema_id else datum
    made = await world.parts.broker.append([Record(topic_of(world), 0, None, value, framing, 5)])
    assert all(isinstance(one, Stored) for one in made)


async def test_a_record_under_an_id_that_is_not_ours_is_the_contracts_where_it_means_the_same(
    own: Own,
) -> None:
    async with own.running() as one:
        await put(one)
        stranger = await own.library.register(f"{own.topic}-value", ALIKE)
        other = await own.library.register("other-value", {**ORDER, "name": "Other"})
        assert stranger not in {
            number for versions in (await ids(one, own)).values() for _, number in versions
        }
        await produce(one, ORDER, "own", schema_id=(await ids(one, own))[own.outbound][0][1])
        await produce(one, ALIKE, "alike", schema_id=stranger)
        await produce(one, ALIKE, "by guid", schema_id=None)
        await produce(one, ORDER, "other", schema_id=other)
        await produce(one, ORDER, "unknown", schema_id=999)
        await produce(one, ORDER, "last", schema_id=stranger)
        assert await Reader(one).page() == ["own", "alike", "by guid", "last"]
        assert own.library.asked.count(f"GET /schemas/ids/{stranger}") == 1


async def test_a_record_under_an_unknown_id_waits_while_the_registry_is_away(own: Own) -> None:
    async with own.running() as one:
        await put(one)
        stranger = await own.library.register(f"{own.topic}-value", ALIKE)
        own.library.is_away = True
        await produce(one, ORDER, "first", schema_id=(await ids(one, own))[own.outbound][0][1])
        await produce(one, ALIKE, "second", schema_id=stranger)
        reader = Reader(one)
        assert await reader.page() == ["first"]
        with pytest.raises(AwayError) as caught:
            await reader.page()
        assert caught.value.code == "registry_unavailable"
        own.library.is_away = False
        assert await reader.page_at_last() == ["second"]
