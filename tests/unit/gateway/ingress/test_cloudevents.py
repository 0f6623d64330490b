import base64
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


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("plain", "plain"),
        ("caf%C3%A9", "café"),
        ("100%25%20sure", "100% sure"),
        ("100% sure", "100% sure"),
        ("%zz", "%zz"),
        ('"quoted"', "quoted"),
        ('"a \\"b\\" c"', 'a "b" c'),
        ('"back\\\\slash"', "back\\slash"),
        ('"\\\\\\""', '\\"'),
        ('"caf%C3%A9"', "café"),
        ('"', '"'),
        ("été", "été"),
    ],
)
def test_header_values_are_decoded_as_the_binding_says(sent: str, meant: str) -> None:
    assert binary_attributes({"ce-subject": sent, "accept": "*/*"}) == {"subject": meant}


def test_a_header_that_is_not_utf_8_once_decoded_is_named() -> None:
    found = binary_attributes({"ce-subject": "%ff"})
    assert isinstance(found, Refused)
    assert [(fault.pointer, fault.code) for fault in found.faults] == [("/subject", "encoding")]


def test_binary_mode_has_no_datacontenttype_header() -> None:
    assert isinstance(binary_attributes({"ce-datacontenttype": "application/json"}), Refused)


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


def test_base64_data_is_decoded() -> None:
    assert event(data_base64=base64.b64encode(b'{"a":1}').decode()).data == b'{"a":1}'


@pytest.mark.parametrize("text", ["%", "YQ", "YQ==\n", "é", 5, ["YQ=="]])
def test_what_is_no_base64_is_refused(text: object) -> None:
    assert faults(read({**EVENT, "data_base64": text})) == [("/data_base64", "encoding")]


def test_data_stands_once() -> None:
    assert [code for _, code in faults(read({**EVENT, "data": 1, "data_base64": "YQ=="}))] == ["union"]
    assert [code for _, code in faults(read({**EVENT, "data_base64": "YQ==", "data": 1}))] == ["union"]


def test_absent_data_is_null() -> None:
    assert event().data == b"null"
    assert event(data=None).data == b"null"
    assert event(data={"a": 1}, data_base64=None).data == b'{"a": 1}'


def test_null_attributes_are_unset() -> None:
    assert event(subject=None, time=None).attributes == {}


def test_extensions_may_be_integers_and_booleans() -> None:
    assert event(count=-5, flag=True, off=False).attributes == {"count": "-5", "flag": "true", "off": "false"}


@pytest.mark.parametrize("value", [1.5, [1], {"a": 1}])
def test_other_values_are_no_attributes(value: object) -> None:
    assert faults(read({**EVENT, "count": value})) == [("/count", "type")]


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "time", "specversion"])
def test_texts_are_not_numbers(name: str) -> None:
    assert faults(read({**EVENT, name: 1})) == [(f"/{name}", "type")]


def test_a_fault_inside_an_attribute_names_the_attribute() -> None:
    raw = json.dumps(EVENT)[:-1].encode() + b',"a/b":{"x":1,"x":2}}'
    assert faults(read(raw)) == [("/a~1b", "duplicate_key")]


def test_an_attribute_stands_once() -> None:
    raw = json.dumps(EVENT)[:-1].encode() + b',"id":"B"}'
    assert faults(read(raw)) == [("/id", "duplicate_key")]


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
