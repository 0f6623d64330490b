"""A log that lies is found out, whichever way it lies; one that does not is left alone."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from audit.checkpoint import Checkpoint
from audit.evidence import Evidence
from audit.tile import decode_bundle, encode_bundle
from tests.hostile import log_server
from tests.hostile.log_server import (
    LogServer,
    Tree,
    as_gzip,
    bomb,
    changed,
    endless,
    events,
    on,
    opening,
    receipt,
    ref_of,
)
from tests.unit.audit.builders import LOG, OTHER_SIGNER, evidence
from tests.unit.gateway.cli.conftest import Ended, Shell

KNOWN = 300
"""Entries that the monitor has seen before the lie: more than a tile."""

THEN = 600
"""Entries that the log has by the time of the lie."""


PAST = tuple(events(0, THEN))


@dataclass
class Scene:
    """A monitor at work, and the server that it watches."""

    shell: Shell
    server: LogServer = field(default_factory=LogServer)
    past: list[Evidence] = field(default_factory=lambda: list(PAST))

    def look(self, *more: str) -> Ended:
        self.shell.transport = self.server
        self.shell.environ["GATEWAY_KEY"] = "gw_test"
        state = str(self.shell.folder / "state.json")
        return self.shell.run("monitor", "--state", state, "--once", "--json", "--url", log_server.URL, *more)

    def begin(self) -> None:
        self.server.grow(self.past[:KNOWN])
        assert self.look().code == 0

    def replaced(self, *some: Sequence[Evidence]) -> None:
        """The server shows another log from now on, signed by the same keys."""
        tree = Tree()
        for each in some:
            tree.grow(each)
        self.server.trees = [tree]

    def kinds(self, *more: str, code: int = 9) -> list[str]:
        """What it is alarmed by, all in all."""
        ended = self.look(*more)
        assert ended.code == code, ended.err
        found = [json.loads(line) for line in ended.out.splitlines()]
        looked = [one for one in found if one["event"] == "looked"]
        return [one["kind"] for one in looked[-1]["alarms"]]

    def papers(self, alarm: str) -> dict[str, bytes]:
        (folder,) = (self.shell.folder / "state.json.alarms").glob(f"*-{alarm}")
        return {one.name: one.read_bytes() for one in folder.iterdir()}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(Shell(tmp_path))
    one.begin()
    yield one
    for tree in one.server.trees:
        tree.session.close()


def other(number: int) -> Evidence:
    return evidence(10_000 + number)


def test_an_honest_log_never_alarms(scene: Scene) -> None:
    for end in (KNOWN, KNOWN + 1, 512, 513, THEN):
        size = scene.server.tree.checkpoint().size
        scene.server.grow(scene.past[size:end])
        assert scene.kinds(code=0) == []


def dropped(past: list[Evidence]) -> list[Evidence]:
    return past[:100] + past[101:]


def altered(past: list[Evidence]) -> list[Evidence]:
    return [*past[:100], other(0), *past[101:]]


def reordered(past: list[Evidence]) -> list[Evidence]:
    return [*past[:100], past[101], past[100], *past[102:]]


@pytest.mark.parametrize("rewrite", [dropped, altered, reordered])
@pytest.mark.parametrize("size", [KNOWN, KNOWN + 1, 512, THEN])
def test_a_history_that_was_rewritten_and_signed_anew_is_a_fork(
    scene: Scene, rewrite: Callable[[list[Evidence]], list[Evidence]], size: int
) -> None:
    scene.replaced(rewrite(events(0, THEN + 1))[:size])
    # Other salts: what is kept of the history before is what this log must be held against.
    assert scene.kinds() == ["fork"]


@pytest.mark.parametrize("rewrite", [dropped, altered, reordered])
def test_a_fork_is_proved_to_others_by_what_is_kept_of_it(
    scene: Scene, rewrite: Callable[[list[Evidence]], list[Evidence]]
) -> None:
    scene.replaced(rewrite([*scene.past, other(1)])[:THEN])
    assert scene.kinds() == ["fork"]
    papers = scene.papers("fork")
    assert json.loads(papers["alarm.json"])["is_provable"]
    paths = {name: str(scene.shell.write(f"paper-{name}", raw)) for name, raw in papers.items()}
    key = scene.server._me()["logs"][0]["keys"][0]
    ended = scene.shell.run(
        "verify", "--old", paths["known"], "--consistency", paths["growth"], "--log-key", key
    )
    assert ended.code == 9
    assert "does not lead to" in ended.out
    assert scene.shell.run("verify", paths["known"], "--log-key", key).code == 0
    assert scene.shell.run("verify", paths["shown"], "--log-key", key).code == 0


@pytest.mark.parametrize("size", [0, 1, 255, 256, KNOWN - 1])
def test_a_log_that_went_back_is_a_rollback(scene: Scene, size: int) -> None:
    scene.replaced(scene.past[:size])
    assert scene.kinds() == ["rollback"]


def test_an_old_checkpoint_that_is_shown_again_is_a_rollback(scene: Scene) -> None:
    old = scene.server.note()
    scene.server.grow(scene.past[KNOWN:THEN])
    assert scene.look().code == 0
    scene.server.lie = on("checkpoint", changed(lambda _: old))
    assert scene.kinds() == ["rollback"]


def test_an_old_size_that_is_signed_anew_with_another_root_is_a_fork(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    assert scene.look().code == 0
    scene.replaced(altered(scene.past)[:KNOWN])
    assert scene.kinds() == ["fork"]


def test_an_entry_that_is_dropped_changed_or_moved_among_those_handed_out_is_found(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])

    def lying(lie: Callable[[tuple[bytes, ...]], list[bytes]]) -> Callable[[bytes], bytes]:
        return lambda raw: encode_bundle(lie(decode_bundle(raw)))

    lies: tuple[Callable[[tuple[bytes, ...]], list[bytes]], ...] = (
        lambda leaves: [*leaves[:5], *leaves[6:], leaves[5][:-2] + b"?\n"],
        lambda leaves: [*leaves[:-2], leaves[-1], leaves[-2]],
        lambda leaves: [*leaves[:-1], other(0).leaf()],
    )
    for lie in lies:
        for bundle in ("001", "002"):
            scene.server.lie = on(f"entries/{bundle}", changed(lying(lie)))
            assert scene.kinds() == ["entries"]
    scene.server.lie = lambda _, answer: answer
    assert scene.kinds() == ["entries"], "what alarmed once stands"
    assert scene.kinds("--acknowledge", code=0) == []


@pytest.mark.parametrize("raw", [b"", b"\x00", b"\x00\x05abc", encode_bundle([b"x"] * 3)])
def test_what_is_no_bundle_is_an_unfit_answer(scene: Scene, raw: bytes) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    scene.server.lie = on("entries", changed(lambda _: raw))
    assert scene.kinds() == ["answer"]


def test_entries_that_are_signed_and_not_handed_out_are_found(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    scene.server.lie = on("entries/002", lambda _: httpx.Response(404))
    assert scene.kinds() == ["entries"]


@pytest.mark.parametrize("tile", ["tile/0/001$", "tile/0/002.p", "tile/1/000.p"])
@pytest.mark.parametrize("place", [0, -1])
def test_hashes_that_are_not_those_of_the_entries_are_found(scene: Scene, tile: str, place: int) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])

    def flipped(raw: bytes) -> bytes:
        bits = bytearray(raw)
        bits[place] ^= 1
        return bytes(bits)

    scene.server.lie = on(tile, changed(flipped))
    assert scene.kinds() == ["tiles"]


def test_hashes_that_are_not_handed_out_or_of_another_number_are_found(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    scene.server.lie = on("tile/0", lambda _: httpx.Response(404))
    assert scene.kinds() == ["tiles"]
    scene.server.lie = on("tile/0", changed(lambda raw: raw[:-32]))
    assert scene.kinds() == ["tiles", "answer"]


def test_a_checkpoint_of_another_partner_s_log_is_found(scene: Scene) -> None:
    foreign = Tree(origin="gw.example/log/other/1")
    foreign.grow([evidence(1, log="gw.example/log/other")])
    note = scene.server.note(foreign)
    scene.server.lie = on("checkpoint", changed(lambda _: note))
    assert scene.kinds() == ["other_log"]


def test_a_checkpoint_that_no_trusted_key_signed_is_found(scene: Scene) -> None:
    scene.server.signer = OTHER_SIGNER
    assert scene.kinds() == ["signature"]


def test_a_signature_that_does_not_fit_is_found(scene: Scene) -> None:
    scene.server.lie = on("checkpoint", changed(lambda raw: raw.replace(b"\n300\n", b"\n301\n")))
    assert scene.kinds() == ["signature"]


@pytest.mark.parametrize("off", [-75, -3_600, 75])
def test_time_that_stands_still_or_runs_ahead_is_stale(scene: Scene, off: int) -> None:
    scene.server.off = off
    assert scene.kinds() == ["stale"]
    assert scene.shell.pauses == [3.0, 6.0], "it looks again before it alarms"


def test_a_checkpoint_that_nobody_vouches_for_is_stale(scene: Scene) -> None:
    scene.server.vouches = False
    assert scene.kinds() == ["stale"]


def test_a_vouching_line_that_is_forged_is_found(scene: Scene) -> None:
    def forged(raw: bytes) -> bytes:
        head, _, line = raw.rpartition(b"\xe2\x80\x94 ")
        name, _, blob = line.partition(b" ")
        return head + b"\xe2\x80\x94 " + name + b" " + blob[:-6] + b"AA==\n"

    scene.server.lie = on("checkpoint", changed(forged))
    assert scene.kinds() in (["signature"], ["answer"])


def test_a_log_that_is_gone_is_missing(scene: Scene) -> None:
    scene.server.lie = on("/log/", lambda _: httpx.Response(404))
    assert scene.kinds() == ["missing"]


def coded(name: str) -> httpx.Response:
    return httpx.Response(200, headers={"content-encoding": name}, stream=httpx.ByteStream(b"x"))


UNFIT: dict[str, Callable[[httpx.Response], httpx.Response]] = {
    "a redirect": lambda _: httpx.Response(302, headers={"location": "https://elsewhere.example/"}),
    "an endless body": lambda _: httpx.Response(200, content=endless()),
    "a gzip bomb": lambda _: bomb(),
    "what is no gzip": lambda _: coded("gzip"),
    "an unknown coding": lambda _: coded("br"),
    "a page": lambda _: httpx.Response(200, html="<html>Welcome</html>"),
    "nothing": lambda _: httpx.Response(200),
    "a teapot": lambda _: httpx.Response(418),
    "control characters": changed(lambda raw: raw.replace(b"\n", b"\r\n")),
    "an extension line": changed(lambda raw: raw.replace(b"\n\n", b"\nmore\n\n", 1)),
}


@pytest.mark.parametrize("name", UNFIT)
def test_an_answer_that_no_log_gives_is_told_as_one_and_ends(scene: Scene, name: str) -> None:
    scene.server.lie = on("checkpoint", UNFIT[name])
    assert scene.kinds() == ["answer"]


@pytest.mark.parametrize("path", ["entries", "tile/0"])
@pytest.mark.parametrize("name", ["a redirect", "an endless body", "a gzip bomb", "a page"])
def test_so_are_entries_and_hashes(scene: Scene, path: str, name: str) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    scene.server.lie = on(path, UNFIT[name])
    assert scene.kinds() == ["answer"]


def test_a_log_may_compress_its_entries(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:THEN])
    scene.server.lie = on("entries", as_gzip)
    assert scene.kinds(code=0) == []


def test_a_size_that_nobody_can_read_is_told_and_not_read(scene: Scene) -> None:
    huge = scene.server.note(checkpoint=Checkpoint(f"{LOG}/1", 1 << 62, bytes(32)))
    scene.server.lie = on("checkpoint", changed(lambda _: huge))
    scene.server.asked.clear()
    assert scene.kinds() == ["answer"]
    assert not any("tile" in path for path in scene.server.asked)


class Dripping(httpx.SyncByteStream):
    """A byte now and then, for ever; `ticks` is what time it is."""

    def __init__(self) -> None:
        self.time = 0.0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self.time += 9.0
            yield b"x"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_whoever_is_away_is_away_and_no_liar(scene: Scene, status: int) -> None:
    scene.server.lie = lambda _request, _answer: httpx.Response(status)
    ended = scene.look()
    assert (ended.code, json.loads(ended.out)["event"]) == (8, "away")
    scene.server.lie = lambda _request, answer: answer
    assert scene.kinds(code=0) == []


def test_what_drips_is_not_waited_for(scene: Scene) -> None:
    stream = Dripping()
    scene.server.lie = on("checkpoint", lambda _: httpx.Response(200, stream=stream))
    scene.shell.ticks = lambda: stream.time
    assert scene.look().code == 8
    assert stream.time < 60


# Receipts


def kept(scene: Scene, *some: Evidence) -> tuple[str, str]:
    """Receipts that the partner has in a folder."""
    for number, one in enumerate(some):
        scene.shell.write(f"receipts/{number}.json", {"receipt": receipt(one)})
    return "--receipts", str(scene.shell.folder / "receipts")


def test_receipts_are_found_in_what_is_new_and_in_what_was_read_before(scene: Scene) -> None:
    late = events(5_000, 5_002, age_ms=100_000)
    scene.server.grow([*scene.past[KNOWN:400], *late])
    flags = kept(scene, *late, scene.past[7])
    assert scene.kinds(*flags, code=0) == []
    looked = json.loads(scene.look(*flags).out.splitlines()[-1])
    assert looked["receipts"]["included"] >= 2


def test_an_old_receipt_is_proved_once_it_is_due(scene: Scene) -> None:
    old = events(7_000, 7_001, age_ms=100_000)
    scene.server.grow(old)
    assert scene.look().code == 0
    assert scene.kinds(*kept(scene, *old), code=0) == []
    assert any(path.endswith("/proof") for path in scene.server.asked)


def test_a_receipt_whose_event_is_not_in_the_log_in_time_is_found_and_proved(scene: Scene) -> None:
    (lost,) = events(8_000, 8_001, age_ms=100_000)
    assert scene.kinds(*kept(scene, lost)) == ["receipt"]
    papers = scene.papers("receipt")
    assert papers["receipt"].decode() == receipt(lost)
    assert json.loads(papers["alarm.json"])["is_provable"]


def test_one_that_is_not_due_yet_waits(scene: Scene) -> None:
    (new,) = events(8_100, 8_101, age_ms=1_000)
    flags = kept(scene, new)
    assert scene.kinds(*flags, code=0) == []
    scene.server.grow([new])
    looked = json.loads(scene.look(*flags).out.splitlines()[-1])
    assert looked["receipts"] == {"included": 1, "waiting": 0}


def test_what_the_history_calls_accepted_must_be_in_the_log_too(scene: Scene) -> None:
    (lost,) = events(8_200, 8_201, age_ms=100_000)
    scene.server.unlogged = [receipt(lost)]
    assert scene.kinds() == ["receipt"]


@pytest.mark.parametrize("instead", [6, 8])
def test_a_proof_of_something_else_proves_nothing(scene: Scene, instead: int) -> None:
    (lost,) = events(8_300, 8_301, age_ms=100_000)
    other_ref = ref_of(receipt(scene.past[instead]))
    proof = scene.server.tree.proof(other_ref, scene.server.note())
    mine = ref_of(receipt(lost))

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(200, content=proof) if mine in request.url.path else answer

    scene.server.lie = lie
    assert scene.kinds(*kept(scene, lost)) == ["receipt"]


def test_a_proof_under_a_forked_checkpoint_is_a_fork(scene: Scene) -> None:
    (lost,) = events(8_400, 8_401, age_ms=100_000)
    fork = Tree().grow([*altered(scene.past)[: KNOWN - 1], lost])
    mine = ref_of(receipt(lost))
    proof = fork.proof(mine, scene.server.note(fork))

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        return httpx.Response(200, content=proof) if mine in request.url.path else answer

    scene.server.lie = lie
    assert scene.kinds(*kept(scene, lost)) == ["fork"]


# Epochs


def previous(tree: Tree, size: int | None = None, root: bytes | None = None) -> dict[str, Any]:
    import base64  # noqa: PLC0415 - of this one helper

    head = tree.checkpoint()
    return {
        "origin": head.origin,
        "size": head.size if size is None else size,
        "root": base64.b64encode(root or head.root).decode(),
    }


def reopened(scene: Scene, first: Evidence, *more: Evidence) -> None:
    scene.server.trees.append(Tree(origin=f"{LOG}/2").grow([first, *more]))


def test_a_new_epoch_that_links_to_the_known_end_is_followed(scene: Scene) -> None:
    reopened(scene, opening(2, previous(scene.server.tree)), *scene.past[KNOWN : KNOWN + 5])
    ended = scene.look()
    assert ended.code == 0
    looked = json.loads(ended.out.splitlines()[-1])
    assert (looked["log"], looked["size"]) == (f"{LOG}/2", 6)


def test_so_is_one_that_links_to_an_end_behind_the_known_one(scene: Scene) -> None:
    scene.server.grow(scene.past[KNOWN:400])
    reopened(scene, opening(2, previous(scene.server.tree)))
    assert scene.kinds(code=0) == []


def test_after_a_restore_it_says_what_is_lost_and_goes_on_once_that_is_acknowledged(scene: Scene) -> None:
    lost = events(9_000, 9_002, age_ms=100_000)
    scene.server.grow(lost)
    flags = kept(scene, *lost)
    assert scene.look(*flags).code == 0
    old = Tree().grow(scene.past[:KNOWN])
    scene.server.trees = [old]
    reopened(scene, opening(2, previous(old)), lost[0])
    assert scene.kinds(*flags) == ["epoch"]
    text = json.loads(scene.papers("epoch")["alarm.json"])["text"]
    assert "2 are lost" in text
    assert all(ref_of(receipt(one)) in text for one in lost)
    assert scene.kinds(*flags) == ["epoch"], "it is not followed by itself"
    # The one came into the new epoch again, the other did not.
    assert scene.kinds(*flags, "--acknowledge") == ["receipt"]


def test_an_epoch_that_is_gone_is_lost_though_the_next_one_names_its_end(scene: Scene) -> None:
    old = scene.server.trees.pop()
    reopened(scene, opening(2, previous(old)))
    assert scene.kinds() == ["epoch"]
    assert "300 are lost" in json.loads(scene.papers("epoch")["alarm.json"])["text"]
    assert scene.kinds("--acknowledge", code=0) == []


def test_a_restore_whose_new_epoch_names_the_end_that_was_lost_is_found_out(scene: Scene) -> None:
    end = Tree().grow(scene.past[:400])
    scene.server.trees = [end]
    assert scene.look().code == 0
    scene.server.trees = [Tree().grow(scene.past[:KNOWN])]
    reopened(scene, opening(2, previous(end)))
    assert scene.kinds() == ["epoch"]
    assert "100 are lost" in json.loads(scene.papers("epoch")["alarm.json"])["text"]
    assert scene.kinds("--acknowledge", code=0) == []


@pytest.mark.parametrize(
    "first",
    [
        lambda _: opening(2, None),
        lambda tree: opening(2, previous(tree, root=bytes(32))),
        lambda tree: opening(2, previous(tree, size=KNOWN + 50)),
        lambda tree: opening(2, {**previous(tree), "origin": f"{LOG}/7"}),
        lambda tree: opening(3, previous(tree)),
        lambda _: evidence(1),
    ],
)
def test_one_that_does_not_link_is_an_alarm(scene: Scene, first: Callable[[Tree], Evidence]) -> None:
    reopened(scene, first(scene.server.tree))
    assert scene.kinds() == ["epoch"]
    assert scene.kinds() == ["epoch"]


def test_evidence_that_its_leaf_does_not_commit_to_is_an_alarm(scene: Scene) -> None:
    reopened(scene, opening(2, None))
    honest = opening(2, previous(scene.server.trees[0])).raw
    scene.server.lie = on("/2/evidence/0", changed(lambda _: honest))
    assert scene.kinds() == ["epoch"]
