import asyncio
import time

import pytest

from gateway.cli.exits import Exit
from tests.unit.gateway.cli.conftest import Desk
from tests.unit.gateway.erasing.stage import BODY, send, worked_off

OF = ("--partner", "acme")


@pytest.fixture
async def refs(desk: Desk) -> list[str]:
    """Two events that the log has."""
    return [await send(desk.house, BODY.replace(b"4711", b"%d" % number)) for number in (1, 2)]


async def test_events_are_erased_once_that_was_asked(desk: Desk, refs: list[str]) -> None:
    erase = ("erasures", "create", *refs, *OF, "--basis", "case 17")
    dry = await desk.run(*erase, "--dry-run")
    assert (dry.code, dry.out) == (Exit.DONE, "2 would be erased, 0 held, 0 not there\n")
    unasked = await desk.run(*erase)
    assert unasked.code == Exit.USAGE
    done = await desk.run(*erase, "--yes")
    assert (done.code, done.out.split("  ")[1:]) == (Exit.DONE, ["done", "2 erased\n"])
    listed = await desk.run("erasures", "list", *OF, "--json")
    [one] = listed.document()["items"]
    assert (one["basis"], one["erased"]) == ("case 17", 2)
    shown = await desk.run("erasures", "show", one["id"], *OF)
    assert shown.out == f"{one['id']}  done  2 erased\n"
    timeline = await desk.run("history", "show", refs[0], *OF, "--json")
    assert timeline.document()["erased"]["basis"] == "case 17"
    missing = await desk.run("erasures", "show", "ers_" + "a" * 26, *OF)
    assert missing.code == Exit.NOT_FOUND


async def test_a_hold_is_set_listed_and_lifted_and_wins(desk: Desk, refs: list[str]) -> None:
    made = await desk.run("holds", "set", refs[0], *OF, "--basis", "case 1")
    assert (made.code, made.out.split("  ")[1:]) == (Exit.DONE, ["in force", "1 events\n"])
    everything = await desk.run("holds", "set", "--all", *OF, "--basis", "case 2", "--dry-run")
    assert everything.out.endswith("would be in force  everything\n")
    name = made.out.split("  ")[0]
    refused = await desk.run("erasures", "create", *refs, *OF, "--basis", "case 17", "--yes")
    assert (refused.code, name in refused.err) == (Exit.CONFLICT, True)
    waits = await desk.run(
        "erasures", "create", *refs, *OF, "--basis", "case 17", "--yes", "--wait-for-holds"
    )
    assert (waits.code, waits.out.split("  ")[1:]) == (Exit.CONFLICT, ["held", "1 erased, 1 held\n"])
    listed = await desk.run("holds", "list", *OF)
    assert ("1 events" in listed.out, "case 1" in listed.out) == (True, True)
    unasked = await desk.run("holds", "lift", name, *OF, "--basis", "over")
    assert unasked.code == Exit.USAGE
    lifted = await desk.run("holds", "lift", name, *OF, "--basis", "over", "--yes")
    assert (lifted.code, lifted.out) == (Exit.DONE, f"{name}  lifted  1 events\n")
    await worked_off(desk.house)
    erasure = waits.out.split("  ")[0]
    shown = await desk.run("erasures", "show", erasure, *OF)
    assert shown.out == f"{erasure}  done  2 erased\n"
    spans = await desk.run("holds", "list", *OF, "--json")
    assert [one["lifted_for"] for one in spans.document()["items"]] == ["over"]


async def test_a_time_is_watched_until_nothing_is_left_to_do(desk: Desk, refs: list[str]) -> None:
    del refs
    loop, eraser = asyncio.get_running_loop(), desk.house.world.parts.eraser
    stepped: list[bool] = []

    def pause(_: float) -> None:
        stepped.append(asyncio.run_coroutine_threadsafe(eraser.step(), loop).result(30))
        time.sleep(0.01)

    desk.shell.pause = pause
    done = await desk.run(
        "erasures", "create", "--since", "1h", "--until", "0s", *OF, "--basis", "case 17", "--yes"
    )
    assert (done.code, "done" in done.out, "2 erased" in done.out) == (Exit.DONE, True, True)
    assert stepped


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("erasures", "list"), "--partner"),
        (("holds", "list"), "--partner"),
        (("holds", "set", *OF, "--basis", "x"), "hold what"),
        (("holds", "set", "evt_x", "--all", *OF, "--basis", "x"), "hold what"),
        (("erasures", "create", *OF, "--basis", "x", "--yes"), "refs"),
        (("erasures", "create", "evt_x", *OF, "--basis", "x", "--yes"), "refs"),
        (("erasures", "create", "--since", "1h", *OF, "--basis", "x", "--yes"), "since and until"),
    ],
)
async def test_what_is_not_said_is_asked_for(desk: Desk, words: tuple[str, ...], said: str) -> None:
    ended = await desk.run(*words)
    assert (ended.code, said in ended.err) == (Exit.USAGE, True), ended.err
