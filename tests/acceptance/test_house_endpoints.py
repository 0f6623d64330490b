"""A team without Kafka has an endpoint of the house, and the partner sees none of it."""

import json

from gateway.standard_webhooks import parse_secret, verify_message
from tests.acceptance.hook import listening
from tests.acceptance.journeys import until
from tests.acceptance.running import Gateway

OURS = "/v1/partners/acme/house-endpoints"


def test_a_team_is_called_with_what_the_partner_sends(gateway: Gateway) -> None:
    with listening() as hook:
        gateway.start()
        gateway.apply()
        with gateway.operator() as operator:
            team = operator.post("/v1/credentials", json={"role": "team"}).json()["secret"]
        key = gateway.partner_key()
        with gateway.client(team) as desk, gateway.client(key) as acme:
            before = acme.post("/v1/events/order.placed", json={"order_id": "A-0", "qty": 0})
            asked = {"url": hook.url, "events": ["order.placed"], "filter": {"pointer": "/qty", "above": 1}}
            made = desk.post(OURS, json=asked)
            assert made.status_code == 201, made.text
            assert made.json()["state"] == "active"
            secret = parse_secret(made.json()["secret"])
            refs = {}
            for qty in range(1, 4):
                sent = acme.post("/v1/events/order.placed", json={"order_id": f"A-{qty}", "qty": qty})
                refs[f"A-{qty}"] = sent.json()["ref"]
            until(lambda: len(hook.posts) >= 2)
            shown = desk.get(f"{OURS}/{made.json()['id']}").json()
            tried = desk.post(f"{OURS}/{made.json()['id']}/test", json={"type": "order.placed"})
            assert tried.status_code == 200, tried.text
            until(lambda: len(hook.posts) >= 3)
            theirs = acme.get("/v1/endpoints").json()["items"]
            until(lambda: acme.get(before.json()["links"]["self"]).json()["proof"] == "logged")
            history = acme.get("/v1/history").text
            deliveries = acme.get("/v1/deliveries").text
    by_id = {json.loads(body)["id"]: (headers, body) for headers, body in hook.posts[:2]}
    assert by_id.keys() == {"A-2", "A-3"}
    for event_id, (headers, body) in by_id.items():
        assert headers["webhook-id"] == refs[event_id]
        verify_message(headers, body, [secret], now_seconds=int(headers["webhook-timestamp"]))
    assert theirs == []
    assert shown["url"] == hook.url
    for text in (history, deliveries):
        assert hook.url not in text
        assert made.json()["id"] not in text
