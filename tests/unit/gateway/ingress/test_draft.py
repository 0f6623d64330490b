from gateway.event import Content
from gateway.ingress.draft import Draft, Unread, sort_attributes

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
    assert found == Draft("order.placed", "A-1", "/s", {"subject": "s"}, b"{}", CONTENT, data_schema="urn:x")


def test_a_bad_attribute_is_named() -> None:
    assert refusal(sort(time="today", Subject="s")) == [("/time", "format"), ("/Subject", "unknown_field")]


def test_a_thousand_bad_names_make_a_hundred_faults() -> None:
    found = sort(**{f"A{n}": "x" for n in range(1_000)})
    assert isinstance(found, Unread)
    assert (len(found.refusal.faults), found.refusal.faults_total) == (100, 1_001)
