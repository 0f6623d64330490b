"""Confluent's serializers and a Java reader on a real Kafka, with schemas from our registry: both ways."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka
import pytest
from confluent_kafka.schema_registry import (
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    header_schema_id_serializer,
    topic_record_subject_name_strategy,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.acceptance.hook import Hook, listening
from tests.acceptance.running import ORDER, Gateway, take
from tests.acceptance.stacks import Servers, servers_of
from tests.acceptance.waiting import until
from tests.faults.program import Fault
from tests.java_reader import read_in_java
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

CONTRACT = """\
gateway: v1
partner: {partner}
name: {partner}
sends:
  order.placed: {{schema: order.avsc, id: /order_id, key: /customer}}
receives:
  order.accepted: {{schema: order.avsc, id: /order_id, key: /customer}}
  order.shipped: {{schema: shipment.avsc, id: /order_id}}
topics: {{framing: {framing}}}
endpoints:
  verification: none
  declared:
    - {{name: hook, url: "{url}"}}
"""
TEXT = json.dumps(ORDER)
ADDRESS = {
    "type": "record",
    "name": "Address",
    "namespace": "com.acme",
    "fields": [{"name": "city", "type": "string"}],
}


def shipment(address: Any) -> str:
    fields = [{"name": "order_id", "type": "string"}, {"name": "to", "type": address}]
    return json.dumps({"type": "record", "name": "Shipment", "namespace": "com.acme", "fields": fields})


ODD = json.dumps({"doc": "as a team wrote it down", **dict(reversed(ORDER.items()))}, indent=2)
"""The same schema in another spelling."""
MODES: dict[str, dict[str, Any]] = {
    "registers by itself": {},
    "registers nothing": {"auto.register.schemas": False},
    "normalises": {"normalize.schemas": True},
    "takes the latest version": {
        "auto.register.schemas": False,
        "use.latest.version": True,
        "subject.name.strategy": topic_record_subject_name_strategy,  # several types share the topic
    },
    "frames in a header": {"schema.id.serializer": header_schema_id_serializer},
}


@dataclass
class Stand:
    """A gateway on Kafka with two partners (prefix and header framing), and a hook that both listen at."""

    gateway: Gateway
    stack: Servers
    hook: Hook
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def registry(self) -> str:
        return f"{self.gateway.url}/registry"

    def client(self) -> SchemaRegistryClient:
        user = f"{self.gateway.operator_key()}:"
        return SchemaRegistryClient({"url": self.registry, "basic.auth.user.info": user, "max.retries": 0})

    def produce(self, topic: str, value: bytes, headers: Any = None) -> None:
        producer = confluent_kafka.Producer({"bootstrap.servers": self.stack.kafka.servers})
        producer.produce(topic, value, headers=headers)
        assert producer.flush(30) == 0

    def received(self, event_id: str) -> dict[str, Any]:
        (event,) = until(
            lambda: [one for one in self.hook.events() if one["id"] == event_id], self.gateway.said
        )
        return dict(event)

    def post(self, partner: str, order_id: str) -> None:
        with self.gateway.client(self.keys[partner]) as client:
            take(client, "/v1/events/order.placed", {"order_id": order_id, "qty": 7})

    def consume(self, topic: str, count: int) -> list[Any]:
        settings = {"bootstrap.servers": self.stack.kafka.servers, "group.id": f"g-{topic}"}
        consumer = confluent_kafka.Consumer({**settings, "auto.offset.reset": "earliest"})
        consumer.assign([confluent_kafka.TopicPartition(topic, 0, 0)])
        found: list[Any] = []

        def look() -> list[Any]:
            found.extend(one for one in consumer.consume(count - len(found), 0.5) if one.error() is None)
            return found if len(found) >= count else []

        try:
            return until(look, self.gateway.said)
        finally:
            consumer.close()


@pytest.fixture(scope="module")
def stand(
    tmp_path_factory: pytest.TempPathFactory, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> Iterator[Stand]:
    with servers_of(kafka_server, postgres_server) as stack, listening() as hook:
        gateway = Gateway(tmp_path_factory.mktemp("clients") / "data", stack=stack)
        try:
            gateway.start(fault=Fault())
            made = Stand(gateway, stack, hook)
            with gateway.operator() as client:
                for partner, framing in (("acme", "prefix"), ("globex", "header")):
                    text = CONTRACT.format(partner=partner, framing=framing, url=hook.url)
                    files = {"order.avsc": TEXT, "shipment.avsc": shipment(ADDRESS)}
                    body = {"contract": text, "files": files}
                    client.put(f"/v1/partners/{partner}/contract", json=body).raise_for_status()
                    key = client.post(f"/v1/partners/{partner}/credentials", json={}).raise_for_status()
                    made.keys[partner] = key.json()["secret"]
            yield made
            assert gateway.stop() == 0, gateway.said()
            assert "Traceback" not in gateway.log.read_text()
        finally:
            gateway.kill()


@pytest.mark.parametrize("partner", ["acme", "globex"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", [TEXT, ODD], ids=["same text", "own text"])
def test_a_stock_serializers_record_reaches_the_webhook(
    stand: Stand, mode: str, partner: str, text: str
) -> None:
    topic = stand.stack.topic(partner, "outbound")
    order_id = f"{partner}-{mode}-{len(text)}".replace(" ", "-")
    headers: list[tuple[str, str | bytes | None]] = []
    with stand.client() as registry:
        serialize = AvroSerializer(registry, text, conf=MODES[mode])
        context = SerializationContext(topic, MessageField.VALUE, headers=headers)
        value = serialize({"order_id": order_id, "customer": None, "qty": 3}, context)
    assert value is not None
    stand.produce(topic, value, headers or None)
    event = stand.received(order_id)
    assert (event["type"], event["data"]["qty"]) == ("order.accepted", 3)


@pytest.mark.parametrize("partner", ["acme", "globex"])
def test_a_serializer_that_is_told_the_id_reaches_the_webhook(stand: Stand, partner: str) -> None:
    topic, order_id = stand.stack.topic(partner, "outbound"), f"{partner}-by-id"
    with stand.client() as registry:
        known = registry.lookup_schema(f"{topic}-value", Schema(TEXT, "AVRO")).schema_id
        conf = {"auto.register.schemas": False, "use.schema.id": known}
        serialize = AvroSerializer(registry, conf=conf)
        context = SerializationContext(topic, MessageField.VALUE)
        value = serialize({"order_id": order_id, "customer": None, "qty": 3}, context)
    assert value is not None
    stand.produce(topic, value)
    assert stand.received(order_id)["type"] == "order.accepted"


@pytest.mark.parametrize("partner", ["acme", "globex"])
def test_a_schema_with_references_is_the_contracts_where_it_means_the_same(
    stand: Stand, partner: str
) -> None:
    """The team keeps the address under a subject of its own; the contract has it written out."""
    topic, order_id = stand.stack.topic(partner, "outbound"), f"{partner}-referring"
    with stand.client() as registry:
        registry.register_schema("team.address", Schema(json.dumps(ADDRESS), "AVRO"))
        reference = SchemaReference("com.acme.Address", "team.address", 1)
        referring = Schema(shipment("com.acme.Address"), "AVRO", [reference])
        serialize = AvroSerializer(registry, referring)
        context = SerializationContext(topic, MessageField.VALUE)
        value = serialize({"order_id": order_id, "to": {"city": "Bonn"}}, context)
    assert value is not None
    stand.produce(topic, value)
    event = stand.received(order_id)
    assert (event["type"], event["data"]["to"]) == ("order.shipped", {"city": "Bonn"})


def test_a_schema_that_the_contract_does_not_have_is_registered_on_no_governed_subject(stand: Stand) -> None:
    other = json.dumps({**ORDER, "name": "Other"})
    with stand.client() as registry:
        serialize = AvroSerializer(registry, other)
        context = SerializationContext(stand.stack.topic("acme", "outbound"), MessageField.VALUE)
        with pytest.raises(SchemaRegistryError) as raised:
            serialize({"order_id": "1", "customer": None, "qty": 3}, context)
    assert "contract" in str(raised.value)


@pytest.mark.parametrize("partner", ["acme", "globex"])
def test_a_partners_event_is_read_by_stock_readers_in_python_and_java(stand: Stand, partner: str) -> None:
    wanted = [f"{partner}-{number}" for number in range(3)]
    for one in wanted:
        stand.post(partner, one)
    topic = stand.stack.topic(partner, "inbound")
    with stand.client() as registry:
        read = AvroDeserializer(registry)
        found = [
            read(one.value(), SerializationContext(topic, MessageField.VALUE, headers=one.headers()))
            for one in stand.consume(topic, len(wanted))
        ]
    assert found == [{"order_id": one, "customer": None, "qty": 7} for one in wanted]
    key = stand.gateway.operator_key()
    assert (
        read_in_java(stand.stack.kafka.servers, topic, len(wanted), registry=stand.registry, key=key) == found
    )
