"""SIGKILL between the two halves of a step of an import: the program that starts next goes on with it."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.running import Gateway
from tests.faults.program import Fault
from tests.importing import NDJSON, lines

ITEMS = 500


def wait_for_the_end(gateway: Gateway, key: str, path: str) -> dict[str, Any]:
    until = time.monotonic() + 60
    with gateway.client(key) as client:
        while time.monotonic() < until:
            found: dict[str, Any] = client.get(path).json()
            if found["ended_at"] is not None:
                return found
            time.sleep(0.05)
    raise AssertionError(found)


@pytest.mark.faults
def test_an_import_goes_on_where_a_killed_process_left_it(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data").start(fault=Fault(kill=("import.5.worked", 2)))
    try:
        assert gateway.apply().status_code == 201
        key = gateway.partner_key()
        with gateway.client(key) as client:
            answer = client.post("/v1/imports?type=order.placed", content=lines(range(ITEMS)), headers=NDJSON)
        assert answer.status_code == 202, answer.text
        assert gateway.process is not None
        assert gateway.process.wait(60) == -signal.SIGKILL, gateway.said()
        gateway.start(fault=Fault())
        done = wait_for_the_end(gateway, key, answer.headers["location"])
        with gateway.client(key) as client:
            again = client.post("/v1/events/order.placed", json={"order_id": "I-250", "qty": 250})
            page = client.get(f"{answer.headers['location']}/results", params={"limit": 1_000}).json()
    finally:
        gateway.kill()
    assert (done["state"], done["accepted"], done["duplicates"]) == ("done", ITEMS - 200, 200)
    assert [one["index"] for one in page["items"]] == list(range(ITEMS))
    assert len({one["ref"] for one in page["items"]}) == ITEMS
    assert (again.status_code, again.json()["receipt"]) == (200, page["items"][250]["receipt"])
