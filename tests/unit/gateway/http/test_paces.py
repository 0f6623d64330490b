"""How fast one credential may ask, and that others do not feel it."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.errors import CallerError
from gateway.http.paces import Paces
from tests.builders import House, open_house


class Hand:
    """A clock that nobody sets but the test."""

    now = 1_800_000_000_000

    def __call__(self) -> int:
        return self.now


def left(paces: Paces, credential: str) -> str:
    return paces.take(credential)["RateLimit"]


def test_a_burst_passes_then_the_rate_and_nobody_else_waits() -> None:
    hand = Hand()
    paces = Paces(hand, rate=2, burst=4)
    assert [left(paces, "a") for _ in range(4)] == [f'"requests";r={left};t=2' for left in (3, 2, 1)] + [
        '"requests";r=0;t=1'
    ]
    with pytest.raises(CallerError) as caught:
        paces.take("a")
    assert caught.value.code == "quota_exceeded"
    assert caught.value.members["headers"] == {
        "RateLimit-Policy": '"requests";q=4;w=2',
        "RateLimit": '"requests";r=0;t=1',
        "Retry-After": "1",
    }
    paces.take("b")
    hand.now += 500
    paces.take("a")
    with pytest.raises(CallerError):
        paces.take("a")
    hand.now += 60_000
    for _ in range(4):
        paces.take("a")
    with pytest.raises(CallerError):
        paces.take("a")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex")) as opened:
        yield opened


async def test_what_is_read_and_managed_has_a_pace_and_events_have_not(house: House) -> None:
    slow = replace(house, doors=replace(house.doors, paces=Paces(Hand(), rate=1, burst=2)))
    async with slow.client("acme") as acme, slow.client("globex") as globex:
        first = await acme.get("/v1/history")
        assert first.headers["ratelimit-policy"] == '"requests";q=2;w=2'
        assert (await acme.post("/v1/credentials", json={"role": "auditor"})).status_code == 201
        refused = await acme.get("/v1/me")
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
        assert (refused.headers["retry-after"], refused.json()["retry"]) == ("1", "later")
        sent = await acme.post("/v1/events/order.placed", json={"order_id": "P-1", "qty": 1})
        assert (sent.status_code, (await acme.get("/v1/stream")).status_code) == (201, 200)
        assert (await globex.get("/v1/history")).status_code == 200


async def test_what_is_managed_with_the_right_to_receive_has_a_pace_too(house: House) -> None:
    slow = replace(house, doors=replace(house.doors, paces=Paces(Hand(), rate=1, burst=2)))
    place = "/v1/stream/consumers/main"
    async with slow.client("acme") as acme, slow.client("team") as team:
        assert [(await acme.get(place)).status_code for _ in range(3)] == [404, 404, 429]
        assert (await acme.put(place, json={"cursor": ""})).status_code == 429
        assert (await acme.post("/v1/deliveries/dlv_x/ack")).status_code == 404
        ours = "/v1/partners/acme/house-endpoints"
        assert [(await team.get(ours)).status_code for _ in range(3)] == [200, 200, 429]
