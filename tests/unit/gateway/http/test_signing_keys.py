"""Signing keys through the API: rotated, retired, frozen, and what partners see of it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit import log as audit_log
from audit.checkpoint import Checkpoint, read_checkpoint, sign_checkpoint
from audit.evidence import Kind, make_evidence
from audit.note import Note, Signer, VerifierKey, parse_verifier_key, verify_note
from audit.receipt import parse_jwks, parse_receipt, verify_receipt
from gateway.bootstrap.ground import clock
from tests.builders import House, open_house
from tests.unit.audit.builders import append

AT_ONCE = {"starts_in": "0s"}
KEYS = "/v1/signing-keys"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex")) as opened:
        yield opened


async def post(house: House, path: str, body: object, status: int = 200, **headers: str) -> Any:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    async with house.client("operator") as client:
        answer = await client.post(f"{KEYS}{path}", json=body, headers=named)
    assert answer.status_code == status, answer.text
    return answer.json()


async def listed(house: House, purpose: str) -> list[dict[str, Any]]:
    async with house.client("operator") as client:
        items = (await client.get(KEYS)).json()["items"]
    return sorted((one for one in items if one["purpose"] == purpose), key=lambda one: one["signs_from"])


async def sent(house: House, number: int) -> httpx.Response:
    async with house.client("acme") as client:
        answer = await client.post("/v1/events/order.placed", json={"order_id": f"K-{number}", "qty": 1})
    assert answer.status_code == 201, answer.text
    return answer


async def jwks(house: House) -> bytes:
    async with house.client() as client:
        return (await client.get("/.well-known/jwks.json")).content


async def checkpoint(house: House, slug: str) -> Note:
    directory = house.doors.catalog.current.directory
    partner = directory.partner(slug)
    assert partner is not None
    async with house.client(slug) as client, asyncio.timeout(30):
        # The first one of a log comes with a round of the sequencer.
        while True:
            answer = await client.get(f"/log/{partner.log}/1/checkpoint")
            if answer.status_code == httpx.codes.OK:
                return read_checkpoint(answer.content)[1]
            await asyncio.sleep(0.05)


async def signed_by(house: House, slug: str, keys: set[bytes]) -> Note:
    """Wait until a log's checkpoint bears the signatures of these keys, and of no others."""
    note = None
    async with asyncio.timeout(30):
        while True:
            note = await checkpoint(house, slug)
            origin = note.text.split("\n")[0]
            known = [VerifierKey(origin, key) for key in keys]
            # Beside the log's own there is a line of its freshness.
            signers = [line.key_id for line in note.lines if line.name == origin]
            if sorted(signers) == sorted(one.key_id for one in known):
                assert len(verify_note(note, known)) == len(keys)
                return note
            await asyncio.sleep(0.05)


async def test_receipts_go_over_to_the_new_key_and_either_verifies(house: House) -> None:
    before = (await sent(house, 1)).json()["receipt"]
    made = await post(house, "/receipt/rotate", AT_ONCE, 201)
    after = (await sent(house, 2)).json()["receipt"]
    keys = parse_jwks(await jwks(house))
    assert parse_receipt(after.encode()).key_id == made["key"]["id"]
    assert parse_receipt(before.encode()).key_id == made["others"][0]["id"]
    for receipt in (before, after):
        verify_receipt(receipt.encode(), keys)
    # A repeat gets the receipt that there was.
    async with house.client("acme") as client:
        again = await client.post("/v1/events/order.placed", json={"order_id": "K-1", "qty": 1})
    assert (again.status_code, again.json()["receipt"]) == (200, before)
    async with house.client("acme") as client:
        for number in (1, 2):
            event = (await client.get(f"/v1/history?id=K-{number}")).json()["items"][0]
            shown = await client.get(f"/v1/history/{event['ref']}/proof?wait=20")
            assert shown.status_code == 200


async def test_a_key_is_published_before_it_signs(house: House) -> None:
    made = await post(house, "/receipt/rotate", {"starts_in": "1h", "overlap": "2d"}, 201)
    assert made["key"]["state"] == "published"
    assert made["key"]["id"] in parse_jwks(await jwks(house))
    receipt = (await sent(house, 1)).json()["receipt"]
    assert parse_receipt(receipt.encode()).key_id == made["others"][0]["id"]


async def test_checkpoints_bear_both_signatures_also_of_logs_in_which_nothing_happens(house: House) -> None:
    ((old, _),) = [(one["public_key"], one) for one in await listed(house, "checkpoint")]
    made = await post(house, "/checkpoint/rotate", {**AT_ONCE, "overlap": "1d"}, 201)
    ring = house.world.parts.keys.current
    both = {one.public_key for one in ring.checkpoints}
    assert len(both) == 2
    for slug in ("acme", "globex"):
        await signed_by(house, slug, both)
    await post(house, f"/{made['others'][0]['id']}/retire", {})
    new = {one.public_key for one in house.world.parts.keys.current.checkpoints}
    for slug in ("acme", "globex"):
        await signed_by(house, slug, new)
    async with house.client() as client:
        discovery = (await client.get("/.well-known/partner-gateway")).json()
    assert old in discovery["checkpoint_keys"]
    assert [one["state"] for one in discovery["checkpoint_key_history"]] == ["signing", "retired"]


