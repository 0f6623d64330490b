import hashlib
import io
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import fastavro
import pytest

from audit.receipt import parse_receipt
from schemas.framing import encode_prefix
from tests.builders import CONTRACTS, House, open_house
from tests.world import ORDER

PATH = "/v1/events/order.placed"
AVRO, CONFLUENT = "application/avro", "application/vnd.confluent.avro"
BODY = {"order_id": "A-1", "customer": None, "qty": 3}
NEWER = {
    **ORDER,
    "fields": [*ORDER["fields"], {"name": "note", "type": ["null", "string"], "default": None}],
}
TWO = CONTRACTS.replace("{slug}", "acme").replace("customer}", "customer, accept_versions: 2}", 1)


def avro(body: Mapping[str, Any] = BODY, schema: Mapping[str, Any] = ORDER) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(dict(schema)), dict(body))
    return out.getvalue()


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, partners=("acme", "globex")) as opened:
        yield opened


async def post(
    house: House, body: bytes, media_type: str = AVRO, path: str = PATH, *, who: str = "acme", **headers: str
) -> Any:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    async with house.client(who) as client:
        return await client.post(path, content=body, headers={"Content-Type": media_type, **named})


async def test_a_datum_is_the_same_event_as_its_json(house: House) -> None:
    made = await post(house, avro())
    assert made.status_code == 201
    members = parse_receipt(made.json()["receipt"].encode()).evidence.members
    assert members["content"]["type"] == AVRO
    assert members["content"]["sha256"] == members["record"]["sha256"] == hashlib.sha256(avro()).hexdigest()
    async with house.client("acme") as client:
        again = await client.post(PATH, json={"order_id": "A-1", "qty": 3})
    assert (again.status_code, again.json()["receipt"]) == (200, made.json()["receipt"])


async def test_a_stock_serializers_bytes_are_taken_by_the_id_they_name(house: House) -> None:
    schema_id = (await post(house, avro())).json()["schema"]["id"]
    other = avro({**BODY, "order_id": "A-2"})
    made = await post(house, encode_prefix(schema_id, other), CONFLUENT)
    assert (made.status_code, made.json()["schema"]["id"]) == (201, schema_id)
    typed = await post(
        house,
        encode_prefix(schema_id, other),
        CONFLUENT,
        "/v1/events",
        ce_specversion="1.0",
        ce_id="A-2",
        ce_type="order.placed",
        ce_source="/partners/acme",
    )
    assert (typed.status_code, typed.json()["receipt"]) == (200, made.json()["receipt"])


async def test_a_datum_in_another_spelling_is_written_anew_and_both_digests_are_kept(house: House) -> None:
    items = {"type": "array", "items": "int"}
    schema = {
        "type": "record",
        "name": "Order",
        "fields": [{"name": "order_id", "type": "string"}, {"name": "lines", "type": items}],
    }
    text = CONTRACTS.replace("{slug}", "acme").replace(", key: /customer", "")
    await house.world.apply(
        text, {"order.avsc": json.dumps(schema)}, allow=frozenset({"incompatible", "destructive"})
    )
    loose = b"\x02A" + b"\x01\x02\x02" + b"\x02\x04" + b"\x00"  # two blocks, one of them with its size
    made = await post(house, loose)
    assert made.status_code == 201
    members = parse_receipt(made.json()["receipt"].encode()).evidence.members
    assert members["content"]["sha256"] == hashlib.sha256(loose).hexdigest()
    assert members["record"]["sha256"] == hashlib.sha256(b"\x02A\x04\x02\x04\x00").hexdigest()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "missing"),
        (avro()[:-1], "length"),
        (avro() + b"\x00", "trailing_bytes"),
        (b"\x06A-1\x04\x06", "union"),
        (b"\x06A-1\x00\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "encoding"),
        (b"\x06A-1\x00\x80\x80\x80\x80\x20", "range"),
        (b"\x02\xff\x00\x06", "encoding"),
    ],
)
async def test_what_is_no_datum_is_refused_with_its_fault(house: House, body: bytes, code: str) -> None:
    for media_type, sent in ((AVRO, body), (CONFLUENT, encode_prefix(1, body))):
        answer = await post(house, sent, media_type)
        assert (answer.status_code, answer.json()["code"]) == (422, "event_invalid")
        assert answer.json()["errors"][0]["code"] == code


