"""The CloudEvents project's own library speaks to us, and understands us."""

import json
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from cloudevents.core.base import BaseCloudEvent
from cloudevents.core.bindings import http, kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from audit.receipt import parse_receipt
from gateway.broker.port import Position, Read, Record
from gateway.catalog import Snapshot
from gateway.egress.intake import Carried, take_in
from gateway.egress.webhook import encode_body
from gateway.event import EventKey
from gateway.record import GUID_HEADER, Encoded, Framing, Place, SchemaRef, encode_record
from partners.directory import Directory
from tests.builders import ORIGIN, House, open_house
from tests.unit.gateway.ingress.channels import channel

FORMAT = JSONFormat()
TIME = datetime(2026, 11, 22, 13, 5, 0, 123456, tzinfo=UTC)
TEXT = 'café 100% "sure" 東京 🚚'
ID = {"name": "id", "type": "string"}


def order(event_id: str, **changes: Any) -> BaseCloudEvent:
    attributes: dict[str, Any] = {
        "id": event_id,
        "source": "/erp/côte",
        "type": "order.placed",
        "time": TIME,
        "subject": TEXT,
        "datacontenttype": "application/json",
        "dataschema": "urn:acme:order:3",
        "partitionkey": "C-7",
        "tenant": "t%20",
        **changes,
    }
    return CloudEvent(attributes, {"order_id": event_id, "qty": 3})


def said(receipt: str) -> Mapping[str, Any]:
    return parse_receipt(receipt.encode()).evidence.members


ATTRIBUTES = {
    "partitionkey": "C-7",
    "subject": TEXT,
    "tenant": "t%20",
    "time": "2026-11-22T13:05:00.123456Z",
}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path) as opened:
        yield opened


async def test_what_the_library_sends_is_taken_as_it_was_meant(house: House) -> None:
    structured = [FORMAT.write(order(f"A-{n}")) for n in (2, 3)]
    messages = [
        http.to_binary(order("A-0"), FORMAT),
        http.to_structured(order("A-1"), FORMAT),
        http.HTTPMessage(
            {"content-type": "application/cloudevents-batch+json"}, b"[%b]" % b",".join(structured)
        ),
    ]
    async with house.client("acme") as client:
        answers = [await client.post("/v1/events", content=one.body, headers=one.headers) for one in messages]
        repeat = await client.post("/v1/events", content=structured[0], headers=messages[1].headers)
        binary = http.to_binary(order("A-1"), FORMAT)
        in_other_mode = await client.post("/v1/events", content=binary.body, headers=binary.headers)
    assert [one.status_code for one in answers] == [201, 201, 200]
    receipts = [answers[0].json()["receipt"], answers[1].json()["receipt"]]
    receipts += [one["receipt"] for one in answers[2].json()["results"]]
    for number, receipt in enumerate(receipts):
        members = said(receipt)
        assert (members["id"], members["source"], members["type"]) == (
            f"A-{number}",
            "/erp/côte",
            "order.placed",
        )
        assert members["attributes"] == ATTRIBUTES
    assert (repeat.json()["duplicate"], in_other_mode.json()["receipt"]) == (True, receipts[1])


async def test_an_event_of_the_library_without_data_lacks_it(house: House) -> None:
    event = CloudEvent({"id": "A-1", "source": "/erp", "type": "order.placed"}, None)
    async with house.client("acme") as client:
        for message in (http.to_binary(event, FORMAT), http.to_structured(event, FORMAT)):
            answer = await client.post("/v1/events", content=message.body, headers=message.headers)
            assert (answer.status_code, answer.json()["code"]) == (422, "event_invalid")
            assert [(one["pointer"], one["code"]) for one in answer.json()["errors"]] == [("", "missing")]


async def test_the_dataschema_that_the_library_reads_leads_to_the_schema(house: House) -> None:
    async with house.client("team") as team, house.client("acme") as partner:
        path = "/v1/partners/acme/events/order.accepted"
        assert (await team.post(path, json={"order_id": "A-1", "qty": 3})).status_code == 201
        page = (await partner.get("/v1/stream?from=earliest&wait=5")).json()
        event = FORMAT.read(CloudEvent, json.dumps(page["items"][0]))
        assert event.get_data() == {"order_id": "A-1", "customer": None, "qty": 3}
        uri = event.get_dataschema()
        assert uri is not None
        assert uri.startswith(ORIGIN)
        schema = (await partner.get(uri.removeprefix(ORIGIN))).json()
    assert schema["name"] == "Order"


def test_our_webhooks_are_events_of_the_library() -> None:
    attributes = {**ATTRIBUTES, "flag": "true"}
    body = encode_body(
        attributes, ("A-1", "/house", "t"), data_schema="https://gw/v1/schemas/2", data=b'{"a":[1.5]}'
    )
    message = http.HTTPMessage({"Content-Type": "application/cloudevents+json"}, body)
    event = http.from_http_event(message)
    assert event.get_data() == {"a": [1.5]}
    assert event.get_attributes() == {
        **attributes,
        "specversion": "1.0",
        "id": "A-1",
        "source": "/house",
        "type": "t",
        "time": TIME,
        "datacontenttype": "application/json",
        "dataschema": "https://gw/v1/schemas/2",
    }


@pytest.mark.parametrize("framing", ["prefix", "header"])
def test_our_records_are_events_of_the_library(framing: Framing) -> None:
    key = EventKey("acme", "inbound", "/erp/côte", "A-1")
    made = Encoded("t", key, ATTRIBUTES, b"\x04\xff\xfe", SchemaRef(41, UUID(int=1 << 127)), framing, "a.b.c")
    record = encode_record(made, Place("partners.acme.inbound", 0, b"C-7", 0), origin=ORIGIN)
    # The library reads every header as UTF-8, also those that are none of CloudEvents.
    headers = {name: value for name, value in record.headers if name != GUID_HEADER}
    event = kafka.from_kafka_event(kafka.KafkaMessage(headers, record.key, record.value or b""))
    assert event.get_data() == record.value
    assert event.get_attributes() == {
        **ATTRIBUTES,
        "specversion": "1.0",
        "id": "A-1",
        "source": "/erp/côte",
        "type": "t",
        "time": TIME,
        "datacontenttype": "application/vnd.confluent.avro" if framing == "prefix" else "application/avro",
        "dataschema": f"{ORIGIN}/v1/schemas/41",
    }
    again = kafka.to_binary(event, FORMAT)
    assert {**again.headers, "gateway_receipt": b"a.b.c"} == headers
    assert (again.key, again.value) == ("C-7", record.value)


@pytest.mark.parametrize("mode", [kafka.to_binary, kafka.to_structured])
def test_records_of_the_library_are_events(mode: Any) -> None:
    message: kafka.KafkaMessage = mode(CloudEvent(order("A-1").get_attributes(), {"id": "x"}), FORMAT)
    on = channel([ID])
    record = Record("t", 0, b"C-7", message.value, tuple(message.headers.items()), 5)
    snapshot = Snapshot(Directory(1, (), ()), {("acme", "inbound", "order.placed"): on}, {}, {"t": "topic-1"})
    found = take_in(Read(Position("topic-1", 0, 9), record, 5), snapshot, "acme", "inbound")
    assert isinstance(found, Carried), found
    assert found.key == EventKey("acme", "inbound", "/erp/côte", "A-1")
    assert (found.attributes, found.json) == (ATTRIBUTES, b'{"id":"x"}')
