"""Whoever keeps less is told what goes, and has to mean it."""

import json
from pathlib import Path

import pytest

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.errors import CallerError
from tests.world import CONTRACT, FIRST, OPERATOR, ORDER, World, running

NOTHING = "keep: {content: 0d, evidence: 0d}\n"


async def put(world: World, keep: str, **wish: object) -> ContractOutcome:
    sent = ContractText(CONTRACT + keep, "acme.yaml", {"order.avsc": json.dumps(ORDER)})
    return await world.parts.administration.put_contract("acme", sent, Wish(**wish), by=OPERATOR)  # type: ignore[arg-type]  # as Wish has them


async def test_a_shorter_time_says_of_how_many_events_and_needs_leave(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await put(world, "")
        await world.send(*({"order_id": f"A-{number}", "qty": 1} for number in range(2)))
        await world.settled(FIRST + 2)
        planned = await put(world, NOTHING, dry_run=True)
        assert planned.blocked == ("destructive",)
        assert (
            "~ keep content 90d -> 0d; evidence 2555d -> 0d; the content of 2 events goes; "
            "the evidence of 2 events goes  destructive"
        ) in planned.plan
        with pytest.raises(CallerError) as caught:
            await put(world, NOTHING)
        assert caught.value.code == "change_destructive"
        young = await put(world, "keep: {content: 7d}\n", dry_run=True)
        assert "the content of no events goes" in young.plan
        assert (await put(world, NOTHING, allow=frozenset({"destructive"}))).changed
        longer = await put(world, "keep: {content: 7d}\n")
        assert longer.blocked == ()
