"""A changed logical type breaks a contract's promise, unless an operator has switched that off."""

import json
from pathlib import Path

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from tests.world import OPERATOR, World, running

CONTRACT = "gateway: v1\npartner: acme\nname: Acme\nsends:\n  price.set: {schema: price.avsc, id: /id}\n"


def price(logical: str) -> dict[str, str]:
    fields = [
        {"name": "id", "type": "string"},
        {"name": "at", "type": {"type": "long", "logicalType": logical}},
    ]
    return {"price.avsc": json.dumps({"type": "record", "name": "Price", "fields": fields})}


async def plan(world: World) -> ContractOutcome:
    """What would happen if the unit of a time changed."""
    await world.apply(CONTRACT, price("timestamp-millis"))
    sent = ContractText(CONTRACT, "acme.yaml", price("timestamp-micros"))
    return await world.parts.administration.put_contract("acme", sent, Wish(dry_run=True), by=OPERATOR)


async def test_a_changed_unit_blocks_an_apply(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        planned = await plan(world)
    assert planned.blocked == ("incompatible",)
    assert "/fields/1/type/logicalType" in planned.plan


async def test_without_strict_logical_types_it_does_not(tmp_path: Path) -> None:
    async with running(tmp_path, flags={"registry.strict_logical_types": False}) as world:
        assert (await plan(world)).blocked == ()
