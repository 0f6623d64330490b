"""What one partner sends reaches the other that its contract names, over a kill; both logs tell of it."""

import json
from collections.abc import Mapping
from functools import partial

import pytest

from gateway.standard_webhooks import parse_secret, verify_message
from tests.acceptance.hook import Hook, listening
from tests.acceptance.journeys import until
from tests.acceptance.running import CONTRACT, ORDER, Gateway, take
from tests.webhook_page import verifier

ACME = CONTRACT.replace("key: /customer}", "key: /customer, forward: {to: globex, as: order.received}}")
RECEIVED = {
    **ORDER,
    "fields": [
        {"name": "order_id", "type": "string"},
        {"name": "qty", "type": "long"},
        {"name": "note", "type": "string", "default": "none"},
    ],
}
GLOBEX = """\
gateway: v1
partner: globex
receives:
  order.received: {{schema: received.avsc, id: /order_id}}
endpoints:
  verification: none
  declared: [{{name: orders, url: "{url}"}}]
"""
EVENTS = 12


def agree(gateway: Gateway, hook: Hook) -> bytes:
    """Both contracts; the secret of globex's endpoint."""
    with gateway.operator() as operator:
        files = {"received.avsc": json.dumps(RECEIVED)}
        body = {"contract": GLOBEX.format(url=hook.url), "files": files}
        put = operator.put("/v1/partners/globex/contract", json=body)
        assert put.status_code == 201, put.text
    sent = gateway.apply(ACME)
    assert sent.status_code == 201, sent.text
    ((_, secret),) = ((one["endpoint"], one["secret"]) for one in put.json()["secrets"])
    return parse_secret(secret)


def history(gateway: Gateway, partner: str, state: str) -> dict[str, str]:
    """Refs of a state, by event id, and nothing else of the partner's history."""
    with gateway.operator() as operator:
        asked = {"state": state, "limit": "200"}
        found = operator.get(f"/v1/partners/{partner}/history", params=asked)
    assert found.status_code == 200, found.text
    return {one["id"]: one["ref"] for one in found.json()["items"]}


def whole_history(gateway: Gateway, partner: str, state: str) -> dict[str, str]:
    """The same, once all events are in it."""
    told = partial(history, gateway, partner, state)
    until(lambda: len(told()) == EVENTS, lacks=told)
    return told()


def verify_as_documented(headers: Mapping[str, str], body: bytes, jwks: object) -> None:
    """As the page's verifier has it: globex says whose events are forwarded to it."""
    verify, now = verifier()["verify_webhook"], int(headers["webhook-timestamp"])
    assert verify(headers, body, jwks, "globex", now=now, senders=["acme"])["type"] == "order.received"
    with pytest.raises(ValueError, match="another partner"):
        verify(headers, body, jwks, "globex", now=now, senders=["initech"])


def test_an_event_goes_on_to_another_partner_over_a_kill(gateway: Gateway) -> None:
    refs: dict[str, str] = {}
    with listening() as hook:
        gateway.start()
        secret = agree(gateway, hook)
        key = gateway.partner_key()
        for number in range(EVENTS):
            if number == EVENTS // 2:
                until(lambda: hook.posts)
                gateway.kill()
                gateway.start()
            with gateway.client(key) as acme:
                sent = take(acme, "/v1/events/order.placed", {"order_id": f"A-{number}", "qty": number})
            refs[f"A-{number}"] = sent.json()["ref"]
        until(
            lambda: set(hook.webhook_ids()) >= set(refs.values()),
            lacks=lambda: [name for name, ref in refs.items() if ref not in hook.webhook_ids()],
        )
        forwarded = whole_history(gateway, "acme", "forwarded")
        delivered = whole_history(gateway, "globex", "delivered")
        with gateway.operator() as operator:
            timeline = operator.get(f"/v1/partners/acme/history/{refs['A-0']}").json()
            jwks = operator.get("/.well-known/jwks.json").json()
    assert forwarded == delivered == refs
    for headers, body in hook.posts:
        verify_message(headers, body, [secret], now_seconds=int(headers["webhook-timestamp"]))
        verify_as_documented(headers, body, jwks)
    bodies = {one["id"]: one for one in hook.events()}
    assert bodies.keys() == refs.keys()
    assert bodies["A-3"]["source"] == "/partners/acme"
    assert bodies["A-3"]["type"] == "order.received"
    assert bodies["A-3"]["data"] == {"order_id": "A-3", "qty": 3, "note": "none"}
    (onward,) = (one["evidence"] for one in timeline["entries"] if one["kind"] == "event.forwarded")
    assert (onward["to"], onward["as"], onward["code"]) == ("globex", "order.received", None)
