"""Entries of no event, found by what they say."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from sqlmodel import Session

from audit import log
from audit.changes import find_contract
from audit.evidence import Kind
from tests.unit.audit.builders import LOG, ORIGIN, append, evidence


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
