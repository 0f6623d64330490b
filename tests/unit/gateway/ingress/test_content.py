import json
from typing import Any

import pytest

from gateway.ingress.content import Reading, Received, read_events
from gateway.ingress.draft import Draft, Unread
from gateway.ingress.outcome import Refused

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A-1",
    "source": "/s",
    "type": "order.placed",
    "data": {},
}
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"


def read(
    body: bytes,
    media_type: str = "application/json",
    *,
    event_type: str | None = "order.placed",
    headers: dict[str, str] | None = None,
    most: int | None = None,
) -> Reading | Refused:
    return read_events(Received(event_type, media_type, headers or {}, body, body, most=most))


def items(found: Reading | Refused) -> list[Draft | Unread]:
    assert isinstance(found, Reading)
    return list(found.items)


def code(found: Reading | Refused) -> str:
    assert isinstance(found, Refused)
    return found.code


def test_with_a_type_in_the_path_the_body_is_the_data() -> None:
    (one,) = items(read(b"{}", headers={"ce-id": "A-1", "ce-type": "order.placed"}))
    assert isinstance(one, Draft)
    assert (one.type, one.id, one.data, one.content.raw) == ("order.placed", "A-1", b"{}", b"{}")


def test_the_types_of_path_and_header_agree() -> None:
    assert code(read(b"{}", headers={"ce-type": "other"})) == "event_attribute_invalid"


@pytest.mark.parametrize(
    "media_type",
    ["", "application/json; charset=utf-8", "APPLICATION/JSON", "application/x+json", "text/json"],
)
def test_data_may_be_any_json(media_type: str) -> None:
    assert len(items(read(b"{}", media_type))) == 1


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/avro", "application/cloudevents+json", BATCH]
)
def test_other_media_types_are_not_taken_as_data(media_type: str) -> None:
    assert code(read(b"{}", media_type)) == "media_type_unsupported"


def test_without_a_type_the_request_is_a_cloudevent() -> None:
    raw = json.dumps(EVENT).encode()
    for media_type in ("application/cloudevents+json", "Application/CloudEvents+JSON; charset=utf-8"):
        found = read(raw, media_type, event_type=None)
        assert isinstance(found, Reading)
        assert not found.batch
        assert isinstance(found.items[0], Draft)
        assert found.items[0].data == b"{}"
    (binary,) = items(
        read(b"{}", event_type=None, headers={"ce-specversion": "1.0", "ce-type": "t", "ce-id": "1"})
    )
    assert isinstance(binary, Draft)
    assert (binary.type, binary.source) == ("t", None)


def test_without_a_body_an_event_has_no_data_and_a_typed_request_no_event() -> None:
    headers = {"ce-specversion": "1.0", "ce-type": "t", "ce-id": "1", "ce-source": "/s"}
    for media_type in ("", "application/json"):
        (one,) = items(read(b"", media_type, event_type=None, headers=headers))
        assert isinstance(one, Draft)
        assert one.data == b""
        assert code(read(b"", media_type, headers=headers)) == "body_malformed"


@pytest.mark.parametrize(
    "media_type",
    [
        "application/cloudevents",
        "application/cloudevents+avro",
        "APPLICATION/CLOUDEVENTS+XML; charset=utf-8",
        "application/cloudevents-batch",
        "application/cloudevents-batch+avro",
        "application/cloudevents+jsonx",
    ],
)
def test_cloudevents_in_another_format_are_told_which_is_taken(media_type: str) -> None:
    found = read(b"{}", media_type, event_type=None, headers={"ce-specversion": "1.0", "ce-type": "t"})
    assert isinstance(found, Refused)
    assert found.code == "media_type_unsupported"
    assert "application/cloudevents+json" in found.detail


def test_cloudevents_do_not_go_to_the_path_of_a_type() -> None:
    found = read(json.dumps(EVENT).encode(), "application/cloudevents+json")
    assert isinstance(found, Refused)
    assert "the path without a type" in found.detail


CHARSETS = ["iso-8859-1", "UTF-16", '"latin1"', "", "utf-8-sig"]