async def test_a_partner_finds_the_change_in_its_own_log(house: House) -> None:
    made = await post(house, "/webhook/rotate", {"starts_in": "1h"}, 201)
    database = house.world.parts.ground.database

    def entries(session: Any) -> list[str]:
        words = "SELECT log FROM audit_entry WHERE kind = 'key.changed' AND log NOT LIKE :house"
        rows = session.connection().exec_driver_sql(words.replace(":house", "?"), (f"%{_house(house)}",))
        return sorted(log for (log,) in rows)

    async with asyncio.timeout(30):
        while len(await database.read(entries)) < 2:  # noqa: ASYNC110 - the sequencer tells nobody
            await asyncio.sleep(0.05)
    assert made["key"]["purpose"] == "webhook"


def _house(house: House) -> str:
    return house.world.parts.ground.house_log


async def test_a_frozen_key_signs_nothing_and_everything_goes_on(house: House) -> None:
    before = (await sent(house, 1)).json()["receipt"]
    frozen = await post(house, "/receipt/freeze", {"reason": "copied", "since": "1h"})
    after = (await sent(house, 2)).json()["receipt"]
    assert [one["state"] for one in frozen["others"]] == ["compromised"]
    assert parse_receipt(after.encode()).key_id == frozen["key"]["id"]
    async with house.client() as client:
        whole = (await client.get("/.well-known/jwks.json")).json()
    (marked,) = whole["revoked_keys"]
    assert marked["kid"] == parse_receipt(before.encode()).key_id
    assert marked["revoked"]["reason"] == "compromised"
    # Who takes any key of the set takes no receipt of a thief's.
    known = parse_jwks(json.dumps(whole).encode())
    assert set(known) == {frozen["key"]["id"]}


async def test_a_frozen_checkpoint_key_is_replaced_in_every_log(house: House) -> None:
    await post(house, "/checkpoint/freeze", {"reason": "lost disk"})
    (signer,) = house.world.parts.keys.current.checkpoints
    for slug in ("acme", "globex"):
        await signed_by(house, slug, {signer.public_key})
    async with house.client() as client:
        discovery = (await client.get("/.well-known/partner-gateway")).json()
    assert len(discovery["checkpoint_keys"]) == 1
    assert [one["state"] for one in discovery["checkpoint_key_history"]] == ["signing", "compromised"]


async def logs_told(house: House) -> list[dict[str, Any]]:
    async with house.client("acme") as client:
        told: list[dict[str, Any]] = (await client.get("/v1/me")).json()["logs"]
    return told


async def begin_second(house: House, origin: str, signer: Signer) -> str:
    """The next epoch of a log, begun now; its origin."""
    origin = f"{origin.rpartition('/')[0]}/2"
    ground = house.world.parts.ground
    with ground.database.begin() as session:
        opening = {"origin": origin, "previous": None, "reason": "a key leaked"}
        first = make_evidence(
            Kind.EPOCH_OPENED, opening, iss="http://gw", log=origin[:-2], at=clock(), salt=bytes(32)
        )
        audit_log.open_log(session, origin)
        append(session, origin, [first])
        head = audit_log.state(session, origin).head
        note = sign_checkpoint(Checkpoint(origin, head.size, head.root()), signer)
        audit_log.publish_all(session, {origin: note})
    return origin


async def test_who_asks_is_told_no_leaked_key_but_as_one(house: House) -> None:
    """What `gateway me` prints is what people pin."""
    await checkpoint(house, "acme")
    ((before,),) = [one["keys"] for one in await logs_told(house)]
    await post(house, "/checkpoint/freeze", {"reason": "copied", "since": "1h"})
    (signer,) = house.world.parts.keys.current.checkpoints
    (log,) = await logs_told(house)
    assert log["keys"] == [str(VerifierKey(log["origin"], signer.public_key))]
    (marked,) = log["revoked_keys"]
    assert marked["key"] == before
    assert marked["revoked"]["reason"] == "compromised"
    # An epoch that begins now is none that it has signed.
    origin = await begin_second(house, log["origin"], signer)
    old, new = await logs_told(house)
    assert old["revoked_keys"] == [marked]
    assert (new["origin"], "revoked_keys" in new) == (origin, False)
    assert new["keys"] == [str(VerifierKey(origin, signer.public_key))]


