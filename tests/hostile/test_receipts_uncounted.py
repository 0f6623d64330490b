"""Receipts that a monitor cannot hold against the log are an alarm: a liar would sign such ones alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.evidence import Evidence
from audit.monitor_state import format_state, parse_state
from audit.receipt import issue
from tests.hostile.log_server import events, on, receipt
from tests.hostile.test_lying_logs import Scene, kept
from tests.unit.audit.builders import OTHER_SIGNER
from tests.unit.gateway.cli.conftest import Shell

FOREIGN = "gw.example/log/other"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(Shell(tmp_path))
    one.server.grow(one.past[:20])
    yield one
    for tree in one.server.trees:
        tree.session.close()


def news(scene: Scene, *flags: str) -> list[str]:
    lines = [json.loads(line) for line in scene.look(*flags).out.splitlines()]
    return [one["text"] for one in lines if one["event"] == "news"]


def by_a_key_of_the_day(one: Evidence) -> str:
    return issue(one, OTHER_SIGNER).token


(LOST,) = events(8_500, 8_501, age_ms=100_000)
(ELSEWHERE,) = events(8_501, 8_502, age_ms=100_000, log_name=FOREIGN)


@pytest.mark.parametrize(
    ("token", "words"),
    [
        (by_a_key_of_the_day(LOST), "a key that is not trusted"),
        (receipt(ELSEWHERE), f"of another log, {FOREIGN}"),
        (f"{receipt(LOST)[:-8]}AAAAAAAA", "signature"),
        (f"{receipt(LOST)[:40]}.e.e", "receipt"),
    ],
    ids=["key", "log", "signature", "malformed"],
)
def test_one_that_cannot_be_counted_is_an_alarm_until_it_is_acknowledged(
    scene: Scene, token: str, words: str
) -> None:
    flags = "--receipts", str(scene.shell.write("receipts/1.json", {"receipt": token}).parent)
    assert scene.kinds(*flags) == ["receipt"]
    papers = scene.papers("receipt")
    alarm = json.loads(papers["alarm.json"])
    assert words in alarm["text"]
    assert "1.json" in alarm["text"]
    assert not alarm["is_provable"]
    assert papers["receipts"].decode().split() == [token]
    assert scene.kinds(*flags) == ["receipt"], "it stands"
    assert scene.kinds(*flags, "--acknowledge", code=0) == []
    assert scene.kinds(*flags, code=0) == [], "known for good"
    scene.shell.write("receipts/2.json", {"receipt": by_a_key_of_the_day(ELSEWHERE)})
    assert scene.kinds(*flags) == ["receipt"], "another one"


def test_many_are_one_alarm(scene: Scene) -> None:
    some = events(9_000, 9_100, age_ms=100_000)
    path = scene.shell.write("receipts.txt", "\n".join(map(by_a_key_of_the_day, some)))
    assert scene.kinds("--receipts", str(path)) == ["receipt"]
    assert "receipts: 100" in json.loads(scene.papers("receipt")["alarm.json"])["text"]


def test_one_that_is_told_while_the_log_is_away_is_told_once_it_is_back(scene: Scene) -> None:
    flags = "--receipts", str(scene.shell.write("receipts.txt", by_a_key_of_the_day(LOST)))
    assert scene.look().code == 0
    scene.server.lie = on("checkpoint", lambda _: httpx.Response(503))
    assert scene.look(*flags).code == 8
    scene.server.lie = on("nothing", lambda answer: answer)
    assert scene.kinds(*flags) == ["receipt"]


def told(scene: Scene) -> dict[str, str]:
    """What the monitor's file remembers of those that it could not count."""
    return parse_state((scene.shell.folder / "state.json").read_bytes()).uncounted


def test_those_that_were_told_are_remembered_as_long_as_their_files_have_them(scene: Scene) -> None:
    first = scene.shell.write("receipts/1.txt", by_a_key_of_the_day(LOST))
    second = scene.shell.write("receipts/2.txt", by_a_key_of_the_day(ELSEWHERE))
    flags = "--receipts", str(first.parent)
    assert scene.kinds(*flags) == ["receipt"]
    assert sorted(told(scene).values()) == [f"{first}", f"{second}"]
    assert scene.kinds("--acknowledge", code=0) == []
    assert len(told(scene)) == 2, "they are there, though this look was not told where"
    first.unlink()
    assert scene.kinds(*flags, code=0) == []
    assert list(told(scene).values()) == [f"{second}"]
    moved = second.rename(second.with_name("3.txt"))
    assert scene.kinds(*flags, code=0) == [], "known by what it says, wherever it is"
    assert list(told(scene).values()) == [f"{moved}"]
    moved.write_text(receipt(scene.past[0]))
    scene.look(*flags)
    assert told(scene) == {}


def test_what_is_no_receipt_is_news(scene: Scene) -> None:
    path = scene.shell.write("receipts/README", "Receipts are kept here.")
    assert any("holds no receipt" in one for one in news(scene, "--receipts", str(path.parent)))
    assert scene.kinds("--receipts", str(path.parent), code=0) == []


def promising(scene: Scene, seconds: Any) -> None:
    def told(answer: httpx.Response) -> httpx.Response:
        return httpx.Response(200, json={**answer.json(), "merge_delay_seconds": seconds})

    scene.server.lie = on("partner-gateway", told)


def test_a_promise_that_becomes_worse_is_told_and_does_not_count(scene: Scene) -> None:
    assert news(scene) == []
    promising(scene, 604_800)
    (lost,) = events(8_600, 8_601, age_ms=100_000)
    flags = kept(scene, lost)
    told = news(scene, *flags)
    assert any("604800 s" in one and "60 s" in one for one in told), told
    assert scene.kinds(*flags) == ["receipt"]
    assert not any("604800" in one for one in news(scene, *flags)), "told once"
    assert scene.kinds(*flags, "--promise", "7d", "--acknowledge", code=0) == []


def test_one_that_is_unusual_from_the_first_look_on_is_told(scene: Scene) -> None:
    promising(scene, 604_800)
    assert any("604800 s" in one for one in news(scene))
    promising(scene, 30)
    assert any("30 s" in one for one in news(scene))
    promising(scene, 604_800)
    assert any("604800 s" in one and "30 s" in one for one in news(scene)), "the best one counts"


def test_a_state_of_before_has_neither(scene: Scene) -> None:
    assert scene.look().code == 0
    path = scene.shell.folder / "state.json"
    whole = json.loads(path.read_bytes())
    for name in ("uncounted", "promise_ms", "promise_told_ms"):
        del whole[name]
    state = parse_state(json.dumps(whole).encode())
    assert (state.uncounted, state.promise_ms, state.promise_told_ms) == ({}, 0, 0)
    assert parse_state(format_state(state)) == state
    whole["uncounted"] = ["a" * 32]
    assert parse_state(json.dumps(whole).encode()).uncounted == {"a" * 32: ""}