@pytest.mark.parametrize("charset", CHARSETS)
def test_another_charset_than_utf8_is_not_taken(charset: str) -> None:
    for essence, event_type in (
        ("application/json", "order.placed"),
        (LINES, "order.placed"),
        (BATCH, None),
        ("application/cloudevents+json", None),
    ):
        found = read(b"[]", f"{essence}; x=1 ; Charset = {charset}", event_type=event_type)
        assert code(found) == "media_type_unsupported", essence
        assert isinstance(found, Refused)
        assert "charset=utf-8" in found.detail


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "US-ASCII"])
def test_a_charset_that_utf8_covers_is_taken(charset: str) -> None:
    assert len(items(read(b"{}", f"application/json;charset={charset}"))) == 1


@pytest.mark.parametrize("name", ["ce-type", "ce-id", "ce-tenant"])
def test_attributes_without_a_version_make_no_cloudevent(name: str) -> None:
    found = read(b"{}", event_type=None, headers={name: "x"})
    assert isinstance(found, Refused)
    assert (found.code, found.faults[0].pointer) == ("event_attribute_invalid", "/specversion")
    assert "ce-specversion is missing" in found.detail


def test_with_a_type_in_the_path_an_id_alone_is_enough() -> None:
    (one,) = items(read(b"{}", headers={"ce-id": "A-1", "traceparent": "x"}))
    assert isinstance(one, Draft)


def test_lines_may_end_as_they_like_and_be_blank() -> None:
    body = b'\n{"a":1}\r\n  \r\n{"a":2} \n\n{"a":3}'
    found = items(read(body, LINES))
    assert [one.content.raw for one in found] == [b'{"a":1}', b'{"a":2} ', b'{"a":3}']


def test_a_line_loses_its_end_and_nothing_more() -> None:
    assert [one.content.raw for one in items(read(b'{"a":1}\r\r\n', LINES))] == [b'{"a":1}\r']


def test_a_broken_line_is_broken_alone() -> None:
    raw = json.dumps(EVENT).encode()
    found = items(read(b"\xef\xbb\xbf" + raw + b"\n" + raw + b"\n{\n[]", LINES, event_type=None))
    assert [one.refusal.code if isinstance(one, Unread) else "read" for one in found] == [
        "body_malformed",
        "read",
        "body_malformed",
        "event_attribute_invalid",
    ]
    first = found[0]
    assert isinstance(first, Unread)
    assert "byte order mark" in first.refusal.detail


def test_elements_keep_their_bytes() -> None:
    raw = json.dumps(EVENT).encode()
    found = items(read(b" [ " + raw + b" , 5 ]", BATCH, event_type=None))
    assert [one.content.raw for one in found] == [raw, b"5"]
    assert isinstance(found[1], Unread)


@pytest.mark.parametrize(
    ("body", "media_type"), [(b"[]", BATCH), (b" [ ] ", BATCH), (b"\n \n", LINES), (b"", LINES)]
)
def test_an_empty_batch_has_no_items(body: bytes, media_type: str) -> None:
    assert read(body, media_type, event_type=None) == Reading((), batch=True)


@pytest.mark.parametrize("body", [b"", b"[", b"[1,]", b"{}", b"[1]x", b"\xff"])
def test_a_broken_batch_is_refused_whole(body: bytes) -> None:
    assert code(read(body, BATCH, event_type=None)) == "body_malformed"


def test_a_batch_ends_at_its_limit() -> None:
    assert len(items(read(b"1\n2\n3\n", LINES, most=3))) == 3
    assert code(read(b"1\n2\n3\n4", LINES, most=3)) == "body_too_large"
    assert code(read(b"\n" * 9, LINES, most=3)) == "body_too_large"
    assert len(items(read(b"[1,2,3]", BATCH, event_type=None, most=3))) == 3
    assert code(read(b"[1,2,3,4]", BATCH, event_type=None, most=3)) == "body_too_large"
    assert code(read(b"[1,2,3,4,{", BATCH, event_type=None, most=3)) == "body_too_large"
