"""Exchange history over many logs: whose event is this?"""

from typing import Any

import pytest
from sqlmodel import Session

from audit import across, log
from audit.across import Key, find
from audit.entry import draft_entry
from audit.evidence import Kind
from audit.marks import join_search
from audit.search import HistoryFilter
from tests.reading import plans_of, work_of
from tests.unit.audit.builders import AT, LOG, evidence
from tests.unit.audit.test_search_flat import DIGEST, FEW, MANY, OTHER, fill

OTHERS = [f"gw.example/log/{name}" for name in ("aaa", "mmm", "zzz")]
LOGS = (LOG, *OTHERS)


def put(session: Session, name: str, number: int, at: int, **changes: Any) -> None:
    """An event of a log, found by the value `v` too."""
    made = evidence(number, at=at, log=name, id="A-1", **changes)
    log.open_log(session, f"{name}/1")
    log.append_all(session, {f"{name}/1": [draft_entry(made, join_search(["v"]))]})


def walk(session: Session, wanted: HistoryFilter, limit: int) -> list[Key]:
    """All pages, one behind the other."""
    found: list[Key] = []
    after: Key | None = None
    for _ in range(100):
        page = find(session, LOGS, wanted, after=after, limit=limit)
        assert len(page.rows) <= limit
        found += [one.key for one in page.rows]
        after = page.next
        if after is None:
            return found
    raise AssertionError("the list has no end")


def many(session: Session) -> None:
    """Five events in each of four logs, some of them of one moment."""
    for which, name in enumerate(LOGS):
        for number in range(5):
            direction = "inbound" if number % 2 else "outbound"
            put(session, name, 10 * which + number, AT + number * (which % 2 + 1), direction=direction)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("wanted", [HistoryFilter(id="A-1"), HistoryFilter(key="v")], ids=["id", "key"])
def test_each_event_is_on_one_page_newest_first(session: Session, wanted: HistoryFilter, limit: int) -> None:
    many(session)
    found = walk(session, wanted, limit)
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found) == 5 * len(LOGS)


@pytest.mark.parametrize("limit", [1, 3, 100])
def test_other_filters_beside_leave_nothing_out(
    session: Session, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(session)
    monkeypatch.setattr(across, "MOST_LOOKED", 1)
    wanted = HistoryFilter(key="v", direction="inbound", since=AT + 1, until=AT + 4)
    found = walk(session, wanted, limit)
    expected = {
        (AT + number * (which % 2 + 1), name, 1, number)
        for which, name in enumerate(LOGS)
        for number in range(5)
        if number % 2 and AT + 1 <= AT + number * (which % 2 + 1) < AT + 4
    }
    assert found == sorted(expected, reverse=True)


def test_a_ref_and_a_digest_find_their_event_with_what_became_of_it(session: Session) -> None:
    put(session, LOG, 1, AT)
    put(session, OTHERS[0], 2, AT)
    tried = evidence(2, kind=Kind.ATTEMPTED, outcome="delivered", at=AT + 5, log=OTHERS[0])
    log.append_all(session, {f"{OTHERS[0]}/1": [draft_entry(tried)]})
    (one,) = find(session, LOGS, HistoryFilter(ref=(2).to_bytes(32, "big")), after=None, limit=5).rows
    assert (one.log, one.exchange.state) == (OTHERS[0], "delivered")
    digest = draft_entry(evidence(1)).digest
    assert digest is not None
    both = find(session, LOGS, HistoryFilter(digest=digest), after=None, limit=5).rows
    assert {row.log for row in both} == {LOG, OTHERS[0]}


def test_logs_that_are_not_asked_for_are_not_looked_into(session: Session) -> None:
    many(session)
    for wanted in (HistoryFilter(id="A-1"), HistoryFilter(ref=(0).to_bytes(32, "big"))):
        assert find(session, OTHERS, wanted, after=None, limit=100).rows == tuple(
            one for one in find(session, LOGS, wanted, after=None, limit=100).rows if one.log != LOG
        )


@pytest.mark.parametrize(
    "wanted",
    [
        HistoryFilter(),
        HistoryFilter(type="order.placed", state="accepted"),
        HistoryFilter(id="A-1", kinds=frozenset(Kind)),
        HistoryFilter(id="A-1", credential="crd_1"),
    ],
    ids=["nothing", "type", "kinds", "credential"],
)
def test_what_names_nothing_exact_is_not_looked_for(session: Session, wanted: HistoryFilter) -> None:
    assert not across.is_exact(wanted)
    with pytest.raises(ValueError, match="a ref, an id, a value or a digest"):
        find(session, LOGS, wanted, after=None, limit=5)


def test_what_no_event_has_costs_no_look(session: Session) -> None:
    assert find(session, LOGS, HistoryFilter(id="a\x00b"), after=None, limit=5).rows == ()


def test_a_page_costs_the_same_in_logs_of_any_size(session: Session) -> None:
    asked = {
        "id": HistoryFilter(id="A-7"),
        "none": HistoryFilter(id="B-7"),
        "ref": HistoryFilter(ref=b"r" * 32),
        "key": HistoryFilter(key="rare"),
        "digest": HistoryFilter(digest=DIGEST, type="order.placed"),
    }

    def work() -> dict[str, int]:
        return {
            name: work_of(session, lambda session: find(session, (LOG, OTHER), one, after=None, limit=20))  # noqa: B023 - asked at once
            for name, one in asked.items()
        }

    fill(session, 0, FEW)
    before = work()
    fill(session, FEW, MANY)
    after = work()
    assert not {name for name in asked if after[name] > before[name] * 1.25 + 100}, (before, after)
    for name, one in asked.items():
        first = plans_of(session, lambda session: find(session, (LOG, OTHER), one, after=None, limit=20))[0]  # noqa: B023 - asked at once
        assert "Seq Scan" not in first, name
        assert "SCAN audit" not in first, name
