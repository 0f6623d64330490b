"""Trouble with Kafka as a gateway and its operator see it: answers, warnings, how it heals, what is kept."""

import asyncio
import resource
import socket
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import func, select, update

from gateway.event import Direction
from gateway.ingress.outcome import Accepted, Failed, Outcome, Refused
from gateway.rows import ClaimRow
from partners.rows import PartnerRow
from tests.contract.broker_stands import fresh_name
from tests.faults.receiver import Receiver, receiving
from tests.kafka_security import SaslListener, make_listener
from tests.kafka_server import KafkaServer
from tests.troubled import HELD_UP, Hands, Troubled, body, troubled, until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]  # nodes start slowly on a busy machine

PASSWORD: Final = "horse battery staple"
NEVER: Final = 1 << 40
LARGE: Final = "x" * 30_000
NOBODY: Final = "127.0.0.1:1"


@pytest.fixture(scope="module")
def listener(tmp_path_factory: pytest.TempPathFactory) -> SaslListener:
    return make_listener(tmp_path_factory.mktemp("listener"), {"gateway": PASSWORD})


@pytest.fixture(scope="module")
def own_server(tmp_path_factory: pytest.TempPathFactory, listener: SaslListener) -> Iterator[KafkaServer]:
    """A Kafka that may break: data in two folders, of which it survives the loss of one."""
    folder = tmp_path_factory.mktemp("own-kafka")
    settings = (
        f"log.dirs={folder / 'first'},{folder / 'second'}",
        f"metadata.log.dir={folder / 'metadata'}",
        "replica.high.watermark.checkpoint.interval.ms=200",
    )
    server = KafkaServer(folder, settings, sasl=listener)
    yield server
    server.kill()


@pytest.fixture
def hands(kafka_server: KafkaServer) -> Hands:
    return Hands(kafka_server.servers)


def ensure_up(server: KafkaServer) -> None:
    """Start it, unless an earlier test left it running."""
    host, _, port = server.servers.partition(":")
    with socket.socket() as probe:
        is_up = probe.connect_ex((host, int(port))) == 0
    if not is_up:
        restart(server)


def restart(server: KafkaServer) -> None:
    server.kill()
    server.start()


async def even_out(server: KafkaServer, last: str) -> None:
    """Make topics until both folders hold as many: of the next two, each gets one.

    Kafka says that a topic is made before its folder is there; `last`: the one that was made last.
    """
    await until_there(server, last)
    folders = [server.folder / name for name in ("first", "second")]
    while len({len(list(folder.glob("*-[0-9]*"))) for folder in folders}) > 1:
        name = fresh_name()
        await Hands(server.servers).make(name)
        await until_there(server, name)


async def until_there(server: KafkaServer, topic: str) -> None:
    """Wait for the folder of a topic."""

    async def is_there() -> bool:
        return bool(list(server.folder.glob(f"*/{topic}-0")))

    await until(is_there, lambda: topic)


def client_file(folder: Path, name: str, lines: Mapping[str, str]) -> Path:
    """A properties file as a provider hands it out."""
    file = folder / f"{name}.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
    file.chmod(0o600)
    return file


def scram(authority: Path, password: str = PASSWORD) -> dict[str, str]:
    module = "org.apache.kafka.common.security.scram.ScramLoginModule"
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": f'{module} required username="gateway" password="{password}";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": str(authority),
    }


async def claims(world: Troubled) -> int:
    count = select(func.count()).select_from(ClaimRow)
    return int(await world.parts.ground.database.read(lambda session: session.execute(count).scalar_one()))


async def until_claims(world: Troubled, count: int) -> None:
    """Wait until so many claims are left: what was refused for certain is given back after the answer."""

    async def are_left() -> bool:
        return await claims(world) == count

    await until(are_left, lambda: f"{count} claims")


async def until_refused(world: Troubled, first: int, note: str | None, way: Direction) -> list[int]:
    """Send events until one is refused: a topic's new setting holds a little later. Those that were taken."""
    taken: list[int] = []

    async def is_refused() -> bool:
        (one,) = await world.send(body(first + len(taken), note), direction=way)
        if isinstance(one, Accepted):
            taken.append(first + len(taken))
        return not isinstance(one, Accepted)

    await until(is_refused)
    return taken


