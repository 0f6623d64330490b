import json
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.ref import format_ref
from gateway.dialler import Outgoing
from gateway.egress.webhook import Signers, encode_body, make_outgoing, present
from gateway.keys import SigningKey
from gateway.standard_webhooks import (
    WebhookSecretError,
    WebhookSignatureError,
    read_message,
    verify_message,
)
from partners.endpoint import Format
from tests.unit.gateway.egress.stage import endpoint

ID = format_ref(bytes(range(32)))
NEW, OLD = b"n" * 32, b"o" * 32
KEY = SigningKey(bytes(range(32)), "webhook")
DATA = b'{"n":1.50,"data":{"data":"\xc3\xa9"}}'
EVENT_ID = '","data":"1" é%'
BODY = encode_body(
    {"subject": ',"data":{'},
    (EVENT_ID, "/house", "order.accepted"),
    data_schema="https://gw.example/v1/schemas/41",
    data=DATA,
)


def test_members_come_in_the_order_of_the_formats_page_and_data_as_it_is() -> None:
    body = encode_body(
        {"time": "2026-11-22T13:05:00Z", "subject": "côte", "a1": "x"},
        ("A-1", "/house", "order.accepted"),
        data_schema="https://gw.example/v1/schemas/41",
        data=b'{"n": 1.50}',
    )
    assert body.decode() == (
        '{"specversion":"1.0","id":"A-1","source":"/house","type":"order.accepted","a1":"x","subject":"côte",'
        '"time":"2026-11-22T13:05:00Z","datacontenttype":"application/json",'
        '"dataschema":"https://gw.example/v1/schemas/41","data":{"n": 1.50}}'
    )


@pytest.mark.parametrize("name", ["data", "id", "specversion", "dataschema"])
def test_an_attribute_cannot_take_the_place_of_the_envelopes_own(name: str) -> None:
    body = encode_body({name: "evil"}, ("A-1", "/house", "t"), data_schema="s", data=b"{}")
    assert b"evil" not in body
    assert json.loads(body)["id"] == "A-1"


def own(message: bytes) -> list[bytes]:
    return [KEY.sign(message)]


def sent(form: Format = "cloudevents", **changes: Any) -> Outgoing:
    where = endpoint(format=form, **changes)
    return make_outgoing(where, ID, BODY, Signers([NEW, OLD], own), now=1_795_352_745_999)


@pytest.mark.parametrize("form", ["cloudevents", "data", "binary"])
def test_exactly_the_bytes_sent_are_signed_by_every_secret_and_by_our_key(form: Format) -> None:
    outgoing = sent(form)
    headers = dict(outgoing.headers)
    assert headers["webhook-timestamp"] == "1795352745"
    versions = [item.partition(",")[0] for item in headers["webhook-signature"].split(" ")]
    assert versions == ["v1", "v1", "v1a"]
    for secret in (NEW, OLD):
        assert verify_message(headers, outgoing.body, [secret], now_seconds=1_795_352_745) == ID
    read_message(headers).verify_v1a(outgoing.body, KEY.public_key)
    with pytest.raises(WebhookSignatureError):
        read_message(headers).verify_v1a(outgoing.body + b" ", KEY.public_key)


def test_an_endpoint_without_secret_is_refused() -> None:
    with pytest.raises(WebhookSecretError):
        make_outgoing(endpoint(), ID, BODY, Signers([], own), now=0)


def test_a_structured_event_is_sent_as_it_was_made() -> None:
    outgoing = sent()
    assert outgoing.body == BODY
    assert outgoing.headers[0] == ("Content-Type", "application/cloudevents+json")


def test_the_data_alone_is_sent_byte_by_byte() -> None:
    outgoing = sent("data")
    assert outgoing.body == DATA
    assert not [name for name, _ in outgoing.headers if name.lower().startswith("ce-")]
    assert dict(outgoing.headers)["Content-Type"] == "application/json"


def test_a_binary_event_is_read_by_the_cloudevents_library() -> None:
    outgoing = sent("binary")
    headers = dict(outgoing.headers)
    assert outgoing.body == DATA
    assert headers["ce-id"] == "%22,%22data%22:%221%22%20%C3%A9%25"
    assert "ce-datacontenttype" not in headers
    assert headers["Content-Type"] == "application/json"
    assert {name: unquote(text) for name, text in headers.items() if name.startswith("ce-")} == {
        "ce-specversion": "1.0",
        "ce-id": EVENT_ID,
        "ce-source": "/house",
        "ce-type": "order.accepted",
        "ce-subject": ',"data":{',
        "ce-dataschema": "https://gw.example/v1/schemas/41",
    }


def test_headers_of_an_endpoint_go_with_every_post() -> None:
    for form in ("cloudevents", "data", "binary"):
        headers = dict(sent(form, headers=(("X-Team", "orders"),)).headers)
        assert headers["X-Team"] == "orders"


@given(
    st.text(max_size=30),
    st.text(max_size=30),
    st.dictionaries(st.text("ab", min_size=1), st.text(max_size=9)),
)
def test_whatever_an_attribute_holds_the_data_is_found(
    event_id: str, source: str, attributes: dict[str, str]
) -> None:
    body = encode_body(attributes, (event_id, source, "t"), data_schema="s", data=DATA)
    headers, data = present(body, "binary")
    assert data == DATA
    assert unquote(dict(headers)["ce-id"]) == event_id
    assert all(text.isascii() and text.isprintable() for _, text in headers)