async def test_who_takes_the_first_key_has_one_that_signs_now(house: House) -> None:
    await checkpoint(house, "acme")
    ((old,),) = [one["keys"] for one in await logs_told(house)]
    made = await post(house, "/checkpoint/rotate", {"starts_in": "1h"}, status=201)
    (waiting,) = await logs_told(house)
    assert waiting["keys"][0] == old, "the other does not sign yet"
    assert len(waiting["keys"]) == 2
    await post(house, f"/{made['key']['id']}/retire", None)
    await post(house, "/checkpoint/rotate", {"starts_in": "0s"}, status=201)
    (signer, _) = house.world.parts.keys.current.checkpoints
    new = str(VerifierKey(waiting["origin"], signer.public_key))
    (both,) = await logs_told(house)
    assert (both["keys"][:2], "ended_keys" in both) == ([new, old], True), "one was withdrawn"
    await post(house, f"/{made['others'][0]['id']}/retire", None)
    (after,) = await logs_told(house)
    assert after["keys"][0] == new
    assert old in after["keys"], "it verifies what it signed"
    assert old in after["ended_keys"]
    await begin_second(house, after["origin"], signer)
    first, second = await logs_told(house)
    assert first["keys"] == after["keys"]
    assert (second["keys"], "ended_keys" in second) == ([_renamed(new, second["origin"])], False)
    async with house.client() as client:
        discovery = (await client.get("/.well-known/partner-gateway")).json()
    assert base64.b64decode(discovery["checkpoint_keys"][0]) == signer.public_key


def _renamed(key: str, origin: str) -> str:
    return str(VerifierKey(origin, parse_verifier_key(key).public_key))


async def test_what_ended_of_an_anchor_key_stays_published(house: House) -> None:
    async with house.client() as client:
        (before,) = (await client.get("/.well-known/partner-gateway")).json()["anchor_key_history"]
        made = await post(house, "/anchor/rotate", AT_ONCE, 201)
        await post(house, f"/{made['others'][0]['id']}/retire", {})
        told = (await client.get("/.well-known/partner-gateway")).json()
    assert [one["state"] for one in told["anchor_key_history"]] == ["signing", "retired"]
    assert told["anchor_key_history"][1]["public_key"] == before["public_key"]
    assert [one["state"] for one in told["freshness_key_history"]] == ["signing"]


async def test_a_dry_run_changes_nothing(house: House) -> None:
    before = await listed(house, "receipt")
    for path, body in (("rotate", {}), ("freeze", {"reason": "try"})):
        made = await post(house, f"/receipt/{path}?dry_run=true", body)
        assert made["dry_run"] is True
        assert made["key"]["id"] not in {one["id"] for one in before}
    await post(house, f"/{before[0]['id']}/retire?dry_run=true", {}, 409)
    assert await listed(house, "receipt") == before


async def test_a_repeat_under_the_same_key_makes_no_second_one(house: House) -> None:
    first = await post(house, "/webhook/rotate", AT_ONCE, 201, idempotency_key="r1")
    again = await post(house, "/webhook/rotate", AT_ONCE, 201, idempotency_key="r1")
    assert again == first
    assert len(await listed(house, "webhook")) == 2


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/receipt/rotate", {"overlap": "200d"}, 400, "parameter_invalid"),
        ("/receipt/rotate", {"overlap": 5}, 400, "parameter_invalid"),
        ("/receipt/rotate", {"starts_in": "8d"}, 400, "parameter_invalid"),
        ("/receipt/rotate", {"label": "x"}, 400, "parameter_invalid"),
        ("/receipt/rotate", {"other": "x"}, 400, "parameter_invalid"),
        ("/checkpoint/rotate", {"label": ""}, 400, "parameter_invalid"),
        ("/checkpoint/rotate", {"label": "x"}, 409, "state_conflict"),
        ("/moon/rotate", {}, 404, "not_found"),
        ("/receipt/freeze", {}, 400, "parameter_invalid"),
        ("/receipt/freeze", {"reason": "a\u0000"}, 400, "parameter_invalid"),
        ("/receipt/freeze", {"reason": "x", "since": "tomorrow"}, 400, "parameter_invalid"),
        ("/receipt/freeze", {"reason": "x", "since": "2999-01-01T00:00:00Z"}, 400, "parameter_invalid"),
        ("/receipt/freeze", {"reason": "x", "key": "nobody"}, 404, "not_found"),
        ("/nobody/retire", {}, 404, "not_found"),
    ],
)
async def test_what_cannot_be_done_is_refused(
    house: House, path: str, body: object, status: int, code: str
) -> None:
    refused = await post(house, path, body, status)
    assert refused["code"] == code


async def test_nobody_but_an_operator_who_may_manage_gets_in(house: House) -> None:
    await house.issue("watcher", "operator", scopes=frozenset({"audit"}))
    for name in ("acme", "team", "watcher"):
        async with house.client(name) as client:
            for answer in (await client.get(KEYS), await client.post(f"{KEYS}/receipt/rotate", json={})):
                assert answer.status_code == 403
