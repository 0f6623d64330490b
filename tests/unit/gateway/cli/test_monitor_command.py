"""The monitor of a partner against a real gateway, and its file."""

import json
import stat
from pathlib import Path

import pytest

from audit.errors import MalformedError
from audit.monitor_state import Own, State, parse_state
from gateway.cli import monitor_file
from gateway.cli.errors import UsageError
from gateway.cli.monitor_receipts import tokens_in
from tests.unit.audit.builders import LOG_SIGNER, ORIGIN
from tests.unit.gateway.cli.conftest import Desk, Ended, orders


async def look(desk: Desk, *more: str, by: str = "acme") -> Ended:
    state = str(desk.shell.folder / "state.json")
    return await desk.run("monitor", "--state", state, "--once", *more, by=by)


async def send(desk: Desk, number: int) -> str:
    """Send an event, keep its receipt, and wait until the log has it."""
    order = json.dumps(orders(1, start=number)[0]).encode()
    ended = await desk.run("send", "order.placed", "-", "--json", stdin=order, by="acme")
    desk.shell.write(f"receipts/{number}.json", ended.out)
    ref = str(ended.document()["ref"])
    assert (await desk.run("history", "proof", ref, by="acme")).code == 0
    return ref


async def test_a_partner_watches_its_log_with_nothing_but_its_key(desk: Desk) -> None:
    await send(desk, 1)
    first = await look(desk, "--receipts", str(desk.shell.folder / "receipts"))
    assert (first.code, first.out.split()[0]) == (0, "ok"), first.out + first.err
    assert "1 in it, 0 waiting" in first.out
    assert "trusted because the gateway says so" in first.err
    await send(desk, 2)
    second = await look(desk, "--receipts", str(desk.shell.folder / "receipts"), "--json")
    assert second.code == 0
    found = json.loads(second.out.splitlines()[-1])
    assert found["receipts"] == {"included": 2, "waiting": 0}
    assert found["new_entries"] >= 1
    assert found["fresh_seconds"] <= 60
    state = desk.shell.folder / "state.json"
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert parse_state(state.read_bytes()).partner == "acme"


async def test_keys_that_are_pinned_are_the_only_ones_that_count(desk: Desk) -> None:
    await send(desk, 1)
    async with desk.house.client("acme") as client:
        (log,) = (await client.get("/v1/me")).json()["logs"]
        told = (await client.get("/.well-known/partner-gateway")).json()
    pins = ("--log-key", log["keys"][0], "--freshness-key", told["freshness_keys"][0])
    ended = await look(desk, *pins)
    assert (ended.code, ended.err) == (0, "")
    other = "gw.example/log/x/1+37b06273+AQOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"
    (desk.shell.folder / "state.json").unlink()
    wrong = await look(desk, "--log-key", log["origin"] + other[len("gw.example/log/x/1") :])
    assert wrong.code == 2
    assert "pinned key is not usable" in wrong.err


async def test_an_alarm_stands_until_it_is_acknowledged_and_its_papers_stay(desk: Desk) -> None:
    await send(desk, 1)
    assert (await look(desk)).code == 0
    path = desk.shell.folder / "state.json"
    before = path.read_bytes()
    state = json.loads(before)
    # As if the gateway's log had another key than the one that is trusted.
    state["log_keys"], state["is_pinned"] = ["A6EHv/POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg="], True
    path.write_text(json.dumps(state))
    alarmed = await look(desk)
    assert alarmed.code == 9
    assert "ALARM signature" in alarmed.err
    papers = path.with_name("state.json.alarms") / "0001-signature"
    assert sorted(one.name for one in papers.iterdir()) == ["alarm.json", "shown"]
    state = json.loads(path.read_bytes())
    state["log_keys"] = json.loads(before)["log_keys"]
    path.write_text(json.dumps(state))
    assert (await look(desk)).code == 9, "what was seen once is not forgotten"
    known = await look(desk, "--acknowledge")
    assert (known.code, "acknowledged: 1 signature" in known.err) == (0, True)
    assert (await look(desk)).code == 0
    assert papers.is_dir()


async def test_a_state_of_somebody_else_is_refused(desk: Desk) -> None:
    await send(desk, 1)
    assert (await look(desk)).code == 0
    path = desk.shell.folder / "state.json"
    kept = json.loads(path.read_bytes())
    for change, words in (
        ({"url": "https://other.example"}, "is of https"),
        ({"partner": "bolt"}, "credential"),
    ):
        path.write_text(json.dumps({**kept, **change}))
        ended = await look(desk)
        assert (ended.code, words in ended.err) == (2, True), ended.err
    path.write_text("{}")
    assert (await look(desk)).code == 2


async def test_a_credential_that_may_not_read_the_log_says_so(desk: Desk) -> None:
    await desk.house.issue("sender", "partner", "acme", scopes=frozenset({"send"}))
    await send(desk, 1)
    assert (await look(desk, by="sender")).code == 3


async def test_a_duration_that_is_none_is_a_usage_error(desk: Desk) -> None:
    for flags in (("--interval", "often"), ("--promise", "soon")):
        assert (await look(desk, *flags)).code == 2


def test_one_monitor_at_a_time_has_a_file(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.json"
    with monitor_file.held(path), pytest.raises(UsageError, match="another monitor"), monitor_file.held(path):
        raise AssertionError("it let us in")
    with monitor_file.held(path):
        assert monitor_file.load(path) is None


def test_a_file_that_cannot_be_read_or_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        monitor_file.load(tmp_path / "folder")
    (tmp_path / "plain").write_text("x")
    with (
        pytest.raises(UsageError, match="cannot be written"),
        monitor_file.held(tmp_path / "plain" / "state"),
    ):
        raise AssertionError("it let us in")
    (tmp_path / "damaged").write_text('{"format":"gateway-monitor/v9"}')
    with pytest.raises(UsageError, match="not what a monitor"):
        monitor_file.load(tmp_path / "damaged")


def test_receipts_are_found_in_whatever_a_partner_keeps() -> None:
    token = "eyJhbGciOiJFZERTQSJ9.e30.c2ln"
    kept = {
        "one": f'{{"ref":"evt_x","receipt":"{token}"}}',
        "lines": f'{token}\n\n# of today\n{{"receipt":"{token}"}}\n{{broken\n',
        "batch": f'{{"accepted":2,"results":[{{"receipt":"{token}"}},{{"problem":{{}}}}]}}',
        "list": f'[{{"receipt":"{token}"}},7,null]',
        "none": "PK\x03\x04",
        "deep": "[" * 100_000,
    }
    found = {name: len(list(tokens_in(text.encode()))) for name, text in kept.items()}
    assert found == {"one": 1, "lines": 2, "batch": 1, "list": 1, "none": 0, "deep": 0}
    assert list(tokens_in(b"\xff\xfe")) == []


def test_a_state_says_why_it_is_refused() -> None:
    for raw, words in ((b"", "damaged"), (b"[]", "format"), (b'{"format":"gateway-monitor/v1"}', "damaged")):
        with pytest.raises(MalformedError, match=words):
            parse_state(raw)


def test_a_state_that_nobody_could_read_again_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = State("https://gw.example", "acme", ORIGIN, (LOG_SIGNER.public_key,))
    path = tmp_path / "state.json"
    monitor_file.save(path, state)
    before = path.read_bytes()
    monkeypatch.setattr(monitor_file, "STATE_BYTES", len(before))
    state.receipts["evt_1"] = Own("token", 1, bytes(32))
    with pytest.raises(UsageError, match="more than"):
        monitor_file.save(path, state)
    assert path.read_bytes() == before
