import json

import pytest

from audit.ref import parse_ref
from gateway.egress.webhook import encode_body, make_outgoing
from gateway.standard_webhooks import WebhookSecretError, verify_message

REF = bytes(range(32))


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


def test_exactly_the_bytes_sent_are_signed_by_every_secret() -> None:
    new, old = b"n" * 32, b"o" * 32
    outgoing = make_outgoing("https://a.example/", REF, b"body", [new, old], now=1_795_352_745_999)
    headers = dict(outgoing.headers)
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert headers["webhook-timestamp"] == "1795352745"
    for secret in (new, old):
        message_id = verify_message(headers, outgoing.body, [secret], now_seconds=1_795_352_745)
        assert parse_ref(message_id) == REF


def test_an_endpoint_without_secret_is_refused() -> None:
    with pytest.raises(WebhookSecretError):
        make_outgoing("https://a.example/", REF, b"", [], now=0)
