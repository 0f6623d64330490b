"""A primary is killed, its standby promoted: nothing is lost or doubled, or nothing is appended any more."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest

from gateway.database import Database, clock
from gateway.errors import StoreError
from tests.acceptance.running import Gateway
from tests.faults.forked_fleet import (
    ForkedFleet,
    Watcher,
    come_to_rest,
    forked_fleet_on,
    onboard,
    verify_whole,
)
from tests.faults.receiver import receiving
from tests.faults.workload import Sender
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresPair

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(400)]

WAIT_SECONDS = 90.0
PARTNERS = {"acme": "none", "bolt": "key"}


@pytest.fixture
def synchronous() -> Iterator[PostgresPair]:
    made = PostgresPair(is_synchronous=True)
    yield made
    made.remove()


@pytest.fixture
def asynchronous() -> Iterator[PostgresPair]:
    made = PostgresPair(is_synchronous=False)
    yield made
    made.remove()


@pytest.fixture
def fleet(tmp_path: Path, kafka_server: KafkaServer, synchronous: PostgresPair) -> Iterator[ForkedFleet]:
    with forked_fleet_on(tmp_path, kafka_server, synchronous) as made:
        yield made


async def until(look: Callable[[], object], said: Callable[[], str]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT_SECONDS
    while not await asyncio.to_thread(look):
        assert loop.time() < deadline, said()
        await asyncio.sleep(0.05)


@asynccontextmanager
async def under_load(sender: Sender, watcher: Watcher) -> AsyncIterator[None]:
    """Waves of new events, and repeats of what was not answered, until the block ends."""
    is_over = asyncio.Event()

    async def send() -> None:
        while not is_over.is_set():
            await sender.send_new()
            await watcher.look(sender.doors[0])
            await asyncio.sleep(0.1)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        try:
            yield
        finally:
            is_over.set()


def acknowledged(sender: Sender, more: int) -> Callable[[], bool]:
    """Whether so many more events are acknowledged than now."""
    wanted = len(sender.told.events) + more
    return lambda: len(sender.told.events) >= wanted


@pytest.mark.kafka
async def test_a_failover_under_load_loses_and_doubles_nothing_and_an_old_primary_is_left_alone(
    fleet: ForkedFleet, synchronous: PostgresPair
) -> None:
    old, new = synchronous, synchronous.standby
    with receiving() as receiver:
        fleet.start()
        keys = onboard(fleet, receiver, PARTNERS)
        sender = Sender([fleet.first], keys, fleet.first.operator_key())
        watcher = Watcher()
        async with sender.connected():
            async with under_load(sender, watcher):
                await until(acknowledged(sender, 100), fleet.said)
                await asyncio.to_thread(old.fail_over)
                await until(acknowledged(sender, 100), fleet.said)
                # The old one is back, and by itself it would take anything.
                old.start()
                old.execute("ALTER SYSTEM RESET synchronous_standby_names")
                old.execute("SELECT pg_reload_conf()")
                new.stop()
                await until(lambda: refused_old_primary(fleet.first), fleet.said)
                new.start()
                await until(acknowledged(sender, 100), fleet.said)
            await sender.finish(WAIT_SECONDS)
            await sender.send_all_again()
        assert old.execute(
            "SELECT count(*) FROM pg_stat_user_tables WHERE n_tup_ins > 0", database="test"
        ) == [(0,)]
        old.stop()
        await come_to_rest(fleet, receiver, sender.told)
        await watcher.look(fleet.first)
        for name, one in fleet.members.items():
            assert one.stop() == 0, f"{name}: {one.said()}"
        verify_whole(fleet, receiver, sender, watcher, PARTNERS)


def refused_old_primary(gateway: Gateway) -> bool:
    with suppress(httpx.TransportError):
        answer = httpx.get(f"{gateway.url}/readyz", timeout=10, trust_env=False)
        return answer.status_code == 503 and "was replaced" in answer.text
    return False


async def test_a_standby_that_was_behind_stops_a_running_gateway_and_refuses_a_new_start(
    tmp_path: Path, asynchronous: PostgresPair
) -> None:
    with asynchronous.database() as url:
        gateway = Gateway(tmp_path / "data", {"database.url": url, "audit.tick": "20ms"})
    try:
        assert gateway.launch("init").wait(60) == 0, gateway.said()
        gateway.start()
        assert gateway.apply().status_code == 201, gateway.said()
        with gateway.client(gateway.partner_key()) as client:
            send(client, 1)
            await until(lambda: is_published(gateway, 1), gateway.said)
            asynchronous.fall_behind()
            send(client, 2)
            await until(lambda: is_published(gateway, 2), gateway.said)
            asynchronous.fail_over()
            before = heads(asynchronous)
            assert gateway.process is not None
            assert await asyncio.to_thread(gateway.process.wait, WAIT_SECONDS) == 5, gateway.said()
        assert "entries that this database does not have" in gateway.said().splitlines()[-1]
        assert "Restore the newest database." in gateway.refuses("up")
        assert heads(asynchronous) == before
        assert before
    finally:
        gateway.kill()


def send(client: httpx.Client, number: int) -> None:
    answer = client.post("/v1/events/order.placed", json={"order_id": f"A-{number}", "qty": number})
    assert answer.status_code == 201, answer.text


def is_published(gateway: Gateway, entries: int) -> bool:
    """Whether acme's log shows so many events."""
    with gateway.operator() as client:
        logs = client.get("/v1/status").raise_for_status().json()["logs"]
        page = client.get("/v1/partners/acme/history", params={"direction": "inbound"}).raise_for_status()
    sequenced = [one for one in page.json()["items"] if one.get("state") != "unsequenced"]
    return len(sequenced) >= entries and all(one["size"] == one["published"] for one in logs)


def heads(pair: PostgresPair) -> list[tuple[object, ...]]:
    return pair.standby.execute("SELECT log, epoch, size FROM audit_head ORDER BY 1, 2", database="test")


async def test_a_standby_alone_is_no_database_to_decide_in(asynchronous: PostgresPair) -> None:
    database = Database(asynchronous.standby.url())
    with pytest.raises(StoreError, match="promote one, or name the primary too"):
        await database.read(clock)
    database.close()
