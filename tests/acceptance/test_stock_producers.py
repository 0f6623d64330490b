"""A team that knows Kafka and Avro and nothing of ours: what it produces is delivered, or leaves evidence."""

import hashlib
import io
import json
import struct
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import confluent_kafka
import fastavro
import httpx
import pytest
from cloudevents.core.bindings import kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from audit.pressing import expand
from tests.acceptance.hook import Hook, listening
from tests.acceptance.running import ORDER, ROOT, Gateway, take
from tests.acceptance.stacks import Servers, servers_of
from tests.acceptance.waiting import until
from tests.faults.program import Fault
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

NOTICE: dict[str, Any] = {
    "type": "record",
    "name": "Notice",
    "namespace": "com.acme",
    "fields": [
        {"name": "text", "type": "string"},
        {"name": "lines", "type": {"type": "array", "items": "string"}, "default": []},
    ],
}
CONTRACT = """\
gateway: v1
partner: {partner}
name: {partner}
receives:
  order.accepted: {{schema: order.avsc, id: /order_id, key: /customer}}
  notice.given: {{schema: notice.avsc}}
endpoints:
  verification: none
  declared:
    - {{name: hook, url: "{url}", order: key}}
"""
GLOBEX = "gateway: v1\npartner: globex\nname: Globex\nreceives:\n  price: {schema: price.avsc, id: /share}\n"
PRICE = {"type": "record", "name": "Price", "fields": [{"name": "share", "type": "string"}]}
COMPRESSIONS = ("none", "gzip", "snappy", "lz4", "zstd")


def confluent(schema_id: int, schema: dict[str, Any], datum: dict[str, Any]) -> bytes:
    """What a stock AvroSerializer makes: a zero byte, the schema's id, the datum."""
    out = io.BytesIO()
    fastavro.schemaless_writer(out, fastavro.parse_schema(schema), datum)
    return struct.pack(">BI", 0, schema_id) + out.getvalue()


@dataclass
class Team:
    """Our own side as it stands beside the gateway: stock clients, and a hook that acme listens at."""

    gateway: Gateway
    stack: Servers
    hook: Hook
    ids: dict[str, int] = field(default_factory=dict)

    @property
    def topic(self) -> str:
        return self.stack.topic("acme", "outbound")

    def producer(self, **settings: Any) -> Any:
        names = {name.replace("_", "."): value for name, value in settings.items()}
        return confluent_kafka.Producer({"bootstrap.servers": self.stack.kafka.servers, **names})

    def send(self, *values: bytes | None, key: bytes | None = None, **settings: Any) -> list[tuple[int, int]]:
        """Produce, and wait for the acknowledgements; partition and offset of each."""
        told: list[tuple[int, int]] = []

        def note(error: object, message: Any) -> None:
            assert error is None, error
            told.append((message.partition(), message.offset()))

        producer = self.producer(**settings)
        for value in values:
            producer.produce(self.topic, value, key=key, on_delivery=note)
        assert producer.flush(30) == 0
        return told

    def order(self, order_id: str, customer: str | None = None) -> bytes:
        datum = {"order_id": order_id, "customer": customer, "qty": 1}
        return confluent(self.ids["order.accepted"], ORDER, datum)

    def notice(self, text: str, *lines: str) -> bytes:
        return confluent(self.ids["notice.given"], NOTICE, {"text": text, "lines": lines})

    def received(self, event_id: str) -> dict[str, Any]:
        """The one webhook with this event id; fails where it does not come, or comes twice."""

        def look() -> list[dict[str, Any]]:
            return [one for one in self.hook.events() if one["id"] == event_id]

        (event,) = until(look, self.gateway.said)
        return dict(event)

    def evidence(self, offset: int) -> dict[str, Any]:
        """What the log says of a record that was not delivered."""
        query = "SELECT evidence FROM audit_entry WHERE kind IN ('event.refused', 'event.unreadable')"

        def look() -> list[dict[str, Any]]:
            found = [json.loads(expand(bytes(one))) for (one,) in self.gateway.rows(query)]
            return [one for one in found if one["record"]["offset"] == offset]

        (one,) = until(look, self.gateway.said)
        return dict(one)


