"""A plan tries the newest events of the topic against what the contract is to accept."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.administration.desk import ContractText, Wish
from gateway.administration.outcome import ContractOutcome
from gateway.administration.recorded import Failing, Recorded, Trial, look_back, plain_pointer
from gateway.ingress.outcome import Accepted
from schemas.schema import parse_schema
from tests.unit.gateway.ingress.brokers import WilfulBroker
from tests.world import CONTRACT, OPERATOR, ORDER, World, running

STRICT = CONTRACT.replace("key: /customer}", "key: /customer, accept_versions: 1}")
LINES = {
    "type": "array",
    "items": {"type": "record", "name": "L", "fields": [{"name": "qty", "type": "long"}]},
}


def schema(*fields: dict[str, Any], without: str = "") -> dict[str, Any]:
    kept = [one for one in ORDER["fields"] if one["name"] != without]
    return {**ORDER, "fields": [*kept, *fields]}


WITH_LINES = schema({"name": "lines", "type": LINES})
NARROW = json.loads(json.dumps(WITH_LINES).replace('"long"', '"int"'))


async def plan(world: World, wanted: dict[str, Any], contract: str = STRICT) -> ContractOutcome:
    sent = ContractText(contract, "acme.yaml", {"order.avsc": json.dumps(wanted)})
    return await world.parts.administration.put_contract("acme", sent, Wish(dry_run=True), by=OPERATOR)


async def send(world: World, *bodies: dict[str, Any]) -> None:
    assert all(isinstance(one, Accepted) for one in await world.send(*bodies))


def order(number: int, **more: Any) -> dict[str, Any]:
    return {"order_id": f"A-{number}", "qty": number, **more}


async def test_events_that_a_new_schema_would_refuse_are_counted_with_their_faults(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(STRICT, {"order.avsc": json.dumps(WITH_LINES)})
        big = [{"qty": 1}, {"qty": 2**40}]
        await send(world, order(1, lines=[]), order(2, lines=big), order(3, lines=big[1:]))
        (sends, receives) = (await plan(world, NARROW)).recorded
    assert sends == Recorded("sends", "order.placed", 3, 2, (Failing("/lines/*/qty", "range", 2),))
    assert sends.words == (
        "? sends order.placed  2 of the 3 newest events would be refused: /lines/*/qty range (2)"
    )
    assert receives == Recorded("receives", "order.accepted")
    assert receives.words == "= receives order.accepted  none of its events is among the newest on the topic"


async def test_what_an_older_version_still_takes_is_not_refused(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(CONTRACT)
        await send(world, order(1), order(2))
        fewer = schema(without="customer")
        kept = await plan(world, fewer, CONTRACT.replace("key: /customer", "key: /order_id"))
        strict = await plan(world, fewer, STRICT.replace("key: /customer", "key: /order_id"))
    assert "= sends order.placed  the 2 newest events would still be taken" in kept.plan
    assert strict.recorded[0].faults == (Failing("/customer", "unknown_field", 2),)
    assert "2 of the 2 newest events would be refused: /customer unknown_field (2)" in strict.plan
    assert strict.blocked == ()


async def test_events_for_the_partner_count_where_they_have_a_receipt(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(STRICT)
        await world.send(order(1), order(2), direction="outbound")
        contract = STRICT.replace(
            "{schema: order.avsc, id: /order_id}", "{schema: order.avsc, accept_versions: 1}"
        )
        must = schema({"name": "must", "type": "string"})
        before = (await plan(world, must, contract)).recorded
    assert (before[1].section, before[1].checked, before[1].refused) == ("receives", 2, 2)
    assert before[1].faults == (Failing("/must", "missing", 2),)


async def test_a_plan_that_changes_no_schema_reads_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(STRICT)
        await send(world, order(1))
        assert (await plan(world, ORDER, STRICT + "limits: {streams: 3}\n")).recorded == ()


async def test_a_broker_that_is_away_is_told_and_stops_no_plan(tmp_path: Path) -> None:
    broker = WilfulBroker(tmp_path)
    async with running(tmp_path, broker=broker) as world:
        await world.apply(STRICT)
        broker.away_ms = 2_000
        outcome = await plan(world, schema({"name": "n", "type": "int", "default": 0}))
    assert [one.reason for one in outcome.recorded] == ["the broker is away"] * 2
    assert "? sends order.placed  recorded events could not be looked at: the broker is away" in outcome.plan
    assert outcome.changed


async def test_events_that_take_too_long_to_try_are_told_and_hold_up_no_plan(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply(STRICT)
        await send(world, order(1))
        snapshot = world.parts.catalog.current
        partner, channel = (
            snapshot.directory.partner("acme"),
            snapshot.channel("acme", "order.placed", "inbound"),
        )
        assert partner is not None
        assert channel is not None
        wanted = (Trial("inbound", "order.placed", channel.versions),)
        (late,) = await look_back(world.parts.broker, snapshot, partner, wanted, trying_seconds=0)
        (whole,) = await look_back(world.parts.broker, snapshot, partner, wanted)
    assert late.reason == "others on the topic took too long to try"
    assert (whole.reason, whole.checked) == ("", 1)


FREE = parse_schema(
    json.dumps(
        {
            "type": "record",
            "name": "R",
            "fields": [
                {"name": "by_key", "type": {"type": "map", "values": LINES}},
                {"name": "maybe", "type": ["null", "string"]},
            ],
        }
    )
).root


@pytest.mark.parametrize(
    ("pointer", "plain"),
    [
        ("", ""),
        ("/by_key/secret of the partner/3/qty", "/by_key/*/*/qty"),
        ("/maybe/string", "/maybe/string"),
        ("/unknown", "/unknown"),
        ("/unknown/secret/1", "/unknown/*/*"),
    ],
)
def test_a_pointer_says_nothing_that_only_the_event_has(pointer: str, plain: str) -> None:
    assert plain_pointer(pointer, (FREE,)) == plain
