"""Locked database, full disk, absent broker: 503 in time, nothing lost, recovery without a restart."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.running import AS_SHIPPED, Gateway, orders, take
from tests.acceptance.stacks import SERVERS, Servers, only_files, only_servers, open_stack
from tests.faults.program import Fault
from tests.standstill import stopwatch

ANSWER_SECONDS = 3.0
"""Two are promised; the third is for a busy machine."""

WAIT_SECONDS = 60.0
PATH = "/v1/events/order.placed"


@dataclass(frozen=True)
class Asked:
    """An answer, and the seconds that it took; `is_disturbed`: the machine stood still meanwhile."""

    answer: httpx.Response
    seconds: float
    is_disturbed: bool


def post(client: httpx.Client, body: dict[str, Any]) -> Asked:
    with stopwatch() as watch:
        answer = client.post(PATH, json=body)
        return Asked(answer, watch.seconds(), watch.is_disturbed)


def verify_away(asked: Asked, *codes: str) -> None:
    """A 503 that says when to come again; in time and with one of the codes, where the machine went on."""
    answer = asked.answer
    assert answer.status_code == 503, answer.text
    assert answer.json()["detail"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert asked.is_disturbed or answer.json()["code"] in codes, answer.text
    assert asked.is_disturbed or asked.seconds < ANSWER_SECONDS, asked


def verify_all_away(client: httpx.Client, bodies: Sequence[dict[str, Any]], *codes: str) -> None:
    """Each is answered so, again and again until the machine went on meanwhile."""
    for one in bodies:
        asked = post(client, one)
        verify_away(asked, *codes)
        while asked.is_disturbed:
            asked = post(client, one)
            verify_away(asked, *codes)


def accepted_ids(gateway: Gateway) -> list[str]:
    """Ids of the events that the log has, in order of their entries."""
    found = gateway.rows("SELECT event_id FROM audit_entry WHERE kind = 'event.accepted' ORDER BY \"index\"")
    return [one for (one,) in found]


def until_sequenced(gateway: Gateway, ids: set[str]) -> None:
    """Wait until the log has all of these, and see that it has none of them twice."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not set(accepted_ids(gateway)) >= ids:
        assert time.monotonic() < deadline, gateway.said()
        time.sleep(0.1)
    found = accepted_ids(gateway)
    assert len(set(found)) == len(found)


def test_a_database_locked_by_another_program_is_503_in_time_and_comes_back(gateway: Gateway) -> None:
    gateway.flags |= {**AS_SHIPPED, "claims.lease": "1s"}
    gateway.start(fault=Fault())
    gateway.agree()
    key = gateway.partner_key()
    sent = orders(0, 12)
    with gateway.client(key) as client:
        receipts = {one["order_id"]: take(client, PATH, one).json()["receipt"] for one in sent[:3]}
        with gateway.stack.locked(gateway.folder, "gateway_claim"):
            answers: list[Asked] = []
            threads = [
                threading.Thread(target=lambda one=one: answers.append(post(client, one))) for one in sent[3:]
            ]
            for thread in threads:
                thread.start()
                time.sleep(0.1)
            for thread in threads:
                thread.join()
            alive = client.get("/livez")
        assert alive.status_code == 200
        assert len(answers) == len(threads)
        for asked in answers:
            verify_away(asked, "store_unavailable", "outcome_unknown")
        for one in sent:
            receipt = take(client, PATH, one).json()["receipt"]
            assert receipts.setdefault(one["order_id"], receipt) == receipt
    until_sequenced(gateway, {one["order_id"] for one in sent})
    assert gateway.wait_ready()
    assert gateway.stop() == 0, gateway.said()


@dataclass
class Storage:
    """A data folder whose room can be taken and given back."""

    gateway: Gateway
    fill: Callable[[], None]
    free: Callable[[], None]
    start: Callable[[], object]


def _small_disk(folder: Path, gateway: Gateway) -> Storage:
    """A real file system of 24 MiB."""
    ballast = folder / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(64 * 1024))
                    file.flush()
            except OSError:
                # What did not fit into a whole block: the last bytes, one by one.
                try:
                    while os.write(file.fileno(), b"x"):
                        pass
                except OSError:
                    return

    return Storage(gateway, fill, ballast.unlink, gateway.start)


def _few_pages(folder: Path, gateway: Gateway) -> Storage:
    """SQLite's own limit of pages, where a file system cannot be mounted: the same error code."""
    limit = folder / "pages"

    def fill() -> None:
        # It is read at any moment: there is none with half of it.
        (folder / "draft").write_text("1")
        (folder / "draft").replace(limit)

    return Storage(gateway, fill, limit.unlink, lambda: gateway.start(fault=Fault(pages=limit)))


def _no_room(gateway: Gateway) -> Storage:
    """What PostgreSQL says of a full disk, to each claim: its own would be full for every test beside."""
    raising = "RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100'"

    def fill() -> None:
        body = f"BEGIN {raising}; END"
        gateway.stack.execute(
            gateway.folder, f"CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$"
        )
        gateway.stack.execute(
            gateway.folder,
            "CREATE TRIGGER no_room BEFORE INSERT ON gateway_claim EXECUTE FUNCTION no_room()",
        )

    def free() -> None:
        gateway.stack.execute(gateway.folder, "DROP TRIGGER no_room ON gateway_claim")

    return Storage(gateway, fill, free, lambda: gateway.start(fault=Fault()))


