import base64
import json
from typing import Any

import pytest

from gateway.event_json import JsonEvent, read_event_json
from schemas.errors import DatumError, JsonTextError

EVENT: dict[str, Any] = {"specversion": "1.0", "id": "A-1", "source": "/s", "type": "order.placed"}


def read(members: dict[str, Any]) -> JsonEvent:
    return read_event_json(json.dumps(members).encode())


def extensions(**members: object) -> dict[str, str]:
    found = read({**EVENT, **members}).attributes
    return {name: found[name] for name in members if name in found}


def faults(raw: bytes) -> list[tuple[str, str]]:
    with pytest.raises(DatumError) as raised:
        read_event_json(raw)
    return [(fault.pointer, fault.code) for fault in raised.value.faults]


def faults_of(**members: object) -> list[tuple[str, str]]:
    return faults(json.dumps({**EVENT, **members}).encode())


def test_data_is_taken_byte_for_byte() -> None:
    raw = b'{"specversion":"1.0","id":"1","source":"/s","type":"t","data": {"a" : 1.50} }'
    assert read_event_json(raw).data == b'{"a" : 1.50}'


def test_base64_data_is_decoded() -> None:
    assert read({**EVENT, "data_base64": base64.b64encode(b'{"a":1}').decode()}).data == b'{"a":1}'


@pytest.mark.parametrize("text", ["%", "YQ", "YQ==\n", "é", 5, ["YQ=="], "YQ==YQ=="])
def test_what_is_no_base64_is_refused(text: object) -> None:
    assert faults_of(data_base64=text) == [("/data_base64", "encoding")]


def test_data_stands_once() -> None:
    assert faults_of(data=1, data_base64="YQ==") == [("/data_base64", "union")]
    raw = json.dumps({"data_base64": "YQ==", **EVENT, "data": 1}).encode()
    assert faults(raw) == [("/data", "union")]


def test_members_that_are_null_are_left_out() -> None:
    assert read({**EVENT, "data": None}).data == b""
    assert read(EVENT).data == b""
    assert read({**EVENT, "data": {"a": 1}, "data_base64": None}).data == b'{"a": 1}'
    assert read({**EVENT, "data": None, "data_base64": "YQ=="}).data == b"a"
    assert read({**EVENT, "subject": None, "time": None, "tenant": None}).attributes == EVENT


def test_integers_and_booleans_have_the_texts_of_the_specification() -> None:
    assert extensions(count=-5, flag=True, off=False, zero=0) == {
        "count": "-5",
        "flag": "true",
        "off": "false",
        "zero": "0",
    }
    assert extensions(low=-(2**31), high=2**31 - 1) == {"low": "-2147483648", "high": "2147483647"}


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, 10**18])
def test_an_integer_beyond_32_bits_is_no_attribute(value: int) -> None:
    assert faults_of(count=value) == [("/count", "range")]


@pytest.mark.parametrize("value", [1.5, 1.0, 1e2, [1], {"a": 1}])
def test_other_values_are_no_attributes(value: object) -> None:
    assert faults_of(count=value) == [("/count", "type")]


@pytest.mark.parametrize("name", ["id", "source", "type", "subject", "time", "specversion", "dataschema"])
def test_texts_are_not_numbers(name: str) -> None:
    assert faults_of(**{name: 1}) == [(f"/{name}", "type")]


def test_every_fault_is_told() -> None:
    assert faults_of(a=[], id=1, data_base64="%", b=2**40) == [
        ("/id", "type"),
        ("/a", "type"),
        ("/data_base64", "encoding"),
        ("/b", "range"),
    ]


def test_more_than_a_hundred_faults_are_counted() -> None:
    raw = json.dumps({**EVENT, **{f"a{n}": [] for n in range(120)}}).encode()
    with pytest.raises(DatumError) as raised:
        read_event_json(raw)
    assert (len(raised.value.faults), raised.value.total) == (100, 120)


def test_a_hostile_number_of_members_is_not_read_to_its_end() -> None:
    many = b"".join(b'"a%d":1,' % number for number in range(200))
    assert faults(b'{"specversion":"1.0",' + many + b"nonsense") == [("", "length")]


def test_a_fault_inside_an_attribute_names_the_attribute() -> None:
    raw = json.dumps(EVENT)[:-1].encode() + b',"a/b":"\\ud800","c":{"x":1,"x":2},"d":1e999}'
    assert faults(raw) == [("/a~1b", "encoding"), ("/c", "type"), ("/d", "range")]


def test_a_member_stands_once() -> None:
    for name in ("id", "data"):
        raw = json.dumps({**EVENT, "data": 1})[:-1].encode() + b',"%s":2}' % name.encode()
        assert faults(raw) == [(f"/{name}", "duplicate_key")]


def test_the_version_of_cloudevents_is_asked_for() -> None:
    assert faults(b'{"id":"1","source":"/s","type":"t"}') == [("/specversion", "missing")]


@pytest.mark.parametrize("value", [[], "x", 1, None])
def test_what_is_no_object_is_no_event(value: object) -> None:
    assert faults(json.dumps(value).encode()) == [("", "type")]


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"\xef\xbb\xbf{}", b"{}x"])
def test_what_is_no_json_is_said_so(raw: bytes) -> None:
    with pytest.raises(JsonTextError):
        read_event_json(raw)
