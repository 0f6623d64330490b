"""The anchor over HTTP: open to anybody, by the letter of tlog-tiles, and nothing of any partner in it."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from audit import log as audit_log
from audit.bundled import read_tar
from audit.case import Case
from audit.checkpoint import verify_checkpoint
from audit.errors import UnpinnedKeyError
from audit.merkle import hash_leaf
from audit.note import VerifierKey, parse_verifier_key
from audit.papers import Keys
from audit.policy import Policy, parse_policy
from audit.receipt import parse_jwks
from audit.tree import Head
from audit.whole import examine
from audit.witnessed import add_witnessed
from gateway.anchoring.store import Cosigned, newest_round, save_cosigned
from gateway.anchoring.witnesses import Witnessing
from gateway.bootstrap.ground import clock
from gateway.witness.app import WitnessApp
from gateway.witness.state import open_state
from tests.builders import House, open_house
from tests.unit.audit.anchors import WITNESSES
from tests.unit.gateway.anchoring.ledgers import Routed

INTERVAL = {"audit.anchor_interval": "1s"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    folder = tmp_path_factory.mktemp("anchor")
    async with open_house(folder, flags=INTERVAL) as opened:
        yield opened


async def anchored(house: House) -> str:
    """One round, its entry published; the origin."""
    parts = house.world.parts
    while not parts.sequencer.leases.held:  # noqa: ASYNC110 - of a role, which tells nobody
        await asyncio.sleep(0.02)
    name = f"{parts.ground.host}/log/anchor"
    with parts.ground.database.begin() as session:
        before = sum(one.checkpoint_size for one in audit_log.epochs(session, name))
    # There is nothing to anchor before the first head is published.
    for _ in range(500):
        # As if it had waited for its interval.
        parts.anchor.rounds._begun_at = asyncio.get_running_loop().time() - 1
        if await parts.anchor.rounds.turn():
            break
        await asyncio.sleep(0.02)
    else:
        raise AssertionError(parts.sequencer.problem)
    for _ in range(500):
        with parts.ground.database.begin() as session:
            known = audit_log.epochs(session, name)
            if known and known[-1].checkpoint_size > before:
                return known[-1].head.origin
        await asyncio.sleep(0.02)
    raise AssertionError(parts.sequencer.problem)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def origin(house: House) -> str:
    async with house.client() as client:
        missing = await client.get("/log/checkpoint")
        assert missing.status_code == 404
        # The keys are there before the first round: witnesses can be told in time.
        assert (await client.get("/log/anchor/keys")).text.count("\n") == 1
    return await anchored(house)


@pytest.mark.asyncio(loop_scope="module")
async def test_anybody_sees_the_checkpoint_and_what_its_keys_signed(house: House, origin: str) -> None:
    async with house.client(private=False) as client:
        shown = await client.get("/log/checkpoint")
        same = await client.get(f"/{origin.partition('/')[2]}/checkpoint")
        keys = [parse_verifier_key(line) for line in (await client.get("/log/anchor/keys")).text.splitlines()]
    assert shown.headers["content-type"] == "text/plain; charset=utf-8"
    assert shown.headers["cache-control"] == "public, max-age=5"
    assert shown.content == same.content
    assert verify_checkpoint(shown.content, keys).origin == origin


@pytest.mark.asyncio(loop_scope="module")
async def test_its_tiles_and_entries_lead_to_its_root(house: House, origin: str) -> None:
    path = f"/{origin.partition('/')[2]}"
    async with house.client(private=False) as client:
        tile = await client.get(f"{path}/tile/0/000.p/1")
        bundle = await client.get(f"{path}/tile/entries/000.p/1")
        shown = await client.get(f"{path}/checkpoint")
        assert (await client.get(f"{path}/tile/0/000.p/2")).status_code == 404
    leaf = bundle.content[2:]
    assert leaf.startswith(b"gateway-leaf/v1\nheads.anchored\n")
    assert tile.content == hash_leaf(leaf)
    keys = [parse_verifier_key(await keys_of(house))]
    assert verify_checkpoint(shown.content, keys).root == Head(origin).append([leaf])[0].root()
    assert tile.headers["cache-control"] == "public, max-age=31536000, immutable"


async def keys_of(house: House) -> str:
    async with house.client(private=False) as client:
        return (await client.get("/log/anchor/keys")).text.strip()


@pytest.mark.asyncio(loop_scope="module")
async def test_another_epoch_or_another_log_is_not_there(house: House, origin: str) -> None:
    del origin
    with house.world.parts.ground.database.begin() as session:
        kept = newest_round(session)
    assert kept is not None
    paths = ["/log/anchor/2/checkpoint", "/log/anchor/01/checkpoint", "/log/anchor/x/checkpoint"]
    paths += ["/log/anchor/1/tile/0/x", "/log/anchor/2/tile/0/000.p/1"]
    async with house.client(private=False) as client:
        for path in paths:
            assert (await client.get(path)).status_code == 404, path
        # The door to partners' logs is as closed as before.
        log = house.world.parts.ground.house_log
        assert (await client.get(f"/log/{log}/1/checkpoint")).status_code == 401


@pytest.mark.asyncio(loop_scope="module")
async def test_cosignatures_stand_below(house: House, origin: str) -> None:
    database = house.world.parts.ground.database
    async with house.client(private=False) as client:
        before = (await client.get("/log/checkpoint")).text
        with database.begin() as session:
            save_cosigned(session, Cosigned(origin, 1, before, "\u2014 w AAAAAAA=\n", at=1))
        assert (await client.get("/log/checkpoint")).text == before + "\u2014 w AAAAAAA=\n"
    found = await database.read(house.world.parts.anchor.standing)
    assert found[0]["log"] == origin


async def cosign(house: House, policy: Policy, key: VerifierKey, folder: Path) -> None:
    """Have two witnesses, who know this key, cosign the newest checkpoint."""
    parts = house.world.parts
    apps = {
        name: WitnessApp(open_state(folder / name), WITNESSES[number], {key.name: [key]}, clock)
        for number, name in enumerate(("one.example", "two.example"))
    }
    asking = Witnessing(
        database=parts.ground.database,
        sender=Routed(apps),
        policy=policy,
        host=parts.ground.host,
        is_ours=lambda: True,
        clock=clock,
    )
    await asking.turn()
    for app in apps.values():
        app.close()


def policy_of(logs: str) -> Policy:
    """Of two witnesses, both of which must have seen it. `logs`: keys of the anchor, a line each."""
    lines = "".join(f"log {line}\n" for line in logs.splitlines())
    return parse_policy(
        f"{lines}witness w1 {WITNESSES[0].key} https://one.example\n"
        f"witness w2 {WITNESSES[1].key} https://two.example\ngroup g all w1 w2\nquorum g\n".encode()
    )


@pytest.mark.asyncio(loop_scope="module")
async def test_the_evidence_of_an_event_leads_to_the_witnesses_that_saw_it(
    house: House, origin: str, tmp_path: Path
) -> None:
    """From the POST to the verdict of somebody who believes nobody but two witnesses."""
    del origin
    parts = house.world.parts
    async with house.client("acme") as client:
        sent = await client.post("/v1/events/order.placed", json={"order_id": "W-1", "qty": 1})
        place = f"{sent.headers['location']}/evidence?wait=10"
        bare = read_tar((await client.get(place)).content)
        assert "anchor.json" not in bare
        await anchored(house)
        key = parse_verifier_key(await keys_of(house))
        policy = policy_of(f"{key}")
        await cosign(house, policy, key, tmp_path)
        raw = (await client.get(place)).content
        shown = await client.get(place.replace("/evidence", "/proof"))
        keys = Keys(
            parse_jwks((await client.get("/.well-known/jwks.json")).content),
            tuple(map(parse_verifier_key, (await client.get("/v1/me")).json()["logs"][0]["keys"])),
        )
    assert shown.status_code == 200
    assert read_tar(raw).keys() - bare.keys() == {"anchor.json"}
    case = Case(keys)
    verdict = examine([raw], case)
    assert any(one.startswith("that any witness saw it") for one in verdict.not_proved)
    verdict, is_enough = add_witnessed(verdict, case, [raw], policy, latest=clock() // 1_000 + 300)
    assert is_enough
    assert any("seen by 2 of 2 witnesses: w1 at " in one for one in verdict.proved), verdict
    # Of other logs there is nothing in it.
    assert parts.ground.house_log.encode() not in raw


@pytest.mark.asyncio(loop_scope="module")
async def test_what_was_cosigned_before_a_rotation_is_verified_by_the_keys_that_are_published(
    house: House, origin: str, tmp_path: Path
) -> None:
    del origin
    async with house.client("acme") as client:
        sent = await client.post("/v1/events/order.placed", json={"order_id": "W-2", "qty": 1})
        place = f"{sent.headers['location']}/evidence?wait=10"
        assert (await client.get(place)).status_code == 200
        await anchored(house)
        before = await keys_of(house)
        await cosign(house, policy_of(before), parse_verifier_key(before), tmp_path)
        async with house.client("operator") as operator:
            made = await operator.post("/v1/signing-keys/anchor/rotate", json={"starts_in": "0s"})
            ended = await operator.post(f"/v1/signing-keys/{made.json()['others'][0]['id']}/retire", json={})
            assert (made.status_code, ended.status_code) == (201, 200)
        raw = (await client.get(place)).content
        whole = (await client.get("/log/anchor/keys?ended=true")).text
        keys = Keys(
            parse_jwks((await client.get("/.well-known/jwks.json")).content),
            tuple(map(parse_verifier_key, (await client.get("/v1/me")).json()["logs"][0]["keys"])),
        )
    case = Case(keys)
    verdict, latest = examine([raw], case), clock() // 1_000 + 300
    # A witness is told of the new key alone; who verifies what the old one signed, of both.
    assert before not in await keys_of(house)
    with pytest.raises(UnpinnedKeyError):
        add_witnessed(verdict, case, [raw], policy_of(await keys_of(house)), latest=latest)
    assert set(whole.splitlines()) == {before, *(await keys_of(house)).splitlines()}
    assert add_witnessed(verdict, case, [raw], policy_of(whole), latest=latest)[1]
