"""Starts that cannot be: each says what is wrong and how to mend it, and leaves everything as it was."""

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from tests.acceptance.running import CONTRACT, END_SECONDS, ORDER, Gateway, orders, take
from tests.acceptance.stacks import SERVERS, Files, only_files
from tests.acceptance.waiting import until
from tests.faults.program import Fault
from tests.fleet import waiting

PATH = "/v1/events/order.placed"
NONE = Fault()
"""What runs before or after the refusal starts by fork, which saves seconds."""


def set_revision(gateway: Gateway, revision: str) -> None:
    gateway.stack.execute(gateway.folder, f"UPDATE alembic_version SET version_num = '{revision}'")  # noqa: S608 - ours


def take_one(gateway: Gateway) -> str:
    """Apply the contract, send one event; its receipt."""
    gateway.agree()
    with gateway.client(gateway.partner_key()) as client:
        return str(take(client, PATH, orders(0, 1)[0]).json()["receipt"])


def until_published(gateway: Gateway) -> None:
    """Wait until all that was taken is in the logs, and shown on the checkpoint topic."""
    with gateway.operator() as client:
        until(lambda: not waiting(client), lambda: f"{waiting(client)}; {gateway.said()}")


# The port and the folder: no broker and no database is asked.
@only_files
def test_a_port_in_use_is_named(gateway: Gateway) -> None:
    with socket.create_server(("127.0.0.1", gateway.port)):
        said = gateway.refuses()
    assert f"port in use: 127.0.0.1:{gateway.port}" in said
    assert "--port" in said
    gateway.start(fault=NONE)


