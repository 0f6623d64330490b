"""A monitor keeps and follows what was signed and vouched for alone, and leaves nothing untold."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from audit.evidence import Evidence, Kind, make_evidence
from audit.tile import encode_bundle
from tests.hostile import log_server
from tests.hostile.log_server import Tree, events, opening, receipt
from tests.hostile.test_lying_logs import KNOWN, Scene, altered, kept, previous, reopened
from tests.unit.audit.builders import LOG, evidence
from tests.unit.gateway.cli.conftest import Shell


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    one = Scene(Shell(tmp_path))
    one.begin()
    yield one
    for tree in one.server.trees:
        tree.session.close()


def test_an_entry_counts_only_under_a_checkpoint_that_is_kept(scene: Scene) -> None:
    mine = events(8_600, 8_601, age_ms=100_000)
    flags = (*kept(scene, *mine), "--promise", "60s")
    scene.replaced([*scene.past[:KNOWN], *mine])
    scene.server.vouches = False
    # Whether anybody vouches for it cannot be found out just now, so that nothing of it is kept.
    scene.server.lie = lambda request, answer: (
        httpx.Response(503) if request.url.path.endswith("/partner-gateway") else answer
    )
    assert scene.look(*flags).code == 8
    scene.server.vouches, scene.server.lie = True, lambda _, answer: answer
    scene.replaced(scene.past[: KNOWN + 1])
    assert scene.kinds(*flags) == ["receipt"]


def test_two_receipts_of_one_event_that_say_different_things_are_both_held_against_the_log(
    scene: Scene,
) -> None:
    (told,) = events(8_970, 8_971, age_ms=100_000)
    other_terms = evidence(8_970, at=told.at, contract=8)
    scene.server.grow([told])
    assert scene.kinds(*kept(scene, told), code=0) == []
    assert scene.kinds(*kept(scene, told, other_terms)) == ["receipt"]
    assert scene.papers("receipt")["receipt"].decode() == receipt(other_terms)


def test_what_was_found_is_told_though_proofs_are_away(scene: Scene) -> None:
    (mine,) = events(8_700, 8_701, age_ms=100_000)
    scene.replaced(altered(scene.past)[: KNOWN + 1])
    scene.server.lie = lambda request, answer: (
        httpx.Response(503) if request.url.path.endswith("/proof") else answer
    )
    assert scene.kinds(*kept(scene, mine)) == ["fork"]


def test_a_receipt_is_held_against_a_log_by_papers_that_prove_it_or_it_is_said_that_they_do_not(
    scene: Scene,
) -> None:
    scene.server.vouches = False
    (same,) = events(8_800, 8_801, age_ms=100_000)
    assert set(scene.kinds(*kept(scene, same))) == {"stale", "receipt"}
    papers = scene.papers("receipt")
    assert json.loads(papers["alarm.json"])["is_provable"]
    assert log_server.FRESHNESS_KEY.name in papers["known"].decode(), "the one that was vouched for"


def test_no_paper_proves_it_where_nobody_vouched_for_what_the_log_has_come_to(scene: Scene) -> None:
    scene.server.vouches = False
    scene.server.grow(scene.past[KNOWN : KNOWN + 1])
    (lost,) = events(8_900, 8_901, age_ms=100_000)
    assert set(scene.kinds(*kept(scene, lost))) == {"stale", "receipt"}
    assert not json.loads(scene.papers("receipt")["alarm.json"])["is_provable"]


def test_a_time_that_has_not_come_makes_no_receipt_overdue(scene: Scene) -> None:
    scene.server.off = 86_400
    assert scene.kinds() == ["stale"]
    scene.server.off = 0
    (new,) = events(8_950, 8_951, age_ms=1_000)
    assert scene.kinds(*kept(scene, new), "--acknowledge", code=0) == []


def test_a_first_entry_that_is_signed_otherwise_than_it_was_shown_is_an_alarm(scene: Scene) -> None:
    shown = opening(2, previous(scene.server.tree))
    reopened(scene, opening(2, None), *scene.past[KNOWN : KNOWN + 5])

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if request.url.path.endswith("/2/evidence/0"):
            return httpx.Response(200, content=shown.raw)
        if request.url.path.endswith("/2/tile/entries/000.p/1"):
            return httpx.Response(200, content=encode_bundle([shown.leaf()]))
        return answer

    scene.server.lie = lie
    assert scene.kinds() == ["epoch"]
    assert scene.kinds() == ["epoch"]


def test_so_it_is_though_the_log_has_begun_anew_once_more(scene: Scene) -> None:
    shown = opening(2, previous(scene.server.tree))
    reopened(scene, opening(2, None), *scene.past[KNOWN : KNOWN + 5])
    third = opening(3, previous(scene.server.tree))
    scene.server.trees.append(Tree(origin=f"{LOG}/3").grow([third]))

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        if request.url.path.endswith("/2/evidence/0"):
            return httpx.Response(200, content=shown.raw)
        if request.url.path.endswith("/2/tile/entries/000.p/1"):
            return httpx.Response(200, content=encode_bundle([shown.leaf()]))
        return answer

    scene.server.lie = lie
    assert scene.kinds() == ["epoch"]


def test_epochs_that_were_opened_while_nobody_looked_are_followed_one_by_one(scene: Scene) -> None:
    reopened(scene, opening(2, previous(scene.server.tree)), *scene.past[KNOWN : KNOWN + 5])
    third = opening(3, previous(scene.server.tree))
    scene.server.trees.append(Tree(origin=f"{LOG}/3").grow([third]))
    assert scene.kinds(code=0) == []


@pytest.mark.parametrize(("named", "code"), [("first", 0), ("second", 0), ("ninth", 9), ("other root", 9)])
def test_two_epochs_opened_before_anything_of_the_first_was_signed_are_followed(
    scene: Scene, named: str, code: int
) -> None:
    """The third names the second, or passes over it and names the end of the first, as after a restore."""
    end = previous(scene.server.tree)
    reopened(scene, opening(2, end))
    ends = {"first": end, "second": previous(scene.server.tree), "other root": end | {"root": OTHER_ROOT}}
    third = opening(3, ends.get(named, end | {"origin": f"{LOG}/9"}))
    scene.server.trees.append(Tree(origin=f"{LOG}/3").grow([third]))

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        is_unsigned = request.url.path.endswith("/2/checkpoint")
        return httpx.Response(404, json={"code": "not_found"}) if is_unsigned else answer

    scene.server.lie = lie
    assert scene.look().code == code


def test_a_number_that_is_far_behind_the_last_one_costs_nothing(scene: Scene) -> None:
    """As after a restore; and whoever lies may say any number."""
    end = previous(scene.server.tree)
    first, last = opening(2, end), opening(3, end)
    for number, evidence_of in ((999_999_998, first), (999_999_999, last)):
        scene.server.trees.append(Tree(origin=f"{LOG}/{number}").grow([renamed(evidence_of, number)]))

    def lie(request: httpx.Request, answer: httpx.Response) -> httpx.Response:
        is_unsigned = request.url.path.endswith("/999999998/checkpoint")
        return httpx.Response(404, json={"code": "not_found"}) if is_unsigned else answer

    scene.server.lie = lie
    assert scene.look().code == 0


OTHER_ROOT = base64.b64encode(bytes(32)).decode()


def renamed(one: Evidence, epoch: int) -> Evidence:
    """An opening of another epoch."""
    members = {**one.members, "origin": f"{LOG}/{epoch}"}
    return make_evidence(Kind.EPOCH_OPENED, members, iss=one.iss, log=LOG, at=one.at, salt=bytes(32))