async def decided(world: Troubled, sent: Sequence[object], way: Direction) -> list[Outcome]:
    """The outcomes of a batch, once the machine held up none of it."""
    found: list[Outcome] = []

    async def is_decided() -> bool:
        found[:] = await world.send(*sent, strict=False, direction=way)
        return not any(isinstance(one, Failed) for one in found)

    await until(is_decided, lambda: found)
    return found


async def until_taken(world: Troubled, number: int, note: str | None, way: Direction) -> Accepted:
    """Send one event until it is accepted."""

    async def taken() -> Accepted | None:
        (one,) = await world.send(body(number, note), direction=way)
        return one if isinstance(one, Accepted) else None

    found = await until(taken)
    assert isinstance(found, Accepted)
    return found


async def kept_out(folder: Path, servers: str, file: Path | None) -> tuple[str, str, list[str]]:
    """Code of the answer, reason in the status, and what `readyz` misses, where Kafka lets nobody in."""
    flags = {} if file is None else {"broker.properties_file": str(file)}
    async with troubled(folder, servers, fresh_name(), roles=("serve",), flags=flags) as world:
        await world.contract()

        async def refused() -> Failed | None:
            (one,) = await world.send(body(1))
            assert isinstance(one, Failed), one
            return one if one.detail.startswith("The broker is away") else None

        code = (await until(refused)).code

        async def reason() -> str | None:
            found = (await world.status.look())["broker"]
            assert found["state"] == "away", found
            return found["reason"] if ": check " in found["reason"] else None  # a topic is of checkpoints

        words = await until(reason)
        await until_claims(world, 0)
        return code, words, await world.status.ready()


async def test_what_keeps_the_gateway_out_is_said_and_nothing_is_taken(
    own_server: KafkaServer, listener: SaslListener, tmp_path: Path
) -> None:
    ensure_up(own_server)
    secure, plain = own_server.sasl_servers, own_server.servers
    good = scram(listener.authority)
    stranger = make_listener(tmp_path, {}).authority
    password, certificate = "check user, password and sasl.mechanism", "ssl.truststore.location (PEM) holds"
    address, names = "check hosts and ports in broker.url", "check the names of hosts in broker.url"
    cases: dict[str, tuple[str, Mapping[str, str] | None, str]] = {
        "unresolvable": ("no-such-host.invalid:9092", None, names),
        "closed port": (NOBODY, None, address),
        "plain at TLS": (secure, None, "without it neither TLS nor a password is used"),
        "TLS at plain": (plain, good, "security.protocol in broker.properties_file is what that port speaks"),
        "password": (secure, scram(listener.authority, "wrong"), password),
        "authority": (secure, scram(stranger), certificate),
        "host name": (secure.replace("127.0.0.1", "localhost"), good, certificate),
    }
    async with asyncio.TaskGroup() as tasks:
        running = {}
        for name, (servers, lines, _) in cases.items():
            file = None if lines is None else client_file(tmp_path, name, lines)
            running[name] = tasks.create_task(kept_out(tmp_path / name, servers, file))
    found = {name: task.result() for name, task in running.items()}
    assert {name: code for name, (code, _, _) in found.items() if code != "broker_unavailable"} == {}
    assert {name: words for name, (_, words, _) in found.items() if cases[name][2] not in words} == {}
    silent = [name for name, (*_, missing) in found.items() if "broker has been away" not in missing[0]]
    assert silent == []
    assert [words for _, words, _ in found.values() if PASSWORD in words] == []


async def test_a_gateway_that_was_there_before_its_kafka_goes_on_when_it_comes(
    own_server: KafkaServer, tmp_path: Path
) -> None:
    own_server.kill()
    async with troubled(tmp_path, own_server.servers, fresh_name()) as world:
        await world.contract()
        for number in range(3):
            assert (await world.refused(number)).code == "broker_unavailable"
        await asyncio.to_thread(own_server.start)
        for number in range(3):
            await world.accepted(number)
        await world.logged_as("A-0", "A-1", "A-2")

        await world.ready()
        assert (await world.status.look())["broker"] == {"state": "up", "away_ms": 0}
        await world.calm()


