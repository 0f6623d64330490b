"""Whoever is slow, refuses or is ahead of time keeps nothing from being found out; whoever is busy may be."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from audit.checkpoint import Checkpoint
from audit.evidence import Evidence
from tests.hostile.log_server import Answers, changed, events, on, opening, receipt, ref_of
from tests.hostile.test_lying_logs import KNOWN, THEN, Scene, altered, kept, previous, reopened
from tests.unit.audit.builders import LOG
from tests.unit.gateway.cli.conftest import Shell

BOUND = ("--most-entries", "1")
"""A bundle a look."""


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(Shell(tmp_path))
    one.begin()
    yield one
    for tree in one.server.trees:
        tree.session.close()


def unread(scene: Scene, *flags: str, code: int = 0) -> int:
    """Look; how many entries are left to read."""
    ended = scene.look(*flags)
    assert ended.code == code, ended.out + ended.err
    return int(json.loads(ended.out.splitlines()[-1])["unread_entries"])


def refusing(*some: Evidence, status: int = 503) -> Answers:
    """No proof of these."""
    refs = [ref_of(receipt(one)) for one in some]

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        path = request.url.path
        is_refused = path.endswith("/proof") and any(ref in path for ref in refs)
        return httpx.Response(status) if is_refused else answer

    return lie


# Receipts


def test_a_receipt_of_a_time_that_has_not_come_is_told_and_its_entry_missed_all_the_same(
    scene: Scene,
) -> None:
    (mine,) = events(9_000, 9_001, age_ms=-10 * 365 * 86_400_000)
    flags = kept(scene, mine)
    assert scene.kinds(*flags) == ["receipt"]
    assert "ahead of this machine's clock" in json.loads(scene.papers("receipt")["alarm.json"])["text"]
    assert scene.kinds(*flags, "--acknowledge", code=0) == [], "it is told once"
    path = scene.shell.folder / "state.json"
    state = json.loads(path.read_bytes())
    state["receipts"][ref_of(receipt(mine))][5] -= 100_000
    path.write_text(json.dumps(state))
    assert scene.kinds(*flags) == ["receipt"], "missed by the time at which it was first seen"


def test_one_that_is_a_little_ahead_is_none(scene: Scene) -> None:
    (mine,) = events(9_010, 9_011, age_ms=-30_000)
    assert scene.kinds(*kept(scene, mine), code=0) == []


def test_a_state_of_before_knows_by_when_its_receipts_were_seen(scene: Scene) -> None:
    (mine,) = events(9_020, 9_021, age_ms=-10 * 365 * 86_400_000)
    path = scene.shell.folder / "state.json"
    scene.look(*kept(scene, mine))
    state = json.loads(path.read_bytes())
    values = state["receipts"][ref_of(receipt(mine))]
    del values[5:]
    state["looked_at"] -= 100_000
    state["alarms"] = []
    path.write_text(json.dumps(state))
    assert scene.kinds() == ["receipt"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_proof_that_is_refused_keeps_nothing_of_the_others_from_being_told(
    scene: Scene, status: int
) -> None:
    dropped, other = events(9_100, 9_102, age_ms=100_000)
    scene.server.lie = refusing(dropped, status=status)
    flags = kept(scene, dropped, other)
    assert [scene.kinds(*flags) for _ in range(3)] == [["receipt"]] * 3


@pytest.mark.parametrize(("age_ms", "codes"), [(200_000, [8, 8, 9, 9]), (90_000, [8, 8, 8, 8])])
def test_a_proof_that_is_refused_over_and_over_is_no_excuse_once_the_event_is_long_overdue(
    scene: Scene, age_ms: int, codes: list[int]
) -> None:
    dropped = events(9_200, 9_201, age_ms=age_ms)
    scene.server.lie = refusing(*dropped)
    flags = kept(scene, *dropped)
    assert [scene.look(*flags).code for _ in codes] == codes
    if codes[-1] == 9:
        assert not json.loads(scene.papers("receipt")["alarm.json"])["is_provable"]


def test_a_gateway_that_answers_a_few_proofs_a_look_is_busy_and_no_liar(scene: Scene) -> None:
    late = events(9_300, 9_320, age_ms=200_000)
    scene.server.grow(late)
    assert scene.look().code == 0
    left = 0

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        nonlocal left
        if not request.url.path.endswith("/proof"):
            return answer
        left -= 1
        return answer if left >= 0 else httpx.Response(429)

    scene.server.lie = lie
    flags = kept(scene, *late)
    codes: list[int] = []
    while not codes or (codes[-1] == 8 and len(codes) < 20):
        left = 4
        codes.append(scene.look(*flags).code)
    assert codes == [8, 8, 8, 8, 0]


# Entries that are read over several looks


def test_what_is_too_much_for_one_look_is_read_on_in_the_next(scene: Scene) -> None:
    (mine,) = events(9_400, 9_401, age_ms=100_000)
    scene.server.grow([*scene.past[KNOWN:400], mine, *scene.past[400:THEN]])
    flags = (*BOUND, *kept(scene, mine))
    size = scene.server.tree.checkpoint().size
    assert unread(scene, *flags) == size - 512
    scene.server.grow(events(9_500, 9_800))
    looked = json.loads(scene.look(*flags).out.splitlines()[-1])
    assert (looked["size"], looked["unread_entries"]) == (size, size + 300 - 768), "first what was begun"
    looked = json.loads(scene.look(*flags).out.splitlines()[-1])
    assert (looked["size"], looked["receipts"]) == (size + 300, {"included": 1, "waiting": 0})
    assert looked["unread_entries"] == 0


def test_it_says_for_people_how_far_it_has_come(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    scene.shell.transport = scene.server
    state = str(scene.shell.folder / "state.json")
    ended = scene.shell.run(
        "monitor", "--state", state, "--once", "--url", "http://127.0.0.1:8080", "--most-entries", "1"
    )
    assert ended.code == 0
    assert "read up to 512 of 600 entries" in ended.err


def test_what_is_served_slowly_is_judged_by_what_was_read_in_time(scene: Scene) -> None:
    """A size that would take days, signed, and each bundle as slow as may be."""
    scene.server.grow(scene.past[KNOWN:THEN])
    huge = scene.server.note(checkpoint=Checkpoint(f"{LOG}/1", 10_000_000, bytes(32)))
    time = 0.0

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        nonlocal time
        if request.url.path.endswith("/checkpoint"):
            return httpx.Response(200, content=huge)
        time += 20.0 if "entries" in request.url.path else 0.0
        return answer

    scene.server.lie = lie
    scene.shell.ticks = lambda: time
    assert unread(scene, "--most-time", "15s") == 10_000_000 - 512
    (lost,) = events(9_600, 9_601, age_ms=100_000)
    # The next bundle is none of ten million: the entries that are signed are not handed out.
    assert set(scene.kinds("--most-time", "15s", *kept(scene, lost))) == {"entries", "receipt"}


def test_while_it_reads_on_it_tells_what_is_stale_and_what_is_dropped(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    (lost,) = events(9_700, 9_701, age_ms=100_000)
    assert scene.kinds(*BOUND, *kept(scene, lost, scene.past[5])) == ["receipt"]
    scene.server.grow(events(9_710, 10_300))
    scene.server.vouches = False
    assert set(scene.kinds(*BOUND)) == {"receipt", "stale"}


@pytest.mark.parametrize("lie", [None, altered])
def test_a_history_that_was_rewritten_is_a_fork_however_little_is_read_at_once(
    scene: Scene, lie: Callable[[list[Evidence]], list[Evidence]] | None
) -> None:
    whole = [*scene.past, *events(9_800, 10_000)]
    if lie is None:
        scene.server.grow(whole[KNOWN:])
    else:
        scene.replaced(lie(whole))
    codes = [scene.look(*BOUND).code for _ in range(4)]
    assert codes[-1] == (0 if lie is None else 9)
    if lie is not None:
        assert scene.kinds(*BOUND) == ["fork"]


def test_another_log_of_the_size_that_is_being_read_is_a_fork(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    assert unread(scene, *BOUND) == THEN - 512
    other = scene.server.note(checkpoint=Checkpoint(f"{LOG}/1", THEN, bytes(32)))
    scene.server.lie = on("checkpoint", changed(lambda _: other))
    assert scene.kinds(*BOUND) == ["fork"]
    assert json.loads(scene.papers("fork")["alarm.json"])["is_provable"]


def test_an_epoch_that_is_over_is_read_to_its_end_before_the_next_is_followed(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    reopened(scene, opening(2, previous(scene.server.tree)), *events(9_900, 9_905))
    assert unread(scene, *BOUND) == THEN - 512
    looked = json.loads(scene.look(*BOUND).out.splitlines()[-1])
    assert (looked["log"], looked["size"], looked["unread_entries"]) == (f"{LOG}/2", 6, 0)


def begun_anew(scene: Scene) -> None:
    """A monitor that has read a part of its first checkpoint, and kept none."""
    (scene.shell.folder / "state.json").unlink()
    scene.server.grow(scene.past[KNOWN:THEN])
    assert unread(scene, *BOUND) == THEN - 256


def test_an_epoch_that_ends_while_it_is_read_for_the_first_time_is_read_to_its_end(scene: Scene) -> None:
    (mine,) = events(9_850, 9_851, age_ms=100_000)
    begun_anew(scene)
    reopened(scene, opening(2, previous(scene.server.tree)), mine)
    flags = (*BOUND, *kept(scene, mine))
    assert unread(scene, *flags) == THEN - 512, "a proof out of the next epoch is not of another log"
    looked = json.loads(scene.look(*flags).out.splitlines()[-1])
    assert (looked["log"], looked["size"], looked["unread_entries"]) == (f"{LOG}/2", 2, 0)
    assert looked["receipts"] == {"included": 1, "waiting": 0}


def test_a_log_that_is_gone_while_it_is_read_for_the_first_time_is_missing(scene: Scene) -> None:
    begun_anew(scene)
    scene.server.lie = on("checkpoint", lambda _: httpx.Response(404))
    assert scene.kinds(*BOUND) == ["missing"]
    told = json.loads(scene.papers("missing")["alarm.json"])
    assert f"{THEN} entries of it were signed" in told["text"]


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("left", [450, None])
def test_what_was_signed_and_not_read_yet_is_missed_where_the_next_epoch_follows_without_it(
    scene: Scene, left: int | None, *, is_first: bool
) -> None:
    """`left`: entries of the old epoch after a restore; None: it is gone."""
    if is_first:
        begun_anew(scene)
    else:
        scene.server.grow(scene.past[KNOWN:THEN])
        assert unread(scene, *BOUND) == THEN - 512
    end = previous(scene.server.tree)
    if left is not None:
        scene.replaced(scene.past[:left])
        end = previous(scene.server.tree)
    reopened(scene, opening(2, end))
    if left is None:
        del scene.server.trees[0]
    assert [scene.kinds(*BOUND) for _ in range(2)] == [["epoch"]] * 2
    told = json.loads(scene.papers("epoch")["alarm.json"])
    assert told["is_provable"]
    assert f"{left or 0} entries are left, and {THEN} were signed" in told["text"]
    scene.look("--acknowledge")
    looked = json.loads(scene.look(*BOUND).out.splitlines()[-1])
    assert (looked["log"], looked["size"], looked["alarms"]) == (f"{LOG}/2", 1, [])


@pytest.mark.parametrize(
    "damage",
    [
        {"size": 511},
        {"size": 0, "edge": []},
        {"size": 1024},
        {"found": {"evt": -1}},
        {"note": "none"},
        {"edge": []},
    ],
)
def test_a_state_whose_reading_is_damaged_is_refused(scene: Scene, damage: dict[str, object]) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    assert unread(scene, *BOUND) == THEN - 512
    path = scene.shell.folder / "state.json"
    state = json.loads(path.read_bytes())
    state["reading"] |= damage
    path.write_text(json.dumps(state))
    assert scene.look().code == 2