@only_files
def test_a_folder_that_cannot_be_written_is_named(gateway: Gateway, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    gateway.folder = tmp_path / "file" / "data"
    gateway.log_file = tmp_path / "refusal.log"
    said = gateway.refuses()
    assert f"the data folder {gateway.folder} cannot be written" in said
    assert "--data" in said


@only_files
def test_a_folder_in_use_is_left_alone(gateway: Gateway) -> None:
    gateway.start(fault=NONE)
    first = take_one(gateway)
    second = Gateway(gateway.folder)
    said = second.refuses()
    assert str(gateway.folder) in said
    assert "in use by another gateway: stop that one" in said
    assert take_one(gateway) == first


# The embedded broker.
@only_files
def test_an_embedded_broker_in_use_names_file_and_process(gateway: Gateway, tmp_path: Path) -> None:
    gateway.start(fault=NONE)
    assert gateway.process is not None
    broker = gateway.folder / "broker.db"
    second = Gateway(tmp_path / "second", {"broker.url": f"embedded:{broker}"})
    said = second.refuses()
    assert str(broker) in said
    assert f"process {gateway.process.pid}" in said
    assert "stop that process" in said
    take_one(gateway)


def test_a_database_that_is_ahead_is_refused_and_kept(gateway: Gateway) -> None:
    gateway.start(fault=NONE)
    first = take_one(gateway)
    assert gateway.stop() == 0
    ((revision,),) = gateway.rows("SELECT version_num FROM alembic_version")
    set_revision(gateway, "9999")
    said = gateway.refuses()
    assert "the database is ahead: revision 9999" in said
    assert "install a newer program" in said
    set_revision(gateway, revision)
    gateway.start(fault=NONE)
    assert take_one(gateway) == first


def test_a_role_refuses_a_database_that_is_behind(gateway: Gateway) -> None:
    if isinstance(gateway.stack, Files):
        gateway.flags["broker.url"] = "kafka://127.0.0.1:1"
    assert gateway.launch("init").wait(60) == 0, gateway.said()
    set_revision(gateway, "0000")
    said = gateway.refuses("serve")
    assert "the database is behind: revision 0000" in said
    assert "gateway migrate" in said


def test_a_role_refuses_a_database_that_was_never_set_up(gateway: Gateway) -> None:
    if isinstance(gateway.stack, Files):
        gateway.flags["broker.url"] = "kafka://127.0.0.1:1"
    gateway.folder.mkdir()
    said = gateway.refuses("serve")
    assert "gateway init" in said


@only_files
def test_a_role_refuses_the_embedded_broker(gateway: Gateway) -> None:
    said = gateway.refuses("serve")
    assert "gateway up" in said
    assert "broker.url" in said


def test_a_lost_master_key_is_not_made_anew_beside_sealed_secrets(gateway: Gateway) -> None:
    gateway.start(fault=NONE)
    first = take_one(gateway)
    assert gateway.stop() == 0
    key = gateway.folder / "master.key"
    kept = key.read_bytes()
    key.unlink()
    assert f"there is no master key at {key}" in gateway.refuses()
    assert not key.exists()
    key.write_bytes(kept)
    key.chmod(0o600)
    gateway.start(fault=NONE)
    assert take_one(gateway) == first


# Read before anything is opened.
@only_files
def test_a_contract_with_errors_at_the_start_names_file_and_line(gateway: Gateway, tmp_path: Path) -> None:
    contract = tmp_path / "acme.yaml"
    contract.write_text(CONTRACT.replace("sends:", "sedns:"))
    said = gateway.refuses("up", "--contract", str(contract), code=6)
    assert "acme.yaml:4" in said
    assert "sends" in said


def test_a_contract_that_takes_away_at_the_start_says_where_leave_is_given(
    gateway: Gateway, tmp_path: Path
) -> None:
    (tmp_path / "order.avsc").write_text(json.dumps(ORDER))
    contract = tmp_path / "acme.yaml"
    contract.write_text(CONTRACT)
    gateway.start("up", "--contract", str(contract))
    assert gateway.stop() == 0
    contract.write_text(CONTRACT[: CONTRACT.index("receives:")])
    said = gateway.refuses("up", "--contract", str(contract))
    assert "this takes something away (/receives/order.accepted)" in said
    assert f"gateway plan -f {contract}" in said
    assert "allow=" not in said
    gateway.start()
    assert take_one(gateway)


@only_files
def test_contracts_that_forward_to_each_other_are_applied_at_the_start(
    gateway: Gateway, tmp_path: Path
) -> None:
    folder = tmp_path / "contracts"
    folder.mkdir()
    (folder / "order.avsc").write_text(json.dumps(ORDER))
    for slug, other in (("aaa", "bbb"), ("bbb", "aaa")):
        line = f"{{schema: order.avsc, id: /order_id, forward: {{to: {other}, as: order.received}}}}"
        text = f"gateway: v1\npartner: {slug}\nsends:\n  order.placed: {line}\n"
        text += "receives:\n  order.received: {schema: order.avsc, id: /order_id}\n"
        (folder / f"{slug}.yaml").write_text(text)
    gateway.start("up", "--contract", str(folder))
    with gateway.operator() as operator:
        listed = operator.get("/v1/partners").json()["items"]
    assert [(one["slug"], one["contract"]) for one in listed] == [("aaa", 1), ("bbb", 1)]
    assert gateway.stop() == 0
    gateway.start("up", "--contract", str(folder))
    assert gateway.stop() == 0
    second = tmp_path / "aaa.yaml"
    second.write_text("gateway: v1\npartner: aaa\n")
    said = gateway.refuses("up", "--contract", str(folder), "--contract", str(second))
    assert f"{folder / 'aaa.yaml'} and {second} are both of the partner aaa" in said


@only_files
def test_an_unknown_setting_is_refused_by_name(gateway: Gateway) -> None:
    gateway.flags["lease.durration"] = "1s"
    said = gateway.refuses(code=2)
    assert "durration" in said.lower()


@pytest.mark.parametrize(
    ("stack", "number"),
    [
        ("files", signal.SIGTERM),
        ("files", signal.SIGINT),
        pytest.param("servers", signal.SIGTERM, marks=SERVERS.marks),
    ],
    indirect=["stack"],
)
def test_a_signal_is_a_graceful_stop_and_a_second_start_prints_no_secret(
    gateway: Gateway, number: signal.Signals
) -> None:
    gateway.start()
    first = take_one(gateway)
    assert gateway.process is not None
    os.kill(gateway.process.pid, number)
    assert gateway.process.wait(END_SECONDS) == 0
    assert "Traceback" not in gateway.said()
    key = gateway.operator_key()
    before = gateway.log.stat().st_size
    gateway.start()
    assert key not in gateway.log.read_text()[before:]
    assert take_one(gateway) == first


def test_a_wiped_database_beside_living_topics_is_refused_until_it_is_restored(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.start(fault=NONE)
    first = take_one(gateway)
    assert gateway.stop() == 0
    operator, kept = gateway.folder / "operator.key", gateway.operator_key()
    gateway.stack.save(gateway.folder, "newest")
    gateway.stack.wipe(gateway.folder)
    # On servers the tables are made by `init` alone.
    maker = "up" if isinstance(gateway.stack, Files) else "init"
    assert f"{operator} belongs to an earlier one: restore that database" in gateway.refuses(maker)
    assert gateway.operator_key() == kept
    operator.rename(tmp_path / "operator.key")
    if maker == "init":
        assert gateway.launch("init").wait(60) == 0, gateway.said()
    said = gateway.refuses()
    topic = gateway.settings().get("broker.checkpoint_topic", "gateway.checkpoints")
    assert f"the checkpoint topic {topic} belongs to the gateway" in said
    assert "made anew, restore the newest backup" in said
    gateway.stack.restore(gateway.folder, "newest")
    (tmp_path / "operator.key").replace(operator)
    gateway.start(fault=NONE)
    assert take_one(gateway) == first


def test_a_backup_older_than_what_was_published_is_refused(gateway: Gateway) -> None:
    gateway.start(fault=NONE)
    first = take_one(gateway)
    assert gateway.stop() == 0
    gateway.stack.save(gateway.folder, "older")
    gateway.start(fault=NONE)
    key = gateway.partner_key()
    with gateway.client(key) as client:
        take(client, PATH, orders(1, 1)[0])
    until_published(gateway)
    assert gateway.stop() == 0
    gateway.stack.save(gateway.folder, "newest")
    gateway.stack.restore(gateway.folder, "older")
    said = gateway.refuses()
    assert "restored from an older backup" in said
    gateway.stack.restore(gateway.folder, "newest")
    gateway.start(fault=NONE)
    with gateway.client(key) as client:
        assert take(client, PATH, orders(0, 1)[0]).json()["receipt"] == first
        assert take(client, PATH, orders(1, 1)[0]).status_code == 200


def test_a_database_that_is_locked_at_the_start_is_away(gateway: Gateway) -> None:
    gateway.start(fault=NONE)
    first = take_one(gateway)
    assert gateway.stop() == 0
    with gateway.stack.locked(gateway.folder, "alembic_version"):
        said = gateway.refuses(code=8)
        assert "the database is away or busy" in said
    gateway.start(fault=NONE)
    assert take_one(gateway) == first
