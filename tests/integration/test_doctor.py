"""The doctor's round on real parts: what it finds, and that it leaves all as it was."""

import asyncio
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its types say nothing of what it re-exports
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
)

from gateway.bootstrap.database_look import _look_server, read_server
from gateway.bootstrap.examination import examine
from gateway.bootstrap.ground import FolderLock, clock, entropy, prepare
from gateway.bootstrap.host_look import filesystem_of, look_folder, look_port
from gateway.broker.kafka import KafkaBroker
from gateway.database import Database
from gateway.doctor.finding import Finding, Level
from gateway.migrations import history
from gateway.sequencer.guard import Guard
from gateway.sequencer.mark import Installation
from gateway.settings import Settings
from gateway.units import Address
from tests.contract.broker_stands import fresh_name
from tests.kafka_security import SaslListener, make_listener
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer
from tests.world import FIRST, Flags, make_settings, running

PASSWORD = "horse battery staple"
WAIT_SECONDS = 60.0


def settings_of(folder: Path, flags: Flags | None = None, url: str | None = None) -> Settings:
    return make_settings(folder, flags, url)


async def examined(settings: Settings) -> list[Finding]:
    """All findings, once Kafka and PostgreSQL have answered: the doctor gives them some seconds."""
    findings = await examine(settings, {})
    async with asyncio.timeout(WAIT_SECONDS):
        while any("does not answer" in one.what for one in findings):
            findings = await examine(settings, {})
    return findings


async def found(settings: Settings, area: str) -> list[Finding]:
    return [one for one in await examined(settings) if one.area == area]


def faults(findings: list[Finding]) -> list[str]:
    return [one.what for one in findings if one.level is Level.FAULT]


def digest(folder: Path) -> dict[str, str]:
    """Every file of a folder by its contents."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def close_to_others(folder: Path) -> None:
    folder.chmod(0o700)
    for file in folder.iterdir():
        file.chmod(0o600)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a gateway has run, with one event."""
    folder = tmp_path_factory.mktemp("lived")

    async def live() -> None:
        async with running(folder) as world:
            await world.apply()
            await world.send({"order_id": "A-1", "qty": 1})
            await world.settled(FIRST + 1)

    asyncio.run(live())
    return folder


@pytest.fixture
def at_rest(lived: Path, tmp_path: Path) -> Path:
    """A copy of it, to be harmed."""
    return Path(shutil.copytree(lived, tmp_path / "data"))


async def test_before_init_all_is_well_and_says_what_to_do_first(tmp_path: Path) -> None:
    findings = await examine(settings_of(tmp_path / "none"), {})
    assert [one for one in findings if one.level is Level.FAULT and one.area != "ports"] == []
    mends = {one.area: one.mend for one in findings if one.level is Level.WARNING}
    assert {area for area in ("folder", "database", "keys") if "gateway init" in mends[area]} == {
        "folder",
        "database",
        "keys",
    }
    assert not (tmp_path / "none").exists()


async def test_a_folder_at_rest_is_found_good_and_left_as_it_was(at_rest: Path) -> None:
    close_to_others(at_rest)
    before = digest(at_rest)
    findings = await examine(settings_of(at_rest), {"HTTPS_PROXY": "http://u:geheim@proxy"})
    assert digest(at_rest) == before
    told = {one.what for one in findings}
    assert "the broker's file belongs to this database" in told
    assert "the master key is this user's alone, and opens our signing keys" in told
    assert f"{at_rest}/gateway.db is sound (quick_check)" in told
    assert "HTTPS_PROXY is set, and has no effect: deliveries are dialled directly" in told
    assert [one for one in findings if one.level is Level.FAULT and one.area != "ports"] == []


async def test_beside_a_running_gateway_all_is_well(tmp_path: Path) -> None:
    async with running(tmp_path) as world:
        await world.apply()
        findings = await examine(settings_of(tmp_path), {})
        assert [one for one in findings if one.level is Level.FAULT and one.area != "ports"] == []