async def test_what_a_topic_finds_too_large_is_refused_alone_until_the_topic_is_widened(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path
) -> None:
    with receiving(Receiver(refuses=NEVER)) as receiver:
        async with troubled(tmp_path, kafka_server.servers, fresh_name()) as world:
            await world.contract(receiver.url)
            await world.accepted(0)
            for topic in (world.inbound, world.outbound):
                await hands.set(topic, "max.message.bytes", "20000")
            ways: tuple[tuple[Direction, str, int], ...] = (
                ("inbound", world.inbound, 10),
                ("outbound", world.outbound, 20),
            )
            before: list[int] = []
            for way, topic, first in ways:
                before += await until_refused(world, first * 1_000, LARGE, way)
                sent = [body(first), body(first + 1, LARGE), body(first + 2)]
                small, large, other = await decided(world, sent, way)
                assert isinstance(small, Accepted)
                assert isinstance(other, Accepted)
                assert isinstance(large, Refused)
                assert large.code == "event_too_large"
                await world.warned(topic, "kafka-configs.sh", f"--entity-name {topic}", "max.message.bytes=")
            # Together they are too much for one batch of Kafka's; each alone is not.
            many = await decided(world, [body(100 + number, "x" * 900) for number in range(40)], "inbound")
            assert [one for one in many if not isinstance(one, Accepted)] == []
            for topic in (world.inbound, world.outbound):
                await hands.set(topic, "max.message.bytes", "1048000")
            for way, _, first in ways:
                assert not (await until_taken(world, first + 1, LARGE, way)).duplicate
                # Larger than all that were refused: so it is known that the topic takes them.
                await until_taken(world, first + 3, LARGE + "x" * 100, way)
            numbers = [0, *range(10, 14), *range(20, 24), *range(100, 140), *before]
            await world.logged_as(*(f"A-{number}" for number in numbers))
            await world.calm()

            async def arrived() -> bool:
                wanted = {f"A-{number}" for number in (*range(20, 24), *before) if str(number)[0] == "2"}
                return {event for _, event in receiver.events} == wanted

            await until(arrived)


async def test_a_kafka_whose_clock_is_another_gets_nothing_and_its_refusals_are_certain(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path
) -> None:
    async with troubled(tmp_path, kafka_server.servers, fresh_name(), roles=("serve",)) as world:
        await world.contract()
        await world.accepted(0)
        # As if Kafka's clock were ahead: a record some milliseconds old is too old for the topic.
        await hands.set(world.inbound, "message.timestamp.before.max.ms", "0")
        taken = await until_refused(world, 10, None, "inbound")
        assert (await world.refused(1)).code == "clock_untrusted"
        await world.warned(world.inbound, "the clocks of this host and of Kafka's differ", "NTP")
        await until_claims(world, 1 + len(taken))
        await hands.set(world.inbound, "message.timestamp.before.max.ms", "9223372036854775807")
        assert not (await until_taken(world, 1, None, "inbound")).duplicate
        await world.calm()


