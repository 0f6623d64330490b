"""Marks and the hashes that values are kept as."""

from collections.abc import Sequence
from typing import Any

import pytest
from sqlmodel import Session, select

from audit import log
from audit.entering import forget_content
from audit.entry import can_be_first, digest_of, directions_of, draft_entry
from audit.errors import EvidenceRuleError
from audit.evidence import Kind
from audit.marks import MARK_BYTES, join_search, mark_of, search_hash, split_search
from audit.rows import MarkRow
from audit.search import HistoryFilter, find
from tests.unit.audit.builders import AT, LOG, ORIGIN, evidence


def test_a_mark_is_of_one_log_one_name_and_one_value() -> None:
    marks = {
        mark_of("gw/log/a", "state", "parked"),
        mark_of("gw/log/b", "state", "parked"),
        mark_of("gw/log/a", "endpoint", "parked"),
        mark_of("gw/log/a", "state", "held"),
        mark_of("gw/log/a", "digest", bytes(32)),
    }
    assert len(marks) == 5
    assert {len(one) for one in marks} == {MARK_BYTES}


@pytest.mark.parametrize(
    ("values", "count"),
    [((), 0), ((None,), 0), (("a",), 1), (("a", "a", None), 1), (("b", "a"), 2), (("", "\x00", "\ud800"), 3)],
)
def test_values_are_kept_each_once(values: Sequence[str | None], count: int) -> None:
    joined = join_search(values)
    assert (joined is None) == (not count)
    assert sorted(split_search(joined)) == sorted({search_hash(one) for one in values if one is not None})
    assert join_search(reversed(values)) == joined


def test_an_event_has_each_of_its_marks_once_however_often_it_is_tried(session: Session) -> None:
    log.open_log(session, ORIGIN)
    tries = [
        draft_entry(evidence(1, kind=Kind.ATTEMPTED, outcome="retry", at=AT + number), join_search(["k"]))
        for number in range(20)
    ]
    log.append_all(session, {ORIGIN: tries[:5]})
    log.append_all(session, {ORIGIN: tries[5:]})
    found = session.exec(select(MarkRow)).all()
    assert {(row.at, row.epoch, row.index) for row in found} == {(AT, 1, 0)}
    assert len(found) == 4  # retry, endpoint, digest, value


def test_of_content_that_goes_nothing_can_be_found_any_more(session: Session) -> None:
    """Its values and digests go, of each of its entries; what became of it stays, and so do other events."""
    log.open_log(session, ORIGIN)
    tried = evidence(1, kind=Kind.ATTEMPTED, outcome="delivered")
    batch = [draft_entry(evidence(number), join_search(["k", f"k{number}"])) for number in (1, 2)]
    log.append_all(session, {ORIGIN: [*batch, draft_entry(tried)]})
    digests = [one for one in (digest_of(evidence(1)), digest_of(tried)) if one is not None]

    def found(**wanted: Any) -> list[str | None]:
        return [row.first.event_id for row in find(session, LOG, HistoryFilter(**wanted)).rows]

    assert [found(digest=one) for one in digests] == [["A-2", "A-1"], ["A-1"]]
    forget_content(session, LOG, [(1, 0), (1, 2), (1, 99)])
    assert [found(digest=one) for one in digests] == [["A-2"], []]
    assert [found(key=one) for one in ("k", "k1", "k2")] == [["A-2"], [], ["A-2"]]
    assert found(state="delivered") == ["A-1"]
    forget_content(session, LOG, [(1, 0)])


@pytest.mark.parametrize("kind", Kind)
def test_lists_look_where_entries_of_a_kind_can_be(kind: Kind) -> None:
    """What is said of a kind agrees with what its entries are."""
    members = evidence(1, kind=kind).members
    changes: tuple[dict[str, Any], ...] = ({}, {"ref": None}, {"direction": "outbound"})
    for given in changes:
        try:
            draft = draft_entry(evidence(1, kind=kind, **(given if given.keys() <= members.keys() else {})))
        except EvidenceRuleError:  # its event always has a name
            continue
        assert (draft.direction or "") in directions_of(kind)
        assert can_be_first(kind) or not (draft.is_listed() or draft.is_of_event())
