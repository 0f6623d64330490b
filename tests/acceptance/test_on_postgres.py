"""The gateway as a user starts it on a real PostgreSQL: set up, used, without its database for a while."""

import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.acceptance.running import AS_SHIPPED, Gateway, orders, take
from tests.acceptance.test_trouble_of_stores import PATH, WAIT_SECONDS, verify_all_away
from tests.postgres_server import PostgresServer

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database(is_empty=True) as made:
        yield made


@pytest.fixture
def gateway(tmp_path: Path, url: str) -> Iterator[Gateway]:
    one = Gateway(tmp_path / "data", {**AS_SHIPPED, "database.url": url, "claims.lease": "1s"})
    yield one
    one.kill()


def until_logged(url: str, ids: set[str]) -> None:
    """Wait until the log has all of these, and see that it has none twice."""
    query = "SELECT event_id FROM audit_entry WHERE kind = 'event.accepted'"
    deadline, found = time.monotonic() + WAIT_SECONDS, list[str]()
    while not set(found) >= ids and time.monotonic() < deadline:
        time.sleep(0.1)
        with psycopg.connect(url) as connection:
            found = [one for (one,) in connection.execute(query)]
    assert sorted(found) == sorted(ids)


def test_a_gateway_is_set_up_loses_its_database_and_goes_on(
    gateway: Gateway, url: str, postgres_server: PostgresServer
) -> None:
    assert "gateway init" in gateway.refuses("up")
    assert gateway.launch("init").wait(60) == 0, gateway.said()
    gateway.start()
    assert gateway.apply().status_code == 201
    sent = orders(0, 12)
    with gateway.client(gateway.partner_key()) as client:
        receipts = {one["order_id"]: take(client, PATH, one).json()["receipt"] for one in sent[:3]}
        postgres_server.pause()
        try:
            verify_all_away(client, sent[3:5], "store_unavailable", "outcome_unknown")
            assert client.get("/livez").status_code == 200
        finally:
            postgres_server.resume()
        for one in sent:
            receipt = take(client, PATH, one).json()["receipt"]
            assert receipts.setdefault(one["order_id"], receipt) == receipt
    until_logged(url, {one["order_id"] for one in sent})
    postgres_server.cut(url.rpartition("/")[2])
    assert gateway.wait_ready()
    assert gateway.stop() == 0, gateway.said()


def test_a_start_leaves_the_leases_of_others_on_a_shared_database_alone(gateway: Gateway, url: str) -> None:
    assert gateway.launch("init").wait(60) == 0, gateway.said()
    with psycopg.connect(url) as connection:
        connection.execute(
            "INSERT INTO gateway_lease (role, shard, owner, epoch, until)"
            " SELECT 'relay', shard, 'another', 7, 9999999999999 FROM generate_series(0, 63) shard"
        )
        connection.execute("INSERT INTO gateway_instance VALUES ('relay', 'another', 9999999999999)")
    gateway.start()
    with psycopg.connect(url) as connection:
        held = connection.execute("SELECT DISTINCT owner, epoch FROM gateway_lease WHERE role = 'relay'")
        assert held.fetchall() == [("another", 7)]
    assert gateway.stop() == 0, gateway.said()
