"""Batches of a type whose ids the contract has made: what a repeat is, with a key and without one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.builders import CONTRACTS, House, open_house
from tests.world import ORDER

PATH = "/v1/events/order.placed"
LENIENT = {"Prefer": "handling=lenient"}
GENERATED = CONTRACTS.replace("{slug}", "bare").replace("id: /order_id, key: /customer", "id: generated")
A, B, C = (b'{"order_id":"%s","qty":1}' % one for one in (b"A", b"B", b"C"))
BAD = b'{"order_id":"B","qty":"one"}'


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=()) as opened:
        await opened.world.apply(GENERATED, slug="bare")
        await opened.issue("bare", "partner", "bare")
        yield opened


async def post(house: House, *lines: bytes, key: str | None, **headers: str) -> httpx.Response:
    named = {} if key is None else {"Idempotency-Key": key}
    async with house.client("bare") as client:
        return await client.post(
            PATH,
            content=b"\n".join(lines),
            headers={"Content-Type": "application/x-ndjson", **named, **headers},
        )


def told(answer: httpx.Response) -> list[tuple[int, str]]:
    """Status and ref of each event, or the code of its refusal."""
    results = answer.json()["results"]
    return [(one["status"], one["problem"]["code"] if "problem" in one else one["ref"]) for one in results]


def refs(answer: httpx.Response) -> list[str]:
    return [word for _, word in told(answer)]


@pytest.mark.parametrize("manner", [{}, LENIENT])
async def test_under_its_key_a_batch_is_repeated(house: House, manner: dict[str, str]) -> None:
    first = await post(house, A, A, key="monday", **manner)
    again = await post(house, A, A, key='"monday"', **manner)
    assert (first.json()["accepted"], again.json()["duplicates"]) == (2, 2)
    assert refs(first) == refs(again)
    assert len(set(refs(first))) == 2
    async with house.client("bare") as client:
        tried = await client.post(
            f"{PATH}?dry_run=true",
            content=A,
            headers={"Content-Type": "application/x-ndjson", "Idempotency-Key": "monday"},
        )
    assert refs(tried) == refs(first)[:1]


async def test_without_a_key_or_under_another_it_is_new_events(house: House) -> None:
    answers = [await post(house, A, B, key=key) for key in (None, None, "monday", "tuesday")]
    assert len({ref for one in answers for ref in refs(one)}) == 8


async def test_another_body_under_the_same_key_is_a_conflict_and_told_as_such(house: House) -> None:
    first = await post(house, A, B, key="monday")
    strict = await post(house, A, C, key="monday")
    assert (strict.status_code, [code for _, code in told(strict)]) == (
        422,
        ["batch_refused", "event_conflict"],
    )
    lenient = await post(house, A, C, B, key="monday", **LENIENT)
    assert told(lenient)[:2] == [(200, refs(first)[0]), (409, "event_conflict")]
    assert told(lenient)[2][0] == 201


async def test_what_was_refused_is_mended_in_its_place(house: House) -> None:
    first = await post(house, A, BAD, C, key="monday", **LENIENT)
    assert [status for status, _ in told(first)] == [201, 422, 201]
    again = await post(house, A, B, C, key="monday", **LENIENT)
    assert [status for status, _ in told(again)] == [200, 201, 200]
    assert (await post(house, A, BAD, key="tuesday")).status_code == 422
    assert (await post(house, A, B, key="tuesday")).json()["accepted"] == 2


async def test_what_was_taken_under_an_earlier_contract_is_still_known(house: House) -> None:
    first = await post(house, A, B, key="monday")
    fields = [*ORDER["fields"], {"name": "more", "type": "int"}]
    files = {"order.avsc": json.dumps({**ORDER, "fields": fields})}
    contract = GENERATED.replace("id: generated", "id: generated, accept_versions: 1")
    await house.world.apply(contract, files, slug="bare", allow=frozenset({"incompatible"}))
    assert refs(await post(house, A, B, key="monday")) == refs(first)
    assert (await post(house, A, B, key="tuesday")).status_code == 422


async def test_events_that_have_an_id_keep_it(house: House) -> None:
    event = {"specversion": "1.0", "id": "E-1", "source": "/erp", "type": "order.placed"}
    headers = {"Content-Type": "application/cloudevents-batch+json", "Idempotency-Key": "monday"}
    async with house.client("bare") as client:
        body = [{**event, "data": {"order_id": "A", "qty": 1}}]
        first = await client.post("/v1/events", json=body, headers=headers)
        again = await client.post("/v1/events", json=body, headers={**headers, "Idempotency-Key": "tuesday"})
    assert refs(first) == refs(again)


async def test_a_key_that_is_none_is_refused_and_not_passed_over(house: House) -> None:
    answer = await post(house, A, key="k" * 257)
    assert (answer.status_code, answer.json()["code"]) == (400, "request_malformed")
