"""The demo's corner of servers: addresses are read before anything is dialled, and a password is not told."""

import traceback
from pathlib import Path

import pytest

from gateway.cli.demo_servers import Servers, Wanted
from gateway.errors import SettingsError, SetupError

POSTGRESQL = "postgresql://me:hidden@db.example:5433/postgres?sslmode=require"


def servers(broker: str = "kafka://one:9092,two:9092", database: str = POSTGRESQL) -> Servers:
    return Servers(Wanted(broker, database), lambda count: bytes(range(count)))


def test_processes_get_names_of_their_own_on_both() -> None:
    made = servers().environ()
    assert made["GATEWAY_BROKER__URL"] == "kafka://one:9092,two:9092"
    assert made["GATEWAY_BROKER__TOPIC_PREFIX"] == "gateway_demo_0001020304."
    assert made["GATEWAY_BROKER__CHECKPOINT_TOPIC"].startswith("gateway_demo_0001020304.")
    wanted = "postgresql://me:hidden@db.example:5433/gateway_demo_0001020304?sslmode=require"
    assert made["GATEWAY_DATABASE__URL"] == wanted


def test_what_is_told_of_the_database_has_no_password() -> None:
    made = servers()
    assert made.postgresql == "db.example:5433"
    assert "hidden" not in repr(made)


@pytest.mark.parametrize("broker", ["", "one:9092", "embedded:broker.db", "kafka://"])
def test_a_broker_that_is_no_kafka_is_refused(broker: str) -> None:
    with pytest.raises(SetupError, match="--broker kafka://HOST:PORT"):
        servers(broker=broker)


@pytest.mark.parametrize("database", ["", "gateway.db", "sqlite:///gateway.db"])
def test_a_database_that_is_no_postgresql_is_refused(database: str) -> None:
    with pytest.raises(SetupError, match="--database postgresql://"):
        servers(database=database)


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://me:hid%den@db.example/postgres",
        "postgresql://me:hidden word@db.example/postgres",
        "postgresql://me:hidden@[::1/postgres",
        "postgresql://me:hidden@db.example/postgres?no_such_option=1",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_its_password(database: str) -> None:
    with pytest.raises(SetupError, match=r"--database cannot be read: .* as %XX") as told:
        servers(database=database)
    assert "hid" not in "".join(traceback.format_exception(told.value)).replace(database, "")


def test_a_kafka_that_does_not_answer_is_told_and_nothing_is_made() -> None:
    made = Servers(Wanted("kafka://127.0.0.1:1", POSTGRESQL), bytes, patience_seconds=0.2)
    with pytest.raises(SetupError, match=r"no Kafka answers at 127\.0\.0\.1:1 .*--properties-file"):
        made.open()


def test_a_properties_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    wanted = Wanted("kafka://one:9092", POSTGRESQL, tmp_path / "client.properties")
    with pytest.raises(SettingsError, match=r"client\.properties cannot be read"):
        Servers(wanted, bytes)
