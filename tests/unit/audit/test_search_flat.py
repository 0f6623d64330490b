"""A page costs the same however large the log is: every filter, alone and with times and a cursor.

What is rare is the oldest there is, so that whoever walked the log from its end would walk all of it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from sqlmodel import Session

from audit.bulk import insert_rows
from audit.evidence import Kind
from audit.marks import mark_of, search_hash
from audit.rows import EntryRow, MarkRow
from audit.search import MOST_LOOKED, HistoryFilter, find
from tests.reading import plans_of, work_of
from tests.unit.audit.builders import AT, LOG

FEW: Final = 1_200
MANY: Final = 9_000
RARE: Final = 5
OTHER: Final = "gw.example/log/other"
DIGEST: Final = hashlib.sha256(b"rare").digest()

ALONE: Final[Mapping[str, HistoryFilter]] = {
    "all": HistoryFilter(),
    "id": HistoryFilter(id="A-3"),
    "ref": HistoryFilter(ref=hashlib.sha256(b"3").digest()),
    "source": HistoryFilter(source="/rare"),
    "no source": HistoryFilter(source="/none"),
    "direction": HistoryFilter(direction="outbound"),
    "direction of all": HistoryFilter(direction="inbound"),
    "type": HistoryFilter(type="order.rare"),
    "type of all": HistoryFilter(type="order.placed"),
    "type of others": HistoryFilter(type="order.other"),
    "credential": HistoryFilter(credential="crd_rare"),
    "credential of all": HistoryFilter(credential="crd_all"),
    "credential of others": HistoryFilter(credential="crd_other"),
    "accepted": HistoryFilter(state="accepted"),
    "parked": HistoryFilter(state="parked"),
    "refused": HistoryFilter(state="refused"),
    "held": HistoryFilter(state="held"),
    "delivered": HistoryFilter(state="delivered"),
    "endpoint": HistoryFilter(endpoint="ep_rare"),
    "key": HistoryFilter(key="rare"),
    "no key": HistoryFilter(key="none"),
    "digest": HistoryFilter(digest=DIGEST),
    "kinds": HistoryFilter(kinds=frozenset({Kind.CONTRACT_CHANGED, Kind.KEY_CHANGED})),
    "kind of all": HistoryFilter(kinds=frozenset({Kind.ACCEPTED})),
    "all kinds": HistoryFilter(kinds=frozenset(Kind)),
}
TOGETHER: Final = (
    HistoryFilter(type="order.placed", source="/none"),
    HistoryFilter(type="order.placed", state="unrouted", direction="inbound", source="/rare"),
    HistoryFilter(state="accepted", direction="inbound", credential="crd_all", endpoint="ep_none"),
    HistoryFilter(kinds=frozenset({Kind.ACCEPTED}), key="none"),
    HistoryFilter(credential="crd_all", state="held"),
)
RARELY: Final[dict[int, dict[str, Any]]] = {
    0: {"source": "/rare", "event_type": "order.rare", "credential": "crd_rare"},
    1: {"direction": "outbound", "kind": Kind.UNROUTED.value},
    2: {"kind": Kind.REFUSED.value},
    3: {"kind": Kind.CONTRACT_CHANGED.value, "is_first": False, "ref": None, "direction": ""},
    4: {"kind": Kind.KEY_CHANGED.value, "is_first": False, "ref": None, "direction": ""},
}


def row(log: str, index: int, **changes: Any) -> dict[str, Any]:
    is_other = log == OTHER
    return {
        "log": log,
        "epoch": 1,
        "index": index,
        "leaf": b"l" * 90,
        "evidence": b"e" * 900,
        "kind": Kind.ACCEPTED.value,
        "at": AT + index // 2,
        "ref": hashlib.sha256(f"{log if is_other else ''}{index}".encode()).digest(),
        "partner": "acme",
        "direction": "inbound",
        "source": "/other" if is_other else "/partners/acme",
        "event_id": f"A-{index}",
        "event_type": "order.other" if is_other else "order.placed",
        "endpoint": None,
        "code": None,
        "is_first": True,
        "credential": "crd_other" if is_other else "crd_all",
        "search": None,
        **changes,
    }


def mark(index: int, value: bytes) -> dict[str, Any]:
    return {"mark": value, "at": AT + index // 2, "epoch": 1, "index": index}


def fill(session: Session, start: int, end: int) -> None:
    """A log that grows at its end, and another beside it."""
    for log in (LOG, OTHER):
        rows = [row(log, n, **(RARELY.get(n, {}) if log == LOG else {})) for n in range(start, end)]
        insert_rows(session, EntryRow, rows)
    marks = [mark(n, mark_of(LOG, "state", "delivered")) for n in range(start, end)]
    if not start:
        marks += [mark(n, mark_of(LOG, "state", "parked")) for n in range(RARE)]
        marks += [mark(n, mark_of(LOG, "endpoint", "ep_rare")) for n in range(RARE)]
        marks += [mark(n, mark_of(LOG, "digest", DIGEST)) for n in range(RARE)]
        marks += [mark(n, mark_of(LOG, "search", search_hash("rare"))) for n in range(RARE)]
    insert_rows(session, MarkRow, marks)
    session.connection().exec_driver_sql("ANALYZE")


def variants() -> dict[str, tuple[HistoryFilter, tuple[int, int, int] | None]]:
    """Each alone; with times; from a cursor on; with a cursor and times."""
    found: dict[str, tuple[HistoryFilter, tuple[int, int, int] | None]] = {}
    after = (AT + FEW // 3, 1, FEW // 3 * 2)
    for name, wanted in ALONE.items():
        timed = replace(wanted, since=AT, until=AT + FEW // 2 - 10)
        found |= {name: (wanted, None), f"{name}, timed": (timed, None)}
        found |= {f"{name}, on": (wanted, after), f"{name}, timed, on": (timed, after)}
    return found


def work(session: Session) -> dict[str, int]:
    return {
        name: work_of(session, lambda session: find(session, LOG, one, after=after, limit=20))  # noqa: B023 - asked at once
        for name, (one, after) in variants().items()
    }


def test_a_page_costs_the_same_in_a_log_of_any_size(session: Session) -> None:
    fill(session, 0, FEW)
    before = work(session)
    fill(session, FEW, MANY)
    after = work(session)
    grown = {name: (before[name], after[name]) for name in before if after[name] > before[name] * 1.25 + 100}
    assert not grown
    for name, wanted in ALONE.items():
        first = plans_of(session, lambda session: find(session, LOG, wanted, limit=20))[0]  # noqa: B023 - asked at once
        assert "Seq Scan" not in first, name
        assert "SCAN audit" not in first, name


def test_a_page_of_several_filters_looks_at_so_many_rows_and_goes_on(session: Session) -> None:
    fill(session, 0, MANY)
    for wanted in TOGETHER:
        page = find(session, LOG, wanted, limit=20)
        rows, pages = list(page.rows), 1
        while page.next is not None:
            page = find(session, LOG, wanted, after=page.next, limit=20)
            rows, pages = [*rows, *page.rows], pages + 1
        assert pages <= MANY // MOST_LOOKED + 1
        assert not rows
    assert find(session, LOG, TOGETHER[0], limit=20).next is not None
