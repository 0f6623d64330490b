"""Named readers of a stream: their word is an entry of the log, and it is not taken back by chance."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.administration.consumers import MOST_CONSUMERS
from gateway.egress.stream import Places
from gateway.http.stream_places import seal_places
from tests.builders import House, open_house
from tests.following import until

SEND = "/v1/partners/acme/events/order.accepted"
MAIN = "/v1/stream/consumers/main"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex")) as opened:
        yield opened


@pytest.fixture
async def client(house: House) -> AsyncIterator[httpx.AsyncClient]:
    async with house.client("acme") as opened:
        yield opened


async def send(house: House, *numbers: int) -> None:
    async with house.client("team") as team:
        for number in numbers:
            sent = await team.post(SEND, json={"order_id": f"S-{number}", "qty": number})
            assert sent.status_code == 201


async def read(client: httpx.AsyncClient, query: str = "") -> tuple[list[str], str]:
    page = (await client.get(f"/v1/stream{query}")).json()
    return [one["id"] for one in page["items"]], page["cursor"]


async def commit(client: httpx.AsyncClient, cursor: str, query: str = "", path: str = MAIN) -> httpx.Response:
    return await client.put(f"{path}{query}", json={"cursor": cursor})


async def acknowledged(house: House, count: int) -> list[dict[str, Any]]:
    """What the log of acme tells of its readers, oldest first."""

    async def look() -> list[dict[str, Any]]:
        async with house.client("acme") as client:
            found = (await client.get("/v1/history?state=streamed")).json()["items"]
        return found if len(found) >= count else []

    return (await until(look))[::-1]


async def test_a_consumer_goes_on_where_it_said_that_it_has_the_events(
    house: House, client: httpx.AsyncClient
) -> None:
    await send(house, 0, 1, 2)
    assert (await client.get(MAIN)).status_code == 404
    ids, cursor = await read(client, "?consumer=main&limit=2")
    assert ids == ["S-0", "S-1"], "from the earliest, as long as it has said nothing"
    said = await commit(client, cursor)
    assert (said.status_code, said.json()["name"], said.json()["types"]) == (200, "main", [])
    assert (await read(client, "?consumer=main"))[0] == ["S-2"]
    shown = (await client.get(MAIN)).json()
    assert shown == said.json()
    assert (await read(client, f"?cursor={shown['cursor']}"))[0] == ["S-2"]


async def test_its_word_is_an_entry_that_names_topic_and_offsets(
    house: House, client: httpx.AsyncClient
) -> None:
    await send(house, 0, 1, 2)
    _, first = await read(client, "?limit=2")
    _, second = await read(client)
    for cursor in (first, second, second):
        assert (await commit(client, cursor)).status_code == 200
    one, two = await acknowledged(house, 2)
    assert (one["consumer"], one["topic"], one["types"]) == ("main", "partners.acme.outbound", [])
    assert one["ranges"] == [{"partition": 0, "from": 0, "to": 2}]
    assert two["ranges"] == [{"partition": 0, "from": 2, "to": 3}]
    assert one["by"] == {"role": "partner", "credential": house.credentials["acme"].id}
    await send(house, 3)
    await commit(client, (await read(client))[1])
    assert len(await acknowledged(house, 3)) == 3, "the same again said nothing new"


async def test_back_it_goes_only_if_it_says_so(house: House, client: httpx.AsyncClient) -> None:
    await send(house, 0, 1)
    _, first = await read(client, "?limit=1")
    _, second = await read(client)
    await commit(client, second)
    back = await commit(client, first)
    assert (back.status_code, back.json()["code"]) == (412, "precondition_failed")
    assert "rewind=true" in back.json()["hint"]
    assert (await read(client, "?consumer=main"))[0] == []
    tried = await commit(client, first, "?rewind=true&dry_run=true")
    assert (tried.status_code, tried.json()["dry_run"]) == (200, True)
    assert (await read(client, "?consumer=main"))[0] == []
    assert (await commit(client, first, "?rewind=true")).status_code == 200
    assert (await read(client, "?consumer=main"))[0] == ["S-1"]
    assert (await acknowledged(house, 2))[1]["ranges"] == [{"partition": 0, "from": 2, "to": 1}]


async def test_who_reads_some_types_acknowledges_those(house: House, client: httpx.AsyncClient) -> None:
    await send(house, 0)
    _, cursor = await read(client, "?types=order.accepted")
    other = await commit(client, cursor)
    assert (other.status_code, other.json()["code"]) == (400, "cursor_invalid")
    said = await commit(client, cursor, "?types=order.accepted")
    assert said.json()["types"] == ["order.accepted"]
    assert (await acknowledged(house, 1))[0]["types"] == ["order.accepted"]
    assert (await read(client, f"?types=order.accepted&cursor={said.json()['cursor']}"))[0] == []


async def test_more_types_at_the_same_place_are_a_word_of_what_is_new(
    house: House, client: httpx.AsyncClient
) -> None:
    await send(house, 0, 1)
    some, more = "order.accepted", "order.accepted,gateway.contract.changed"
    for types in (some, more, some, "", some):
        query = f"?types={types}" if types else ""
        assert (await commit(client, (await read(client, query))[1], query)).status_code == 200
    told = [(one["types"], one["ranges"]) for one in await acknowledged(house, 3)]
    has_two = [{"partition": 0, "from": 0, "to": 2}]
    assert told == [(["order.accepted"], has_two), (["gateway.contract.changed"], has_two), ([], has_two)]


async def test_more_types_further_on_are_acknowledged_from_the_first_event(
    house: House, client: httpx.AsyncClient
) -> None:
    some, more = "?types=order.accepted", "?types=order.accepted,gateway.contract.changed"
    await send(house, 0)
    await commit(client, (await read(client, some))[1], some)
    await send(house, 1)
    await commit(client, (await read(client, more))[1], more)
    told = [
        (one["types"], one["ranges"][0]["from"], one["ranges"][0]["to"])
        for one in await acknowledged(house, 3)
    ]
    assert told[0] == (["order.accepted"], 0, 1)
    assert sorted(told[1:]) == [
        (["gateway.contract.changed"], 0, 1),
        (["gateway.contract.changed", "order.accepted"], 1, 2),
    ]


async def test_types_are_the_same_in_any_order(house: House, client: httpx.AsyncClient) -> None:
    await send(house, 0)
    one, other = "order.accepted,gateway.contract.changed", "gateway.contract.changed,order.accepted"
    _, cursor = await read(client, f"?types={one}")
    said = await commit(client, cursor, f"?types={one}")
    for types in (one, other):
        page = await client.get(f"/v1/stream?types={types}&cursor={said.json()['cursor']}")
        assert (page.status_code, page.json().get("items")) == (200, []), page.text


async def test_a_forgotten_consumer_begins_anew(house: House, client: httpx.AsyncClient) -> None:
    await send(house, 0)
    await commit(client, (await read(client))[1])
    assert (await client.delete(f"{MAIN}?dry_run=true")).status_code == 204
    assert (await client.get(MAIN)).status_code == 200
    assert (await client.delete(MAIN)).status_code == 204
    assert [(await client.delete(MAIN)).status_code, (await client.get(MAIN)).status_code] == [404, 404]
    assert (await read(client, "?consumer=main"))[0] == ["S-0"]
    assert (await read(client, "?consumer=main&from=now"))[0] == []


async def test_each_side_and_each_partner_has_consumers_of_its_own(
    house: House, client: httpx.AsyncClient
) -> None:
    await client.post("/v1/events/order.placed", json={"order_id": "in", "qty": 1})
    path = "/v1/partners/acme/stream/consumers/main"
    async with house.client("team") as team, house.client("globex") as globex:
        page = (await team.get("/v1/partners/acme/stream?consumer=main")).json()
        assert [one["id"] for one in page["items"]] == ["in"]
        said = await commit(team, page["cursor"], path=path)
        assert (said.status_code, said.json()["direction"]) == (200, "inbound")
        assert (await team.get("/v1/partners/acme/stream?consumer=main")).json()["items"] == []
        assert (await team.get(path)).status_code == 200
        assert (await team.get(f"{path}?direction=outbound")).status_code == 404
        assert (await client.get(MAIN)).status_code == 404
        assert (await globex.get(MAIN)).status_code == 404
        foreign = await commit(globex, (await read(client))[1])
        assert foreign.json()["code"] == "cursor_invalid"
    (row,) = await acknowledged(house, 1)
    assert (row["direction"], row["by"]["role"]) == ("inbound", "team")


REFUSED = [
    (f"{MAIN}", {"cursor": 1}, 400, "parameter_invalid"),
    (f"{MAIN}", {}, 400, "parameter_invalid"),
    (f"{MAIN}", {"cursor": "x", "more": 1}, 400, "parameter_invalid"),
    (f"{MAIN}?types=other", {"cursor": "x"}, 400, "parameter_invalid"),
    (f"{MAIN}?direction=inbound", {"cursor": "x"}, 400, "parameter_invalid"),
    ("/v1/stream/consumers/.hidden", {"cursor": "x"}, 404, "not_found"),
    ("/v1/stream/consumers/" + "n" * 65, {"cursor": "x"}, 404, "not_found"),
]


async def test_what_can_be_no_word_is_refused(client: httpx.AsyncClient) -> None:
    for path, body, status, code in REFUSED:
        answer = await client.put(path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code), path
    for query in ("consumer=%2F", "consumer=main&cursor=x"):
        assert (await client.get(f"/v1/stream?{query}")).json()["code"] == "parameter_invalid"


async def test_there_are_so_many_consumers_and_no_more(client: httpx.AsyncClient) -> None:
    _, cursor = await read(client)
    for number in range(MOST_CONSUMERS):
        assert (await commit(client, cursor, path=f"/v1/stream/consumers/c{number}")).status_code == 200
    more = await commit(client, cursor, path="/v1/stream/consumers/other")
    assert (more.status_code, more.json()["code"]) == (409, "limit_reached")


async def test_a_place_that_retention_has_passed_is_told(house: House, client: httpx.AsyncClient) -> None:
    _, cursor = await read(client)
    await commit(client, cursor)
    # The topic was made again: what lies at the place is another's.
    await house.doors.database.write(
        lambda session: session.connection().exec_driver_sql("UPDATE gateway_consumer SET topic_id = 'gone'")
    )
    gone = await client.get("/v1/stream?consumer=main")
    assert (gone.status_code, gone.json()["code"]) == (410, "cursor_expired")
    said = await commit(client, gone.json()["earliest"])
    assert said.status_code == 200
    assert (await read(client, "?consumer=main"))[0] == []


async def test_consumers_are_listed_by_name_each_as_it_is_shown(
    house: House, client: httpx.AsyncClient
) -> None:
    await send(house, 0, 1)
    assert (await client.get("/v1/stream/consumers")).json() == {"items": [], "next": None}
    _, cursor = await read(client, "?limit=1")
    shown = []
    for name in ("aside", "main"):
        assert (await commit(client, cursor, path=f"/v1/stream/consumers/{name}")).status_code == 200
        shown.append((await client.get(f"/v1/stream/consumers/{name}")).json())
    assert (await client.get("/v1/stream/consumers")).json() == {"items": shown, "next": None}
    async with house.client("team") as team:
        ours = "/v1/partners/acme/stream/consumers?direction=outbound"
        assert (await team.get(ours)).json()["items"] == [], "the partner's are its own"
    async with house.client("globex") as other:
        assert (await other.get("/v1/stream/consumers")).json()["items"] == []
    unknown = await client.get("/v1/stream/consumers?limit=1")
    assert (unknown.status_code, unknown.json()["code"]) == (400, "parameter_invalid")


async def test_a_late_word_about_a_topic_that_was_made_again_since_moves_nobody_back(
    house: House, client: httpx.AsyncClient
) -> None:
    await send(house, 0)
    bound = ("stream/2", "acme", "outbound", "")
    former = seal_places(house.doors.values.cursor_key, bound, Places("of-the-topic-before", {0: 7}))
    assert (await commit(client, former)).status_code == 200
    _, today = await read(client)
    said = await commit(client, today)
    assert said.status_code == 200, "the topic of today is the one that counts"
    late = await commit(client, former)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert (await client.get(MAIN)).json() == said.json()
    assert (await commit(client, former, "?rewind=true")).status_code == 200


async def test_which_topic_is_there_now_the_broker_says_though_this_process_knows_another(
    house: House, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process was told first that the topic was made again."""
    await send(house, 0)
    _, cursor = await read(client)
    bound = ("stream/2", "acme", "outbound", "")
    former = seal_places(house.doors.values.cursor_key, bound, Places("of-the-topic-before", {0: 7}))
    assert (await commit(client, former)).status_code == 200
    monkeypatch.setattr("gateway.ingress.publish.Publisher._learn", lambda *_: None)
    topic, catalog = "partners.acme.outbound", house.doors.catalog
    catalog.topic_changed(topic, "of-the-topic-before", was=catalog.current.topic_ids[topic])
    assert (await commit(client, cursor)).status_code == 200
    late = await commit(client, former)
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
