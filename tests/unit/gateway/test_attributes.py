import pytest

from gateway.attributes import (
    attribute_faults,
    decode_header,
    encode_header,
    is_json_type,
    is_name,
    is_utf8,
)
from schemas.fault import Fault

WHOLE = {"id": "A-1", "source": "/s", "type": "order.placed"}


def faults(**attributes: str) -> list[tuple[str, str]]:
    return [(fault.pointer, fault.code) for fault in attribute_faults({**WHOLE, **attributes})]


@pytest.mark.parametrize(("name", "most"), [("id", 256), ("source", 512), ("type", 128), ("subject", 1_024)])
def test_attributes_end_at_their_limits(name: str, most: int) -> None:
    assert faults(**{name: "x" * most}) == []
    assert faults(**{name: "x" * (most + 1)}) == [(f"/{name}", "length")]
    assert faults(**{name: "é" * (most // 2 + 1)}) == [(f"/{name}", "length")]
    assert faults(**{name: ""}) == [(f"/{name}", "length")]


@pytest.mark.parametrize("name", ["dataschema", "time", "partitionkey", "datacontenttype"])
def test_an_attribute_that_must_say_something_is_not_empty(name: str) -> None:
    assert faults(**{name: ""}) == [(f"/{name}", "length")]


def test_all_attributes_together_have_a_limit() -> None:
    rest = 2_048 - sum(map(len, WHOLE.values()))
    assert faults(a="x" * 1_024, b="x" * (rest - 1_024)) == []
    assert faults(a="x" * 1_024, b="x" * (rest - 1_023)) == [("", "length")]


def test_no_more_attributes_than_records_carry() -> None:
    assert faults(**{f"a{n}": "x" for n in range(29)}) == []
    assert faults(**{f"a{n}": "x" for n in range(30)}) == [("", "length")]


@pytest.mark.parametrize(
    ("name", "text", "pointer", "code"),
    [
        ("Subject", "s", "/Subject", "unknown_field"),
        ("a~b/c", "s", "/a~0b~1c", "unknown_field"),
        ("x" * 21, "s", "/" + "x" * 21, "unknown_field"),
        ("x\n", "s", "/x\n", "unknown_field"),
        ("é", "s", "/é", "unknown_field"),
        ("", "s", "/", "unknown_field"),
        ("data", "s", "/data", "unknown_field"),
        ("data_base64", "s", "/data_base64", "unknown_field"),
        ("specversion", "0.3", "/specversion", "enum"),
        ("specversion", "1.0.2", "/specversion", "enum"),
        ("subject", "a\x00", "/subject", "encoding"),
        ("subject", "a\x85", "/subject", "encoding"),
        ("subject", "a\ufdd0", "/subject", "encoding"),
        ("subject", "a\U0010ffff", "/subject", "encoding"),
        ("time", "2026-11-22", "/time", "format"),
        ("time", "2026-11-22T13:05:00", "/time", "format"),
        ("dataschema", "order.json", "/dataschema", "format"),
        ("dataschema", "/v1/schemas/2", "/dataschema", "format"),
        ("dataschema", "https://a b", "/dataschema", "format"),
        ("datacontenttype", "text/xml", "/datacontenttype", "enum"),
        ("datacontenttype", "application/json; charset=utf-16", "/datacontenttype", "encoding"),
    ],
)
def test_a_bad_attribute_is_named(name: str, text: str, pointer: str, code: str) -> None:
    assert faults(**{name: text}) == [(pointer, code)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("time", "2026-11-22t13:05:00.123456789z"),
        ("time", "2026-11-22T13:05:00-03:30"),
        ("dataschema", "urn:example:order:1"),
        ("dataschema", "https://acme.example/order.json#/v1"),
        ("datacontenttype", "Application/JSON; charset=UTF-8"),
        ("datacontenttype", "application/vnd.acme+json"),
        ("datacontenttype", "text/json"),
        ("comexampleextension1", "%"),
        ("source", "urn:acme:côte"),
        ("tenant", ""),
    ],
)
def test_what_the_specification_allows_is_taken(name: str, text: str) -> None:
    assert faults(**{name: text}) == []


def test_names_are_lower_case_letters_and_digits() -> None:
    assert all(map(is_name, ("a", "9", "x" * 20)))
    assert not any(map(is_name, ("", "data", "a_b", "A", "x" * 21)))


@pytest.mark.parametrize(
    "text",
    [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/a+json",
        "text/json",
        "image/x+json",
    ],
)
def test_json_types_are_json(text: str) -> None:
    assert is_json_type(text)


@pytest.mark.parametrize(
    "text",
    ["", "json", "/json", "application/jsonx", "application/xml", "a b/json", "+json", "text/x+json+xml"],
)
def test_other_types_are_not(text: str) -> None:
    assert not is_json_type(text)


def test_a_media_type_says_its_charset() -> None:
    assert all(map(is_utf8, ("", "application/json", "a/b;charset=UTF-8", 'a/b; charset="us-ascii"')))
    assert not any(map(is_utf8, ("a/b;charset=latin1", "a/b; x=1; Charset = utf-16", "a/b;charset=")))


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        ("plain", "plain"),
        ("caf%C3%A9", "café"),
        ("caf%c3%a9", "café"),
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("100%25%20sure", "100% sure"),
        ("%2525", "%25"),
        ("%41%42", "AB"),
        ('"quoted"', "quoted"),
        ('"a \\"b\\" c"', 'a "b" c'),
        ('"back\\\\slash"', "back\\slash"),
        ('"\\\\\\""', '\\"'),
        ('"caf%C3%A9"', "café"),
        ('""', ""),
        ('in "the middle"', 'in "the middle"'),
        ("été", "été"),
        ("a+b", "a+b"),
    ],
)
def test_header_values_are_decoded_as_the_binding_says(sent: str, meant: str) -> None:
    assert decode_header("subject", sent) == meant


@pytest.mark.parametrize(
    "sent",
    [
        "100% sure",
        "%",
        "%4",
        "%zz",
        "%-1",
        '"%"',
        "%ff",
        "%C0%A0",
        "%ED%A0%80",
        "%F4%90%80%80",
        '"',
        '"open',
        '"open\\"',
        '"a" and "b"',
    ],
)
def test_a_header_value_that_can_be_read_in_two_ways_or_not_at_all_is_a_fault(sent: str) -> None:
    found = decode_header("subject", sent)
    assert isinstance(found, Fault)
    assert (found.pointer, found.code) == ("/subject", "encoding")


def test_header_values_are_encoded_as_the_binding_says() -> None:
    assert encode_header('Euro € 😀 "100%"') == "Euro%20%E2%82%AC%20%F0%9F%98%80%20%22100%25%22"
    printable = "".join(map(chr, range(0x21, 0x7F)))
    assert encode_header(printable) == printable.replace("%", "%25").replace('"', "%22")
