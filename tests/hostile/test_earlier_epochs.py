"""A receipt whose entry lies in an epoch that was over before: proved under the end that the chain names."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from audit.checkpoint import Checkpoint
from audit.evidence import Evidence
from tests.hostile.log_server import Tree, events, on, opening, receipt, ref_of
from tests.hostile.test_lying_logs import Scene, kept, other, previous
from tests.unit.audit.builders import LOG
from tests.unit.gateway.cli.conftest import Shell

FIRST = tuple(events(0, 20, age_ms=100_000))
SECOND = tuple(events(200, 205, age_ms=100_000))
OURS = (FIRST[3], SECOND[2])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(Shell(tmp_path))
    one.server.grow(FIRST)
    yield one
    for tree in one.server.trees:
        tree.session.close()


def begin(scene: Scene, epoch: int, *some: Evidence, end: Checkpoint | None = None) -> None:
    """Begin an epoch that names the end of the one before it, or another end."""
    before = scene.server.tree
    named = previous(before) if end is None else previous(before, end.size, end.root)
    scene.server.trees.append(Tree(f"{LOG}/{epoch}").grow([opening(epoch, named), *some]))


def included(scene: Scene, *flags: str) -> int:
    ended = scene.look(*flags)
    assert ended.code == 0, ended.out
    return int(json.loads(ended.out.splitlines()[-1])["receipts"]["included"])


def test_a_monitor_that_begins_anew_finds_receipts_of_every_epoch(scene: Scene) -> None:
    begin(scene, 2, *SECOND)
    begin(scene, 5)
    flags = kept(scene, *OURS)
    assert included(scene, *flags) == 2
    asked = len([path for path in scene.server.asked if path.endswith("/proof")])
    assert included(scene, *flags) == 2
    assert len([path for path in scene.server.asked if path.endswith("/proof")]) == asked, "found for good"


def test_so_does_one_that_has_followed_them_and_hears_of_receipts_later(scene: Scene) -> None:
    assert scene.look().code == 0
    begin(scene, 2, *SECOND)
    begin(scene, 5)
    assert scene.look().code == 0
    assert included(scene, *kept(scene, *OURS)) == 2


def test_an_alarm_of_before_rests_once_it_is_acknowledged(scene: Scene) -> None:
    begin(scene, 2, *SECOND)
    flags = kept(scene, *OURS)
    scene.server.lie = on("/proof", lambda _: httpx.Response(404, json={}))
    assert set(scene.kinds(*flags)) == {"receipt"}
    scene.server.lie = on("nothing", lambda answer: answer)
    assert scene.kinds(*flags, "--acknowledge", code=0) == []


def test_an_earlier_epoch_that_is_shown_otherwise_than_it_ended_proves_nothing(scene: Scene) -> None:
    begin(scene, 2)
    # The event is put into the epoch that is over, signed anew by the log's own key.
    late = other(0)
    for forged in ([*FIRST[:7], late, *FIRST[8:]], [*FIRST, late]):
        scene.server.trees[0] = Tree().grow(forged)
        assert scene.kinds(*kept(scene, late)) == ["receipt"]
        (scene.shell.folder / "state.json").unlink()


def test_a_tree_of_one_entry_that_is_signed_besides_proves_nothing(scene: Scene) -> None:
    """The log's own key signs it, and it is served with the proof alone; all else shows the whole epoch."""
    dropped, aside = other(2), Tree().grow([other(2)])
    begin(scene, 2)

    def forge(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if not request.url.path.endswith("/proof"):
            return answer
        return httpx.Response(200, content=aside.proof(ref_of(receipt(dropped)), scene.server.note(aside)))

    scene.server.lie = forge
    assert scene.kinds(*kept(scene, dropped)) == ["receipt"]
    aside.session.close()


def test_nor_does_one_by_which_an_epoch_in_between_names_another_end(scene: Scene) -> None:
    stray = other(3)
    forged = Tree().grow([*FIRST, stray])
    begin(scene, 2, *SECOND)
    begin(scene, 3)
    lying = Tree(f"{LOG}/2").grow([opening(2, previous(forged))])
    scene.server.trees[0], scene.server.trees[1] = forged, lying
    assert scene.kinds(*kept(scene, stray)) == ["receipt"]


def test_a_smaller_checkpoint_counts_that_the_end_is_shown_to_continue(scene: Scene) -> None:
    end = scene.server.tree.checkpoint()
    begin(scene, 2)
    early = Tree().grow(FIRST[:7])

    def answered(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if not request.url.path.endswith("/proof"):
            return answer
        return httpx.Response(200, content=early.proof(ref_of(receipt(FIRST[3])), scene.server.note(early)))

    assert early.checkpoint().size < end.size
    scene.server.lie = answered
    assert included(scene, *kept(scene, FIRST[3])) == 1
    early.session.close()


def test_what_a_restore_has_left_of_an_epoch_proves_nothing_to_who_has_not_seen_more(scene: Scene) -> None:
    """Nobody can show any more that it is how the epoch began: it may have been made afterwards."""
    whole = Tree().grow([*FIRST, *events(20, 30)]).checkpoint()
    begin(scene, 2, end=whole)
    flags = kept(scene, FIRST[3])
    ended = scene.look(*flags)
    assert ended.code == 9
    assert f"of the 30 entries that {LOG}/1 ended with, 20 are left, and nothing shows that" in ended.out
    assert not json.loads(scene.papers("receipt")["alarm.json"])["is_provable"]
    assert scene.kinds(*flags, "--acknowledge", code=0) == []
    begin(scene, 3)
    assert scene.kinds(*flags, code=0) == []


def test_nor_does_what_lies_before_an_epoch_of_which_something_is_lost(scene: Scene) -> None:
    begin(scene, 2)
    whole = Tree(f"{LOG}/2").grow([opening(2, previous(scene.server.trees[0])), *SECOND]).checkpoint()
    begin(scene, 3, end=whole)
    ended = scene.look(*kept(scene, FIRST[3]))
    assert ended.code == 9
    assert f"of the 6 entries that {LOG}/2 ended with some are lost, and nothing shows that" in ended.out
    assert not json.loads(scene.papers("receipt")["alarm.json"])["is_provable"]


def test_who_followed_it_before_keeps_what_was_found(scene: Scene) -> None:
    flags = kept(scene, FIRST[3])
    assert included(scene, *flags) == 1
    begin(scene, 2, end=Tree().grow([*FIRST, *events(20, 30)]).checkpoint())
    scene.look(*flags, "--acknowledge")
    own = json.loads((scene.shell.folder / "state.json").read_bytes())["receipts"]
    assert [one[4] for one in own.values()] == [3]


def test_an_epoch_that_the_chain_passes_over_proves_nothing(scene: Scene) -> None:
    stray = other(1)
    first = scene.server.tree
    scene.server.trees.append(Tree(f"{LOG}/2").grow([opening(2, previous(first)), stray]))
    scene.server.trees.append(Tree(f"{LOG}/3").grow([opening(3, previous(first))]))
    assert scene.kinds(*kept(scene, stray)) == ["receipt"]
