"""A receipt whose entry lies in an epoch that was over before: proved under the end that the chain names."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from audit.checkpoint import Checkpoint
from audit.evidence import Evidence
from tests.hostile.log_server import Tree, events, on, opening
from tests.hostile.test_lying_logs import Scene, kept, other, previous
from tests.unit.audit.builders import LOG, OTHER_SIGNER
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


@pytest.mark.parametrize("is_signed", [True, False])
def test_what_a_restore_has_left_of_an_epoch_counts_where_the_log_has_signed_it(
    scene: Scene, *, is_signed: bool
) -> None:
    whole = Tree().grow([*FIRST, *events(20, 30)]).checkpoint()
    begin(scene, 2, end=whole)
    if not is_signed:
        scene.server.lie = on("/log/.*/1/checkpoint", lambda _: signed_by_another(scene))
    flags = kept(scene, FIRST[3])
    if is_signed:
        assert included(scene, *flags) == 1
    else:
        begin(scene, 3)
        scene.server.lie = on("/proof", lambda answer: by_another(scene, answer))
        assert scene.kinds(*flags) == ["receipt"]


def signed_by_another(scene: Scene) -> httpx.Response:
    scene.server.signer, signer = OTHER_SIGNER, scene.server.signer
    note = scene.server.note(scene.server.trees[0])
    scene.server.signer = signer
    return httpx.Response(200, content=note)


def by_another(scene: Scene, answer: httpx.Response) -> httpx.Response:
    """The same proof under a checkpoint that a key signed which nobody trusts."""
    head = answer.content.partition(b"\n\n")[0]
    return httpx.Response(200, content=head + b"\n\n" + signed_by_another(scene).content)


def test_an_epoch_that_the_chain_passes_over_proves_nothing(scene: Scene) -> None:
    stray = other(1)
    first = scene.server.tree
    scene.server.trees.append(Tree(f"{LOG}/2").grow([opening(2, previous(first)), stray]))
    scene.server.trees.append(Tree(f"{LOG}/3").grow([opening(3, previous(first))]))
    assert scene.kinds(*kept(scene, stray)) == ["receipt"]
