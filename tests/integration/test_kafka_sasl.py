"""Kafka as cloud providers offer it: TLS and passwords, by the file that they hand out for Java programs."""

import asyncio
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import pytest

from gateway.bootstrap.ground import open_broker
from gateway.broker.kafka import KafkaBroker
from gateway.broker.kafka_properties import load_kafka_properties
from gateway.broker.port import BrokerError, Refused, Stored
from tests.contract.broker_stands import fresh_name, make_topic, now, read_until, record, start, values
from tests.kafka_security import SaslListener, make_listener
from tests.kafka_server import KafkaServer
from tests.world import make_settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]  # nodes start slowly on a busy machine

PASSWORD: Final = "horse battery staple"
WAIT_SECONDS: Final = 60.0
PATIENCE_MS: Final = 60_000
"""Of whoever is let in: what is taken is what matters, not how soon."""

MODULES: Final[Mapping[str, str]] = {
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
}


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> SaslListener:
    return make_listener(tmp_path_factory.mktemp("listener"), {"gateway": PASSWORD})


@pytest.fixture(scope="module")
def sasl_server(tmp_path_factory: pytest.TempPathFactory, listener: SaslListener) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path_factory.mktemp("sasl-kafka"), sasl=listener)
    server.start()
    yield server
    server.kill()


def client_properties(folder: Path, authority: Path | None, mechanism: str, password: str = PASSWORD) -> Path:
    """A file as a provider shows it on its page for Java; `authority`: None leaves the system's in force."""
    trust = f"ssl.truststore.type=PEM\nssl.truststore.location={authority}\n" if authority else ""
    file = folder / f"{mechanism}-{fresh_name()}.properties"
    file.write_text(
        "# Required connection configs for Kafka producer, consumer, and admin\n"
        "security.protocol=SASL_SSL\n"
        f"sasl.mechanism={mechanism}\n"
        f"sasl.jaas.config={MODULES[mechanism]} required \\\n"
        f'  username="gateway" \\\n  password="{password}";\n'
        "ssl.endpoint.identification.algorithm=https\n"
        "client.dns.lookup=use_all_dns_ips\n"
        "session.timeout.ms=45000\n"
        "acks=all\n" + trust
    )
    return file


def open_kafka(servers: str, file: Path) -> KafkaBroker:
    properties = load_kafka_properties(file).settings
    return KafkaBroker.open(
        servers, clock=now, properties=properties, replication=1, message_timeout_ms=2_000
    )


async def why_refused(servers: str, file: Path, expected: str) -> tuple[str, str]:
    """Code and words of a question that Kafka does not answer; an append promises nothing meanwhile.

    `expected`: a part of the words. On a busy machine a question may be given up before it is known why
    nobody answers: then it is asked again.
    """
    deadline = time.monotonic() + WAIT_SECONDS
    broker = open_kafka(servers, file)
    try:
        told = ""
        while expected not in told and time.monotonic() < deadline:
            with pytest.raises(BrokerError) as away:
                await broker.describe(["partners.acme.inbound"])
            told = str(away.value)
        (answer,) = await broker.append([record("partners.acme.inbound")])
        assert isinstance(answer, Refused)
    finally:
        await broker.close()
    return away.value.code, told


@pytest.mark.parametrize("mechanism", MODULES)
async def test_a_providers_file_for_java_is_all_that_it_takes(
    sasl_server: KafkaServer, listener: SaslListener, tmp_path: Path, mechanism: str
) -> None:
    file = client_properties(tmp_path, listener.authority, mechanism)
    flags = {
        "broker.url": f"kafka://{sasl_server.sasl_servers}",
        "broker.properties_file": str(file),
        "broker.replication": "1",
        "broker.message_timeout": f"{PATIENCE_MS}ms",
    }
    broker = open_broker(make_settings(tmp_path, flags))
    name = fresh_name()
    topic = await make_topic(broker, name)
    (answer,) = await broker.append([record(name, b"over TLS")])
    assert isinstance(answer, Stored)
    reader = broker.reader()
    reader.assign([start(name, topic.id)])
    assert values(await read_until(reader, 1)) == [b"over TLS"]
    await reader.close()
    await broker.close()


async def test_certificates_inside_the_file_are_trusted_each_of_them(
    sasl_server: KafkaServer, listener: SaslListener, tmp_path: Path
) -> None:
    other = make_listener(tmp_path, {}).authority.read_text()
    inline = (other + listener.authority.read_text()).replace("\n", "\\n\\\n  ")
    file = client_properties(tmp_path, None, "PLAIN")
    file.write_text(f"{file.read_text()}ssl.truststore.type=PEM\nssl.truststore.certificates={inline}\n")
    broker = open_kafka(sasl_server.sasl_servers, file)
    assert await broker.describe([fresh_name()]) == {}
    await broker.close()


async def test_every_refusal_says_how_to_mend_it(
    sasl_server: KafkaServer, listener: SaslListener, tmp_path: Path
) -> None:
    address, authority = sasl_server.sasl_servers, listener.authority
    stranger = make_listener(tmp_path, {}).authority
    by_name = address.replace("127.0.0.1", "localhost")
    cases = {
        "wrong password, SCRAM": (address, client_properties(tmp_path, authority, "SCRAM-SHA-512", "wrong")),
        "wrong password, PLAIN": (address, client_properties(tmp_path, authority, "PLAIN", "wrong")),
        "untrusted certificate": (address, client_properties(tmp_path, stranger, "PLAIN")),
        "no truststore": (address, client_properties(tmp_path, None, "PLAIN")),
        "other host name": (by_name, client_properties(tmp_path, authority, "PLAIN")),
        "port without TLS": (sasl_server.servers, client_properties(tmp_path, authority, "PLAIN")),
    }
    password = "check user, password and sasl.mechanism in broker.properties_file"
    certificate = "check in broker.properties_file that ssl.truststore.location (PEM) holds the authority"
    expected = {name: password if "password" in name else certificate for name in cases}
    expected["port without TLS"] = "that security.protocol in broker.properties_file is what that port speaks"
    async with asyncio.TaskGroup() as group:
        asked = {name: group.create_task(why_refused(*case, expected[name])) for name, case in cases.items()}
    found = {name: task.result() for name, task in asked.items()}
    assert {code for code, _ in found.values()} == {"broker_unavailable"}
    assert {name: words for name, (_, words) in found.items() if expected[name] not in words} == {}
    assert [words for _, words in found.values() if PASSWORD in words or "wrong" in words] == []