@pytest.fixture(params=["pages", "disk", SERVERS])
def storage(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Storage]:
    folder = tmp_path / "small"
    if request.param == "servers":
        with ExitStack() as held:
            flags = {**AS_SHIPPED, "claims.lease": "1s"}
            gateway = Gateway(folder, flags, stack=open_stack(request, held))
            held.callback(gateway.kill)
            yield _no_room(gateway)
        return
    folder.mkdir()
    is_mounted = False
    if request.param == "disk":
        line = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
        is_mounted = shutil.which("mount") is not None and subprocess.run(line, check=False).returncode == 0
    flags = {**AS_SHIPPED, "claims.lease": "1s"}
    gateway = Gateway(folder / "data", flags, log_file=tmp_path / "log")
    yield (_small_disk if is_mounted else _few_pages)(folder, gateway)
    gateway.kill()
    if is_mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_503_storage_full_and_comes_back_by_itself(storage: Storage) -> None:
    gateway = storage.gateway
    storage.start()
    gateway.agree()
    key = gateway.partner_key()
    receipts: dict[str, str] = {}
    pending: list[dict[str, Any]] = []
    codes: set[str] = set()
    with gateway.client(key) as client:
        for one in orders(0, 20):
            receipts[one["order_id"]] = take(client, PATH, one).json()["receipt"]
        storage.fill()
        for one in orders(100, 400):
            asked = post(client, {**one, "customer": "x" * 4_000})
            if asked.answer.status_code == 201:
                receipts[one["order_id"]] = asked.answer.json()["receipt"]
                continue
            verify_away(asked, "storage_full", "outcome_unknown", "store_unavailable")
            codes.add(asked.answer.json()["code"])
            pending.append({**one, "customer": "x" * 4_000})
            if len(pending) == 10:
                break
        assert "storage_full" in codes
        assert client.get("/livez").status_code == 200
        storage.free()
        for one in pending:
            receipts[one["order_id"]] = take(client, PATH, one).json()["receipt"]
        for one in orders(0, 20):
            assert take(client, PATH, one).json()["receipt"] == receipts[one["order_id"]]
    until_sequenced(gateway, receipts.keys() | set())
    assert gateway.wait_ready()
    assert gateway.stop() == 0, gateway.said()
    storage.start()
    with gateway.client(key) as client:
        for one in pending:
            assert take(client, PATH, one).json()["receipt"] == receipts[one["order_id"]]
    assert set(accepted_ids(gateway)) == set(receipts)


@only_servers
def test_a_kafka_that_is_silent_for_a_while_is_503_in_time_and_no_event_is_twice(gateway: Gateway) -> None:
    assert isinstance(gateway.stack, Servers)
    gateway.flags |= {**AS_SHIPPED, "claims.lease": "1s"}
    gateway.start(fault=Fault())
    gateway.agree()
    sent = orders(0, 9)
    with gateway.client(gateway.partner_key()) as client:
        receipts = {one["order_id"]: take(client, PATH, one).json()["receipt"] for one in sent[:3]}
        gateway.stack.kafka.pause()
        try:
            verify_all_away(client, sent[3:5], "outcome_unknown", "broker_unavailable")
            assert client.get("/livez").status_code == 200
        finally:
            gateway.stack.kafka.resume()
        for one in sent:
            receipt = take(client, PATH, one).json()["receipt"]
            assert receipts.setdefault(one["order_id"], receipt) == receipt
    until_sequenced(gateway, {one["order_id"] for one in sent})
    assert gateway.wait_ready()
    assert gateway.stop() == 0, gateway.said()


# Nothing has been stored when the broker is missed: the database has no part in it.
@only_files
def test_a_broker_that_is_not_there_is_503_in_time_and_readyz_says_so(gateway: Gateway) -> None:
    gateway.flags |= {**AS_SHIPPED, "broker.url": "kafka://127.0.0.1:1"}
    init = gateway.launch("init")
    assert init.wait(60) == 0, gateway.said()
    gateway.launch("serve")
    deadline = time.monotonic() + WAIT_SECONDS
    with gateway.client() as client:
        while True:
            try:
                live = client.get("/livez")
                break
            except httpx.TransportError:
                assert time.monotonic() < deadline, gateway.said()
                time.sleep(0.1)
        assert live.status_code == 200
        ready = client.get("/readyz")
    assert ready.status_code == 503
    assert "broker" in str(ready.json()["missing"])
    assert gateway.apply().status_code == 201
    with gateway.client(gateway.partner_key()) as client:
        verify_all_away(client, orders(0, 3), "broker_unavailable")
    with gateway.operator() as client:
        status = client.get("/v1/status").json()
    assert status["broker"]["state"] == "away"
    assert gateway.stop() == 0, gateway.said()
    assert gateway.rows("SELECT count(*) FROM gateway_claim") == [(0,)]
