import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.administration.consumers import Consumers
from gateway.broker.port import Position, Read, Start, TopicSpec
from gateway.egress.stream import Bounds, Tap, find_start, read_page
from gateway.http.turns import Turns
from tests.builders import House, open_house
from tests.following import listening, until
from tests.unit.gateway.ingress.brokers import WilfulBroker

OUTBOUND = "partners.acme.outbound"
SEND = "/v1/partners/acme/events/order.accepted"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex")) as opened:
        yield opened


async def send(house: House, *numbers: int) -> None:
    async with house.client("team") as client:
        for number in numbers:
            answer = await client.post(SEND, json={"order_id": f"S-{number}", "qty": number})
            assert answer.status_code == 201


async def reading(house: House, count: int = 1) -> None:
    """Wait until so many have their turn."""

    async def have_turns() -> bool:
        return house.doors.stream_turns._held.total() == count

    await until(have_turns)


async def following(house: House) -> None:
    """Wait until somebody has found its place, and follows what comes."""

    async def has_tail() -> bool:
        return bool(house.doors.tails._tails)

    await until(has_tail)


def ids(page: dict[str, Any]) -> list[str]:
    return [item["id"] for item in page["items"]]


async def test_pages_follow_one_another_by_cursor(house: House) -> None:
    await send(house, *range(5))
    async with house.client("acme") as client:
        first = (await client.get("/v1/stream?limit=3")).json()
        second = (await client.get("/v1/stream", params={"cursor": first["cursor"]})).json()
        third = (await client.get("/v1/stream", params={"cursor": second["cursor"]})).json()
        by_header = (await client.get("/v1/stream", headers={"Last-Event-ID": first["cursor"]})).json()
    assert (ids(first), first["caught_up"]) == (["S-0", "S-1", "S-2"], False)
    assert (ids(second), second["caught_up"]) == (["S-3", "S-4"], True)
    assert (ids(third), third["caught_up"]) == ([], True)
    assert ids(by_header) == ids(second)
    assert second["items"][1] == {
        "specversion": "1.0",
        "id": "S-4",
        "source": "/house",
        "type": "order.accepted",
        "datacontenttype": "application/json",
        "dataschema": "http://127.0.0.1:8080/v1/schemas/1",
        "data": {"order_id": "S-4", "customer": None, "qty": 4},
    }


async def test_what_was_erased_is_not_shown_though_the_topic_has_it(house: House) -> None:
    await send(house, 1, 2)
    async with house.client("acme") as client, house.client("operator") as operator:
        before = (await client.get("/v1/stream")).json()
        items = (await client.get("/v1/history", params={"id": "S-1"})).json()["items"]
        ref = items[0]["ref"]
        await client.get(f"/v1/history/{ref}/proof?wait=20")
        wanted = {"refs": [ref], "basis": "case 17"}
        erased = await operator.post("/v1/partners/acme/erasures", json=wanted)
        assert erased.status_code == 201, erased.text
        await house.world.parts.catalog.refresh()
        after = (await client.get("/v1/stream")).json()
        waiting = await client.get("/v1/stream", params={"cursor": before["cursor"], "wait": 0})
    assert (ids(before), ids(after)) == (["S-1", "S-2"], ["S-2"])
    assert after["cursor"] == before["cursor"]
    assert ids(waiting.json()) == []


async def test_a_page_is_cut_before_it_is_too_large_and_the_next_goes_on_there(house: House) -> None:
    async with house.client("team") as client:
        for number in range(7):
            event = {"order_id": f"L-{number}", "customer": "x" * 250_000, "qty": 1}
            assert (await client.post(SEND, json=event)).status_code == 201
    doors, snapshot = house.doors, house.doors.catalog.current
    tap = Tap("acme", "outbound", OUTBOUND, (0,), frozenset(), "http://gw.example")
    places = await find_start(doors.broker, tap, snapshot, "earliest")
    found: list[list[str]] = []
    while True:
        bounds = Bounds(100, 0, doors.stop)
        page = await read_page(doors.broker, tap, snapshot, places, bounds, most_bytes=1)
        found.append([json.loads(one)["id"] for one in page.items])
        places = page.next
        if page.caught_up:
            break
    assert found == [[f"L-{number}" for number in range(5)], ["L-5", "L-6"]]


