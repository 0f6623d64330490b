import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from gateway.broker.port import UNREADABLE_HEADERS, Record
from gateway.event import EventKey
from gateway.record import (
    DATUM_TYPE,
    GUID_HEADER,
    PREFIX_TYPE,
    Encoded,
    Envelope,
    Framing,
    Place,
    SchemaRef,
    Unreadable,
    decode_record,
    encode_record,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "formats.json"
GUID = UUID("6f1a2b3c-0000-4000-8000-000000000001")
PLACE = Place("partners.acme.inbound", 0, b"C-1", 1_795_353_600_000)


def encoded(framing: Framing = "prefix", **attributes: str) -> Record:
    key = EventKey("acme", "inbound", "urn:globex:côte", "A-1")
    event = Encoded("order.placed", key, attributes, b"\x02datum", SchemaRef(41, GUID), framing, "a.b.c")
    return encode_record(event, PLACE, origin="https://gw.example")


def changed(record: Record, *headers: tuple[str, bytes]) -> Record:
    """The record with further headers; those of the same name are replaced."""
    names = {name for name, _ in headers}
    return replace(record, headers=(*(h for h in record.headers if h[0] not in names), *headers))


def test_headers_stand_in_the_order_of_the_format() -> None:
    record = encoded(time="2026-11-22T13:05:00Z", subject="s")
    assert record.headers == (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"A-1"),
        ("ce_source", "urn:globex:côte".encode()),
        ("ce_type", b"order.placed"),
        ("ce_subject", b"s"),
        ("ce_time", b"2026-11-22T13:05:00Z"),
        ("ce_dataschema", b"https://gw.example/v1/schemas/41"),
        ("content-type", b"application/vnd.confluent.avro"),
        ("gateway_receipt", b"a.b.c"),
    )
    assert record.value == b"\x00\x00\x00\x00\x29\x02datum"


@pytest.mark.parametrize("framing", ["prefix", "header"])
def test_a_record_of_ours_is_read_back(framing: Framing) -> None:
    found = decode_record(encoded(framing, subject="s"))
    assert isinstance(found, Envelope)
    assert found.schema == (41 if framing == "prefix" else GUID)
    assert found.data == b"\x02datum"
    assert found.receipt == "a.b.c"
    names = {"id": "A-1", "source": "urn:globex:côte", "type": "order.placed", "subject": "s"}
    assert found.attributes == names


def test_a_stock_producers_record_needs_no_headers() -> None:
    record = replace(encoded(), headers=())
    found = decode_record(record)
    assert isinstance(found, Envelope)
    assert (found.attributes, found.receipt) == ({}, None)


def test_a_foreign_binary_header_spoils_nothing() -> None:
    found = decode_record(changed(encoded(), ("x-trace", b"\xff\xfe"), ("x-trace", b"\xff")))
    assert isinstance(found, Envelope)


@pytest.mark.parametrize(
    "headers",
    [
        UNREADABLE_HEADERS,
        (("ce_id", b"\xff"),),
        (("ce_id", b"a"), ("ce_id", b"b")),
        (("ce_id", b""),),
        (("ce_id", b"a\x00b"),),
        (("ce_id", b"x" * 257),),
        (("ce_type", b"x" * 129),),
        (("ce_source", b"x" * 513),),
        (("ce_subject", b"x" * 2_049),),
        (("ce_Subject", b"x"),),
        (("ce_data", b"x"),),
        (("ce_time", b"yesterday"),),
        (("ce_time", b"2026-11-22T13:05:00"),),
        (("ce_time", b""),),
        (("ce_subject", b""),),
        (("ce_specversion", b""),),
        (("ce_datacontenttype", b"application/avro"),),
        (("ce_specversion", b"0.3"), ("ce_id", b"a")),
        (("ce_subject", "a\ufffe".encode()),),
        tuple((f"ce_a{n}", b"x") for n in range(41)),
        (("gateway_receipt", b"\xff"),),
        (("gateway_receipt", b"a"), ("gateway_receipt", b"b")),
    ],
)
def test_headers_that_could_be_read_in_two_ways_or_not_at_all_are_refused(
    headers: tuple[tuple[str, bytes], ...],
) -> None:
    assert decode_record(replace(encoded(), headers=headers)) == Unreadable("header_invalid")


def test_what_is_no_event_says_why() -> None:
    record = encoded()
    assert decode_record(replace(record, value=None)) == Unreadable("no_value")
    assert decode_record(replace(record, value=b"\x01\x00\x00\x00\x29x")) == Unreadable("framing")
    assert decode_record(replace(record, value=b"\x00\x00")) == Unreadable("framing")
    assert decode_record(changed(record, ("__value_schema_id", b"\x01short"))) == Unreadable("framing")


EVENT = {"specversion": "1.0", "id": "A-1", "source": "/erp", "type": "order.placed"}


