from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from gateway.broker.port import Position, Read, Record
from gateway.catalog import Snapshot
from gateway.channels import Channel
from gateway.egress.intake import Carried, NoEvent, take_in
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
    return take_in(Read(Position("topic-1", 0, 9), record, 5), snapshot, "acme", "inbound")


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