@pytest.mark.parametrize(
    ("harm", "area", "words"),
    [
        ("broker gone", "broker", "is missing"),
        ("broker of another", "broker", "has no topic"),
        ("database damaged", "database", "damaged"),
        ("key gone", "keys", "there is no master key"),
        ("key open", "keys", "is open to others"),
        ("other key", "keys", "does not open"),
        ("other origin", "database", "logs are named after"),
    ],
)
async def test_each_harm_has_its_finding_and_hides_no_other(
    at_rest: Path, tmp_path: Path, harm: str, area: str, words: str
) -> None:
    flags: dict[str, str | int | bool] = {}
    if harm == "broker gone":
        (at_rest / "broker.db").unlink()
    elif harm == "broker of another":
        async with running(tmp_path / "other"):
            pass
        (tmp_path / "other/broker.db").replace(at_rest / "broker.db")
    elif harm == "database damaged":
        (at_rest / "gateway.db").write_bytes(b"x" * 50_000)
    elif harm == "key gone":
        (at_rest / "master.key").unlink()
    elif harm == "key open":
        (at_rest / "master.key").chmod(0o644)
    elif harm == "other key":
        prepare(make_settings(tmp_path / "other"), "init").database.close()
        (tmp_path / "other/master.key").replace(at_rest / "master.key")
    else:
        flags["origin"] = "https://gw.example"
    findings = await examine(settings_of(at_rest, flags), {})
    told = [one for one in findings if one.area == area and one.level is Level.FAULT and words in one.what]
    assert told, findings
    assert all(one.mend for one in told)
    assert {"settings", "clock", "tls", "disk", "ports", "egress"} <= {one.area for one in findings}


class Live(BaseHTTPRequestHandler):
    """Answers as a gateway does."""

    def do_GET(self) -> None:
        body = b'{"status":"live"}' if self.path == "/livez" else b"{}"
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class Other(Live):
    """Another program."""

    def do_GET(self) -> None:
        self.path = "/"
        super().do_GET()


@contextmanager
def answering(kind: type[Live]) -> Iterator[Address]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), kind)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield Address("127.0.0.1", server.server_address[1])
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_port_is_free_ours_or_anothers() -> None:
    with answering(Live) as ours:
        assert look_port("listen.public", ours, tls=False).state == "ours"
    assert look_port("listen.public", ours, tls=False).state == "free"
    with answering(Other) as others:
        assert look_port("listen.public", others, tls=False).state == "taken"
    assert look_port("listen.public", Address("192.0.2.1", 8443), tls=False).state == "elsewhere"


def test_the_kind_of_file_system_is_that_of_the_nearest_mount(tmp_path: Path) -> None:
    assert filesystem_of(Path("/proc/self")) == "proc"
    assert filesystem_of(tmp_path) not in {"", "proc"}


def test_who_holds_a_folder_is_seen_without_trying_to_hold_it(tmp_path: Path) -> None:
    assert look_folder(tmp_path).holder == ""
    lock = FolderLock(tmp_path)
    assert look_folder(tmp_path).holder == f"process {os.getpid()}"
    lock.release()
    assert look_folder(tmp_path).holder == ""


@pytest.fixture
def on_servers(
    kafka_server: KafkaServer, postgres_server: PostgresServer, tmp_path: Path
) -> Iterator[Settings]:
    """Settings of an installation on Kafka and PostgreSQL that was set up."""
    prefix = fresh_name()
    with postgres_server.database(is_empty=True) as url:
        flags: Flags = {
            "broker.url": f"kafka://{kafka_server.servers}",
            "broker.replication": 1,
            "broker.topic_prefix": f"{prefix}.",
            "broker.checkpoint_topic": f"{prefix}.checkpoints",
        }
        settings = settings_of(tmp_path, flags, url.replace("gateway@", f"gateway:{PASSWORD[:5]}@"))
        prepare(settings, "init").database.close()
        yield settings


@pytest.mark.kafka
@pytest.mark.postgres
async def test_kafka_and_postgresql_are_asked_and_topics_made_elsewhere_are_compared(
    kafka_server: KafkaServer, on_servers: Settings
) -> None:
    topic = on_servers.broker.checkpoint_topic
    admin = AdminClient({"bootstrap.servers": kafka_server.servers})
    wrong = {
        "cleanup.policy": "delete",
        "max.message.bytes": "1000",
        "unclean.leader.election.enable": "true",
    }
    admin.create_topics([NewTopic(topic, 1, 1, config=wrong)])[topic].result()
    findings = await examined(on_servers)
    told = faults([one for one in findings if one.area == "broker"])
    assert sorted(words.partition("=")[0] for words in told) == [
        f"{topic} has cleanup.policy",
        f"{topic} has max.message.bytes",
        f"{topic} has unclean.leader.election.enable",
    ]
    levels = {one.what: one.level for one in findings}
    assert levels["this host's clock agrees with the database"] is Level.OK
    assert levels["fsync is off: a loss of power can destroy the database"] is Level.FAULT
    assert levels["the master key is this user's alone, and opens our signing keys"] is Level.OK
    assert not any(PASSWORD[:5] in f"{one.what}{one.mend}" for one in findings)


