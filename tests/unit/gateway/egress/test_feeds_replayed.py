"""What partners sent is handed over again: to the house's endpoints, and to whom a contract forwards it."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from gateway.egress.rows import ReplayRangeRow
from tests import waiting
from tests.builders import House, make_doors
from tests.unit.gateway.egress.test_feeds import (
    FORWARDING,
    apply_globex,
    entries,
    hooks,
    house_endpoint,
    log_of,
    placed,
    relaying,
    rows,
    until,
)
from tests.world import CONTRACT, World, running

OURS = "/v1/partners/acme/house-replays"
THEIRS = "/v1/partners/globex/replays"


@asynccontextmanager
async def asking(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """An operator's client."""
    house = House(world, make_doors(world))
    if "operator" not in house.keys:
        await house.issue("operator", "operator")
    async with house.client("operator") as client:
        yield client


async def replayed(
    client: httpx.AsyncClient, path: str, *, dry: bool = False, **wanted: Any
) -> dict[str, Any]:
    """A replay, once it is done."""
    params = {"dry_run": "true"} if dry else None
    made = await client.post(path, json={"since": "1h", **wanted}, params=params)
    assert made.status_code == 202, made.text
    found: dict[str, Any] = {}

    async def is_over() -> bool:
        found.update((await client.get(made.headers["location"])).json())
        return found["ended_at"] is not None

    await waiting.until(is_over, lambda: found)
    return found


def counts(replay: dict[str, Any]) -> dict[str, int]:
    names = ("handed", "delivered", "waiting", "cancelled", "passed", "lost")
    return {name: replay[name] for name in names if replay[name]}


async def test_the_house_has_again_what_the_partner_sent_and_what_came_before_its_endpoint(
    tmp_path: Path,
) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world), asking(world) as client:
            await world.apply()
            await placed(world, "before")
            await house_endpoint(world, f"{at.url}/desk")
            await placed(world, "A-1", "A-2")
            await until(lambda: len(at.got) == 2, str(at.got))
            counted = await replayed(client, OURS, dry=True)
            assert sorted(at.ids("/desk")) == ["A-1", "A-2"]
            owed = await replayed(client, OURS)
            await until(lambda: len(at.got) == 3, str(at.got))
            everything = await replayed(client, OURS, which="all", rate=100, types=["order.placed"])
            await until(lambda: len(at.got) == 6, str(at.got))
            failed = await replayed(client, OURS, which="failed")
            told = await entries(world, "replay.changed", 3)
            ours, accepted = log_of(world, "house"), await entries(world, "event.accepted", 3)
            ranges = {one.topic_id.partition(">")[2] for one in await rows(world, ReplayRangeRow)}
    assert counts(counted) == counts(owed) == {"handed": 1, "delivered": 2}
    assert (counted["total"], counted["done"]) == (3, 3)
    assert counts(everything) == {"handed": 3}
    assert counts(failed) == {"delivered": 3}
    assert Counter(at.ids("/desk")) == {"before": 2, "A-1": 2, "A-2": 2}
    assert {webhook_id for _, webhook_id, _ in at.got} == {one.text("ref") for one in accepted}
    assert {(one.log, one.text("partner"), one.text("action")) for one in told} == {(ours, "acme", "created")}
    assert ranges == {"house/acme"}
    assert owed["partner"] == "acme"
    assert owed["links"]["self"] == f"{OURS}/{owed['id']}"


async def test_what_was_parked_is_handed_over_where_failed_ones_are_asked_for(tmp_path: Path) -> None:
    with hooks() as at:
        at.dead = {"/desk"}
        async with running(tmp_path) as world, relaying(world), asking(world) as client:
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk", delays=(0,))
            await placed(world, "A-1")
            await entries(world, "delivery.parked", 1)
            at.dead = set()
            await placed(world, "A-2")
            await until(lambda: at.ids("/desk") == ["A-2"], str(at.got))
            failed = await replayed(client, OURS, which="failed")
            await until(lambda: at.ids("/desk") == ["A-2", "A-1"], str(at.got))
    assert counts(failed) == {"handed": 1, "delivered": 1}


async def test_a_partner_has_again_what_was_forwarded_to_it_and_nothing_of_before(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world), asking(world) as client:
            await apply_globex(world, None)
            await world.apply()
            await placed(world, "before")
            await world.apply(FORWARDING)
            await placed(world, "A-1")
            await entries(world, "event.forwarded", 1)  # read for globex, which has no endpoint yet
            await apply_globex(world, f"{at.url}/globex")
            counted = await replayed(client, THEIRS, dry=True)
            owed = await replayed(client, THEIRS, types=["order.received"])
            await until(lambda: at.ids("/globex") == ["A-1"], str(at.got))
            # What the contract no longer forwards is not handed over, and nothing is said of it.
            await world.apply()
            ended = await replayed(client, THEIRS, which="all")
            (told,) = await entries(world, "event.forwarded", 1)
    assert counts(counted) == counts(owed) == {"handed": 1}
    assert counts(ended) == {}
    assert [body["type"] for _, _, body in at.got] == ["order.received"]
    assert told.text("to") == "globex"


async def test_the_house_has_again_what_is_the_gateways_own_where_it_asks_for_it(tmp_path: Path) -> None:
    with hooks() as at:
        async with running(tmp_path) as world, relaying(world), asking(world) as client:
            await world.apply()
            await house_endpoint(world, f"{at.url}/desk", types=frozenset({"gateway.*"}))
            await placed(world, "A-1")
            await world.apply(CONTRACT.replace("GmbH", "AG"))
            await until(lambda: len(at.got) == 1, str(at.got))
            owed = await replayed(client, OURS)
            again = await replayed(client, OURS, which="all", types=["gateway.contract.changed"])
            await until(lambda: len(at.got) == 1 + again["handed"], str(at.got))
            logs = {one.log for one in await entries(world, "delivery.attempted", len(at.got))}
            ours = log_of(world, "house")
    assert counts(owed) == {"delivered": 1}
    assert counts(again) == {"handed": 1}
    assert {body["type"] for _, _, body in at.got} == {"gateway.contract.changed"}
    assert len({webhook_id for _, webhook_id, _ in at.got}) == 1
    assert logs == {ours}
