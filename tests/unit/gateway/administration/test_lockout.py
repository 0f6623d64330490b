"""Who is locked out by a contract is said before it is applied; endpoints at hosts that go are paused."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import Session

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.errors import CallerError
from partners import store
from tests.builders import House, make_doors
from tests.unit.gateway.egress.test_feeds import entries
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

BASE = "/v1/partners/acme/endpoints"
HOSTS = "endpoints: {hosts: ['*.acme.example'], verification: none}\n"
LEAVE = frozenset({"destructive"})
UNSIGNED = (
    "? authentication.require_signature: no credential in force signs, so that no event of the partner's is "
    "taken: gateway credentials create --public-key"
)
KEY = "authentication.accept: 1 credential in force (api_key 1) will open nothing"


async def put(
    world: World, more: str, *, dry_run: bool = False, allow: frozenset[str] = LEAVE
) -> ContractOutcome:
    sent = ContractText(CONTRACT + more, "acme.yaml", {"order.avsc": json.dumps(ORDER)})
    wish = Wish(dry_run=dry_run, allow=allow)
    return await world.parts.administration.put_contract("acme", sent, wish, by=OPERATOR)


async def states(world: World) -> Mapping[str, str]:
    def look(session: Session) -> Mapping[str, str]:
        return {one.name: one.state for one in store.endpoints(session, "acme")}

    return await world.parts.ground.database.read(look)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        (
            "{accept: [mtls]}",
            [f"? {KEY}, and there is no other: the partner is locked out until one is made"],
        ),
        ("{accept: [api_key, mtls]}", []),
        (
            "{accept: [api_key, hmac], require_signature: true}",
            [
                UNSIGNED,
            ],
        ),
        (
            "{addresses: [203.0.113.0/24]}",
            ["? authentication.addresses: 1 credential in force will open from these networks alone"],
        ),
    ],
)
async def test_a_plan_says_which_credentials_open_nothing_by_it(
    tmp_path: Path, terms: str, words: list[str]
) -> None:
    async with running(tmp_path) as world:
        await put(world, "")
        house = House(world, make_doors(world))
        await house.issue("acme", "partner", "acme")
        await house.issue("other", "partner", "acme")
        await world.parts.administration.revoke_credential(
            house.credentials["other"].id, owner="acme", reason="lost", by=OPERATOR
        )
        planned = await put(world, f"authentication: {terms}\n", dry_run=True)
        assert list(planned.notes) == words
        assert all(one in planned.plan for one in words)
        assert (await put(world, "", dry_run=True)).notes == ()


async def made(house: House, *hosts: str) -> dict[str, str]:
    """Ids of endpoints at these hosts, by name."""
    await house.issue("acme", "partner", "acme")
    found = {}
    async with house.client("acme") as client:
        for host in hosts:
            name = host.partition(".")[0]
            body: dict[str, Any] = {"name": name, "url": f"https://{host}/in"}
            answer = await client.post("/v1/endpoints", json=body)
            assert answer.status_code == 201, answer.text
            found[name] = answer.json()["id"]
    return found


async def test_endpoints_at_hosts_that_go_are_named_and_paused_with_leave_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await put(world, "endpoints: {verification: none}\n")
        house = House(world, make_doors(world))
        ids = await made(house, "good.acme.example", "evil.example")
        planned = await put(world, HOSTS, dry_run=True)
        assert planned.blocked == ("destructive",)
        assert (
            "~ endpoints hosts any -> *.acme.example; 1 endpoint lies outside (evil), and is paused"
            in planned.plan
        )
        with pytest.raises(CallerError) as caught:
            await put(world, HOSTS, allow=frozenset())
        assert caught.value.code == "change_destructive"
        assert await states(world) == {"good": "active", "evil": "active"}
        await put(world, HOSTS)
        assert await states(world) == {"good": "active", "evil": "paused"}
        changed = [
            one for one in await entries(world, "endpoint.changed", 3) if one.text("action") == "paused"
        ]
        assert [(one.text("endpoint"), one.text("reason")) for one in changed] == [
            (ids["evil"], "endpoints.hosts")
        ]
        await world.parts.catalog.refresh()
        async with house.client("acme") as client:
            resumed = await client.post(f"/v1/endpoints/{ids['evil']}/resume", json={"backlog": "deliver"})
            assert (resumed.status_code, resumed.json()["code"]) == (409, "state_conflict")
            assert "lies outside endpoints.hosts (*.acme.example)" in resumed.json()["detail"]
            moved = await client.patch(
                f"/v1/endpoints/{ids['evil']}", json={"url": "https://b.acme.example/in"}
            )
            assert moved.status_code == 200, moved.text
            resumed = await client.post(f"/v1/endpoints/{ids['evil']}/resume", json={"backlog": "deliver"})
            assert resumed.status_code == 200, resumed.text


async def test_more_endpoints_than_a_limit_allows_are_told(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await put(world, "endpoints: {verification: none}\n")
        await made(House(world, make_doors(world)), "one.example", "two.example")
        few = "limits: {endpoints: 1}\nendpoints: {verification: none}\n"
        words = ("? limits.endpoints 1: there are 2; all of them stay, and no more can be made",)
        assert (await put(world, few, dry_run=True)).notes == words
        await put(world, few)
        assert (await put(world, few, dry_run=True)).notes == words, "of what is in force, too"


async def test_only_endpoints_that_are_yet_to_be_verified_are_said_to_be_so(tmp_path: Path) -> None:
    def declared(*names: str, how: str) -> str:
        each = ", ".join(f"{{name: {one}, url: 'https://{one}.example/in'}}" for one in names)
        return f"endpoints: {{verification: {how}, declared: [{each}]}}\n"

    async with running(tmp_path) as world:
        await put(world, declared("one", how="none"))
        assert (await put(world, declared("one", how="required"), dry_run=True)).notes == ()
        await put(world, declared("one", how="required"))
        assert (await put(world, declared("one", how="required"), dry_run=True)).notes == ()
        both = declared("one", "two", how="required")
        words = ("? endpoint two gets nothing until its owner is proved: gateway endpoints verify",)
        assert (await put(world, both, dry_run=True)).notes == words
        await put(world, both)
        assert (await put(world, both, dry_run=True)).notes == words
        moved = both.replace("one.example", "new.example")
        assert len((await put(world, moved, dry_run=True)).notes) == 2
