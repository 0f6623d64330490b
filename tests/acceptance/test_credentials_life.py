"""A credential's life in running gateways: rotated without a gap, revoked everywhere, its last use kept."""

import io
import json
import sys
import time
from pathlib import Path

import httpx
import pytest

from audit.pressing import expand
from gateway.cli.command import Surroundings
from gateway.cli.main import invoke
from tests.acceptance.running import Gateway, orders
from tests.acceptance.stacks import only_files
from tests.acceptance.waiting import until
from tests.faults.forked_fleet import forked_fleet_on
from tests.fleet import HASTE
from tests.kafka_server import KafkaServer
from tests.postgres_server import PostgresServer

PROMISED_SECONDS = 60.0


def command(gateway: Gateway, folder: Path, *words: str) -> tuple[int, str]:
    """One command line of the operator, to another process: exit code, and what it said."""
    out, err = io.StringIO(), io.StringIO()
    environ = {"GATEWAY_URL": gateway.url, "GATEWAY_KEY": gateway.operator_key(), "HOME": str(folder)}
    around = Surroundings(environ, io.BytesIO(), out, err, time.sleep, time.monotonic)
    return invoke(words, around), out.getvalue() + err.getvalue()


def refusal(client: httpx.Client) -> str | None:
    """With which code the caller is refused; None: it is not."""
    answer = client.get("/v1/me")
    return None if answer.status_code == 200 else str(answer.json()["code"])


# Credentials lie in the database alone, and are followed alike on every stack: the fleet below has the other.
@only_files
def test_a_partner_changes_its_key_without_a_gap(gateway: Gateway) -> None:
    gateway.start()
    assert gateway.apply().status_code == 201
    first, second = orders(0, 2)
    with gateway.client(gateway.partner_key()) as old:
        (before,) = old.get("/v1/credentials").json()["items"]
        assert old.post("/v1/events/order.placed", json=first).status_code == 201
        made = old.post("/v1/credentials", json={"kind": "api_key", "name": "next"}).json()
        with gateway.client(made["secret"]) as new:
            assert new.post("/v1/events/order.placed", json=second).status_code == 201
            repeat = old.post("/v1/events/order.placed", json=first)
            assert repeat.status_code == 200, "both are in force"
            shown = {one["id"]: one for one in new.get("/v1/credentials").json()["items"]}
            assert shown[made["id"]]["last_used_at"] >= shown[before["id"]]["last_used_at"] is not None
            # A second later only the new one is in use, which is what is to be seen before the old one goes.
            until(
                lambda: (
                    new.get(f"/v1/credentials/{made['id']}").json()["last_used_at"]
                    > new.get(f"/v1/credentials/{before['id']}").json()["last_used_at"]
                ),
                gateway.said,
            )
            assert new.delete(f"/v1/credentials/{before['id']}").status_code == 200
            assert refusal(old) == "credential_revoked"
            assert refusal(new) is None


@only_files
def test_an_operator_ends_a_leaked_key_and_hears_what_it_was_used_for(
    gateway: Gateway, tmp_path: Path
) -> None:
    gateway.start()
    assert gateway.apply().status_code == 201
    with gateway.client(gateway.partner_key()) as thief:
        for order in orders(0, 3):
            assert thief.post("/v1/events/order.placed", json=order).status_code == 201
        refused = thief.post("/v1/events/order.placed", json={"order_id": "A-9"})
        assert refused.status_code == 422
        (leaked,) = thief.get("/v1/credentials").json()["items"]
        words = ("credentials", "revoke", leaked["id"], "-p", "acme", "--reason", "leaked", "--since", "1h")
        code, said = command(gateway, tmp_path, *words, "--dry-run")
        assert (code, "Would revoke" in said) == (0, True)
        assert refusal(thief) is None
        # Refusals are written beside the answer, and may come a moment later.
        until(lambda: "4 events sent" in command(gateway, tmp_path, *words, "--dry-run")[1], gateway.said)
        code, said = command(gateway, tmp_path, *words, "--yes")
        assert code == 0, said
        for told in (
            "It opens nothing after 20",
            "4 events sent with it since 1h",
            "A-0",
            "A-2",
            "A-9",
            "refused",
        ):
            assert told in said
        assert refusal(thief) == "credential_revoked"
    query = "SELECT evidence FROM audit_entry WHERE kind = 'credential.changed'"
    entry = until(
        lambda: [
            one for (raw,) in gateway.rows(query) if (one := json.loads(expand(raw)))["action"] == "revoked"
        ],
        gateway.said,
    )[0]
    assert (entry["credential"], entry["reason"], entry["partner"]) == (leaked["id"], "leaked", "acme")
    assert (entry["by"]["role"], entry["by"]["credential"][:4]) == ("operator", "crd_")
    # The log is acme's own: the partner sees who ended its key, and why.
    assert gateway.stop() == 0
    query = f"SELECT used_at FROM gateway_credential_use WHERE credential = '{leaked['id']}'"  # noqa: S608 - an id of ours
    assert len(gateway.rows(query)) == 1, "written at the end, at the latest"


