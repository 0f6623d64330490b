"""Keys change under three processes that go on: rotated, frozen, and sealed under another master key."""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.checkpoint import read_checkpoint
from audit.note import VerifierKey, verify_note
from audit.receipt import parse_jwks, parse_receipt, verify_receipt
from gateway.database import Database
from gateway.sealing.rewrap import count_old, rewrap
from gateway.standard_webhooks import Message, WebhookSignatureError, read_message
from gateway.vault import Vault, amend_master, load_master
from tests.acceptance.hook import Hook, listening
from tests.acceptance.running import CONTRACT, orders
from tests.acceptance.test_three_roles import ENDPOINTS, delivered
from tests.faults.forked_fleet import forked_fleet_on
from tests.fleet import HASTE, Fleet
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]


@pytest.fixture
def fleet(tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer) -> Iterator[Fleet]:
    with forked_fleet_on(tmp_path, kafka_server, postgres_server, HASTE) as made:
        yield made


def keys(client: httpx.Client, purpose: str) -> list[dict[str, Any]]:
    items = client.get("/v1/signing-keys").raise_for_status().json()["items"]
    return [one for one in items if one["purpose"] == purpose]


def signatures(hook: Hook, ref: str, client: httpx.Client) -> int:
    """How many of our published webhook keys have signed the webhook of an event."""
    ((headers, body),) = [one for one in hook.posts if one[0]["webhook-id"] == ref]
    message = read_message(headers)
    published = [base64.b64decode(one["public_key"]) for one in keys(client, "webhook")]
    for offered in message.v1a:
        assert any(fits(replace(message, v1a=(offered,)), body, key) for key in published)
    return len(message.v1a)


def fits(message: Message, body: bytes, key: bytes) -> bool:
    try:
        message.verify_v1a(body, key)
    except WebhookSignatureError:
        return False
    return True


def checkpoint_signers(client: httpx.Client) -> set[str]:
    """Which published keys have signed acme's checkpoint; none while there is no checkpoint yet."""
    (acme,) = client.get("/v1/partners").raise_for_status().json()["items"]
    path = "/" + acme["log"].partition("/")[2] + "/1/checkpoint"
    shown = client.get(path)
    if shown.status_code == httpx.codes.NOT_FOUND:
        return set()
    checkpoint, note = read_checkpoint(shown.raise_for_status().content)
    published = {base64.b64decode(one["public_key"]): one["id"] for one in keys(client, "checkpoint")}
    known = [VerifierKey(checkpoint.origin, key) for key in published]
    return {published[key.public_key] for key in verify_note(note, known)}


def seal_anew(fleet: Fleet) -> None:
    """As `gateway keys rewrap` does it, from the version that is added to the one that is left."""
    file = Path(str(fleet.flags["keys.master_file"]))
    amend_master(file, lambda master: master.with_new(secrets.token_bytes(32)))
    database, vault = (
        Database(str(fleet.flags["database.url"])),
        Vault(load_master(file), secrets.token_bytes),
    )
    try:
        fleet.until(lambda: not wrapped(database, vault))
    finally:
        database.close()
    amend_master(file, lambda master: master.without_old())
    assert not load_master(file).has(1)


def wrapped(database: Database, vault: Vault) -> int:
    """Seal anew; how much is left: what processes have sealed meanwhile that had not met the new version."""
    rewrap(database, vault)
    return count_old(database, vault).total


def test_keys_change_under_processes_that_go_on(fleet: Fleet) -> None:
    fleet.start()
    with listening() as hook, fleet.first.operator() as client:
        applied = fleet.first.apply(CONTRACT + ENDPOINTS.replace("URL", hook.url))
        assert applied.status_code == 201, applied.text
        partner_key = fleet.first.partner_key()
        (old,) = keys(client, "checkpoint")
        for purpose in ("receipt", "checkpoint", "webhook"):
            body = {"starts_in": "0s", "overlap": "1d"}
            made = client.post(f"/v1/signing-keys/{purpose}/rotate", json=body)
            assert made.status_code == 201, made.text
        new = next(one for one in keys(client, "checkpoint") if one["id"] != old["id"])
        # The sequencer and the relay hear of it by themselves.
        fleet.until(lambda: checkpoint_signers(client) == {old["id"], new["id"]})
        path = "/v1/partners/acme/events/order.accepted"
        more = iter(orders(0, 1_000))

        def is_signed_twice() -> bool:
            went = fleet.post(client, path, next(more))
            fleet.until(lambda: delivered(client, went))
            return signatures(hook, went, client) == 2

        fleet.until(is_signed_twice)
        with fleet.first.client(partner_key) as partner:
            came = fleet.post(partner, "/v1/events/order.placed", next(more))
            event = partner.get(f"/v1/history/{came}").raise_for_status().json()
        known = parse_jwks(client.get("/.well-known/jwks.json").content)
        receipt = event["receipt"].encode()
        verify_receipt(receipt, known)
        signer = parse_receipt(receipt).key_id
        assert [one["state"] for one in keys(client, "receipt") if one["id"] == signer] == ["signing"]

        seal_anew(fleet)
        # All of them go on, and those that start now need the new version alone.
        assert is_signed_twice()
        fleet.members["relay-1"].kill()
        fleet.members["relay-1"].launch("relay")
        assert is_signed_twice()
        frozen = client.post("/v1/signing-keys/checkpoint/freeze", json={"reason": "copied"})
        assert frozen.status_code == 200, frozen.text
        successor = frozen.json()["key"]["id"]
        fleet.until(lambda: checkpoint_signers(client) == {successor})
        for one in fleet.members.values():
            assert one.stop() == 0, fleet.said()
    assert "Traceback" not in "".join(one.log.read_text() for one in fleet.members.values())
