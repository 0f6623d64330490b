import pytest

from gateway.event import Content
from gateway.ingress.draft import Draft, Unread, is_json_type, sort_attributes

CONTENT = Content(b"{}", "application/json")
WHOLE = {"id": "A-1", "source": "/s", "type": "order.placed"}


def sort(**attributes: str) -> Draft | Unread:
    return sort_attributes({**WHOLE, **attributes}, b"{}", CONTENT)


def refusal(found: Draft | Unread) -> list[tuple[str, str]]:
    assert isinstance(found, Unread)
    assert found.refusal.code == "event_attribute_invalid"
    return [(fault.pointer, fault.code) for fault in found.refusal.faults]


def test_attributes_are_sorted_into_identity_and_rest() -> None:
    found = sort(specversion="1.0", subject="s", dataschema="urn:x", datacontenttype="application/json")
    assert found == Draft("order.placed", "A-1", "/s", {"subject": "s"}, b"{}", CONTENT)


@pytest.mark.parametrize(("name", "most"), [("id", 256), ("source", 512), ("type", 128), ("subject", 1_024)])
def test_attributes_end_at_their_limits(name: str, most: int) -> None:
    assert isinstance(sort(**{name: "x" * most}), Draft)
    assert refusal(sort(**{name: "x" * (most + 1)})) == [(f"/{name}", "length")]
    assert refusal(sort(**{name: "é" * (most // 2 + 1)})) == [(f"/{name}", "length")]
    assert refusal(sort(**{name: ""})) == [(f"/{name}", "length")]


def test_all_attributes_together_have_a_limit() -> None:
    rest = 2_048 - sum(map(len, WHOLE.values()))
    assert isinstance(sort(a="x" * 1_024, b="x" * (rest - 1_024)), Draft)
    assert refusal(sort(a="x" * 1_024, b="x" * (rest - 1_023))) == [("", "length")]


def test_no_more_attributes_than_records_carry() -> None:
    assert isinstance(sort(**{f"a{n}": "x" for n in range(29)}), Draft)
    assert refusal(sort(**{f"a{n}": "x" for n in range(30)})) == [("", "length")]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"Subject": "s"}, ("/Subject", "unknown_field")),
        ({"a~b/c": "s"}, ("/a~0b~1c", "unknown_field")),
        ({"x" * 21: "s"}, ("/" + "x" * 21, "unknown_field")),
        ({"": "s"}, ("/", "unknown_field")),
        ({"data": "s"}, ("/data", "length")),
        ({"specversion": "0.3"}, ("/specversion", "enum")),
        ({"subject": "a\x00"}, ("/subject", "encoding")),
        ({"subject": "a\x85"}, ("/subject", "encoding")),
        ({"time": "2026-11-22"}, ("/time", "format")),
        ({"datacontenttype": "text/xml"}, ("/datacontenttype", "enum")),
    ],
)
def test_a_bad_attribute_is_named(attributes: dict[str, str], expected: tuple[str, str]) -> None:
    assert refusal(sort(**attributes)) == [expected]


def test_a_thousand_bad_names_make_a_hundred_faults() -> None:
    found = sort(**{f"A{n}": "x" for n in range(1_000)})
    assert isinstance(found, Unread)
    assert (len(found.refusal.faults), found.refusal.faults_total) == (100, 1_001)


@pytest.mark.parametrize(
    "text", ["application/json", "Application/JSON; charset=utf-8", "application/a+json"]
)
def test_json_types_are_json(text: str) -> None:
    assert is_json_type(text)


@pytest.mark.parametrize("text", ["", "text/json", "application/jsonx", "application/xml", "image/svg+json"])
def test_other_types_are_not(text: str) -> None:
    assert not is_json_type(text)
