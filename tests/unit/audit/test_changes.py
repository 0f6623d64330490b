"""Entries of no event, found by what they say."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit import erasure, log
from audit.changes import Naming, find_contract, find_erasing
from audit.entry import Entry
from audit.erasure import Gone
from audit.evidence import Evidence, Kind
from audit.merkle import hash_leaf
from audit.store import load_entry
from tests.unit.audit.builders import AT, LOG, ORIGIN, append, evidence


@pytest.fixture
def grown(session: Session) -> Session:
    """Contracts of several revisions among other entries, the last one applied twice."""
    log.open_log(session, ORIGIN)
    changed = [
        evidence(90 + n, kind=Kind.CONTRACT_CHANGED, revision=revision, after_sha256=f"0{n + 1}" * 32)
        for n, revision in enumerate((1, 2, 3, 3))
    ]
    others = [evidence(n) for n in range(60)] + [evidence(80, kind=Kind.PARTNER_CHANGED)]
    append(session, ORIGIN, [*changed[:2], *others, changed[2], evidence(70), changed[3], evidence(71)])
    return session


def found(
    session: Session, revision: int, *, sha256: str | None = None, at: int = 66, log: str = LOG
) -> int | None:
    """The index of the entry of a contract that entry `at` names."""
    naming = load_entry(session, ORIGIN, at)
    assert naming is not None
    one: Entry | None = find_contract(session, log, Naming(revision, sha256, naming))
    assert one is None or one.kind is Kind.CONTRACT_CHANGED
    return None if one is None else one.index


@pytest.mark.parametrize(("revision", "index"), [(1, 0), (2, 1), (3, 65)])
def test_the_newest_entry_of_a_revision_is_found(grown: Session, revision: int, index: int) -> None:
    assert found(grown, revision) == index


def test_of_several_that_one_is_found_which_was_there_before_it_was_named(grown: Session) -> None:
    assert found(grown, 3, at=64) == 63
    assert found(grown, 3, at=50) == 65, "none was"


def test_of_several_that_one_is_found_whose_text_is_named(grown: Session) -> None:
    assert found(grown, 3, sha256="03" * 32) == 63
    assert found(grown, 3, sha256="04" * 32, at=64) == 65
    assert found(grown, 3, sha256="05" * 32) is None


def test_nobody_else_s_contract_and_no_other_revision_is_found(grown: Session) -> None:
    assert found(grown, 4) is None
    assert found(grown, 1, log=f"{LOG}x") is None


def test_entries_of_events_are_not_looked_at(grown: Session, plan: Callable[[str], list[str]]) -> None:
    append(grown, ORIGIN, [evidence(n) for n in range(100, 2_000)])
    grown.execute(text("ANALYZE audit_entry"))
    assert found(grown, 1) is not None
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
