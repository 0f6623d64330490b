import json
from dataclasses import replace
from typing import Any

import pytest

from audit.receipt import verify_receipt
from gateway.attributes import MAX_ATTRIBUTES_BYTES
from gateway.broker.port import record_bytes
from gateway.channels import Channel
from gateway.event import MAX_ATTRIBUTES, MAX_BYTES
from gateway.ingress.draft import Draft, sort_attributes
from gateway.ingress.form import Form
from gateway.ingress.outcome import Refused
from gateway.ingress.prepare import (
    MOST_HEADER_BYTES,
    Circumstances,
    Prepared,
    make_record,
    prepare,
    raw_key,
)
from gateway.ingress.sameness import is_under
from partners.contract import IdRule
from tests.unit.gateway.ingress.channels import channel, circumstances
from tests.world import draft

ID = {"name": "id", "type": "string"}
QTY = {"name": "qty", "type": "int"}
REQUIRED, GENERATED = IdRule("required"), IdRule("generated")


def run(
    data: object, on: Channel | None = None, at: Circumstances | None = None, **attributes: str
) -> Prepared | Refused:
    return prepare(draft(data, **attributes), on or channel([ID]), at or circumstances())


def taken(found: Prepared | Refused) -> Prepared:
    assert isinstance(found, Prepared), found
    return found


def code(found: Prepared | Refused) -> str:
    assert isinstance(found, Refused)
    return found.code


def test_the_id_comes_from_the_first_source_that_has_one() -> None:
    optional = channel([{"name": "id", "type": ["null", "string"], "default": None}])
    assert taken(run({"id": "A"})).claim.key.id == "A"
    assert taken(run({"id": None}, optional, id="B")).claim.key.id == "B"
    assert taken(run({}, optional, circumstances("C"))).claim.key.id == "C"
    assert code(run({"id": ""}, optional)) == "event_id_missing"
    assert code(run({"id": "A"}, channel([ID], rule=REQUIRED))) == "event_id_missing"
    assert taken(run({"id": "A"}, channel([ID], rule=GENERATED))).claim.key.id == "0" * 32


@pytest.mark.parametrize(
    "source", ["/house", "/house/erp", "/partners/globex", "/partners/acme2", "/partners/"]
)
def test_nobody_sends_as_another_party(source: str) -> None:
    assert code(run({"id": "A"}, source=source)) == "event_attribute_invalid"


@pytest.mark.parametrize(
    "source", ["/partners/acme", "/partners/acme/erp", "/houses", "house", "urn:x", "//partners/x"]
)
def test_a_sender_names_its_sources_as_it_likes(source: str) -> None:
    assert taken(run({"id": "A"}, source=source)).claim.key.source == source


def test_sources_of_the_id_that_disagree_are_refused() -> None:
    assert code(run({"id": "A"}, id="B")) == "event_id_mismatch"
    assert code(run({"id": "A"}, None, circumstances("B"))) == "event_id_mismatch"
    assert (
        code(run({"id": "A"}, channel([ID], rule=REQUIRED), circumstances("B"), id="C"))
        == "event_id_mismatch"
    )
    assert taken(run({"id": "A"}, None, circumstances("A"), id="A")).claim.key.id == "A"


def test_ids_from_data_obey_the_limits_of_all_ids() -> None:
    assert taken(run({"id": "x" * 256})).claim.key.id == "x" * 256
    assert code(run({"id": "x" * 257})) == "event_attribute_invalid"
    assert code(run({"id": "a\x00b"})) == "event_attribute_invalid"


def test_several_pointers_make_one_id() -> None:
    rule = IdRule("pointers", ("/id", "/qty"))
    assert taken(run({"id": "a:b", "qty": 3}, channel([ID, QTY], rule=rule))).claim.key.id == "a%3Ab:3"


