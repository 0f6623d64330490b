"""SIGKILL inside a step of an erasure: what was not committed is not erased, and the next process does it."""

import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.running import Gateway
from tests.faults.program import Fault
from tests.importing import NDJSON, lines

EVENTS = 50


@pytest.mark.faults
def test_an_erasure_goes_on_where_a_killed_process_left_it(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path / "data").start(fault=Fault(kill=("erasure.1.erased", 2)))
    try:
        assert gateway.apply().status_code == 201
        key, operator = gateway.partner_key(), gateway.operator_key()
        with gateway.client(key) as client:
            sent = client.post("/v1/events/order.placed", content=lines(range(EVENTS)), headers=NDJSON)
            assert sent.is_success, sent.text
            refs = [one["ref"] for one in sent.json()["results"]]
            until = time.monotonic() + 60
            for ref in refs:
                while (proof := client.get(f"/v1/history/{ref}/proof?wait=5")).status_code != 200:
                    assert time.monotonic() < until, proof.text
        with gateway.client(operator) as client:
            asked = client.post("/v1/partners/acme/erasures", json={"refs": refs, "basis": "case 17"})
        assert asked.status_code == 202, asked.text
        assert gateway.process is not None
        assert gateway.process.wait(60) == -signal.SIGKILL, gateway.said()
        gateway.start(fault=Fault())
        with gateway.client(operator) as client:
            until = time.monotonic() + 60
            while (job := client.get(asked.headers["location"]).json())["ended_at"] is None:
                assert time.monotonic() < until, job
                time.sleep(0.05)
        with gateway.client(key) as client:
            again = client.post("/v1/events/order.placed", content=lines(range(1)), headers=NDJSON)
            shown = [client.get(f"/v1/history/{ref}").json() for ref in refs]
    finally:
        gateway.kill()
    assert (job["state"], job["done"], job["erased"], job["held"]) == ("done", EVENTS, EVENTS, 0)
    assert {one["state"] for one in shown} == {"erased"}
    assert {len([each for each in one["entries"] if "erased" in each]) for one in shown} == {1}
    assert again.json()["results"][0]["status"] == 410
