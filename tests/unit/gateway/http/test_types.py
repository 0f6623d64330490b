"""Schemas, JSON Schemas and samples of a contract's types, by way of the routes."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.builders import ORIGIN, House, open_house
from tests.json_schema_oracle import accepts

pytestmark = pytest.mark.asyncio(loop_scope="module")

PRICE: dict[str, Any] = {
    "type": "record",
    "name": "Price",
    "fields": [
        {"name": "symbol", "type": "string", "doc": "As the exchange has it."},
        {"name": "day", "type": {"type": "int", "logicalType": "date"}},
        {"name": "venue", "type": ["null", "string"]},
        {"name": "paid", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}
CONTRACT = """\
gateway: v1
partner: bolt
sends:
  price.quoted: {schema: price.avsc, id: [/symbol, /day], key: /symbol, time: /at, search: [/venue]}
  price.wrapped: {schema: other.avsc, id: /symbol, json: avro}
receives:
  price.quoted: {schema: price.avsc, id: /symbol}
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with open_house(tmp_path_factory.mktemp("types")) as opened:
        files = {"price.avsc": json.dumps(PRICE), "other.avsc": json.dumps({**PRICE, "name": "Wrapped"})}
        await opened.world.apply(CONTRACT, files, slug="bolt")
        await opened.world.parts.catalog.refresh()
        await opened.issue("bolt", "partner", "bolt")
        yield opened


WAYS = [
    ("bolt", "/v1", "price.quoted", "inbound"),
    ("bolt", "/v1", "price.wrapped", "inbound"),
    ("team", "/v1/partners/bolt", "price.quoted", "outbound"),
    ("operator", "/v1/partners/bolt", "price.quoted", "inbound"),
]


@pytest.mark.parametrize(("who", "base", "kind", "direction"), WAYS)
async def test_the_json_schema_takes_the_sample(
    house: House, who: str, base: str, kind: str, direction: str
) -> None:
    async with house.client(who) as client:
        path = f"{base}/types/{kind}"
        sample = await client.get(f"{path}/sample?direction={direction}")
        schema = await client.get(f"{path}/schema?as=jsonschema&direction={direction}")
    assert (sample.status_code, schema.status_code) == (200, 200)
    assert sample.headers["content-type"] == "application/json"
    assert schema.headers["content-type"] == "application/schema+json"
    whole = schema.json()
    assert (whole["$id"], whole["title"]) == (
        f"{ORIGIN}{path}/schema?direction={direction}&as=jsonschema",
        kind,
    )
    assert accepts(whole, sample.content)
    assert not accepts(whole, sample.content.replace(b'"day"', b'"date"'))


async def test_a_sample_names_the_schema_that_describes_it(house: House) -> None:
    async with house.client("bolt") as client:
        sample = await client.get("/v1/types/price.quoted/sample")
        link = sample.headers["link"]
        assert link.endswith("; rel=describedby")
        described = await client.get(link[1 : link.index(">")])
        shown = (await client.get("/v1/types/price.quoted")).json()["directions"]
        samples = [await client.get(one["links"]["sample"]) for one in shown]
    assert described.headers["content-type"] == "application/schema+json"
    assert [one.content for one in samples] == [sample.content, sample.content]


async def test_a_sample_is_checked_then_sent_then_known_as_a_repeat(house: House) -> None:
    for kind in ("price.quoted", "price.wrapped"):
        async with house.client("bolt") as client:
            sample = (await client.get(f"/v1/types/{kind}/sample")).content
            headers = {"Content-Type": "application/json"}
            path = f"/v1/events/{kind}"
            checked = await client.post(f"{path}?dry_run=true", content=sample, headers=headers)
            sent = await client.post(path, content=sample, headers=headers)
            again = await client.post(path, content=sample, headers=headers)
        assert [one.status_code for one in (checked, sent, again)] == [200, 201, 200]
        assert again.json()["receipt"] == sent.json()["receipt"]


async def test_our_side_sends_the_sample_of_what_a_partner_receives(house: House) -> None:
    async with house.client("team") as client:
        base = "/v1/partners/bolt"
        sample = await client.get(f"{base}/types/price.quoted/sample?direction=outbound")
        headers = {"Content-Type": "application/json"}
        sent = await client.post(f"{base}/events/price.quoted", content=sample.content, headers=headers)
    assert sent.status_code == 201, sent.text


async def test_a_refusal_says_where_a_sample_is(house: House) -> None:
    for who, base in (("bolt", "/v1"), ("team", "/v1/partners/bolt")):
        async with house.client(who) as client:
            refused = await client.post(f"{base}/events/price.quoted", json={})
            hint = refused.json()["hint"]
            assert (refused.status_code, hint.split(" ", 2)[2]) == (422, "shows what is expected.")
            shown = await client.get(hint.split(" ")[1])
        assert shown.json()["symbol"] == "symbol"


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("price.quoted/schema?as=xsd", "parameter_invalid"),
        ("price.quoted/sample?as=jsonschema", "parameter_invalid"),
        ("price.quoted/sample?direction=up", "parameter_invalid"),
        ("price.wrapped/sample?direction=outbound", "not_found"),
        ("price.eaten/sample", "not_found"),
        ("price.eaten/schema?as=jsonschema", "not_found"),
        ("order.placed/sample", "not_found"),
    ],
)
async def test_what_there_is_not_is_told(house: House, path: str, code: str) -> None:
    async with house.client("bolt") as client:
        answer = await client.get(f"/v1/types/{path}")
    assert answer.json()["code"] == code