async def test_a_kafka_that_stalls_and_goes_on_makes_nothing_twice(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    with receiving(Receiver(refuses=NEVER)) as receiver:
        async with troubled(tmp_path, kafka_server.servers, fresh_name()) as world:
            await world.contract(receiver.url)
            await world.accepted(0)
            await world.accepted(100, "outbound")
            kafka_server.pause()
            try:
                async with asyncio.TaskGroup() as tasks:
                    pending = [tasks.create_task(world.send(body(number))) for number in range(1, 6)]
                    pending += [
                        tasks.create_task(world.send(body(number), direction="outbound"))
                        for number in range(101, 104)
                    ]
                codes = {one.code for task in pending for one in task.result() if isinstance(one, Failed)}
                assert "outcome_unknown" in codes
                assert codes <= {"outcome_unknown", "broker_unavailable"} | HELD_UP
            finally:
                kafka_server.resume()
            for number in range(1, 6):
                await world.accepted(number)
            for number in range(101, 104):
                await world.accepted(number, "outbound")
            numbers = [*range(6), *range(100, 104)]
            await world.logged_as(*(f"A-{number}" for number in numbers))

            async def arrived() -> bool:
                return {event for _, event in receiver.events} == {
                    f"A-{number}" for number in range(100, 104)
                }

            await until(arrived)
            assert (receiver.torn, receiver.split) == (set(), set())
            await world.calm()


async def test_a_partition_that_the_topic_does_not_have_is_named_and_used_once_it_is_there(
    kafka_server: KafkaServer, hands: Hands, tmp_path: Path
) -> None:
    prefix = fresh_name()
    async with troubled(tmp_path, kafka_server.servers, prefix, roles=("serve",)) as world:
        await world.contract()
        await world.accepted(0)
        second = update(PartnerRow).values(inbound_partition=1)
        await world.parts.ground.database.write(lambda session: session.execute(second))
    async with troubled(tmp_path, kafka_server.servers, prefix) as world:
        # Before it knows the topic, it asks for the same event again, and has nothing to warn of.
        told: str | None = None

        async def is_told() -> bool:
            nonlocal told
            assert (await world.refused(1)).code == "broker_unavailable"
            words = (await world.status.look())["warnings"]
            told = next((one for one in words if f"{world.inbound} [1]" in one), None)
            return told is not None

        await until(is_told)
        assert told is not None
        assert "made elsewhere with fewer partitions" in told
        await until_claims(world, 1)
        await hands.widen(world.inbound, 2)
        taken = await world.accepted(1)
        assert taken.partition == 1

        async def is_logged() -> bool:
            return "A-1" in await world.logged()

        await until(is_logged)
        await world.calm()


async def test_a_full_disk_under_kafka_is_503_and_nothing_that_was_taken_is_lost(
    own_server: KafkaServer, tmp_path: Path
) -> None:
    ensure_up(own_server)
    async with troubled(tmp_path, own_server.servers, fresh_name()) as world:
        await world.contract()
        taken = [await world.accepted(number) for number in range(3)]
        await world.logged_as("A-0", "A-1", "A-2")
        # No file may grow any more: what a write meets on a full disk, but for the number of its error. Kafka
        # answers KAFKA_STORAGE_ERROR, gives its folders up, and ends.
        assert own_server._server is not None
        resource.prlimit(own_server._server.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
        for number in range(3, 6):
            assert (await world.refused(number)).code in {"outcome_unknown", "broker_unavailable"}

        async def is_missing() -> bool:
            return any("the broker has been away" in words for words in await world.status.ready())

        await until(is_missing)
        await asyncio.to_thread(restart, own_server)
        for number in range(6):
            again = await world.accepted(number)
            assert number > 2 or again.receipt == taken[number].receipt
        await world.logged_as(*(f"A-{number}" for number in range(6)))
        await world.calm()


async def test_a_partition_without_a_leader_stops_its_topic_alone_and_is_named(
    own_server: KafkaServer, tmp_path: Path
) -> None:
    ensure_up(own_server)
    async with troubled(tmp_path, own_server.servers, fresh_name()) as world:
        await until(lambda: Hands(own_server.servers).id_of(world.checkpoints))
        await even_out(own_server, world.checkpoints)
        await world.contract()
        await world.accepted(0)
        await world.accepted(100, "outbound")
        await world.logged_as("A-0", "A-100")
        (lost,) = (found.parent for found in own_server.folder.glob(f"*/{world.inbound}-0"))
        assert not (lost / f"{world.outbound}-0").exists()
        lost.rename(lost.with_suffix(".gone"))

        async def is_refused() -> bool:
            refused.append(len(refused) + 1)
            (one,) = await world.send(body(refused[-1]))
            return isinstance(one, Failed) and one.code in {"outcome_unknown", "broker_unavailable"}

        refused: list[int] = []
        await until(is_refused)
        await world.accepted(101, "outbound")
        told = await world.warned(f"{world.inbound} [0]", "the partition has no leader")
        assert "Start the broker that has its replica" in told
        await world.ready()
        own_server.kill()
        lost.with_suffix(".gone").rename(lost)
        await asyncio.to_thread(own_server.start)
        for number in refused:
            await world.accepted(number)
        await world.logged_as("A-0", "A-100", "A-101", *(f"A-{number}" for number in refused))
        await world.calm()
