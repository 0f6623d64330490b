import json
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from gateway.broker.port import Position, Read, Record
from gateway.catalog import Snapshot
from gateway.channels import Channel
from gateway.egress.intake import Carried, NoEvent, Unasked, take_in
from gateway.event import EventKey
from partners.contract import IdRule
from partners.directory import Directory
from schemas.framing import encode_guid, encode_prefix
from tests.unit.gateway.ingress.channels import channel

ID = {"name": "id", "type": "string"}
TOPIC = "partners.acme.inbound"
HEADERS = {"ce_specversion": "1.0", "ce_id": "A-1", "ce_source": "/erp", "ce_type": "order.placed"}


def take(
    on: Channel, data: bytes, *, schema: int | UUID = 41, headers: dict[str, str] | None = None
) -> Carried | NoEvent:
    """Take a record in whose datum is `data` as JSON, encoded under the newest version."""
    return take_raw(on, on.versions[0].codec.avro_from_json(data).avro, schema=schema, headers=headers)


def take_raw(
    on: Channel, datum: bytes, *, schema: int | UUID = 41, headers: dict[str, str] | None = None
) -> Carried | NoEvent:
    named = tuple((name, text.encode()) for name, text in (headers or {}).items())
    framing: tuple[tuple[str, bytes], ...] = ()
    if isinstance(schema, UUID):
        value, framing = datum, (("__value_schema_id", encode_guid(schema)),)
    else:
        value = encode_prefix(schema, datum)
    record = Record(TOPIC, 0, None, value, (*named, *framing), 5)
    snapshot = Snapshot(
        Directory(1, (), ()),
        {("acme", "inbound", "order.placed"): on},
        {("acme", "inbound"): (on,)},
        {TOPIC: "topic-1"},
    )
    return known(take_in(Read(Position("topic-1", 0, 9), record, 5), snapshot, "acme", "inbound"))


def known(found: Carried | NoEvent | Unasked) -> Carried | NoEvent:
    assert not isinstance(found, Unasked)
    return found


def carried(found: Carried | NoEvent) -> Carried:
    assert isinstance(found, Carried), found
    return found


def code(found: Carried | NoEvent) -> str:
    assert isinstance(found, NoEvent)
    return found.code


def test_a_record_with_headers_is_what_they_say() -> None:
    found = carried(take(channel([ID]), b'{"id":"x"}', headers={**HEADERS, "ce_subject": "s"}))
    assert found.key == EventKey("acme", "inbound", "/erp", "A-1")
    assert (found.type, found.attributes, found.json) == ("order.placed", {"subject": "s"}, b'{"id":"x"}')
    assert not found.has_receipt


def test_a_record_without_headers_is_found_by_its_schema() -> None:
    on = channel([ID])
    found = carried(take(on, b'{"id":"x"}'))
    assert found.key == EventKey("acme", "inbound", "/partners/acme", "x")
    assert carried(take(on, b'{"id":"x"}', schema=on.versions[0].schema.guid)).key == found.key


def test_without_any_id_the_place_is_the_id() -> None:
    found = carried(take(channel([ID], rule=IdRule("required")), b'{"id":"x"}'))
    assert found.key.id == f"{TOPIC}/0/9"


@pytest.mark.parametrize("text", ["x" * 257, "a\\u0000b"])
def test_an_id_that_evidence_and_tables_cannot_hold_is_refused(text: str) -> None:
    found = take(channel([ID]), b'{"id":"%s"}' % text.encode())
    assert code(found) == "event_attribute_invalid"
    assert isinstance(found, NoEvent)
    assert found.is_refused
    assert carried(take(channel([ID]), b'{"id":"%s"}' % text.encode(), headers=HEADERS)).key.id == "A-1"


def test_what_the_contract_does_not_know_is_refused() -> None:
    on = channel([ID])
    assert code(take(on, b'{"id":"x"}', schema=99)) == "event_type_unknown"
    assert code(take(on, b'{"id":"x"}', schema=99, headers=HEADERS)) == "schema_version_unknown"
    assert code(take(on, b'{"id":"x"}', headers={**HEADERS, "ce_type": "other"})) == "event_type_unknown"


def test_a_datum_that_does_not_fit_is_refused_with_its_faults() -> None:
    found = take_raw(channel([ID]), b"\x08ab", headers=HEADERS)
    assert isinstance(found, NoEvent)
    assert (found.code, found.is_refused) == ("event_invalid", True)
    assert found.key == EventKey("acme", "inbound", "/erp", "A-1")
    assert found.faults
    assert code(take_raw(channel([ID]), b"\x02aZ")) == "event_invalid"  # bytes left over


def test_what_is_no_event_is_unreadable() -> None:
    on = channel([ID])
    found = take(on, b'{"id":"x"}', headers={"ce_id": "a\x00"})
    assert isinstance(found, NoEvent)
    assert (found.code, found.is_refused) == ("header_invalid", False)


