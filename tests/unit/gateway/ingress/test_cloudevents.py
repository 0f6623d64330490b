import json
from typing import Any

import pytest

from gateway.event import Content
from gateway.ingress.cloudevents import binary_attributes, read_structured
from gateway.ingress.draft import Draft, Unread
from gateway.ingress.outcome import Refused
from schemas.errors import JsonTextError

EVENT: dict[str, Any] = {"specversion": "1.0", "id": "A-1", "source": "/s", "type": "order.placed"}


def read(value: object) -> Draft | Unread:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return read_structured(raw, Content(raw, "application/cloudevents+json"))


def event(**members: object) -> Draft:
    found = read({**EVENT, **members})
    assert isinstance(found, Draft)
    return found


def faults(found: Draft | Unread) -> list[tuple[str, str]]:
    assert isinstance(found, Unread)
    assert found.refusal.code == "event_attribute_invalid"
    return [(fault.pointer, fault.code) for fault in found.refusal.faults]


def test_header_values_are_decoded() -> None:
    found = binary_attributes({"ce-subject": "caf%C3%A9", "ce-note": '"a b"', "accept": "*/*"})
    assert found == {"subject": "café", "note": "a b"}


def test_every_header_that_cannot_be_read_is_named() -> None:
    found = binary_attributes(
        {"ce-subject": "%ff", "ce-id": "ok", "ce-note": "100%", "ce-datacontenttype": "application/json"}
    )
    assert isinstance(found, Refused)
    assert found.code == "event_attribute_invalid"
    assert [(fault.pointer, fault.code) for fault in found.faults] == [
        ("/subject", "encoding"),
        ("/note", "encoding"),
        ("/datacontenttype", "unknown_field"),
    ]
    assert found.faults_total == 3


def test_trace_headers_come_along_where_they_are_usable() -> None:
    assert binary_attributes({"traceparent": "00-a", "tracestate": ""}) == {"traceparent": "00-a"}
    assert binary_attributes({"tracestate": "x" * 513, "traceparent": "a\tb"}) == {}
    for headers in ({"traceparent": "a", "ce-traceparent": "b"}, {"ce-traceparent": "b", "traceparent": "a"}):
        assert binary_attributes(headers) == {"traceparent": "b"}


def test_data_is_taken_byte_for_byte() -> None:
    raw = b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data": {"a" : 1.50} }'
    found = read(raw)
    assert isinstance(found, Draft)
    assert found.data == b'{"a" : 1.50}'
    assert found.content.raw == raw


def test_absent_data_is_empty() -> None:
    assert event().data == b""
    assert event(data=None).data == b""


def test_extensions_are_texts() -> None:
    assert event(count=-5, flag=True, tenant="t").attributes == {"count": "-5", "flag": "true", "tenant": "t"}


def test_faults_of_the_event_itself_are_told_together() -> None:
    assert faults(read({**EVENT, "count": 1.5, "id": 1, "data": 1, "data_base64": "YQ=="})) == [
        ("/id", "type"),
        ("/count", "type"),
        ("/data_base64", "union"),
    ]


def test_the_version_of_cloudevents_is_asked_for() -> None:
    assert faults(read({"id": "1", "source": "/s", "type": "t"})) == [("/specversion", "missing")]
    assert faults(read({**EVENT, "specversion": "2.0"})) == [("/specversion", "enum")]


@pytest.mark.parametrize("value", [[], "x", 1, None])
def test_what_is_no_object_is_no_event(value: object) -> None:
    assert faults(read(value)) == [("", "type")]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"\xef\xbb\xbf{}"])
def test_what_is_no_json_is_said_so(raw: bytes) -> None:
    with pytest.raises(JsonTextError):
        read(raw)
