"""Kafka where nothing is allowed that was not granted: what each role needs, and what is said without it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from gateway.ingress.outcome import Accepted, Failed
from tests.acceptance.running import CONTRACT, orders
from tests.contract.broker_stands import fresh_name
from tests.faults.receiver import receiving
from tests.fleet import HASTE, fleet_on
from tests.kafka_security import AUTHORIZER, Right, Rights, SaslListener, make_listener, password_file
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer
from tests.troubled import HELD_UP, Hands, Troubled, body, troubled, until
from tests.world import CONTRACT as WORLD_CONTRACT

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]  # nodes start slowly on a busy machine

ROLES: Final = {
    "serve": (("CREATE", "DESCRIBE_CONFIGS", "WRITE"), ("CREATE", "DESCRIBE_CONFIGS", "READ", "WRITE")),
    "relay": (("READ",), ("READ",)),
    "sequence": (("READ",), ("READ", "WRITE")),
}
"""Role to its operations on topics of `broker.topic_prefix`, and on `broker.checkpoint_topic`; the table of
docs/many-machines.md."""

ENDPOINTS = 'endpoints:\n  verification: none\n  declared:\n    - {name: hook, url: "URL"}\n'


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> SaslListener:
    return make_listener(tmp_path_factory.mktemp("listener"), dict.fromkeys((*ROLES, "all"), "horse battery"))


@pytest.fixture(scope="module")
def strict_kafka(tmp_path_factory: pytest.TempPathFactory, listener: SaslListener) -> Iterator[KafkaServer]:
    server = KafkaServer(tmp_path_factory.mktemp("strict-kafka"), AUTHORIZER, sasl=listener)
    try:
        server.start()
        yield server
    finally:
        server.kill()


def rights_of(user: str, role: str, prefix: str, checkpoints: str) -> list[Right]:
    topics, own = ROLES[role]
    return [
        *(Right(user, operation, prefix, is_prefix=True) for operation in topics),
        *(Right(user, operation, checkpoints) for operation in own),
    ]


@pytest.mark.postgres
def test_with_the_smallest_set_of_rights_an_event_goes_each_way(
    strict_kafka: KafkaServer, postgres_server: PostgresServer, listener: SaslListener, tmp_path: Path
) -> None:
    prefix = fresh_name()
    flags: dict[str, str | int] = {
        **HASTE,
        "broker.url": f"kafka://{strict_kafka.sasl_servers}",
        "broker.topic_prefix": f"{prefix}.",
        "broker.checkpoint_topic": f"checkpoints-{prefix}",
    }
    rights = Rights(strict_kafka.servers)
    with receiving() as receiver, fleet_on(tmp_path, strict_kafka, postgres_server, flags) as fleet:
        for role in ROLES:
            rights.grant(*rights_of(role, role, f"{prefix}.", f"checkpoints-{prefix}"))
            member = fleet.first if role == "serve" else fleet.add(role)
            member.flags["broker.properties_file"] = str(password_file(tmp_path, listener, role))
        fleet.start(relay=0, sequence=0)
        fleet.start()
        applied = fleet.first.apply(CONTRACT + ENDPOINTS.replace("URL", receiver.url))
        assert applied.status_code == 201, applied.text
        came, went = orders(0, 2)
        with fleet.first.client(fleet.first.partner_key()) as partner, fleet.first.operator() as client:
            logged = fleet.post(partner, "/v1/events/order.placed", came)
            sent = fleet.post(client, "/v1/partners/acme/events/order.accepted", went)
            fleet.until(lambda: sent in receiver.taken, 60)
            fleet.until(lambda: is_logged(client, logged), 60)
            assert client.get("/v1/status").json()["warnings"] == []


def is_logged(client: Any, ref: str) -> bool:
    """Whether the event is an entry of a log whose checkpoint is published."""
    entry = client.get(f"/v1/partners/acme/history/{ref}").json()
    logs = client.get("/v1/status").json()["logs"]
    return bool(entry.get("entries")) and all(log["size"] == log["published"] for log in logs)


async def refused(world: Troubled, first: int) -> tuple[int, str]:
    """The number of the first event that is not taken, and why: what was denied holds a moment later."""
    number = first

    async def failed() -> str | None:
        nonlocal number
        (one,) = await world.send(body(number))
        if isinstance(one, Accepted):
            number += 1
        return one.code if isinstance(one, Failed) and one.code not in HELD_UP else None

    code = await until(failed, lambda: f"{number} events were taken")
    return number, str(code)


async def test_each_right_that_is_missing_is_named_with_its_mend_and_heals_by_itself(
    strict_kafka: KafkaServer, listener: SaslListener, tmp_path: Path
) -> None:
    prefix = fresh_name()
    inbound, outbound = f"{prefix}.acme.inbound", f"{prefix}.acme.outbound"
    rights = Rights(strict_kafka.servers)
    for role in ROLES:
        rights.grant(*rights_of("all", role, f"{prefix}.", f"{prefix}.checkpoints"))
    flags = {
        "broker.properties_file": str(password_file(tmp_path, listener, "all")),
        "lease.duration": "10s",
    }
    create, settings = Right("all", "CREATE", inbound), Right("all", "DESCRIBE_CONFIGS", outbound)
    for right in (create, settings):
        rights.deny(right)
    async with troubled(tmp_path / "data", strict_kafka.sasl_servers, prefix, flags=flags) as world:
        parts = world.parts
        world.status.warnings = lambda: [
            *parts.broker.warnings(),
            *parts.catalog.warnings(),
            parts.relay.problem,
            parts.sequencer.problem,
            parts.sequencer.refused,
        ]
        with receiving() as receiver:
            await world.contract(receiver.url)
            await world.warned("--operation Create", inbound)
            await world.warned("--operation DescribeConfigs", outbound)
            # One partner's trouble is not another's: what is allowed goes on.
            await world.accepted(1, "outbound")
            assert (await world.refused(2)).code == "broker_unavailable"
            rights.mend(create)
            await world.accepted(2)
            rights.mend(settings)
            await until(lambda: silent(world))

            write = Right("all", "WRITE", inbound)
            rights.deny(write)
            last, code = await refused(world, 30)
            assert code in {"outcome_unknown", "broker_unavailable"}
            await world.warned("--operation Write", inbound)
            rights.mend(write)
            await world.accepted(last)
            await until(lambda: silent(world))

            read = Right("all", "READ", outbound)
            rights.deny(read)
            await world.warned("--operation Read", outbound)
            await world.accepted(4, "outbound")
            await world.accepted(5)
            rights.mend(read)
            await until(lambda: arrived(receiver.events, {"A-1", "A-4"}), lambda: receiver.events)
            await until(lambda: silent(world))
            numbers = (1, 2, 4, 5, *range(30, last + 1))
            await world.logged_as(*(f"A-{number}" for number in numbers))


async def test_without_the_right_to_alter_a_topic_that_is_too_short_is_named_until_it_may(
    strict_kafka: KafkaServer, listener: SaslListener, tmp_path: Path
) -> None:
    prefix = fresh_name()
    outbound = f"{prefix}.acme.outbound"
    rights, hands = Rights(strict_kafka.servers), Hands(strict_kafka.servers)
    for role in ROLES:
        rights.grant(*rights_of("all", role, f"{prefix}.", f"{prefix}.checkpoints"))
    flags = {"broker.properties_file": str(password_file(tmp_path, listener, "all"))}
    async with troubled(tmp_path / "data", strict_kafka.sasl_servers, prefix, flags=flags) as world:
        world.status.warnings = world.parts.catalog.warnings
        await world.contract()
        await world.accepted(1, "outbound")
        await world.apply(f"{WORLD_CONTRACT}delivery: {{hold: 60d}}\n")
        await world.warned(outbound, "retention.ms=2592000000, wanted: 5184000000", "kafka-configs.sh")
        await world.warned("--operation AlterConfigs", outbound)
        # Nothing else waits for it.
        await world.accepted(2, "outbound")
        assert await hands.setting(outbound, "retention.ms") == "2592000000"
        rights.grant(Right("all", "ALTER_CONFIGS", f"{prefix}.", is_prefix=True))
        await until(lambda: silent(world))
        assert await hands.setting(outbound, "retention.ms") == "5184000000"


async def silent(world: Troubled) -> bool:
    return not any((await world.status.look())["warnings"])


async def arrived(events: dict[tuple[str, str], str], ids: set[str]) -> bool:
    await asyncio.sleep(0)
    return {event_id for _, event_id in events} == ids


def test_the_documented_table_is_what_was_tried() -> None:
    text = (Path(__file__).parents[2] / "docs" / "many-machines.md").read_text()
    for role, (topics, own) in ROLES.items():
        cells = [", ".join(f"`{one.title().replace('_', '')}`" for one in each) for each in (topics, own)]
        assert f"| `{role}` | {cells[0]} | {cells[1]} |" in text
