"""A checkpoint key in a token, in a whole gateway: rotated to, away and back, frozen."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from audit.note import VerifierKey, parse_note
from tests.builders import House, open_house
from tests.softhsm import TOKEN, SoftToken

pytestmark = pytest.mark.softhsm


@pytest.fixture
async def house(tmp_path: Path, soft_token: SoftToken) -> AsyncIterator[House]:
    flags = {
        "keys.pkcs11.module": str(soft_token.module),
        "keys.pkcs11.token": TOKEN,
        "keys.pkcs11.pin_file": str(soft_token.pin_file),
    }
    async with open_house(tmp_path, flags=flags) as opened:
        yield opened


async def ask(house: House, path: str, body: object, status: int) -> Any:
    async with house.client("operator") as client:
        answer = await client.post(f"/v1/signing-keys{path}", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def signers(house: House, note: bytes) -> set[str]:
    """Labels of the keys that have signed a checkpoint; of one in the database: nothing."""
    parsed = parse_note(note)
    origin = parsed.text.split("\n")[0]
    known = house.world.parts.keys.current.known
    lines = {line.key_id for line in parsed.lines if line.name == origin}
    return {
        key.label
        for key in known
        if key.purpose == "checkpoint" and VerifierKey(origin, key.public_key).key_id in lines
    }


async def signed_by(house: House, labels: set[str]) -> None:
    partner = house.doors.catalog.current.directory.partner("acme")
    assert partner is not None
    async with house.client("acme") as client, asyncio.timeout(60):
        while True:
            answer = await client.get(f"/log/{partner.log}/1/checkpoint")
            if answer.status_code == 200 and signers(house, answer.content) == labels:
                return
            await asyncio.sleep(0.05)


async def sent(house: House, number: int) -> None:
    async with house.client("acme") as client:
        body = {"order_id": f"T-{number}", "qty": 1}
        assert (await client.post("/v1/events/order.placed", json=body)).status_code == 201


async def test_checkpoints_are_signed_by_a_token_and_wait_while_it_is_away(
    house: House, soft_token: SoftToken
) -> None:
    soft_token.add("cp-1", "cp-2")
    assert (await ask(house, "/checkpoint/rotate", {"label": "nothing"}, 409))["code"] == "state_conflict"
    made = await ask(house, "/checkpoint/rotate", {"label": "cp-1", "starts_in": "0s", "overlap": "1d"}, 201)
    assert (made["key"]["held_in"], made["key"]["label"]) == ("pkcs11", "cp-1")
    await signed_by(house, {"", "cp-1"})
    # Away: events are taken and appended, the checkpoint waits, and that is said.
    pin = soft_token.pin_file.read_text()
    soft_token.pin_file.write_text("wrong")
    try:
        number = 0
        async with asyncio.timeout(60):
            while "PinIncorrect" not in house.world.parts.sequencer.problem:
                # Who signs at this moment may have opened it once more with the pin of before.
                house.world.parts.keys.opener.close()
                number += 1
                await sent(house, number)
                await asyncio.sleep(0.2)
        await sent(house, number + 1)
    finally:
        soft_token.pin_file.write_text(pin)
    await ask(house, f"/{made['others'][0]['id']}/retire", {}, 200)
    await signed_by(house, {"cp-1"})
    frozen = await ask(house, "/checkpoint/freeze", {"reason": "stolen", "label": "cp-2"}, 200)
    assert frozen["key"]["label"] == "cp-2"
    await signed_by(house, {"cp-2"})
