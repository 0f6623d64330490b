"""Server-sent events over a real connection: nothing missed, nothing twice, and an end when it is time."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.bootstrap.ground import clock, entropy
from gateway.broker.embedded import EmbeddedBroker
from gateway.broker.embedded_reader import EmbeddedReader
from gateway.broker.port import BrokerError
from gateway.http.turns import Turns
from partners.credential import DAY_MS
from tests.builders import CONTRACTS, House, open_house
from tests.following import EVENTS, Site, listening, until
from tests.world import OPERATOR, ORDER

SEND = "/v1/partners/acme/events/order.accepted"


class Counting(EmbeddedBroker):
    """Counts the readers that were asked for; `ahead_ms`: how much older all records are.

    `refusal`: what asking for one ends in.
    """

    def __init__(self, folder: Path) -> None:
        """A broker in a folder, for a world in the same one."""
        self.readers = self.ahead_ms = 0
        self.refusal: BrokerError | None = None
        super().__init__(
            folder / "broker.db",
            clock=lambda: clock() + self.ahead_ms,
            entropy=entropy,
            limit_bytes=1 << 30,
        )

    def reader(self, *, patience_ms: int = 0) -> EmbeddedReader:
        self.readers += 1
        if self.refusal is not None:
            raise self.refusal
        return super().reader(patience_ms=patience_ms)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, broker=Counting(tmp_path)) as opened:
        yield opened


@pytest.fixture
async def site(house: House) -> AsyncIterator[Site]:
    async with listening(house) as opened:
        yield opened


async def send(house: House, *names: str, note: str = "") -> None:
    async with house.client("team") as client:
        body = "\n".join(json.dumps({"order_id": name, "customer": note or None, "qty": 1}) for name in names)
        answer = await client.post(SEND, content=body, headers={"Content-Type": "application/x-ndjson"})
        assert answer.status_code == 200, answer.text


async def is_free(house: House) -> bool:
    """Whether acme has a turn left."""
    async with house.client("acme") as client:
        return (await client.get("/v1/stream?from=now")).status_code == 200


async def listed(house: House, state: str) -> Any:
    async with house.client("acme") as client:
        return (await client.get("/v1/history", params={"state": state})).json()["items"]


def names(first: int, count: int) -> list[str]:
    return [f"S-{number:04}" for number in range(first, first + count)]


async def test_events_come_as_they_are_sent_each_with_its_cursor(house: House, site: Site) -> None:
    async with site.follow("acme", "/v1/stream?from=now") as follower:
        assert follower.answer.headers["content-type"] == "text/event-stream"
        assert follower.answer.headers["cache-control"] == "no-store"
        assert follower.answer.headers["x-accel-buffering"] == "no"
        await send(house, "S-1")
        block = await follower.block()
    event = json.loads(block["data"])
    assert (event["id"], event["type"], event["source"]) == ("S-1", "order.accepted", "/house")
    assert block["recorded_at"].endswith("Z")
    async with house.client("acme") as client:
        await send(house, "S-2")
        page = (await client.get("/v1/stream", params={"cursor": block["id"]})).json()
    assert [one["id"] for one in page["items"]] == ["S-2"]


async def test_who_is_behind_reads_pages_and_joins_the_tail_without_a_gap_or_a_double(
    house: House, site: Site
) -> None:
    await send(house, *names(0, 250))
    async with site.follow("acme") as follower, asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send(house, *names(250, 150)))
        seen = await follower.ids(400)
        await sending
        await send(house, "last")
        seen += await follower.ids(1)
    assert seen == [*names(0, 400), "last"]


async def test_a_stream_goes_on_where_it_was_cut(house: House, site: Site) -> None:
    async with site.follow("acme") as follower:
        await send(house, *names(0, 5))
        assert await follower.ids(3) == names(0, 3)
        last = follower.last_id
    await send(house, "S-0005")
    async with site.follow("acme", "/v1/stream?from=now", last) as follower:
        assert await follower.ids(3) == names(3, 3)
    async with site.follow("acme", f"/v1/stream?cursor={last}") as follower:
        assert await follower.ids(3) == names(3, 3)


async def test_who_has_got_nothing_yet_resumes_at_its_beginning(house: House, site: Site) -> None:
    async with site.follow("acme", "/v1/stream?from=now") as follower:
        last = follower.last_id
    await send(house, "S-1")
    async with site.follow("acme", "/v1/stream?from=now", last) as follower:
        assert await follower.ids(1) == ["S-1"]


async def test_all_who_follow_a_topic_share_one_reader(house: House, site: Site) -> None:
    broker = house.doors.broker
    assert isinstance(broker, Counting)
    async with site.follow("acme", "/v1/stream?from=now") as first:
        await send(house, "S-1")
        assert await first.ids(1) == ["S-1"]
        before = broker.readers
        async with (
            site.follow("acme", "/v1/stream?from=now") as second,
            site.follow("acme", "/v1/stream?from=now&types=order.accepted") as third,
            site.follow("acme", "/v1/stream", first.last_id) as fourth,
            site.client("acme") as client,
            asyncio.TaskGroup() as tasks,
        ):
            waiting = tasks.create_task(client.get(f"/v1/stream?wait=30&cursor={first.last_id}"))
            await send(house, "S-2")
            for follower in (first, second, third, fourth):
                assert await follower.ids(1) == ["S-2"]
            assert [one["id"] for one in (await waiting).json()["items"]] == ["S-2"]
        assert broker.readers == before


async def test_a_broker_that_refuses_holds_a_stream_up_and_no_longer(house: House, site: Site) -> None:
    broker = house.doors.broker
    assert isinstance(broker, Counting)
    broker.refusal = BrokerError("broker_refused", "no right to read, says the test")
    async with site.follow("acme", "/v1/stream?from=now") as follower, site.client("acme") as client:
        refused = await client.get("/v1/stream")
        assert (refused.status_code, refused.json()["code"]) == (503, "broker_unavailable")
        await send(house, "S-1")

        async def asked() -> bool:
            return broker.readers > 3

        assert await until(asked)
        broker.refusal = None
        assert await follower.ids(1) == ["S-1"]


async def test_types_narrow_a_stream_whose_cursor_moves_on_all_the_same(
    tmp_path: Path,
) -> None:
    async with open_house(tmp_path, beat_seconds=1) as house, listening(house) as site:
        two = CONTRACTS.replace("{slug}", "acme") + "  order.gone: {schema: gone.avsc, id: /order_id}\n"
        schema = {"type": "record", "name": "Gone", "fields": [{"name": "order_id", "type": "string"}]}
        await house.world.apply(two, {"order.avsc": json.dumps(ORDER), "gone.avsc": json.dumps(schema)})
        async with site.follow("acme", "/v1/stream?from=now&types=order.gone") as follower:
            begun = follower.last_id
            await send(house, *names(0, 3))
            while follower.last_id == begun:
                assert "data" not in await follower.block()
            moved = follower.last_id
            async with house.client("team") as team:
                await team.post("/v1/partners/acme/events/order.gone", json={"order_id": "G-1"})
            assert await follower.ids(1) == ["G-1"]
        async with house.client("acme") as client:
            page = await client.get("/v1/stream", params={"types": "order.gone", "cursor": moved})
        assert [one["id"] for one in page.json()["items"]] == ["G-1"]


async def test_a_silent_stream_gives_signs_of_life(tmp_path: Path) -> None:
    async with (
        open_house(tmp_path, beat_seconds=1) as house,
        listening(house) as site,
        site.follow("acme") as follower,
    ):
        while follower.beats < 2:
            assert await follower.block() == {}


async def test_a_revoked_key_ends_the_stream_and_opens_none(house: House, site: Site) -> None:
    key = house.credentials["acme"].id
    async with site.follow("acme") as follower:
        administration = house.world.parts.administration
        await administration.revoke_credential(key, owner=None, reason="leaked", by=OPERATOR)
        assert await follower.rest() == []
    async with site.client("acme") as client:
        again = await client.get("/v1/stream", headers={**EVENTS, "Last-Event-ID": follower.last_id})
    assert (again.status_code, again.json()["code"]) == (401, "credential_revoked")


async def test_a_key_that_expires_ends_the_stream(tmp_path: Path) -> None:
    async with open_house(tmp_path, beat_seconds=1) as house:
        await house.issue("short", "partner", "acme", not_after=clock() + DAY_MS)
        ahead = [0]
        house.doors = replace(house.doors, clock=lambda: clock() + ahead[0])
        async with listening(house) as site, site.follow("short") as follower:
            ahead[0] = 2 * DAY_MS
            assert await follower.rest() == []


async def test_a_suspended_partner_s_stream_ends(house: House, site: Site) -> None:
    async with site.follow("acme") as follower, house.client("operator") as operator:
        moved = await operator.post("/v1/partners/acme/suspend", json={"reason": "a test"})
        assert moved.status_code == 200
        assert await follower.rest() == []


async def test_a_stream_ends_whole_when_the_program_ends(house: House, site: Site) -> None:
    async with site.follow("acme") as follower:
        await send(house, "S-1")
        assert await follower.ids(1) == ["S-1"]
        house.doors.stop.set()
        assert await follower.rest() == []


async def test_who_leaves_gives_its_turn_back(house: House) -> None:
    house.doors = replace(house.doors, stream_turns=Turns(each=1))
    async with listening(house) as site:
        async with site.follow("acme"), site.client("acme") as client:
            over = await client.get("/v1/stream", headers=EVENTS)
            assert (over.status_code, over.json()["code"]) == (503, "overloaded")
        assert await until(lambda: is_free(house))


async def test_a_client_that_takes_nothing_is_given_up(tmp_path: Path) -> None:
    async with open_house(tmp_path, stall_seconds=1) as house:
        house.doors = replace(house.doors, stream_turns=Turns(each=1))
        async with listening(house) as site:
            port = int(site.url.rpartition(":")[2])
            line = socket.socket()
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            line.connect(("127.0.0.1", port))
            words = f"GET /v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.keys['acme']}\r\n"
            line.sendall(f"{words}Accept: text/event-stream\r\n\r\n".encode())
            for number in range(60):
                await send(house, f"L-{number}", note="x" * 200_000)
            assert await until(lambda: is_free(house))
            line.close()


async def test_our_side_s_look_is_logged_before_it_sees_anything(house: House, site: Site) -> None:
    async with (
        site.follow("team", "/v1/partners/acme/stream?from=now") as follower,
        house.client("acme") as client,
    ):
        await client.post("/v1/events/order.placed", json={"order_id": "in", "qty": 1})
        assert await follower.ids(1) == ["in"]
    (row,) = await until(lambda: listed(house, "read"))
    assert row["route"] == "GET /v1/partners/{p}/stream?direction=inbound"
    assert row["by"]["role"] == "team"


async def test_a_cursor_into_what_is_gone_is_told_with_the_earliest(house: House, site: Site) -> None:
    broker = house.doors.broker
    assert isinstance(broker, Counting)
    async with site.client("acme") as client:
        cursor = (await client.get("/v1/stream")).json()["cursor"]
        await send(house, "S-1")
        broker.ahead_ms = 40 * DAY_MS
        await broker.trim()
        for headers in ({}, EVENTS):
            gone = await client.get("/v1/stream", params={"cursor": cursor}, headers=headers)
            assert (gone.status_code, gone.json()["code"]) == (410, "cursor_expired")
            assert "earliest" in gone.json()["detail"]
        earliest = await client.get("/v1/stream", params={"cursor": gone.json()["earliest"]})
    assert (earliest.status_code, earliest.json()["items"]) == (200, [])


REFUSED = [
    ("/v1/stream?wait=3", EVENTS, "parameter_invalid"),
    ("/v1/stream?limit=3", EVENTS, "parameter_invalid"),
    ("/v1/stream", {"Accept": "text/html"}, "not_acceptable"),
    ("/v1/stream", {"Accept": "application/json;q=0, text/event-stream;q=0.0"}, "not_acceptable"),
    ("/v1/stream?cursor=x", EVENTS, "cursor_invalid"),
]


async def test_what_does_not_go_together_is_refused(site: Site) -> None:
    async with site.client("acme") as client:
        for path, headers, code in REFUSED:
            assert (await client.get(path, headers=headers)).json()["code"] == code, path
        head = await client.head("/v1/stream", headers=EVENTS)
        assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream")
        assert (await client.get("/v1/stream", headers={"Accept": "text/html, */*;q=0.1"})).json()[
            "items"
        ] == []