@only_files
def test_an_operator_hears_what_else_a_thief_did_and_how_to_end_it(gateway: Gateway, tmp_path: Path) -> None:
    gateway.start()
    assert gateway.apply().status_code == 201
    with gateway.client(gateway.partner_key()) as thief:
        (leaked,) = thief.get("/v1/credentials").json()["items"]
        second = thief.post("/v1/credentials", json={"kind": "api_key", "name": "quiet"}).json()
        endpoint = {"name": "sink", "url": "https://thief.example/in", "events": ["order.accepted"]}
        added = thief.post("/v1/endpoints", json=endpoint)
        assert added.status_code == 201, added.text
    words = ("credentials", "revoke", leaked["id"], "--reason", "leaked", "--since", "5m", "--yes")
    code, said = command(gateway, tmp_path, *words)
    assert code == 0, said
    assert "No event was sent with it since 5m." in said
    for told in ("2 entries of what else", "endpoint.changed", "https://thief.example/in", second["id"]):
        assert told in said.replace("\n", ""), said
    told = f"gateway credentials revoke {second['id']} --partner acme --reason leaked --since 5m"
    assert told in said, said
    with gateway.client(second["secret"]) as thief:
        third = thief.post("/v1/credentials", json={"kind": "api_key", "name": "quieter"}).json()
    code, said = command(gateway, tmp_path, *words[:2], second["id"], *words[3:], "--json")
    document = json.loads(said)
    assert (code, [one["id"] for one in document["made"]]) == (0, [third["id"]])
    assert [one["kind"] for one in document["asked"]] == ["credential.changed"]
    found = ("history", "list", "-p", "acme", "--credential", leaked["id"], "--kind", "credential.changed")
    assert second["id"] in command(gateway, tmp_path, *found)[1]


@pytest.mark.kafka
@pytest.mark.postgres
def test_what_one_process_revokes_opens_nothing_in_another(
    tmp_path: Path, kafka_server: KafkaServer, postgres_server: PostgresServer
) -> None:
    with forked_fleet_on(tmp_path, kafka_server, postgres_server, HASTE) as fleet:
        fleet.start(serve=2, relay=0, sequence=0)
        one, two = fleet.members["serve-1"], fleet.members["serve-2"]
        assert one.apply().status_code == 201
        made = one.partner_key()
        with two.client(made) as there, one.client(made) as here, one.operator() as operator:
            fleet.until(lambda: refusal(there) is None)
            (shown,) = operator.get("/v1/partners/acme/credentials").json()["items"]
            path = f"/v1/partners/acme/credentials/{shown['id']}"
            used = "SELECT used_at FROM gateway_credential_use WHERE credential = '{}'".format(shown["id"])  # noqa: S608 - an id of ours
            assert shown["last_used_at"] is None or fleet.rows(used), "the other process alone knows"
            assert refusal(here) is None
            assert operator.get(path).json()["last_used_at"] is not None
            began = time.monotonic()
            assert operator.delete(path, params={"reason": "leaked"}).status_code == 200
            assert refusal(here) == "credential_revoked"
            told = until(lambda: refusal(there), fleet.said, PROMISED_SECONDS)
            assert told == "credential_revoked"
            sys.stdout.write(f"revoked in the other process after {time.monotonic() - began:.2f} s\n")
        # Written every half minute, and at the end.
        assert one.stop() == 0, fleet.said()
        (first,) = fleet.rows(used)
        assert two.stop() == 0, fleet.said()
        (second,) = fleet.rows(used)
        assert second >= first > (0,)