def structured(members: object, media_type: str = "application/cloudevents+json") -> Envelope | Unreadable:
    value = members if isinstance(members, bytes) else json.dumps(members).encode()
    headers = (("ce_id", b"other"), ("content-type", media_type.encode()))
    return decode_record(replace(encoded(), value=value, headers=headers))


@pytest.mark.parametrize(
    "media_type",
    [
        "application/cloudevents+json",
        "Application/CloudEvents+JSON; charset=UTF-8",
        "application/cloudevents+json;charset=utf-8",
    ],
)
def test_in_structured_mode_the_value_is_the_event(media_type: str) -> None:
    found = structured({**EVENT, "subject": "côte", "dataschema": "urn:x", "data": {"a": 1.50}}, media_type)
    assert isinstance(found, Envelope)
    names = {"id": "A-1", "source": "/erp", "type": "order.placed", "subject": "côte"}
    assert (found.attributes, found.schema, found.data, found.receipt) == (names, None, b'{"a": 1.5}', None)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/cloudevents",
        "application/cloudevents+avro",
        "application/cloudevents-batch+json",
        "application/cloudevents+json; charset=utf-16",
    ],
)
def test_structured_mode_is_taken_in_json_alone(media_type: str) -> None:
    assert structured(EVENT, media_type) == Unreadable("structured_mode")


@pytest.mark.parametrize(
    ("members", "code"),
    [
        (b"", "body_malformed"),
        (b"{", "body_malformed"),
        (b"\x00\x00\x00\x00\x29\x02datum", "body_malformed"),
        ([EVENT], "event_attribute_invalid"),
        ({**EVENT, "specversion": "0.3"}, "event_attribute_invalid"),
        ({"id": "A-1"}, "event_attribute_invalid"),
        ({**EVENT, "id": ""}, "event_attribute_invalid"),
        ({**EVENT, "Subject": "s"}, "event_attribute_invalid"),
        ({**EVENT, "datacontenttype": "application/avro", "data_base64": "AA=="}, "event_attribute_invalid"),
        ({**EVENT, "data": 1, "data_base64": "MQ=="}, "event_attribute_invalid"),
    ],
)
def test_a_structured_record_that_is_no_event_says_why(members: object, code: str) -> None:
    found = structured(members)
    assert isinstance(found, Unreadable)
    assert found.code == code


@pytest.mark.parametrize("media_type", [b"application/json; charset=utf-8", b"application/x+json", b""])
def test_binary_mode_may_carry_json(media_type: bytes) -> None:
    record = encoded(subject="s", tenant="")
    found = decode_record(replace(changed(record, ("content-type", media_type)), value=b'{"a":1}'))
    assert isinstance(found, Envelope)
    assert (found.schema, found.data, found.attributes["subject"]) == (None, b'{"a":1}', "s")


@pytest.mark.parametrize(
    "media_type", [b"application/avro", b"text/plain", b"application/json; charset=utf-16"]
)
def test_what_says_to_be_something_else_is_not_taken_as_json(media_type: bytes) -> None:
    record = replace(changed(encoded(), ("content-type", media_type)), value=b'{"a":1}')
    assert decode_record(record) == Unreadable("framing")


def test_what_is_avro_stays_avro_whatever_its_content_type_says() -> None:
    for framing, schema in (("prefix", 41), ("header", GUID)):
        record = encoded("prefix" if framing == "prefix" else "header")
        found = decode_record(changed(record, ("content-type", b"application/json")))
        assert isinstance(found, Envelope)
        assert (found.schema, found.data) == (schema, b"\x02datum")


def test_json_that_does_not_say_to_be_a_cloudevent_is_none() -> None:
    headers = (("content-type", b"application/json"),)
    assert decode_record(replace(encoded(), value=b"{}", headers=headers)) == Unreadable("framing")


@pytest.mark.parametrize("framing", ["prefix", "header"])
def test_the_known_answer_of_the_formats_page(framing: Framing) -> None:
    whole = json.loads(VECTORS.read_text())
    vector, accepted = whole["record"], whole["evidence"]["kinds"][0]["members"]
    key = EventKey(accepted["partner"], accepted["direction"], accepted["source"], accepted["id"])
    event = Encoded(
        accepted["type"],
        key,
        accepted["attributes"],
        bytes.fromhex(vector["header_value"]),
        SchemaRef(vector["schema_id"], UUID(vector["guid"])),
        framing,
        whole["receipt"]["token"],
    )
    made = encode_record(event, Place("t", 0, None, 0), origin=whole["evidence"]["iss"])
    headers = [[name, value.decode()] for name, value in made.headers if name != GUID_HEADER]
    expected = [list(pair) for pair in vector["headers"]]
    if framing == "header":
        expected[expected.index(["content-type", PREFIX_TYPE])] = ["content-type", DATUM_TYPE]
        assert dict(made.headers)[GUID_HEADER] == b"\x01" + UUID(vector["guid"]).bytes
    assert headers == expected
    assert made.value == bytes.fromhex(vector["value" if framing == "prefix" else "header_value"])
