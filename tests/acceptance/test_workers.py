"""`gateway serve --workers N`: several processes behind one address, on one Kafka and one PostgreSQL."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.running import Gateway, orders
from tests.fleet import WAIT_SECONDS, Fleet, children, fleet_on
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer


@pytest.fixture
def fleet(tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer) -> Iterator[Fleet]:
    with fleet_on(tmp_path, kafka_server, postgres_server) as made:
        yield made


def begin(fleet: Fleet, count: int = 2) -> Gateway:
    """The first `serve`, as a parent of workers."""
    one = fleet.first
    one.launch("serve", "--workers", str(count))
    assert one.wait_ready(), fleet.said()
    fleet.until(lambda: len(workers(one)) == count)
    return one


def workers(one: Gateway) -> list[int]:
    """Process ids of those that listen, not of one that is just starting."""
    assert one.process is not None
    return [pid for pid in children(one.process.pid) if listens(pid, one.port)]


def sockets_of(pid: int) -> set[str]:
    """Inodes of the sockets that a process holds."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = str(entry.readlink())
        except OSError:
            continue
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def sockets_at(port: int, state: str) -> set[str]:
    """Inodes of this machine's sockets at a local port: `0A` listens, `01` is connected."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {words[9] for words in lines if int(words[1].split(":")[1], 16) == port and words[3] == state}


def listens(pid: int, port: int) -> bool:
    try:
        return bool(sockets_of(pid) & sockets_at(port, "0A"))
    except OSError:
        return False


def accepted(client: httpx.Client) -> float:
    """Events that all workers together have taken."""
    text = client.get("/metrics").raise_for_status().text
    found = re.search(r'^gateway_events_accepted_total\{direction="inbound"\} (\S+)', text, re.MULTILINE)
    assert found is not None
    return float(found[1])


def ask(connection: socket.socket) -> dict[str, str]:
    """The header of one answer on a connection that stays."""
    connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
    return read(connection)


def read(connection: socket.socket) -> dict[str, str]:
    """The header of an answer whose body is a JSON object; its status as `:status`."""
    whole = b""
    while not whole.endswith(b"}"):
        piece = connection.recv(65_536)
        assert piece, whole
        whole += piece
    first, *lines = whole.split(b"\r\n\r\n")[0].decode().split("\r\n")
    fields = [line.split(": ", 1) for line in lines]
    return {":status": first.split()[1], **{name.lower(): value for name, value in fields}}


@pytest.mark.kafka
@pytest.mark.postgres
def test_workers_share_the_load_the_counts_and_the_fate_of_one_that_dies(fleet: Fleet) -> None:
    one = begin(fleet)
    assert one.apply().status_code == 201
    key = one.partner_key()
    clients = [one.client(key) for _ in range(24)]
    operators = [one.operator() for _ in range(8)]
    try:
        for client, order in zip(clients, orders(0, 24), strict=True):
            fleet.post(client, "/v1/events/order.placed", order)
        taken = {pid: len(sockets_of(pid) & sockets_at(one.port, "01")) for pid in workers(one)}
        assert all(taken.values()), taken
        fleet.until(lambda: all(accepted(client) == 24 for client in operators))
        first, second = workers(one)
        os.kill(first, signal.SIGKILL)
        fleet.until(lambda: first not in workers(one))  # before, its listener may still take a connection
        # Nobody waits for the one that is gone: a new connection goes to the other.
        with one.client(key) as client:
            fleet.post(client, "/v1/events/order.placed", *orders(24, 1))
        fleet.until(lambda: len(workers(one)) == 2)
        assert second in workers(one)
        assert first not in workers(one)
        for order in orders(25, 8):
            with one.client(key) as client:
                fleet.post(client, "/v1/events/order.placed", order)
        with one.operator() as client:
            fleet.until(lambda: accepted(client) == 33)
    finally:
        for client in (*clients, *operators):
            client.close()
    (line,) = [line for line in one.log.read_text().splitlines() if "worker restarts" in line]
    assert json.loads(line)["reason"] == "killed by SIGKILL"
    assert one.stop() == 0, fleet.said()
    assert "Traceback" not in one.log.read_text()
    assert one.log.read_text().count("operator   ") == 2, "of init, and of one worker"


@pytest.mark.kafka
@pytest.mark.postgres
def test_a_stop_answers_what_is_in_flight_and_ends_every_worker(fleet: Fleet) -> None:
    one = begin(fleet)
    assert one.apply().status_code == 201
    pids = workers(one)
    body = json.dumps(orders(0, 1)[0]).encode()
    head = (
        f"POST /v1/events/order.placed HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {one.partner_key()}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    with one.operator() as client:
        fleet.until(lambda: client.get("/v1/status").json()["lag"])  # the topic is there
    assert one.process is not None
    with socket.create_connection(("127.0.0.1", one.port), timeout=WAIT_SECONDS) as half:
        half.sendall(head + body[:5])
        with socket.create_connection(("127.0.0.1", one.port), timeout=WAIT_SECONDS) as kept:
            assert "connection" not in ask(kept)
            one.process.send_signal(signal.SIGTERM)
            # A busy client: it asks on, until an answer says that it is the last.
            while (said := ask(kept)).get("connection") is None:
                assert said[":status"] == "200", said
            assert said["connection"] == "close"
            assert kept.recv(1) == b""
        fleet.until(lambda: not sockets_at(one.port, "0A"))
        half.sendall(body[5:])
        said = read(half)
    assert said[":status"] == "201", said
    assert said["connection"] == "close"
    assert one.process.wait(WAIT_SECONDS) == 0, fleet.said()
    assert not [pid for pid in pids if is_alive(pid)]


@pytest.mark.kafka
@pytest.mark.postgres
def test_a_second_signal_ends_at_once_and_a_dead_parent_ends_its_workers(fleet: Fleet) -> None:
    one = begin(fleet)
    pids = workers(one)
    assert one.process is not None
    with socket.create_connection(("127.0.0.1", one.port), timeout=WAIT_SECONDS) as half:
        half.sendall(b"POST /v1/events/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1")
        fleet.until(lambda: sockets_at(one.port, "01"))
        one.process.send_signal(signal.SIGTERM)
        fleet.until(lambda: not sockets_at(one.port, "0A"))
        one.process.send_signal(signal.SIGTERM)
        assert one.process.wait(8) == 1, "the request in flight was not waited for"
    assert not [pid for pid in pids if is_alive(pid)]
    pids = workers(begin(fleet))
    one.kill()
    fleet.until(lambda: not [pid for pid in pids if is_alive(pid)])


def is_alive(pid: int) -> bool:
    """Whether it runs; a zombie that waits for init does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.fixture
def bare(tmp_path: Path) -> Gateway:
    """Settings of a `serve` whose broker and database nobody reaches."""
    flags: dict[str, str | int] = {
        "broker.url": "kafka://127.0.0.1:9",
        "database.url": "postgresql://127.0.0.1:9/x",
    }
    return Gateway(tmp_path / "data", flags)


def test_what_makes_a_start_of_several_impossible_is_said_once(bare: Gateway) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", bare.port))
        taken.listen()
        assert bare.refuses("serve", "--workers", "2").count("port in use") == 1
    # A worker finds this out; the other one is never started.
    assert bare.refuses("serve", "--workers", "2").count("master key") == 1


@pytest.mark.parametrize(
    ("flag", "value", "words"),
    [
        ("database.url", "sqlite:////tmp/x.db", "SQLite has one writer"),
        ("broker.url", "embedded:x", "belongs to one process"),
    ],
)
def test_what_belongs_to_one_process_is_refused_to_several(
    bare: Gateway, flag: str, value: str, words: str
) -> None:
    bare.flags[flag] = value
    assert words in bare.refuses("serve", "--workers", "2")