@pytest.mark.parametrize("body", [b"", b"\x00\x00\x00", b"\x01\x00\x00\x00\x01" + avro()])
async def test_a_body_without_a_schema_id_is_refused(house: House, body: bytes) -> None:
    answer = await post(house, body, CONFLUENT)
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "encoding")


async def test_only_accepted_schemas_of_ones_own_are_read(house: House) -> None:
    foreign = {**ORDER, "name": "Foreign"}
    text = CONTRACTS.replace("{slug}", "globex")
    await house.world.apply(
        text, {"order.avsc": json.dumps(foreign)}, slug="globex", allow=frozenset({"incompatible"})
    )
    theirs = (await post(house, avro(), who="globex")).json()["schema"]["id"]
    for schema_id in (theirs, 4_000_000_000):
        answer = await post(house, encode_prefix(schema_id, avro()), CONFLUENT)
        assert (answer.status_code, answer.json()["code"]) == (422, "schema_version_unknown")
        assert "accepted: 1 (id " in answer.json()["detail"]
    for query in (
        f"schema_id={theirs}",
        "schema_version=9",
        f"schema_guid={'0' * 8}-0000-0000-0000-{'0' * 12}",
    ):
        answer = await post(house, avro(), path=f"{PATH}?{query}")
        assert (answer.status_code, answer.json()["code"]) == (422, "schema_version_unknown")


async def test_an_older_version_is_read_by_its_name_and_bare_bytes_by_the_newest(house: House) -> None:
    before = (await post(house, avro())).json()
    await house.world.apply(TWO, {"order.avsc": json.dumps(NEWER)})
    old, new = avro({**BODY, "order_id": "A-2"}), avro({**BODY, "order_id": "A-3", "note": None}, NEWER)
    for query in ("schema_version=1", f"schema_id={before['schema']['id']}"):
        answer = await post(house, old, path=f"{PATH}?{query}")
        assert answer.status_code in {200, 201}
        assert answer.json()["schema"]["version"] == 1
    assert (await post(house, old)).status_code == 422
    newest = await post(house, new)
    assert (newest.status_code, newest.json()["schema"]["version"]) == (201, 2)
    channel = house.world.parts.catalog.current.channel("acme", "order.placed", "inbound")
    assert channel is not None
    guid = channel.versions[0].schema.guid
    named = await post(house, new, path=f"{PATH}?schema_guid={guid}")
    assert named.status_code == 200


async def test_a_repeat_keeps_its_receipt_whatever_schema_is_accepted_by_now(house: House) -> None:
    first = await post(house, avro())
    await house.world.apply(
        TWO.replace("accept_versions: 2", "accept_versions: 1"), {"order.avsc": json.dumps(NEWER)}
    )
    newer = avro({**BODY, "note": None}, NEWER)
    async with house.client("acme") as client:
        spelled_out = await client.post(PATH, json={**BODY, "note": None})
        changed = await client.post(PATH, json={**BODY, "note": "more"})
    assert (spelled_out.status_code, changed.status_code) == (200, 409)
    assert (await post(house, avro({**BODY, "note": "more"}, NEWER))).status_code == 409
    for body, path in ((newer, PATH), (avro(), f"{PATH}?schema_version=1")):
        again = await post(house, body, path=path)
        assert (again.status_code, again.json()["receipt"]) == (200, first.json()["receipt"])
    framed = await post(house, encode_prefix(first.json()["schema"]["id"], avro()), CONFLUENT)
    assert (framed.status_code, framed.json()["receipt"]) == (200, first.json()["receipt"])


@pytest.mark.parametrize(
    ("media_type", "query"),
    [
        ("application/json", "schema_version=1"),
        (CONFLUENT, "schema_id=1"),
        (AVRO, "schema_version=1&schema_id=1"),
        (AVRO, "schema_version=0"),
        (AVRO, "schema_id=x"),
        (AVRO, "schema_guid=1"),
    ],
)
async def test_a_schema_named_in_a_wrong_way_is_a_wrong_parameter(
    house: House, media_type: str, query: str
) -> None:
    answer = await post(house, avro(), media_type, f"{PATH}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "parameter_invalid")
    assert query.partition("=")[0] in answer.json()["detail"]


async def test_what_is_offered_is_said(house: House) -> None:
    answer = await post(house, avro(), "application/x-avro")
    assert answer.status_code == 415
    assert {AVRO, CONFLUENT} <= set(answer.headers["accept-post"].split(", "))
