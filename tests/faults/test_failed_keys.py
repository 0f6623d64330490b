"""Each write of a key's life fails twice: lost, and stored but reported as failed. The operator repeats."""

import json
from pathlib import Path
from typing import Any

import pytest

from audit.evidence import parse_evidence
from audit.pressing import expand
from gateway.errors import StoreError
from gateway.sealing.rewrap import count_old, rewrap
from gateway.vault import Vault, amend_master, load_master
from tests.builders import House, open_house
from tests.faults.commits import CommitTrouble, Fate
from tests.faults.remains import rows
from tests.waiting import until

FATES = ("lost", "stored")
KEYS = "/v1/signing-keys"


async def insisted(house: House, path: str, body: object) -> dict[str, Any]:
    """Ask until it is done, under one key of the request's own."""
    told: list[str] = []
    async with house.client("operator") as client:

        async def done() -> Any:
            answer = await client.post(f"{KEYS}{path}", json=body, headers={"Idempotency-Key": "once"})
            told[:] = [answer.text]
            if answer.status_code < 300:
                return answer.json()
            assert (answer.status_code, answer.json()["retry"]) in {(503, "as_is"), (503, "later")}, told
            return None

        made = await until(done, lambda: told)
    # A process looks every second; where the outcome was not known it was not told at once.
    await house.world.parts.keys.refresh()
    return dict(made)


async def entries(house: House, action: str, count: int) -> None:
    """Wait until the logs have so many entries of an action; there are never more."""
    file = house.world.parts.ground.settings.data / "gateway.db"
    query = "SELECT log, evidence FROM audit_entry WHERE kind = 'key.changed' AND code = 'created' AND at > 0"
    said: list[tuple[str, object]] = []

    def are_there() -> bool:
        found = rows(file, query.replace("created", action))
        said[:] = [(log, parse_evidence(expand(raw)).members["key"]) for log, raw in found]
        assert len(set(said)) == len(said), said
        return len(said) >= count and not rows(file, "SELECT id FROM audit_pending")

    await until(are_there, lambda: f"{count} entries that say {action}: {said}")
    assert len(said) == count, said


def first_keys(house: House) -> int:
    """Entries of the keys that every installation begins with: in the house's log alone."""
    return len(house.world.parts.keys.current.signers)


@pytest.mark.faults
@pytest.mark.parametrize("fate", FATES)
async def test_a_rotation_whose_commit_fails_makes_one_key(tmp_path: Path, fate: Fate) -> None:
    async with open_house(tmp_path) as house:
        before = first_keys(house)
        trouble = CommitTrouble(house.world.parts.ground.database, "INSERT INTO gateway_key", fate)
        made = await insisted(house, "/checkpoint/rotate", {"starts_in": "0s", "overlap": "1h"})
        assert trouble.left == 0
        known = [one for one in house.world.parts.keys.current.known if one.purpose == "checkpoint"]
        assert len(known) == 2
        assert made["key"]["id"] in {one.id for one in known}
        await entries(house, "created", before + 2)


@pytest.mark.faults
@pytest.mark.parametrize("fate", FATES)
async def test_a_freeze_whose_commit_fails_freezes_once_and_has_one_successor(
    tmp_path: Path, fate: Fate
) -> None:
    async with open_house(tmp_path) as house:
        trouble = CommitTrouble(
            house.world.parts.ground.database, r"UPDATE gateway_key SET .*compromised_at", fate
        )
        made = await insisted(house, "/receipt/freeze", {"reason": "copied"})
        assert trouble.left == 0
        assert house.world.parts.keys.current.receipt.key_id == made["key"]["id"]
        assert len(house.world.parts.keys.current.public_keys("receipt")) == 2
        await entries(house, "compromised", 2)


@pytest.mark.faults
@pytest.mark.parametrize("fate", FATES)
async def test_an_end_whose_commit_fails_is_written_once_and_signs_nothing_meanwhile(
    tmp_path: Path, fate: Fate
) -> None:
    async with open_house(tmp_path) as house:
        database = house.world.parts.ground.database
        trouble = CommitTrouble(database, r"UPDATE gateway_key SET retired_at", fate)
        made = await insisted(house, "/webhook/rotate", {"starts_in": "0s", "overlap": "0s"})
        (signer,) = house.world.parts.keys.current.webhooks
        assert signer.key_id == made["key"]["id"]
        await entries(house, "retired", 2)
        assert trouble.left == 0


@pytest.mark.faults
@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("column", ["gateway_key", "partners_endpoint ", "partners_credential"])
async def test_a_rewrap_whose_commit_fails_is_gone_on_with(tmp_path: Path, fate: Fate, column: str) -> None:
    async with open_house(tmp_path) as house:
        ground = house.world.parts.ground
        async with house.client("operator") as client:
            url = {"url": "https://hooks.acme.example/in"}
            assert (await client.post("/v1/partners/acme/endpoints", json=url)).status_code == 201
            body = json.dumps({"kind": "webhook_secret", "role": "partner"})
            headers = {"Content-Type": "application/json"}
            made = await client.post("/v1/partners/acme/credentials", content=body, headers=headers)
            assert made.status_code == 201, made.text
        path = ground.settings.keys.master_file
        amend_master(path, lambda master: master.with_new(b"\x02" * 32))
        vault = Vault(load_master(path), house.doors.entropy)
        trouble = CommitTrouble(ground.database, f"UPDATE {column}", fate)
        with pytest.raises(StoreError):
            rewrap(ground.database, vault)
        assert trouble.left == 0
        rewrap(ground.database, vault)
        assert count_old(ground.database, vault).total == 0
        await house.world.parts.keys.refresh()
        assert ground.vault.newest == 2
