"""Filters of declared endpoints against the schemas of their types."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.administration.desk import ContractText, Wish
from gateway.errors import CallerError
from partners import store
from tests.world import CONTRACT, OPERATOR, World, running

SCHEMA = {
    "type": "record",
    "name": "Order",
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "customer", "type": ["null", "string"], "default": None},
        {"name": "total", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}


def contract(filter_: str, events: str = "") -> str:
    return CONTRACT + (
        "endpoints:\n  verification: none\n  declared:\n"
        f"    - name: hook\n      url: https://hooks.acme.example/in\n{events}      filter: {filter_}\n"
    )


async def put(world: World, text: str) -> Any:
    sent = ContractText(text, "acme.yaml", {"order.avsc": json.dumps(SCHEMA)})
    return await world.parts.administration.put_contract("acme", sent, Wish(), by=OPERATOR)


async def test_a_filter_is_kept_and_knows_where_numbers_are(tmp_path: Path) -> None:
    text = contract('{all: [{pointer: /total, equals: 12.5}, {pointer: /at, above: "2026-01-31T00:00:00Z"}]}')
    async with running(tmp_path) as world:
        await put(world, text)
        assert (await put(world, text)).changed is False
        (hook,) = await world.parts.ground.database.read(lambda session: store.endpoints(session, "acme"))
        data = {"total": "12.50", "at": "2026-02-01T00:00:00.000Z"}
        assert hook.wants("order.accepted", lambda: data)
        assert not hook.wants("order.accepted", lambda: {**data, "total": "12.51"})
        changed = await put(world, text.replace("12.5", "13"))
        assert "filter" in changed.plan


@pytest.mark.parametrize(
    ("filter_", "pointer", "words"),
    [
        ("{pointer: /totl, above: 5}", "/endpoints/declared/0/filter/pointer", "did you mean /total?"),
        (
            "{any: [{pointer: /total, above: '2026-01-31'}]}",
            "/endpoints/declared/0/filter/any/0/above",
            "a number",
        ),
        ("{not: {pointer: /at, equals: 5}}", "/endpoints/declared/0/filter/not/equals", "RFC 3339"),
        ("{pointer: /order_id, in: [A, 5]}", "/endpoints/declared/0/filter/in", "a text"),
    ],
)
async def test_a_fault_is_told_with_its_line_and_pointer(
    tmp_path: Path, filter_: str, pointer: str, words: str
) -> None:
    async with running(tmp_path) as world:
        with pytest.raises(CallerError) as caught:
            await put(world, contract(filter_))
    assert caught.value.code == "contract_invalid"
    faults = caught.value.members["errors"]
    assert isinstance(faults, list)
    (fault,) = faults
    assert (fault["pointer"], words in fault["detail"]) == (pointer, True)
    assert fault["line"] == contract(filter_).split("\n").index(f"      filter: {filter_}") + 1
