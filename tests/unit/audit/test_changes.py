"""Entries of no event, found by what they say."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit import erasure, log
from audit.changes import find_contract, find_erasing
from audit.erasure import Gone
from audit.evidence import Evidence, Kind
from audit.merkle import hash_leaf
from tests.unit.audit.builders import AT, LOG, ORIGIN, append, evidence


@pytest.fixture
def grown(session: Session) -> Session:
    """Contracts of several revisions among other entries, the last one applied twice."""
    log.open_log(session, ORIGIN)
    changed = [
        evidence(90 + n, kind=Kind.CONTRACT_CHANGED, revision=revision)
        for n, revision in enumerate((1, 2, 3, 3))
    ]
    others = [evidence(n) for n in range(60)] + [evidence(80, kind=Kind.PARTNER_CHANGED)]
    append(session, ORIGIN, [*changed[:2], *others, *changed[2:]])
    return session


@pytest.mark.parametrize(("revision", "index"), [(1, 0), (2, 1), (3, 64)])
def test_the_newest_entry_of_a_revision_is_found(grown: Session, revision: int, index: int) -> None:
    found = find_contract(grown, LOG, revision)
    assert found is not None
    assert (found.kind, found.index) == (Kind.CONTRACT_CHANGED, index)


def test_nobody_else_s_contract_and_no_other_revision_is_found(grown: Session) -> None:
    assert find_contract(grown, LOG, 4) is None
    assert find_contract(grown, f"{LOG}x", 1) is None


def test_entries_of_events_are_not_looked_at(grown: Session, plan: Callable[[str], list[str]]) -> None:
    append(grown, ORIGIN, [evidence(n) for n in range(100, 2_000)])
    grown.execute(text("ANALYZE audit_entry"))
    assert find_contract(grown, LOG, 1) is not None
    assert any("audit_entry_ref" in line for line in plan("audit_entry.ref IS NULL"))


def erased(index: int, *, number: int, at: int) -> Evidence:
    digest = hash_leaf(evidence(index).leaf()).hex()
    return evidence(number, kind=Kind.ERASED, at=at, origin=ORIGIN, index=index, leaf_sha256=digest)


@pytest.fixture
def bare(session: Session) -> Session:
    """Of ten entries one was erased, and three had their time; entries 10 to 13 say of that, and of more."""
    log.open_log(session, ORIGIN)
    append(session, ORIGIN, [evidence(number) for number in range(10)])
    erasure.take_away(session, ORIGIN, [(2, 3)], Gone(0, 0, AT + 100, "ers_1", "asked for"))
    erasure.take_away(session, ORIGIN, [(5, 8)], Gone(0, 0, AT + 200, None, "keep.evidence"))
    ranges = [{"from": 5, "to": 8}]
    expired = [
        evidence(40 + n, kind=Kind.EXPIRED, at=AT + 200, origin=origin, ranges=ranges, entries=3)
        for n, origin in enumerate((ORIGIN, f"{LOG}/9"))
    ]
    others = [erased(2, number=30, at=AT + 100), erased(3, number=31, at=AT + 100)]
    append(session, ORIGIN, [*others, *expired])
    return session


@pytest.mark.parametrize(
    ("indexes", "tells"), [([2], [10]), ([6], [12]), ([2, 5, 7], [10, 12]), ([3], []), ([], [])]
)
def test_what_says_that_evidence_was_taken_away_is_found(
    bare: Session, indexes: list[int], tells: list[int]
) -> None:
    found = find_erasing(bare, [log.entry(bare, ORIGIN, index) for index in indexes])
    assert sorted(one.index for one in found) == tells
