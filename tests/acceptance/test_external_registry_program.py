"""A gateway as a user starts it, with a schema registry that is another program; stock clients beside."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.acceptance.hook import Hook, listening
from tests.acceptance.running import ORDER, Gateway, take
from tests.acceptance.stacks import Servers, servers_of
from tests.acceptance.waiting import until
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

CONTRACT = """\
gateway: v1
partner: acme
name: Acme GmbH
sends:
  order.placed: {{schema: order.avsc, id: /order_id, key: /customer}}
receives:
  order.accepted: {{schema: order.avsc, id: /order_id}}
endpoints:
  verification: none
  declared:
    - {{name: hook, url: "{url}", order: key}}
"""
TEAMS_OWN = {**ORDER, "doc": "An order, as the team that sends it describes it."}
GROWN = {**ORDER, "fields": [*ORDER["fields"], {"name": "note", "type": ["null", "string"], "default": None}]}


@dataclass
class Stand:
    library: Gateway
    gateway: Gateway
    stack: Servers
    hook: Hook

    @property
    def registry(self) -> str:
        return f"{self.library.url}/registry"

    def client(self) -> SchemaRegistryClient:
        login = f"{self.library.operator_key()}:"
        return SchemaRegistryClient({"url": self.registry, "basic.auth.user.info": login})

    def apply(self, schema: dict[str, Any] = ORDER) -> Any:
        return self.gateway.apply(CONTRACT.format(url=self.hook.url), {"order.avsc": json.dumps(schema)})

    def missing_registry(self) -> str:
        """What `/readyz` says of the registry; empty while nothing."""
        with self.gateway.client() as client:
            told = client.get("/readyz").json()["missing"]
        return "".join(words for words in told if words.startswith("registry:"))

    def produce(self, order_id: str, schema: dict[str, Any]) -> int:
        """Send an order as any team does that knows Kafka and the registry; the schema id of the record."""
        topic = self.stack.topic("acme", "outbound")
        with self.client() as client:
            serialize = AvroSerializer(client, json.dumps(schema))
            body = {"order_id": order_id, "customer": None, "qty": 1}
            value = serialize(body, SerializationContext(topic, MessageField.VALUE))
        producer = confluent_kafka.Producer({"bootstrap.servers": self.stack.kafka.servers})
        producer.produce(topic, value)
        assert producer.flush(30) == 0
        return int.from_bytes(value[1:5], "big")

    def received(self, event_id: str) -> dict[str, Any]:
        (event,) = until(
            lambda: [one for one in self.hook.events() if one["id"] == event_id], self.gateway.said
        )
        return dict(event)


@pytest.fixture
def stand(tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer) -> Iterator[Stand]:
    library = Gateway(tmp_path / "library")
    with servers_of(kafka_server, postgres_server) as stack, listening() as hook:
        try:
            library.start()
            file = tmp_path / "client.properties"
            login = (
                f"basic.auth.credentials.source=USER_INFO\nbasic.auth.user.info={library.operator_key()}:\n"
            )
            file.write_text(f"schema.registry.url={library.url}/registry\n{login}")
            gateway = Gateway(tmp_path / "data", {"registry.properties_file": str(file)}, stack=stack)
            try:
                gateway.start()
                yield Stand(library, gateway, stack, hook)
                assert gateway.stop() == 0, gateway.said()
                assert library.operator_key() not in gateway.log.read_text()
            finally:
                gateway.kill()
        finally:
            library.kill()


def test_contracts_and_stock_producers_meet_in_a_registry_that_goes_away_and_comes_back(stand: Stand) -> None:
    applied = stand.apply()
    assert applied.status_code == 201, applied.text
    subject = f"{stand.stack.topic('acme', 'outbound')}-com.acme.Order"
    with stand.client() as client:
        agreed = client.get_latest_version(subject).schema_id
    with stand.gateway.operator() as operator:
        types = operator.get("/v1/partners/acme/types").json()["items"]
        assert {one["versions"][0]["id"] for one in types} == {agreed}
        elsewhere = operator.get("/registry/subjects")
        assert (elsewhere.status_code, stand.registry in elsewhere.json()["message"]) == (404, True)

    stranger = stand.produce("S-1", TEAMS_OWN)
    assert stranger != agreed
    event = stand.received("S-1")
    assert (event["type"], event["dataschema"].rsplit("/", 1)[1]) == ("order.accepted", str(agreed))

    stand.library.kill()
    assert "has been away" in until(stand.missing_registry, stand.gateway.said)
    refused = stand.apply(GROWN)
    assert (refused.status_code, refused.json()["code"]) == (503, "registry_unavailable")
    assert (refused.json()["retry"], "Retry-After" in refused.headers) == ("later", True)
    with stand.gateway.client(stand.gateway.partner_key()) as partner:
        take(partner, "/v1/events/order.placed", {"order_id": "A-1", "qty": 1})
    with stand.gateway.operator() as operator:
        assert any("schema registry" in words for words in operator.get("/v1/status").json()["warnings"])

    stand.library.start()
    assert stand.gateway.wait_ready()
    grown = stand.apply(GROWN)
    assert grown.status_code == 200, grown.text
    stand.produce("S-2", TEAMS_OWN)
    stand.received("S-2")