def apply(gateway: Gateway, partner: str, contract: str, files: dict[str, dict[str, Any]]) -> httpx.Response:
    body = {"contract": contract, "files": {name: json.dumps(text) for name, text in files.items()}}
    with gateway.operator() as client:
        return client.put(f"/v1/partners/{partner}/contract", json=body).raise_for_status()


def schema_ids(gateway: Gateway, partner: str) -> dict[str, int]:
    """The newest schema id of each type, as the gateway's own pages give it."""
    with gateway.operator() as client:
        types = client.get(f"/v1/partners/{partner}/types").raise_for_status().json()["items"]
    return {one["type"]: one["versions"][0]["id"] for one in types}


@pytest.fixture(scope="module")
def team(
    tmp_path_factory: pytest.TempPathFactory, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> Iterator[Team]:
    """One gateway for this module."""
    folder: Path = tmp_path_factory.mktemp("stock")
    with servers_of(kafka_server, postgres_server) as stack, listening() as hook:
        gateway = Gateway(folder / "data", stack=stack)
        try:
            gateway.start(fault=Fault())
            files = {"order.avsc": ORDER, "notice.avsc": NOTICE}
            apply(gateway, "acme", CONTRACT.format(partner="acme", url=hook.url), files)
            apply(gateway, "globex", GLOBEX, {"price.avsc": PRICE})
            made = Team(gateway, stack, hook, schema_ids(gateway, "acme"))
            made.ids |= schema_ids(gateway, "globex")
            yield made
            assert gateway.stop() == 0, gateway.said()
            assert "Traceback" not in gateway.log.read_text()
        finally:
            gateway.kill()


def test_without_headers_of_ours_type_id_and_data_are_found(team: Team) -> None:
    ((partition, offset),) = team.send(team.order("S-1", "c1"), key=b"c1")
    event = team.received("S-1")
    assert event["type"] == "order.accepted"
    assert event["source"] == "/house"
    assert event["dataschema"] == f"{team.gateway.url}/v1/schemas/{team.ids['order.accepted']}"
    assert event["data"] == {"order_id": "S-1", "customer": "c1", "qty": 1}
    assert (partition, offset >= 0) == (0, True)


def test_types_share_the_topic_and_one_without_a_pointer_is_named_by_its_place(team: Team) -> None:
    notice = team.notice("closed on Monday")
    places = team.send(team.order("S-2"), notice, team.order("S-3"))
    partition, offset = places[1]
    event = team.received(f"{team.topic}/{partition}/{offset}")
    assert (event["type"], event["data"]) == (
        "notice.given",
        {"text": "closed on Monday", "lines": []},
    )
    assert {team.received(one)["type"] for one in ("S-2", "S-3")} == {"order.accepted"}


def test_records_of_one_key_arrive_in_their_order(team: Team) -> None:
    wanted = [f"{key}-{n}" for n in range(12) for key in ("left", "right")]
    for one in wanted:
        team.send(team.order(one), key=one.partition("-")[0].encode())
    for one in wanted:
        team.received(one)
    arrived = [one["id"] for one in team.hook.events()]
    for key in ("left", "right"):
        assert [one for one in arrived if one.startswith(f"{key}-")] == [f"{key}-{n}" for n in range(12)]


def test_every_compression_is_read(team: Team) -> None:
    for one in COMPRESSIONS:
        team.send(
            *(team.order(f"{one}-{n}", "x" * 200) for n in range(20)), compression_type=one, linger_ms=20
        )
    for one in COMPRESSIONS:
        for n in range(20):
            assert team.received(f"{one}-{n}")["data"]["order_id"] == f"{one}-{n}"


def test_an_idempotent_producer_is_delivered_once_each(team: Team) -> None:
    team.send(*(team.order(f"idem-{n}") for n in range(30)), enable_idempotence=True)
    for n in range(30):
        team.received(f"idem-{n}")


def test_only_what_a_transaction_committed_is_delivered(team: Team) -> None:
    producer = team.producer(transactional_id=f"team-{uuid.uuid4().hex}")
    producer.init_transactions(30)
    for name, ends in (
        ("aborted", producer.abort_transaction),
        ("committed", producer.commit_transaction),
        ("aborted-again", producer.abort_transaction),
    ):
        producer.begin_transaction()
        for n in range(3):
            producer.produce(team.topic, team.order(f"{name}-{n}"))
        producer.flush(30)
        ends(30)
    # An open one holds back what comes after it, until it ends.
    producer.begin_transaction()
    producer.produce(team.topic, team.order("open"))
    producer.flush(30)
    team.send(team.order("after the open one"))
    for n in range(3):
        team.received(f"committed-{n}")
    seen = {one["id"] for one in team.hook.events()}
    assert not {"open", "after the open one"} & seen
    producer.commit_transaction(30)
    for one in ("open", "after the open one"):
        team.received(one)
    assert not [one["id"] for one in team.hook.events() if one["id"].startswith("aborted")]


def _unknown(team: Team) -> bytes:
    return struct.pack(">BI", 0, 999_999) + team.order("S-9")[5:]


def _of_another_partner(team: Team) -> bytes:
    return confluent(team.ids["price"], PRICE, {"share": "ACME"})


def _unfit(team: Team) -> bytes:
    return team.order("S-9") + b"\x00"


def _cut(team: Team) -> bytes:
    return team.order("S-9")[:-2]


def _long_id(team: Team) -> bytes:
    return team.order("x" * 2_000)


def _structured(_: Team) -> bytes:
    return b'{"specversion":"1.0","type":"order.accepted"}'


BAD: dict[str, tuple[Callable[[Team], bytes | None], str, str]] = {
    "an unknown schema id": (_unknown, "event.refused", "event_type_unknown"),
    "another partner's schema": (_of_another_partner, "event.refused", "event_type_unknown"),
    "bytes behind the datum": (_unfit, "event.refused", "event_invalid"),
    "a datum cut short": (_cut, "event.refused", "event_invalid"),
    "an id that is too long": (_long_id, "event.refused", "event_attribute_invalid"),
    "JSON": (_structured, "event.unreadable", "framing"),
    "nothing": (lambda _: b"", "event.unreadable", "framing"),
    "a tombstone": (lambda _: None, "event.unreadable", "no_value"),
    "half a prefix": (lambda _: b"\x00\x00\x00", "event.unreadable", "framing"),
}


def test_what_is_no_event_of_the_contract_leaves_evidence_and_the_lane_goes_on(team: Team) -> None:
    sent: dict[str, int] = {}
    for name, (make, _, _) in BAD.items():
        ((_, sent[name]),) = team.send(make(team), key=b"k")
        team.send(team.order(f"behind {name}"))
    for name, (_, kind, code) in BAD.items():
        evidence = team.evidence(sent[name])
        assert (evidence["kind"], evidence["code"]) == (kind, code), name
        assert evidence["record"]["topic"] == team.topic
        team.received(f"behind {name}")
    assert not [one for one in team.hook.events() if one["id"] in {"S-9", "x" * 2_000, "ACME"}]


def test_large_records_are_delivered_and_a_text_beyond_the_limit_is_refused(team: Team) -> None:
    lines = ["y" * 100_000] * 9
    ((_, offset),) = team.send(team.order("too long", "y" * 300_000))
    # Kafka counts compressed bytes: this one is eight times as large as what it takes, once it is read.
    places = team.send(
        team.notice("large", *lines),
        team.notice("larger", *lines * 9),
        compression_type="zstd",
        message_max_bytes=20_000_000,
    )
    team.send(team.order("behind the large ones"))
    evidence = team.evidence(offset)
    assert (evidence["code"], evidence["faults"]) == (
        "event_invalid",
        [{"pointer": "/customer", "code": "length"}],
    )
    for (partition, at), count in zip(places, (9, 81), strict=True):
        assert len(team.received(f"{team.topic}/{partition}/{at}")["data"]["lines"]) == count
    team.received("behind the large ones")


def test_the_attempts_are_in_the_log_and_nothing_of_the_body_is(team: Team) -> None:
    value = team.order("logged", "a-customer-that-is-a-secret")
    ((_, offset),) = team.send(value)
    team.received("logged")
    query = "SELECT evidence FROM audit_entry WHERE kind = 'delivery.attempted'"

    def look() -> list[bytes]:
        found = [expand(bytes(one)) for (one,) in team.gateway.rows(query)]
        return [one for one in found if json.loads(one)["id"] == "logged"]

    (one,) = until(look, team.gateway.said)
    said = json.loads(one)
    assert said["outcome"] == "delivered"
    # No receipt does: nobody has accepted it.
    assert (said["contract"], said["schema"]["id"]) == (1, team.ids["order.accepted"])
    assert (said["record"]["topic"], said["record"]["offset"]) == (team.topic, offset)
    assert said["record"]["sha256"] == hashlib.sha256(value[5:]).hexdigest()
    assert b"a-customer-that-is-a-secret" not in one


def test_cloudevents_of_the_usual_library_are_delivered_in_either_mode(team: Team) -> None:
    def event(event_id: str, data: dict[str, Any] | None) -> CloudEvent:
        attributes = {"id": event_id, "source": "/erp/côte", "type": "order.accepted", "partitionkey": "c1"}
        return CloudEvent({**attributes, "datacontenttype": "application/json"}, data)

    def send(message: kafka.KafkaMessage) -> int:
        told: list[int] = []
        producer = team.producer()
        headers = list(message.headers.items())
        producer.produce(
            team.topic,
            message.value,
            message.key,
            headers=headers,
            on_delivery=lambda _, made: told.append(made.offset()),
        )
        assert producer.flush(30) == 0
        return told[0]

    for name, mode in (("binary", kafka.to_binary), ("structured", kafka.to_structured)):
        refused = send(mode(event(f"bad {name}", {"order_id": 1}), JSONFormat()))
        lacking = send(mode(event(f"empty {name}", None), JSONFormat()))
        send(mode(event(name, {"order_id": f"CE-{name}", "qty": 1}), JSONFormat()))
        taken = team.received(name)
        assert (taken["source"], taken["partitionkey"]) == ("/erp/côte", "c1")
        assert taken["dataschema"] == f"{team.gateway.url}/v1/schemas/{team.ids['order.accepted']}"
        assert taken["data"] == {"order_id": f"CE-{name}", "customer": None, "qty": 1}
        for offset, pointers in ((refused, ["/order_id", "/qty"]), (lacking, [""])):
            evidence = team.evidence(offset)
            assert (evidence["kind"], evidence["code"]) == ("event.refused", "event_invalid")
            assert [fault["pointer"] for fault in evidence["faults"]] == pointers


def test_the_example_feed_takes_what_the_gateway_wrote_once(team: Team, tmp_path: Path) -> None:
    with team.gateway.operator() as client:
        path = "/v1/partners/acme/events/order.accepted"
        for number in range(3):
            take(client, path, {"order_id": f"lake-{number}", "qty": number})
    (tmp_path / "gateway.key").write_text(team.gateway.operator_key())
    words = [team.stack.kafka.servers, team.topic, "order.accepted", team.gateway.url]
    program = ROOT / "examples" / "data_lake" / "feed.py"
    command = [sys.executable, str(program), *words, "gateway.key", "lake"]

    def run() -> str:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # What stock producers wrote here carries no receipt, and is left out.
    assert [run(), run()] == ["3 records\n", "0 records\n"]