async def test_a_topic_that_was_made_again_is_read_though_nobody_here_tells(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no relay runs, and only teams write."""
    monkeypatch.setattr("gateway.ingress.publish.Publisher._learn", lambda *_: None)
    catalog = house.doors.catalog
    catalog.topic_changed(OUTBOUND, "another", was=catalog.current.topic_ids[OUTBOUND])
    async with house.client("acme") as client:
        gone = await client.get("/v1/stream", params={"from": "earliest"})
        assert (gone.status_code, gone.json()["code"]) == (410, "cursor_expired")
        for where in ({"cursor": gone.json()["earliest"]}, {"from": "earliest"}):
            assert (await client.get("/v1/stream", params=where)).status_code == 200


@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
async def test_a_consumer_whose_place_is_gone_goes_on_where_from_says(
    house: House, monkeypatch: pytest.MonkeyPatch, accept: str
) -> None:
    await send(house, 1)
    gone: list[bool] = []
    find = Consumers.find

    async def found(self: Consumers, key: Any) -> Any:
        gone.append(True)
        place = await find(self, key)
        return None if place is None else replace(place, topic_id="of a topic that was made again since")

    wanted = {"consumer": "desk", "types": "order.accepted"}
    headers = {"Accept": accept}
    async with house.client("acme") as client:
        page = (await client.get("/v1/stream", params=wanted)).json()
        word = {"cursor": page["cursor"]}
        said = await client.put("/v1/stream/consumers/desk?types=order.accepted", json=word)
        assert said.is_success, said.text
        for more in ({"over_gap": "true"}, {"over_gap": "yes", "from": "now"}):
            early = await client.get("/v1/stream", params={**wanted, **more}, headers=headers)
            assert (early.status_code, early.json()["code"]) == (400, "parameter_invalid"), "before any gap"
        monkeypatch.setattr(Consumers, "find", found)
        for more in ({}, {"from": "earliest"}, {"from": "now"}):
            refused = await client.get("/v1/stream", params={**wanted, **more}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (410, "cursor_expired")
        for more in ({"over_gap": "true"}, {"over_gap": "yes", "from": "now"}):
            refused = await client.get("/v1/stream", params={**wanted, **more}, headers=headers)
            assert (refused.status_code, refused.json()["code"]) == (400, "parameter_invalid")
        over = {**wanted, "from": "earliest", "over_gap": "true"}
        if accept == "application/json":
            assert ids((await client.get("/v1/stream", params=over)).json()) == ["S-1"]
            assert ids((await client.get("/v1/stream", params={**over, "from": "now"})).json()) == []
            # Who was cut off while it read knows better than `from`.
            cut = await client.get("/v1/stream", params=over, headers={"Last-Event-ID": page["cursor"]})
            assert (ids(cut.json()), cut.json()["caught_up"]) == ([], True)
        else:
            url = "/v1/stream?" + urlencode(over)
            async with listening(house) as site, site.follow("acme", url) as follower:
                assert await follower.ids(1) == ["S-1"]
    assert gone


async def test_a_stream_holds_every_partition_of_the_topic(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    await broker.ensure([TopicSpec(OUTBOUND, partitions=3)])
    async with open_house(tmp_path, broker=broker) as house:
        await send(house, *range(4))
        reader = broker.reader()
        topic_id = (await broker.describe([OUTBOUND]))[OUTBOUND].id
        reader.assign([Start(OUTBOUND, Position(topic_id, 0, 0))])
        async with asyncio.timeout(30):
            written = [one.record for one in await reader.poll(4, 20_000) if isinstance(one, Read)]
        await reader.close()
        assert len(written) == 4
        # As a team with a stock producer and keys: the same events, in the other partitions.
        await broker.append([replace(one, partition=1 + at % 2) for at, one in enumerate(written)])
        seen: list[str] = []
        async with house.client("acme") as client:
            cursor: dict[str, str] = {}
            for _ in range(8):
                page = (await client.get("/v1/stream?limit=3", params=cursor)).json()
                seen += ids(page)
                cursor = {"limit": "3", "cursor": page["cursor"]}
                if page["caught_up"]:
                    break
            assert sorted(seen) == sorted(f"S-{number}" for number in (*range(4), *range(4)))
            now = (await client.get("/v1/stream?from=now")).json()
            assert (ids(now), now["caught_up"]) == ([], True)
            await broker.append([replace(written[0], partition=2)])
            for known in (cursor["cursor"], now["cursor"]):
                assert ids((await client.get("/v1/stream", params={"cursor": known})).json()) == ["S-0"]
            since = (await client.get("/v1/stream?from=1h")).json()
            assert len(since["items"]) == 9


async def test_the_times_of_the_records_stand_beside_the_events(house: House) -> None:
    await send(house, *range(2))
    async with house.client("acme") as client:
        page = (await client.get("/v1/stream")).json()
        some = (await client.get("/v1/stream?types=order.accepted&limit=1")).json()
    assert len(page["recorded_at"]) == len(page["items"]) == 2
    assert page["recorded_at"] == sorted(page["recorded_at"])
    assert some["recorded_at"] == page["recorded_at"][:1]
    assert all("recorded_at" not in item for item in page["items"])


async def test_a_waiting_reader_gets_what_comes_meanwhile(house: House) -> None:
    async with house.client("acme") as client, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.get("/v1/stream?wait=30&from=now"))
        await following(house)
        await send(house, 7)
        page = (await waiting).json()
    assert ids(page) == ["S-7"]


async def test_a_reader_that_waits_is_let_go_when_the_program_stops(house: House) -> None:
    async with house.client("acme") as client, asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(client.get("/v1/stream?wait=30"))
        await following(house)
        house.doors.stop.set()
        answer = await waiting
    assert (answer.status_code, answer.json()["items"]) == (200, [])


async def test_from_a_time_on_and_from_now(house: House) -> None:
    await send(house, 1)
    async with house.client("acme") as client:
        since = (await client.get("/v1/stream?from=1h")).json()
        now = (await client.get("/v1/stream?from=now")).json()
        later = (await client.get("/v1/stream?from=2999-01-01T00:00:00Z")).json()
    assert (ids(since), ids(now), ids(later)) == (["S-1"], [], [])


async def test_our_side_reads_either_direction(house: House) -> None:
    await send(house, 1)
    async with house.client("acme") as client, house.client("team") as team:
        await client.post("/v1/events/order.placed", json={"order_id": "in", "qty": 1})
        inbound = (await team.get("/v1/partners/acme/stream?direction=inbound")).json()
        outbound = (await team.get("/v1/partners/acme/stream?direction=outbound")).json()
        received = (await team.get("/v1/partners/acme/stream")).json()
        own = await client.get("/v1/stream?direction=inbound")
    assert (ids(inbound), ids(outbound)) == (["in"], ["S-1"])
    assert received["items"] == inbound["items"], "what our side receives"
    assert own.json()["code"] == "parameter_invalid"


MISFITS = [
    ("types=other", "parameter_invalid"),
    ("from=x", "parameter_invalid"),
    ("wait=31", "parameter_invalid"),
    ("cursor=x", "cursor_invalid"),
    ("cursor=x&from=now", "parameter_invalid"),
]


async def test_parameters_that_do_not_fit_are_refused(house: House) -> None:
    async with house.client("acme") as client:
        for query, code in MISFITS:
            answer = await client.get(f"/v1/stream?{query}")
            assert (answer.status_code, answer.json()["code"]) == (400, code), query


async def test_an_empty_cursor_is_none_and_does_not_begin_anew(house: House) -> None:
    async with house.client("acme") as client:
        empty = await client.get("/v1/stream?cursor=")
        assert (empty.status_code, empty.json()["code"]) == (400, "cursor_invalid")
        # As who has got nothing yet says it.
        assert (await client.get("/v1/stream", headers={"Last-Event-ID": ""})).status_code == 200


async def test_a_cursor_is_of_its_partner_and_types(house: House) -> None:
    async with house.client("acme") as client, house.client("globex") as other:
        cursor = (await client.get("/v1/stream")).json()["cursor"]
        foreign = await other.get("/v1/stream", params={"cursor": cursor})
        filtered = await client.get("/v1/stream", params={"cursor": cursor, "types": "order.accepted"})
    assert {foreign.json()["code"], filtered.json()["code"]} == {"cursor_invalid"}


async def test_more_readers_than_may_be_are_told_to_come_again(house: House) -> None:
    house.doors = replace(house.doors, stream_turns=Turns(most=1))
    async with house.client("acme") as client, house.client("globex") as other, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(client.get("/v1/stream?wait=30"))
        await reading(house)
        second = await other.get("/v1/stream")
        house.doors.stop.set()
        assert (await first).status_code == 200
    assert (second.status_code, second.json()["code"]) == (503, "overloaded")
    assert "retry-after" in second.headers


async def test_a_partner_that_takes_all_its_turns_takes_none_of_another(house: House) -> None:
    house.doors = replace(house.doors, stream_turns=Turns(each=2))
    await house.issue("second", "partner", "acme")
    async with (
        house.client("acme") as client,
        house.client("second") as second,
        house.client("globex") as other,
        house.client("team") as team,
        asyncio.TaskGroup() as tasks,
    ):
        waiting = [tasks.create_task(one.get("/v1/stream?wait=30")) for one in (client, second)]
        await reading(house, 2)
        over = await second.get("/v1/stream")
        foreign = await other.get("/v1/stream")
        ours = await team.get("/v1/partners/acme/stream")
        house.doors.stop.set()
        assert [(await one).status_code for one in waiting] == [200, 200]
        again = await client.get("/v1/stream")
    assert (over.status_code, over.json()["code"]) == (503, "overloaded")
    assert [one.status_code for one in (foreign, ours, again)] == [200, 200, 200]


async def test_our_own_callers_are_counted_by_credential(house: House) -> None:
    house.doors = replace(house.doors, stream_turns=Turns(each=1))
    path = "/v1/partners/acme/stream"
    async with (
        house.client("team") as team,
        house.client("operator") as operator,
        asyncio.TaskGroup() as tasks,
    ):
        waiting = tasks.create_task(team.get(f"{path}?wait=30"))
        await reading(house)
        over = await team.get("/v1/partners/globex/stream")
        other = await operator.get(path)
        house.doors.stop.set()
        assert (await waiting).status_code == 200
    assert (over.status_code, other.status_code) == (503, 200)
