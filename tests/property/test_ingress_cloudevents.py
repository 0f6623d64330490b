"""Whatever a request holds, reading it makes drafts and refusals, and what is taken can be read back."""

import json
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from gateway.attributes import attribute_faults, decode_header, encode_header
from gateway.broker.port import Record
from gateway.egress.webhook import encode_body
from gateway.event import Content, EventKey
from gateway.event_json import read_event_json
from gateway.ingress.cloudevents import binary_attributes, read_structured
from gateway.ingress.content import Reading, Received, read_events
from gateway.ingress.draft import Draft, Unread
from gateway.ingress.outcome import Refused
from gateway.record import Encoded, Envelope, Place, SchemaRef, Unreadable, decode_record, encode_record
from schemas.errors import JsonTextError
from schemas.fault import Fault

NAMES = st.one_of(
    st.sampled_from(["ce-id", "ce-type", "ce-time", "ce-specversion", "traceparent", "tracestate", "accept"]),
    st.text(max_size=12).map(lambda text: f"ce-{text}"),
    st.text(max_size=12),
)
HEADERS = st.dictionaries(
    NAMES, st.text(max_size=40) | st.sampled_from(['"', '"\\"', "%ff", "%", "1.0"]), max_size=6
)
MEDIA_TYPES = st.sampled_from(
    [
        "",
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json; charset=utf-8",
        "application/cloudevents+avro",
        "application/x-ndjson",
        "text/plain",
    ]
) | st.text(max_size=20)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
MEMBERS = st.sampled_from(
    ["specversion", "id", "source", "type", "time", "subject", "data", "data_base64", "datacontenttype", "x"]
) | st.text(max_size=4)
EVENTS = st.dictionaries(MEMBERS, VALUES | st.sampled_from(["1.0", "YQ==", "application/json"]), max_size=8)
BODIES = st.one_of(
    st.binary(max_size=60),
    EVENTS.map(lambda event: json.dumps(event).encode()),
    st.lists(EVENTS, max_size=3).map(lambda events: json.dumps(events).encode()),
    st.lists(EVENTS, max_size=3).map(lambda events: "\r\n".join(map(json.dumps, events)).encode()),
    EVENTS.flatmap(lambda event: st.integers(0, 80).map(lambda cut: json.dumps(event).encode()[:cut])),
)


@given(st.none() | st.just("order.placed"), MEDIA_TYPES, HEADERS, BODIES, st.none() | st.integers(1, 3))
def test_any_request_is_read_or_refused(
    event_type: str | None, media_type: str, headers: dict[str, str], body: bytes, most: int | None
) -> None:
    found = read_events(Received(event_type, media_type, headers, body, body, most=most))
    assert isinstance(found, Reading | Refused)
    if isinstance(found, Reading):
        assert all(isinstance(one, Draft | Unread) for one in found.items)
        assert most is None or not found.batch or len(found.items) <= most


@given(HEADERS)
def test_any_headers_make_attributes_or_a_refusal(headers: dict[str, str]) -> None:
    assert isinstance(binary_attributes(headers), dict | Refused)


@given(BODIES)
def test_any_bytes_are_an_event_a_refusal_or_no_json(body: bytes) -> None:
    try:
        found = read_structured(body, content(body))
    except JsonTextError:
        return
    assert isinstance(found, Draft | Unread)


TIME = "2026-11-22T13:05:00Z"
ATTRIBUTES = st.dictionaries(
    st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True), st.text(min_size=1, max_size=30), max_size=40
)


@given(ATTRIBUTES, st.text(min_size=1, max_size=256), st.text(min_size=1, max_size=100))
def test_what_is_taken_is_read_back_from_its_record(
    attributes: dict[str, str], id_: str, source: str
) -> None:
    event = {**attributes, "specversion": "1.0", "id": id_, "source": source, "type": "t"}
    raw = json.dumps(event).encode()
    draft = read_structured(raw, content(raw))
    if isinstance(draft, Unread):
        return
    assert draft.id is not None
    assert draft.source is not None
    key = EventKey("acme", "inbound", draft.source, draft.id)
    schema = SchemaRef(41, UUID(int=1))
    made = Encoded("t", key, {**draft.attributes, "time": TIME}, b"datum", schema, "prefix", "a.b.c")
    found = decode_record(encode_record(made, Place("partners.acme.inbound", 0, None, 0), origin="https://g"))
    assert isinstance(found, Envelope)
    assert found.attributes == {
        **draft.attributes,
        "time": TIME,
        "id": draft.id,
        "source": draft.source,
        "type": "t",
    }


def content(raw: bytes) -> Content:
    return Content(raw, "application/cloudevents+json")


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_header_says_what_was_put_into_it(text: str) -> None:
    encoded = encode_header(text)
    assert encoded.isascii()
    assert encoded == "" or encoded.isprintable()
    assert decode_header("subject", encoded) == text


@given(st.text() | st.text('%4aF"\\ '))
def test_any_header_is_read_or_a_fault(text: str) -> None:
    found = decode_header("subject", text)
    assert isinstance(found, str | Fault)
    if isinstance(found, Fault):
        assert (found.pointer, found.code) == ("/subject", "encoding")


RECORD_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(
            ["ce_specversion", "ce_id", "ce_type", "ce_data", "__value_schema_id", "gateway_receipt"]
        )
        | st.text(max_size=4).map(lambda text: f"ce_{text}"),
        st.binary(max_size=20) | st.just(b"1.0"),
    ),
    max_size=5,
)


@given(MEDIA_TYPES.map(str.encode) | st.binary(max_size=8), RECORD_HEADERS, BODIES | st.binary(max_size=30))
def test_any_record_is_an_envelope_or_says_why_not(
    media_type: bytes, headers: list[tuple[str, bytes]], value: bytes
) -> None:
    record = Record("t", 0, None, value, (("content-type", media_type), *headers), 0)
    assert isinstance(decode_record(record), Envelope | Unreadable)


FOREIGN = st.dictionaries(
    st.sampled_from(["id", "source", "type", "subject", "time", "specversion", "dataschema", "traceparent"])
    | st.from_regex(r"[a-z0-9]{1,20}", fullmatch=True),
    st.text(max_size=30) | st.just(TIME) | st.just("1.0"),
    max_size=6,
)


@given(FOREIGN)
def test_a_webhook_says_of_an_event_what_its_record_said(found: dict[str, str]) -> None:
    headers = tuple((f"ce_{name}", text.encode()) for name, text in found.items())
    envelope = decode_record(Record("t", 0, None, b"\x00\x00\x00\x00\x01\x00", headers, 0))
    if isinstance(envelope, Unreadable):
        return
    named = envelope.attributes
    who = (named.get("id", "A-1"), named.get("source", "/house"), named.get("type", "t"))
    body = encode_body(named, who, data_schema="https://gw.example/v1/schemas/1", data=b"{}")
    event = read_event_json(body)
    assert attribute_faults(event.attributes) == []
    assert {name: event.attributes[name] for name in named} == named