@pytest.mark.parametrize(
    ("kind", "data", "time"),
    [
        ({"type": "int", "logicalType": "date"}, b'{"id":"x","at":"2026-11-22"}', None),
        ("string", b'{"id":"x","at":"To be told"}', None),
        ("string", b'{"id":"x","at":"2026-11-22T13:05:00Z"}', "2026-11-22T13:05:00Z"),
    ],
)
def test_only_rfc_3339_times_become_the_time_attribute(kind: Any, data: bytes, time: str | None) -> None:
    on = channel([ID, {"name": "at", "type": kind}], time="/at")
    assert carried(take(on, data)).attributes.get("time") == time


def test_a_receipt_is_noted_and_not_verified() -> None:
    assert carried(
        take(channel([ID]), b'{"id":"x"}', headers={**HEADERS, "gateway_receipt": "a.b.c"})
    ).has_receipt


def test_a_former_version_is_read() -> None:
    now, before = channel([ID, {"name": "n", "type": "int", "default": 0}]), channel([ID])
    both = replace(now, former=(replace(before.versions[0], schema_id=40),))
    datum = before.versions[0].codec.avro_from_json(b'{"id":"x"}').avro
    assert carried(take_raw(both, datum, schema=40)).version.schema_id == 40


EVENT = {"specversion": "1.0", "id": "A-1", "source": "/erp", "type": "order.placed", "partitionkey": "C-7"}
QTY = {"name": "qty", "type": "int"}


def take_value(on: Channel, value: bytes, **headers: str) -> Carried | NoEvent:
    named = tuple(
        (name.replace("content_type", "content-type"), text.encode()) for name, text in headers.items()
    )
    snapshot = Snapshot(
        Directory(1, (), ()),
        {("acme", "inbound", "order.placed"): on},
        {("acme", "inbound"): (on,)},
        {TOPIC: "topic-1"},
    )
    record = Record(TOPIC, 0, None, value, named, 5)
    return known(take_in(Read(Position("topic-1", 0, 9), record, 5), snapshot, "acme", "inbound"))


def take_structured(on: Channel, **members: object) -> Carried | NoEvent:
    value = json.dumps({**EVENT, **members}).encode()
    return take_value(on, value, content_type="application/cloudevents+json; charset=UTF-8")


def test_a_structured_record_is_checked_like_a_request() -> None:
    found = carried(take_structured(channel([ID]), data={"id": "x"}))
    assert found.key == EventKey("acme", "inbound", "/erp", "A-1")
    assert (found.type, found.attributes) == ("order.placed", {"partitionkey": "C-7"})
    assert (found.data, found.json, found.has_receipt) == (b'{"id": "x"}', b'{"id":"x"}', False)


def test_a_binary_record_may_carry_json() -> None:
    found = carried(take_value(channel([ID]), b' {"id":"x"}', content_type="application/json", **HEADERS))
    assert (found.key.id, found.attributes, found.json) == ("A-1", {}, b'{"id":"x"}')


def test_json_is_of_the_newest_version_that_takes_it() -> None:
    on = channel([ID, QTY], [ID])
    assert carried(take_structured(on, data={"id": "x", "qty": 1})).version.number == 2
    assert carried(take_structured(on, data={"id": "x"})).version.number == 1
    found = take_structured(on, data={"id": 1})
    assert isinstance(found, NoEvent)
    assert [fault.pointer for fault in found.faults] == ["/id", "/qty"]


def test_json_that_does_not_fit_is_refused_under_its_name() -> None:
    on = channel([ID], event_bytes=20)
    cases: list[tuple[dict[str, object], str]] = [
        ({"data": {"id": 1}}, "event_invalid"),
        ({"data": {"id": "x" * 20}}, "event_too_large"),
        ({"data_base64": "ew=="}, "body_malformed"),
        ({}, "event_invalid"),
    ]
    for members, expected in cases:
        found = take_structured(on, **members)
        assert isinstance(found, NoEvent)
        assert (found.code, found.is_refused, found.key) == (
            expected,
            True,
            EventKey("acme", "inbound", "/erp", "A-1"),
        )
    assert code(take_structured(on, type="other", data={})) == "event_type_unknown"
    assert code(take_structured(on, type=None, data={})) == "event_type_missing"


def test_an_event_without_data_says_what_is_missing() -> None:
    for members in ({}, {"data": None}):
        found = take_structured(channel([ID]), **members)
        assert isinstance(found, NoEvent)
        assert [(fault.pointer, fault.code) for fault in found.faults] == [("", "missing")]


def test_a_structured_record_in_another_format_is_unreadable() -> None:
    found = take_value(channel([ID]), b"\x00", content_type="application/cloudevents+avro")
    assert isinstance(found, NoEvent)
    assert (found.code, found.is_refused) == ("structured_mode", False)