@pytest.mark.parametrize(
    ("kind", "value", "time"),
    [
        ({"type": "long", "logicalType": "timestamp-millis"}, 1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
        ({"type": "int", "logicalType": "date"}, "2026-11-22", None),
        ("string", "2026-11-22T13:05:00+01:00", "2026-11-22T13:05:00+01:00"),
        ("string", "Tuesday", None),
    ],
)
def test_only_rfc_3339_times_become_the_time_attribute(kind: Any, value: object, time: str | None) -> None:
    on = channel([ID, {"name": "at", "type": kind}], time="/at")
    assert taken(run({"id": "A", "at": value}, on)).claim.attributes.get("time") == time


def test_a_time_that_the_sender_gives_stays() -> None:
    on = channel([ID, {"name": "at", "type": "string"}], time="/at")
    found = taken(run({"id": "A", "at": "2026-11-22T13:05:00Z"}, on, time="2020-01-01T00:00:00Z"))
    assert found.claim.attributes == {"time": "2020-01-01T00:00:00Z"}


def test_older_versions_are_the_fallback_and_faults_are_told_against_the_newest() -> None:
    on = channel([ID, {"name": "amount", "type": "int"}], [ID, QTY])
    assert taken(run({"id": "A", "amount": 1}, on)).version.number == 2
    assert taken(run({"id": "A", "qty": 1}, on)).version.number == 1
    found = run({"id": "A", "cost": 1}, on)
    assert isinstance(found, Refused)
    assert found.schema == ("partners.acme.inbound-com.acme.Order", 2, 42)
    assert {(fault.pointer, fault.code) for fault in found.faults} == {
        ("/amount", "missing"),
        ("/cost", "unknown_field"),
    }


def test_sizes_are_bounded_by_contract_and_broker() -> None:
    big = {"id": "A" * 100}
    size = len(json.dumps(big))
    assert isinstance(run(big, channel([ID], event_bytes=size)), Prepared)
    assert code(run(big, channel([ID], event_bytes=size - 1))) == "event_too_large"
    assert code(run(big, None, circumstances(record_limit=1_000))) == "event_too_large"


def test_what_is_no_json_is_said_so() -> None:
    assert code(run(b" ")) == "body_malformed"
    assert code(run(b"\xef\xbb\xbf{}")) == "body_malformed"
    assert code(run(b"null")) == "event_invalid"


def test_an_event_without_data_is_told_that_its_type_needs_some() -> None:
    found = run(b"")
    assert isinstance(found, Refused)
    assert (found.code, [(fault.pointer, fault.code) for fault in found.faults]) == (
        "event_invalid",
        [("", "missing")],
    )
    assert found.schema is not None


ORIGIN = "https://gw.example"


def of_schema(data: object, uri: str) -> Draft:
    return replace(draft(data), data_schema=uri)


def test_a_dataschema_of_ours_names_the_version() -> None:
    on = channel([ID, {**QTY, "default": 0}], [ID])
    assert taken(run({"id": "A"}, on)).version.number == 2
    pinned = of_schema({"id": "A"}, f"{ORIGIN}/v1/schemas/41")
    made = taken(prepare(pinned, on, circumstances()))
    assert made.version.number == 1
    headers = dict(make_record(made.claim, made.version, ORIGIN).headers)
    assert headers["ce_dataschema"] == f"{ORIGIN}/v1/schemas/41".encode()
    told = prepare(of_schema({"id": "A", "qty": 1}, f"{ORIGIN}/v1/schemas/41"), on, circumstances())
    assert isinstance(told, Refused)
    assert (told.code, told.faults[0].pointer) == ("event_invalid", "/qty")


@pytest.mark.parametrize(
    "uri",
    [
        f"{ORIGIN}/v1/schemas/99",
        f"{ORIGIN}/v1/schemas/041",
        f"{ORIGIN}/v1/schemas/",
        f"{ORIGIN}/registry/schemas/ids/41",
        f"{ORIGIN}/v1/schemas/41?as=jsonschema",
    ],
)
def test_a_dataschema_of_ours_that_is_not_in_force_is_refused(uri: str) -> None:
    assert (
        code(prepare(of_schema({"id": "A"}, uri), channel([ID]), circumstances())) == "schema_version_unknown"
    )


@pytest.mark.parametrize(
    "uri", ["urn:acme:order:3", "https://acme.example/v1/schemas/99", f"{ORIGIN}.evil/v1"]
)
def test_a_dataschema_of_the_senders_own_binds_nobody(uri: str) -> None:
    made = taken(prepare(of_schema({"id": "A"}, uri), channel([ID]), circumstances()))
    assert "dataschema" not in made.claim.attributes


def test_avro_may_be_named_by_dataschema_and_not_by_two_names() -> None:
    on = channel([ID, {**QTY, "default": 0}], [ID])
    datum = on.versions[1].codec.avro_from_json(b'{"id":"A"}').avro
    sent = replace(draft(datum), form=Form("avro"), data_schema=f"{ORIGIN}/v1/schemas/41")
    assert taken(prepare(sent, on, circumstances())).version.number == 1
    twice = replace(sent, form=Form("avro", schema_id=42))
    assert code(prepare(twice, on, circumstances())) == "event_attribute_invalid"


def test_partitionkey_is_the_record_key_where_the_contract_names_none() -> None:
    made = taken(run({"id": "A"}, partitionkey="C-é")).claim
    assert (made.record_key, made.attributes) == ("C-é".encode(), {"partitionkey": "C-é"})
    keyed = channel([ID], key="/id")
    assert taken(run({"id": "A"}, keyed, partitionkey="C")).claim.record_key == b"A"
    assert taken(run({"id": "A"})).claim.record_key is None


def test_attributes_at_their_limits_fit_the_evidence() -> None:
    found = {"id": '"' * 256, "source": '"' * 512, "type": "order.placed", "a": '"' * 1_024, "b": '"' * 200}
    made = sort_attributes(found, json.dumps({"id": '"' * 256}).encode(), draft({}).content)
    assert isinstance(made, Draft)
    assert isinstance(prepare(made, channel([ID]), circumstances()), Prepared)


def test_the_receipt_is_ours_and_the_record_carries_it() -> None:
    at = circumstances()
    found = taken(run({"id": "A", "qty": 2}, channel([ID, QTY], key="/qty"), at, subject="s"))
    keys = {at.signer.key_id: at.signer.public_key}
    evidence = verify_receipt(found.claim.receipt.encode(), keys).evidence
    assert evidence.ref == found.claim.ref
    assert evidence.members["attributes"] == {"subject": "s"}
    record = make_record(found.claim, found.version, at.origin)
    assert (record.key, record.at) == (b"2", at.now)
    assert dict(record.headers)["gateway_receipt"] == found.claim.receipt.encode()


def test_the_order_of_members_and_trace_attributes_make_no_other_event() -> None:
    on = channel([ID, QTY])
    one = taken(run(b'{"id":"A","qty":1}', on, traceparent="00-1"))
    two = taken(run(b'{ "qty": 1, "id": "A" }', on))
    three = taken(run(b'{"id":"A","qty":1}', on, subject="s"))
    assert one.claim.event_sha256 == two.claim.event_sha256 != three.claim.event_sha256
    assert is_under(on.versions[0], one.draft, one.claim.event_sha256)
    assert not is_under(on.versions[0], draft({"id": 5}), one.claim.event_sha256)


def test_the_id_of_an_event_that_does_not_validate_is_found_where_it_stands() -> None:
    at = circumstances("K")
    nested = channel(
        [{"name": "o", "type": {"type": "record", "name": "O", "fields": [ID]}}],
        rule=IdRule("pointers", ("/o/id",)),
    )

    def found(event: Draft, on: Channel | None, at: Circumstances = at) -> str | None:
        key = raw_key(event, "acme", "inbound", channel=on, at=at)
        return None if key is None else key.id

    assert found(draft({"o": {"id": 7, "x": 1}}), nested) == "7"
    assert found(draft({"o": []}), nested) == "K"
    assert found(draft(b"{"), nested, circumstances()) is None
    assert found(draft({}, id="H"), nested) == "H"
    assert found(draft({}), channel([ID], rule=REQUIRED)) == "K"
    assert found(draft({"id": "A"}), None, circumstances()) is None
    assert found(draft({"id": "A"}, id="H"), None) == "H"


def test_a_confirmed_claim_has_nothing_to_publish() -> None:
    found = taken(run({"id": "A"}))
    with pytest.raises(ValueError, match="no datum"):
        make_record(replace(found.claim, datum=None), found.version, "https://gw.example")


def test_what_is_counted_roughly_is_never_more_than_thought() -> None:
    names = [f"n{number:019}" for number in range(MAX_ATTRIBUTES)]
    text = "x" * (MAX_ATTRIBUTES_BYTES // MAX_ATTRIBUTES)
    sent = draft({"id": "i" * MAX_BYTES["id"], "at": "2026-11-22T13:05:00.123456789+01:00"})
    sent = replace(sent, source="s" * MAX_BYTES["source"], attributes=dict.fromkeys(names, text))
    on = replace(channel([ID, {"name": "at", "type": "string"}], time="/at"), framing="header")
    at = circumstances()
    found = taken(prepare(sent, on, at))
    claim = replace(found.claim, type="t" * MAX_BYTES["type"])
    assert claim.datum is not None
    counted = len(claim.datum) + len(claim.receipt) + len(at.origin) + MOST_HEADER_BYTES
    assert record_bytes(make_record(claim, replace(found.version, schema_id=2**31), at.origin)) <= counted


@pytest.mark.parametrize("over", [0, 1])
def test_a_record_may_be_as_large_as_the_broker_takes_and_no_larger(over: int) -> None:
    on = channel([ID])
    found = taken(run({"id": "A"}, on))
    size = record_bytes(make_record(found.claim, found.version, circumstances().origin))
    again = run({"id": "A"}, on, circumstances(record_limit=size - over))
    assert isinstance(again, Refused if over else Prepared)
