"""Stock Confluent clients, unmodified, on the registry of a gateway that runs as a process of its own."""

import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from confluent_kafka.schema_registry import (
    Schema,
    SchemaReference,
    SchemaRegistryClient,
    ServerConfig,
    header_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.common.schema_registry_client import ConfigCompatibilityLevel
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from tests.acceptance.running import ORDER, Gateway

USER: dict[str, Any] = {
    "type": "record",
    "name": "User",
    "namespace": "com.team",
    "fields": [{"name": "id", "type": "string"}, {"name": "age", "type": "int"}],
}
GROWN = {**USER, "fields": [*USER["fields"], {"name": "mail", "type": ["null", "string"], "default": None}]}
BROKEN = {**USER, "fields": [*USER["fields"], {"name": "mail", "type": "string"}]}
ADDRESS = {
    "type": "record",
    "name": "Address",
    "namespace": "com.team",
    "fields": [{"name": "city", "type": "string"}],
}
PERSON = {
    "type": "record",
    "name": "Person",
    "namespace": "com.team",
    "fields": [{"name": "name", "type": "string"}, {"name": "home", "type": "com.team.Address"}],
}
ADA = {"id": "u-1001", "age": 36}
OUTBOUND = "partners.acme.outbound"


@dataclass
class Stand:
    """A gateway with the partner acme, and stock clients of its registry."""

    gateway: Gateway
    partner_key: str
    opened: list[SchemaRegistryClient] = field(default_factory=list)

    def client(self, key: str | None = None, **conf: str) -> SchemaRegistryClient:
        """A client with an operator's key, or another; it is closed when the test is over."""
        user = conf or {"basic.auth.user.info": f"{key or self.gateway.operator_key()}:"}
        made = SchemaRegistryClient({"url": f"{self.gateway.url}/registry", "max.retries": 0, **user})
        self.opened.append(made)
        return made

    def topic(self) -> str:
        """A topic that no other test uses."""
        return f"team.{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gateway, str]]:
    gateway = Gateway(tmp_path_factory.mktemp("registry") / "data")
    try:
        gateway.start()
        assert gateway.apply().status_code == 201
        yield gateway, gateway.partner_key()
    finally:
        gateway.kill()


@pytest.fixture
def stand(started: tuple[Gateway, str]) -> Iterator[Stand]:
    made = Stand(*started)
    yield made
    for client in made.opened:
        client.close()


def text(schema: Any) -> str:
    return json.dumps(schema)


def value_of(topic: str, headers: list[Any] | None = None) -> SerializationContext:
    return SerializationContext(topic, MessageField.VALUE, headers)


def test_a_serializer_registers_by_itself_and_a_deserializer_reads_what_it_wrote(stand: Stand) -> None:
    topic = stand.topic()
    serialize = AvroSerializer(stand.client(), text(USER))
    raw = serialize(ADA, value_of(topic))
    assert raw[:1] == b"\x00"
    client = stand.client()
    assert client.get_versions(f"{topic}-value") == [1]
    assert int.from_bytes(raw[1:5], "big") == client.get_latest_version(f"{topic}-value").schema_id
    assert AvroDeserializer(client)(raw, value_of(topic)) == ADA


def test_a_bearer_token_is_taken_as_well(stand: Stand) -> None:
    conf = {
        "bearer.auth.credentials.source": "STATIC_TOKEN",
        "bearer.auth.token": stand.gateway.operator_key(),
        "bearer.auth.logical.cluster": "any",
        "bearer.auth.identity.pool.id": "any",
    }
    assert stand.client(**conf).get_contexts() == ["."]


def test_without_auto_register_only_what_is_registered_is_written(stand: Stand) -> None:
    topic = stand.topic()
    careful = AvroSerializer(stand.client(), text(USER), conf={"auto.register.schemas": False})
    with pytest.raises(SchemaRegistryError) as refused:
        careful(ADA, value_of(topic))
    assert (refused.value.http_status_code, refused.value.error_code) == (404, 40401)
    schema_id = stand.client().register_schema(f"{topic}-value", Schema(text(USER)))
    assert careful(ADA, value_of(topic))[:5] == b"\x00" + schema_id.to_bytes(4, "big")


def test_the_latest_version_is_used_where_that_is_asked_for(stand: Stand) -> None:
    topic = stand.topic()
    client = stand.client()
    client.register_schema(f"{topic}-value", Schema(text(USER)))
    newest = client.register_schema(f"{topic}-value", Schema(text(GROWN)))
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    raw = AvroSerializer(stand.client(), None, conf=conf)({**ADA, "mail": "a@b"}, value_of(topic))
    assert raw[:5] == b"\x00" + newest.to_bytes(4, "big")
    assert AvroDeserializer(stand.client(), text(USER))(raw, value_of(topic)) == ADA


def test_a_schema_is_used_by_its_id(stand: Stand) -> None:
    topic = stand.topic()
    schema_id = stand.client().register_schema(f"{topic}-value", Schema(text(USER)))
    conf = {"auto.register.schemas": False, "use.schema.id": schema_id}
    raw = AvroSerializer(stand.client(), text(USER), conf=conf)(ADA, value_of(topic))
    assert raw[:5] == b"\x00" + schema_id.to_bytes(4, "big")


def test_references_are_followed(stand: Stand) -> None:
    topic = stand.topic()
    client = stand.client()
    client.register_schema(f"{topic}-address", Schema(text(ADDRESS)))
    reference = SchemaReference("com.team.Address", f"{topic}-address", 1)
    person = Schema(text(PERSON), references=[reference])
    datum = {"name": "Ada", "home": {"city": "London"}}
    raw = AvroSerializer(stand.client(), person)(datum, value_of(topic))
    assert AvroDeserializer(stand.client())(raw, value_of(topic)) == datum
    schema_id = int.from_bytes(raw[1:5], "big")
    assert client.get_schema(schema_id).references == [reference]
    assert client.get_referenced_by(f"{topic}-address", 1) == [schema_id]
    with pytest.raises(SchemaRegistryError) as refused:
        client.delete_version(f"{topic}-address", 1)
    assert refused.value.error_code == 42206


def test_the_id_may_travel_as_a_guid_in_a_header(stand: Stand) -> None:
    topic = stand.topic()
    headers: list[tuple[str, bytes]] = []
    conf = {"schema.id.serializer": header_schema_id_serializer}
    raw = AvroSerializer(stand.client(), text(USER), conf=conf)(ADA, value_of(topic, headers))
    (name, header) = headers[0]
    registered = stand.client().get_latest_version(f"{topic}-value")
    assert name == "__value_schema_id"
    assert header == b"\x01" + uuid.UUID(registered.guid).bytes
    assert AvroDeserializer(stand.client())(raw, value_of(topic, headers)) == ADA


def test_refusals_are_those_that_clients_know(stand: Stand) -> None:
    subject = f"{stand.topic()}-value"
    client = stand.client()
    client.register_schema(subject, Schema(text(USER)))
    told = []
    for schema in (text(BROKEN), '{"type":"record"}', "{"):
        with pytest.raises(SchemaRegistryError) as refused:
            client.register_schema(subject, Schema(schema))
        told.append((refused.value.http_status_code, refused.value.error_code, refused.value.error_message))
    assert [one[:2] for one in told] == [(409, 409), (422, 42201), (422, 42201)]
    assert "Schema being registered is incompatible with an earlier schema" in told[0][2]
    assert all("Invalid schema" in one[2] for one in told[1:])
    assert not client.test_compatibility(subject, Schema(text(BROKEN)), verbose=True)
    assert client.test_compatibility(subject, Schema(text(GROWN)))
    assert client.test_compatibility_all_versions(subject, Schema(text(GROWN)))


def test_every_call_of_the_client_has_its_answer(stand: Stand) -> None:
    subject = f"{stand.topic()}/a b-value"
    client = stand.client()
    schema_id = client.register_schema(subject, Schema(text(USER)), normalize_schemas=True)
    client.register_schema(subject, Schema(text(GROWN)))
    registered = client.lookup_schema(subject, Schema(text(USER)), normalize_schemas=True)
    assert (registered.schema_id, registered.version) == (schema_id, 1)
    assert registered.guid is not None
    fresh = stand.client()
    assert fresh.get_schema_by_guid(registered.guid).schema_str == fresh.get_schema(schema_id).schema_str
    assert client.get_schema_types() == ["AVRO"]
    assert client.get_subjects_by_schema_id(schema_id, subject_name=subject, deleted=True) == [subject]
    assert [one.version for one in client.get_schema_versions(schema_id, subject_name=subject)] == [1]
    assert client.get_subjects(subject_prefix=subject) == [subject]
    assert client.get_latest_with_metadata(subject, {}).version == 2
    assert client.get_version(subject, 1, deleted=True).schema_id == schema_id
    echoed: object = client.set_compatibility(subject, "full_transitive")
    assert echoed == {"compatibility": "FULL_TRANSITIVE"}
    assert client.get_compatibility(subject) == "FULL_TRANSITIVE"
    config = ServerConfig(compatibility=ConfigCompatibilityLevel.NONE)
    echoed_too: object = client.set_config(subject, config)
    assert echoed_too == {"compatibility": "NONE"}
    assert client.get_config(subject).compatibility_level == ConfigCompatibilityLevel.NONE
    client.delete_config(subject)
    assert client.update_mode(subject, "READONLY", force=True) == "READONLY"
    assert client.get_mode(subject) == "READONLY"
    with pytest.raises(SchemaRegistryError) as refused:
        client.register_schema(subject, Schema(text({**GROWN, "doc": "new"})))
    assert refused.value.error_code == 42205
    assert client.delete_mode(subject) == "READONLY"
    assert client.get_global_mode() == "READWRITE"
    assert client.delete_version(subject, 1) == 1
    assert client.get_versions(subject) == [2]
    assert client.get_versions(subject, deleted=True) == [1, 2]
    assert client.delete_subject(subject) == [2]
    assert client.get_schema(schema_id) is not None
    assert client.delete_subject(subject, permanent=True) == [1, 2]


def test_old_records_decode_after_a_soft_deletion(stand: Stand) -> None:
    topic = stand.topic()
    raw = AvroSerializer(stand.client(), text(USER))(ADA, value_of(topic))
    stand.client().delete_subject(f"{topic}-value")
    assert AvroDeserializer(stand.client())(raw, value_of(topic)) == ADA


def test_on_a_partners_topic_the_contracts_schema_is_found_however_it_is_written(stand: Stand) -> None:
    order = {"order_id": "A-1", "customer": None, "qty": 1}
    documented = {**ORDER, "doc": "As our team writes it."}
    schema_id = stand.client().get_latest_version(f"{OUTBOUND}-com.acme.Order").schema_id
    assert schema_id is not None
    for conf in ({}, {"auto.register.schemas": False}):
        raw = AvroSerializer(stand.client(), text(documented), conf=conf)(order, value_of(OUTBOUND))
        assert raw[:5] == b"\x00" + schema_id.to_bytes(4, "big")
    conf = {"auto.register.schemas": False, "use.latest.version": True}
    raw = AvroSerializer(stand.client(), None, conf=conf)(order, value_of(OUTBOUND))
    assert AvroDeserializer(stand.client(stand.partner_key))(raw, value_of(OUTBOUND)) == order


def test_on_a_partners_topic_anything_else_is_refused_by_an_error_that_names_the_contract(
    stand: Stand,
) -> None:
    with pytest.raises(SchemaRegistryError, match="contract of partner acme") as refused:
        AvroSerializer(stand.client(), text(USER))(ADA, value_of(OUTBOUND))
    assert (refused.value.http_status_code, refused.value.error_code) == (422, 42205)


def test_a_partner_reads_its_own_and_writes_nothing(stand: Stand) -> None:
    topic = stand.topic()
    raw = AvroSerializer(stand.client(), text(USER))(ADA, value_of(topic))
    partner = stand.client(stand.partner_key)
    assert all(one.startswith("partners.acme.") for one in partner.get_subjects())
    with pytest.raises(SchemaRegistryError, match="40403"):
        AvroDeserializer(partner)(raw, value_of(topic))
    with pytest.raises(SchemaRegistryError) as refused:
        partner.register_schema("other-value", Schema(text(USER)))
    assert refused.value.http_status_code == 403


def test_a_wrong_key_is_told_as_clients_expect_it(stand: Stand) -> None:
    with pytest.raises(SchemaRegistryError) as refused:
        stand.client("gw_wrong").get_subjects()
    assert (refused.value.http_status_code, refused.value.error_code) == (401, 401)
