"""A forward is planned against both contracts, whichever of them changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.errors import CallerError
from partners import onboarding
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

FORWARDING = CONTRACT.replace("key: /customer}", "key: /customer, forward: {to: globex, as: order.received}}")
RECEIVES = "receives:\n  order.received: {schema: received.avsc, id: /order_id}\n"
GLOBEX = f"gateway: v1\npartner: globex\nname: Globex\n{RECEIVES}"


def received(*more: dict[str, Any]) -> dict[str, Any]:
    return {**ORDER, "fields": [{"name": "order_id", "type": "string"}, *more]}


NEEDS_MORE = received({"name": "currency", "type": "string"})


async def put(
    world: World,
    text: str,
    schema: dict[str, Any],
    *,
    dry_run: bool = False,
    allow: frozenset[str] = frozenset(),
) -> ContractOutcome:
    slug = "globex" if "partner: globex" in text else "acme"
    files = {name: json.dumps(schema) for name in ("order.avsc", "received.avsc") if name in text}
    sent = ContractText(text, f"{slug}.yaml", files)
    return await world.parts.administration.put_contract(
        slug, sent, Wish(dry_run=dry_run, allow=allow), by=OPERATOR
    )


async def test_a_partner_or_a_type_that_is_not_there_is_refused_at_its_place(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        with pytest.raises(CallerError) as nobody:
            await put(world, FORWARDING, ORDER, dry_run=True)
        await put(world, GLOBEX.replace(RECEIVES, ""), received())
        with pytest.raises(CallerError) as nothing:
            await put(world, FORWARDING, ORDER)
    pointers = [str(one.value.members) for one in (nobody, nothing)]
    assert "/sends/order.placed/forward/to" in pointers[0]
    assert "there is no partner globex" in pointers[0]
    assert "/sends/order.placed/forward/as" in pointers[1]
    assert "globex receives no order.received" in pointers[1]


async def test_a_forward_to_a_closed_partner_is_to_be_removed(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await put(world, GLOBEX, received())
        await put(world, FORWARDING, ORDER)
        await world.parts.ground.database.write(
            lambda session: onboarding.set_partner_state(session, "globex", "closed")
        )
        with pytest.raises(CallerError) as closed:
            await put(world, FORWARDING.replace("name: Acme", "name: The Acme"), ORDER, dry_run=True)
    text = str(closed.value.members)
    assert "globex is closed, and receives nothing any more: remove the forward" in text
    assert "apply its contract first" not in text


async def test_a_schema_that_cannot_read_it_blocks_the_sender(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await put(world, GLOBEX, NEEDS_MORE)
        plan = await put(world, FORWARDING, ORDER, dry_run=True)
        assert plan.blocked == ("incompatible",)
        assert (
            "! sends order.placed  globex cannot read it as order.received: /fields/1  currency" in plan.plan
        )
        with pytest.raises(CallerError, match="globex cannot read it"):
            await put(world, FORWARDING, ORDER)
        await world.parts.catalog.refresh()
        assert not world.parts.catalog.current.channels("acme", "inbound")


async def test_a_receiver_that_changes_or_drops_the_type_is_blocked(tmp_path: Path) -> None:
    destructive = frozenset({"destructive"})
    async with running(tmp_path) as world:
        await put(world, GLOBEX, received())
        assert (await put(world, FORWARDING, ORDER)).changed
        plan = await put(world, GLOBEX, NEEDS_MORE, dry_run=True)
        assert "incompatible" in plan.blocked
        assert "acme forwards its order.placed, which this cannot read" in plan.plan
        with pytest.raises(CallerError, match=r"acme forwards its order\.placed as this type"):
            await put(world, GLOBEX.replace(RECEIVES, ""), received(), allow=destructive)
        wider = received({"name": "qty", "type": "long"})
        assert (await put(world, GLOBEX, wider, allow=frozenset({"incompatible"}))).changed


async def test_a_sender_whose_new_schema_is_not_read_any_more_is_blocked(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await put(world, GLOBEX, received({"name": "qty", "type": "int"}))
        await put(world, FORWARDING, ORDER)
        fields = [
            {"name": "order_id", "type": "string"},
            {"name": "customer", "type": ["null", "string"], "default": None},
            {"name": "qty", "type": "long"},
        ]
        plan = await put(world, FORWARDING, {**ORDER, "fields": fields}, dry_run=True)
        assert "globex cannot read it as order.received: /fields/1" in plan.plan
