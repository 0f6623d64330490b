"""Two `serve` behind a balancer: what one has just made, the other takes at once."""

import json
from pathlib import Path

import pytest

from tests.acceptance.running import CONTRACT, ORDER, orders
from tests.faults.forked_fleet import forked_fleet_on
from tests.fleet import HASTE
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres, pytest.mark.timeout(300)]

ROUNDS = 10


def test_what_one_process_makes_the_other_takes_at_once(
    tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> None:
    with forked_fleet_on(tmp_path, kafka_server, postgres_server, HASTE) as fleet:
        fleet.start(serve=2, relay=0, sequence=0)
        one, two = fleet.members["serve-1"], fleet.members["serve-2"]
        one.agree()
        contract, files = CONTRACT, {"order.avsc": json.dumps(ORDER)}
        with one.operator() as here, two.client(one.operator_key()) as there:
            fleet.post(there, "/v1/partners/acme/events/order.accepted", orders(0, 1)[0])
            for number in range(ROUNDS):
                with two.client(one.partner_key()) as partner:
                    assert partner.get("/v1/me").status_code == 200
                    url = {"url": f"https://hooks.acme.example/{number}", "events": ["order.accepted"]}
                    made = here.post("/v1/partners/acme/endpoints", json=url).raise_for_status().json()
                    replay = {"since": "1h", "endpoint": made["id"]}
                    answer = there.post("/v1/partners/acme/replays", json=replay)
                    assert answer.status_code == 202, answer.text
                    there.delete(f"/v1/partners/acme/replays/{answer.json()['id']}").raise_for_status()
                    contract += f"  order.kind{number}: {{schema: kind{number}.avsc, id: /order_id}}\n"
                    files[f"kind{number}.avsc"] = json.dumps({**ORDER, "name": f"Kind{number}"})
                    one.agree(contract, files)
                    event = there.post(
                        f"/v1/partners/acme/events/order.kind{number}", json=orders(number, 1, "B")[0]
                    )
                    assert event.status_code == 201, event.text
                    page = partner.get("/v1/stream", params={"types": f"order.kind{number}"})
                    assert page.status_code == 200, page.text
                for credential in here.get("/v1/partners/acme/credentials").json()["items"]:
                    here.delete(f"/v1/partners/acme/credentials/{credential['id']}").raise_for_status()
