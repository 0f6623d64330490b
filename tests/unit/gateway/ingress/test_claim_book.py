import json
from pathlib import Path
from typing import Any

from gateway.ingress.claim_book import Unfit
from gateway.ingress.outcome import Accepted, Refused
from tests.world import CONTRACT, ORDER, World, draft, running

A = {"order_id": "A-1", "customer": "C-1", "qty": 1}
NOTE = {"name": "note", "type": ["null", "string"], "default": None}
NEWER: dict[str, Any] = {**ORDER, "fields": [*ORDER["fields"], NOTE]}
UNIT = {**ORDER, "fields": [*ORDER["fields"][:2], {"name": "quantity", "type": "int", "default": 0}]}


async def change(world: World, schema: dict[str, Any], contract: str = CONTRACT) -> None:
    await world.apply(contract, {"order.avsc": json.dumps(schema)}, allow=frozenset({"incompatible"}))


def receipt(found: object) -> str:
    assert isinstance(found, Accepted), found
    return found.receipt


async def test_a_repeat_under_a_newer_schema_is_a_repeat_and_a_change_a_conflict(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        (first,) = await world.send(A)
        await change(world, NEWER)
        (again,) = await world.send(A)
        (other,) = await world.send({**A, "qty": 2})
        (richer,) = await world.send({**A, "note": "x"})
        assert receipt(again) == receipt(first)
        assert isinstance(other, Refused)
        assert isinstance(richer, Refused)
        assert {other.code, richer.code} == {"event_conflict"}


async def test_a_repeat_in_avro_json_under_a_newer_schema_is_a_repeat(
    tmp_path: Path, database_url: str
) -> None:
    contract = CONTRACT.replace("key: /customer}", "key: /customer, json: avro}")
    wrapped = {**A, "customer": {"string": "C-1"}}
    async with running(tmp_path, url=database_url) as world:
        await world.apply(contract)
        (first,) = await world.send(wrapped)
        await change(world, NEWER, contract)
        (again,) = await world.send({**wrapped, "note": None})
        (shorter,) = await world.send(wrapped)
        (richer,) = await world.send({**wrapped, "note": {"string": "x"}})
        assert receipt(shorter) == receipt(again) == receipt(first)  # a null that only the newer one knows
        assert isinstance(richer, Refused)


async def test_a_strict_batch_of_repeats_under_a_newer_schema_is_taken(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        two = {**A, "order_id": "A-2"}
        first = await world.send(A, two)
        await change(world, NEWER)
        again = await world.send(A, two, {**A, "order_id": "A-3"})
        assert [receipt(one) for one in again[:2]] == [receipt(one) for one in first]
        assert isinstance(again[2], Accepted)
        assert not again[2].duplicate
        assert await world.parts.broker.bounds([("partners.acme.inbound", 0)]) == [(0, 3)]


async def test_what_no_accepted_version_takes_any_more_keeps_its_receipt_in_a_batch(
    tmp_path: Path, database_url: str
) -> None:
    contract = CONTRACT.replace("key: /customer}", "key: /customer, accept_versions: 1}")
    async with running(tmp_path, url=database_url) as world:
        await world.apply(contract)
        (first,) = await world.send(A)
        await change(world, UNIT, contract)
        fresh = {"order_id": "A-2", "quantity": 4}
        outcomes = await world.send(A, {**A, "qty": 2}, {**A, "order_id": "A-9"}, fresh, strict=False)
        assert receipt(outcomes[0]) == receipt(first)
        assert [one.code for one in outcomes if isinstance(one, Refused)] == ["event_invalid"] * 2
        assert isinstance(outcomes[3], Accepted)
        strict = await world.send(A, {**fresh, "order_id": "A-3"})
        assert [type(one) for one in strict] == [Accepted, Accepted]


async def test_a_dry_run_of_a_strict_batch_tells_what_the_run_would(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        await world.send(A)
        batch = [draft({**A, "qty": 2}), draft({**A, "order_id": "A-2"})]
        dry = await world.submit(batch, dry_run=True)
        real = await world.submit(batch)
        codes = [[one.code for one in outcomes if isinstance(one, Refused)] for outcomes in (dry, real)]
        assert codes == [["event_conflict", "batch_refused"]] * 2


async def test_what_the_claims_own_schema_refused_is_not_read_again(
    tmp_path: Path, database_url: str
) -> None:
    async with running(tmp_path, url=database_url) as world:
        await world.apply()
        (first,) = await world.send(A)
        assert isinstance(first, Accepted)
        channel = world.parts.catalog.current.channel("acme", "order.placed", "inbound")
        assert channel is not None
        book, schema_id = world.parts.ingress.book, channel.versions[0].schema_id
        seen = [
            await book.find_same([Unfit(first.ref, draft(A), "plain", frozenset(tried))])
            for tried in ((), (schema_id + 1,), (schema_id,))
        ]
        assert [found is not None for (found,) in seen] == [True, True, False]