@pytest.mark.kafka
@pytest.mark.postgres
async def test_topics_that_another_gateway_has_marked_are_a_fault(
    kafka_server: KafkaServer, on_servers: Settings, tmp_path: Path
) -> None:
    broker = KafkaBroker.open(kafka_server.servers, clock=clock, properties={}, replication=1)
    database = Database(f"sqlite:///{tmp_path}/other.db")
    with database.begin() as session:
        history.upgrade(session)
    other = Guard(
        broker=broker,
        database=database,
        us=Installation("other.example/log/x", "https://other.example"),
        topic=on_servers.broker.checkpoint_topic,
        clock=clock,
        entropy=entropy,
    )
    while not other.has_passed:
        await other.settle()
    await broker.close()
    database.close()
    (told,) = faults(await found(on_servers, "broker"))
    assert "belongs to the gateway https://other.example" in told


@pytest.mark.kafka
@pytest.mark.postgres
async def test_servers_that_are_silent_are_findings_and_not_a_wait(
    kafka_server: KafkaServer, postgres_server: PostgresServer, on_servers: Settings
) -> None:
    kafka_server.pause()
    postgres_server.pause()
    try:
        findings = await examine(on_servers, {})
    finally:
        postgres_server.resume()
        kafka_server.resume()
    told = {one.area: one for one in findings if one.level is Level.FAULT}
    assert "does not answer" in told["database"].what
    assert "Kafka does not answer at" in told["broker"].what
    assert "broker.url" in told["broker"].mend
    assert {"disk", "egress", "tls"} <= {one.area for one in findings}


@pytest.mark.postgres
def test_connections_are_those_of_clients_for_a_user_too_who_may_not_see_their_kind(
    postgres_server: PostgresServer,
) -> None:
    with postgres_server.database(is_empty=True) as url, psycopg.connect(url, autocommit=True) as sees_all:
        user = fresh_name().replace("-", "_")
        sees_all.execute(f'CREATE ROLE "{user}" LOGIN'.encode())
        counted = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
        try:
            for _ in range(100):  # connections of other tests may just be ending
                before = sees_all.execute(counted).fetchone()
                seen = read_server(url.replace("gateway@", f"{user}@"), _look_server)
                if before == (seen.connections - 1,):
                    return
        finally:
            sees_all.execute(f'DROP ROLE "{user}"'.encode())
    pytest.fail(f"{before} and its own were open, and {seen.connections} were counted")


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> SaslListener:
    return make_listener(tmp_path_factory.mktemp("listener"), {"gateway": PASSWORD})


@pytest.fixture(scope="module")
def guarded_kafka(tmp_path_factory: pytest.TempPathFactory, listener: SaslListener) -> Iterator[KafkaServer]:
    """A Kafka that asks for rights; who comes in clear is its administrator."""
    settings = (
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users=User:ANONYMOUS",
    )
    server = KafkaServer(tmp_path_factory.mktemp("guarded-kafka"), settings, sasl=listener)
    server.start()
    yield server
    server.kill()


def allow(admin: AdminClient, topic: str, *operations: AclOperation) -> None:
    wanted = [
        AclBinding(
            ResourceType.TOPIC, topic, ResourcePatternType.LITERAL, "User:gateway", "*", operation,
            AclPermissionType.ALLOW,
        )
        for operation in operations
    ]  # fmt: skip
    for future in admin.create_acls(wanted).values():
        future.result()


@pytest.mark.kafka
async def test_rights_that_kafka_does_not_give_are_named_with_the_command_that_gives_them(
    guarded_kafka: KafkaServer, listener: SaslListener, tmp_path: Path
) -> None:
    file = tmp_path / "client.properties"
    login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
    file.write_text(
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\n"
        f'sasl.jaas.config={login} username="gateway" password="{PASSWORD}";\n'
        f"ssl.truststore.type=PEM\nssl.truststore.location={listener.authority}\n"
    )
    file.chmod(0o600)
    topic = fresh_name()
    settings = settings_of(
        tmp_path / "data",
        {
            "broker.url": f"kafka://{guarded_kafka.sasl_servers}",
            "broker.properties_file": str(file),
            "broker.replication": 1,
            "broker.checkpoint_topic": topic,
        },
    )
    admin = AdminClient({"bootstrap.servers": guarded_kafka.servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result()
    assert any(f"may do nothing with {topic}" in words for words in faults(await found(settings, "broker")))
    allow(admin, topic, AclOperation.READ)
    findings = await found(settings, "broker")
    lacking = {one.what: one.mend for one in findings if "this user may not" in one.what}
    assert set(lacking) == {
        f"this user may not DESCRIBE_CONFIGS, WRITE on {topic}: gateway serve needs it",
        f"this user may not WRITE on {topic}: gateway sequence needs it",
    }
    assert any("--operation DescribeConfigs --operation Write" in mend for mend in lacking.values())
    allow(admin, topic, AclOperation.WRITE, AclOperation.DESCRIBE_CONFIGS)
    findings = await found(settings, "broker")
    assert "this user's rights are enough for every role" in {one.what for one in findings}
    assert not any(PASSWORD in f"{one.what}{one.mend}" for one in findings)
