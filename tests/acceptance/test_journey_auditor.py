"""An auditor: a key that reads and ends by itself, an export, and its proof without the gateway."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.acceptance.journeys import Operator, join, until
from tests.acceptance.running import Gateway

pytestmark = pytest.mark.curl
EVENTS = 20


def test_an_auditor_exports_a_log_and_proves_it_whole(tmp_path: Path) -> None:
    up = Gateway(tmp_path / "data")
    try:
        up.start()
        dev, operator = join(up, "acme", tmp_path), Operator(up, tmp_path)
        for number in range(EVENTS):
            dev.write("o.json", {"order_id": f"=A-{number}", "lines": []})
            assert dev.gw("gw $GW/v1/events/order.placed --json @o.json").status == 201
        query = "SELECT count(*) FROM audit_entry WHERE kind = 'event.accepted'"
        until(lambda: up.rows(query) == [(EVENTS,)], lacks=lambda: up.rows(query))
        made = operator.run("credentials create --partner acme --role auditor --expires 30d -o auditor.key")
        assert made.code == 0, made.err
        auditor = Operator(up, tmp_path, key=(tmp_path / "auditor.key").read_text().strip())
        shown = auditor.run("me --json").json()
        ends = datetime.fromisoformat(shown["credential"]["expires_at"]) - datetime.now(UTC)
        assert (shown["role"], abs(ends - timedelta(days=30)) < timedelta(hours=1)) == ("auditor", True)
        assert auditor.run("send order.placed @acme/o.json").code == 3
        exported = auditor.run("export create --format parquet")
        assert exported.code == 0, exported.err
        key = exported.err.split("--log-key '")[1].partition("'")[0]
        # A second, by time: as an auditor has it every month.
        since = auditor.run("export create --from 1h --content --format avro -o month.tar --json")
        assert since.json()["total"] >= EVENTS
        listed = auditor.run("export list --json").json()["items"]
        assert [one["format"] for one in listed] == ["avro", "parquet"]
    finally:
        up.kill()
    for name in ("export.tar", "month.tar"):
        proved = auditor.run(f"verify {name} --log-key {key}")
        assert proved.code == 0, proved.out
        assert "every entry of " in proved.out
    raw = bytearray((tmp_path / "month.tar").read_bytes())
    raw[len(raw) // 2] ^= 1
    (tmp_path / "month.tar").write_bytes(raw)
    assert auditor.run(f"verify month.tar --log-key {key}").code == 9
    assert auditor.run("verify export.tar --json").code == 9
    assert json.loads(auditor.run(f"verify export.tar --log-key {key} --json").out)["verified"] is True
