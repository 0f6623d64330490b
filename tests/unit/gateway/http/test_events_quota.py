import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from gateway.http.brake import FREE, Brake
from gateway.http.crowd import BEGINNING, Crowd
from tests.builders import House, open_house
from tests.world import CONTRACT

PATH = "/v1/events/order.placed"
JSON = {"Content-Type": "application/json"}
NOW = 1_795_353_600_000
LIMITED = CONTRACT + "limits: {events_per_second: 3, bytes_per_day: 1MiB, streams: 1, event_bytes: 200B}\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        await opened.world.apply(LIMITED)
        # They stand still: how fast this machine answers must not matter.
        opened.world.parts.quotas.clock = lambda: NOW
        opened.world.parts.quotas.ticks = lambda: 0
        yield opened


def order(number: int) -> dict[str, object]:
    return {"order_id": f"A-{number}", "qty": 1}


def full(crowd: Crowd, stack: ExitStack) -> None:
    """There is no room, until the stack ends."""
    crowd._late, crowd._pace = 0.0, 0.0
    for _ in range(BEGINNING):
        stack.enter_context(crowd.place())
    crowd._late = 1.0
    stack.callback(lambda: setattr(crowd, "_late", 0.0))


async def test_each_answer_says_what_is_left_and_the_one_too_many_when_to_come_again(house: House) -> None:
    async with house.client("acme") as client:
        first = await client.post(PATH, json=order(0))
        answers = [await client.post(PATH, json=order(number)) for number in range(1, 12)]
        me = (await client.get("/v1/me")).json()
    assert first.status_code == 201
    policy = '"events";q=3;w=1, "bytes";q=1048576;w=86400'
    assert first.headers["ratelimit-policy"] == policy
    assert first.headers["ratelimit"].startswith('"events";r=2;t=1, "bytes";r=10')
    assert [one.status_code for one in answers] == [201, 201] + [429] * 9
    refused = answers[2:]
    body = refused[0].json()
    assert (body["code"], body["retry"]) == ("quota_exceeded", "later")
    assert "3 events a second" in body["detail"]
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].headers["ratelimit-policy"] == policy
    assert me["limits"]["left"]["bytes"]["left"] < 1_048_576


async def test_who_goes_on_beyond_its_quota_waits_for_the_answer_outside_of_the_crowd(house: House) -> None:
    held: list[int] = []

    async def pause(_: float) -> None:
        held.append(house.doors.crowd._inside)

    house.doors = replace(house.doors, brake=Brake(lambda: 0.0, pause))
    async with house.client("acme") as client:
        answers = [await client.post(PATH, json=order(number)) for number in range(3 + FREE + 4)]
    assert [one.status_code for one in answers[3:]] == [429] * (FREE + 4)
    assert held == [0] * 4


async def test_what_is_turned_away_once_its_body_is_here_costs_nothing(house: House) -> None:
    crowd = house.doors.crowd
    async with house.client("acme") as client:
        for number in range(5):
            with ExitStack() as stack:

                async def late(number: int = number, stack: ExitStack = stack) -> AsyncIterator[bytes]:
                    # There was room when the request began.
                    full(crowd, stack)
                    yield json.dumps(order(number)).encode()

                turned_away = await client.post(PATH, content=late(), headers=JSON)
            assert turned_away.status_code == 503
            assert turned_away.json()["code"] == "overloaded"
        answers = [await client.post(PATH, json=order(number)) for number in range(4)]
    assert [one.status_code for one in answers] == [201] * 3 + [429]


async def test_refused_requests_are_read_no_further_and_our_own_side_has_no_quota(house: House) -> None:
    async with house.client("acme") as client:
        for _ in range(3):
            await client.post(PATH, content=b"?" * 100)
        assert (await client.post(PATH, json=order(1))).status_code == 429
    async with house.client("operator") as client:
        path = "/v1/partners/acme/events/order.accepted"
        answers = [await client.post(path, json=order(number)) for number in range(10)]
    assert {one.status_code for one in answers} == {201}
    assert "ratelimit" not in answers[0].headers


async def test_a_partner_without_limits_hears_of_none(tmp_path: Path) -> None:
    async with open_house(tmp_path / "other") as opened, opened.client("acme") as client:
        answer = await client.post(PATH, json=order(1))
    assert answer.status_code == 201
    assert "ratelimit-policy" not in answer.headers


async def test_an_event_larger_than_agreed_is_413_and_says_whose_limit_it_is(house: House) -> None:
    async with house.client("acme") as client:
        answer = await client.post(PATH, json={**order(1), "customer": "c" * 300})
    assert (answer.status_code, answer.json()["code"]) == (413, "event_too_large")
    assert "allows 200" in answer.json()["detail"]


async def test_a_body_that_cannot_be_read_costs_what_had_arrived_of_it(house: House) -> None:
    async def left(client: httpx.AsyncClient) -> int:
        return int((await client.get("/v1/me")).json()["limits"]["left"]["bytes"]["left"])

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    async with house.client("acme") as client:
        before = await left(client)
        broken = await client.post(PATH, content=b"no gzip" * 100, headers={"Content-Encoding": "gzip"})
        after = await left(client)
        # Announced as too large it is not read at all; else up to the piece that was too much.
        announced = await client.post(PATH, content=b"x" * 2_000_000)
        unread = await left(client)
        cut = await client.post(PATH, content=endless())
        # A million and more have arrived: what was left of the day.
        last = await left(client)
    assert (broken.status_code, announced.status_code, cut.status_code) == (400, 413, 413)
    assert (before - after, after - unread, last) == (700, 0, 0)
    async with house.client("acme") as client:
        assert (await client.post(PATH, json=order(1))).status_code == 429


@pytest.mark.parametrize("who", ["acme", "team"])
async def test_a_body_may_be_as_large_as_the_contract_allows_an_event(house: House, who: str) -> None:
    await house.world.apply(CONTRACT + "limits: {event_bytes: 4MiB}\n")
    await house.world.parts.catalog.refresh()
    path = PATH if who == "acme" else "/v1/partners/acme/events/order.accepted"
    async with house.client(who) as client:
        large = json.dumps(order(1)).encode() + b" " * 1_500_000
        assert (await client.post(path, content=large, headers=JSON)).status_code == 201
        answer = await client.post(path, content=b" " * (4 * 2**20 + 1), headers=JSON)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    assert (
        "4194304 bytes here, before and after decoding (a limit of the contract)" in answer.json()["detail"]
    )


async def test_limits_that_no_contract_names_are_told_as_they_are(house: House) -> None:
    async with house.client("acme") as client:
        limited = (await client.get("/v1/me")).json()["limits"]
        await house.world.apply(CONTRACT)
        await house.world.parts.catalog.refresh()
        usual = (await client.get("/v1/me")).json()["limits"]
    assert (limited["streams"], limited["endpoints"], limited["event_bytes"]) == (1, 100, 200)
    assert (usual["streams"], usual["endpoints"], usual["event_bytes"]) == (8, 100, 1_048_576)
    assert (usual["events_per_second"], usual["bytes_per_day"]) == (None, None)
