"""Ranges of a log in SQL: read in order, found by time, with the edges that prove them."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, product

import pytest
from sqlmodel import Session

from audit import ranges
from audit.errors import NotInLogError
from audit.merkle import fold
from audit.pressing import expand
from audit.ranges import Extent, Held, Sought
from audit.tree import Head
from tests.made_logs import erase, grow, mixed
from tests.unit.audit.builders import AT, LOG, ORIGIN, evidence

SIZE = 37


@pytest.fixture
def filled(session: Session) -> Session:
    for start in range(0, SIZE, 10):
        grow(session, [mixed(number) for number in range(start, min(start + 10, SIZE))])
    grow(session, [evidence(1)], origin=f"{LOG}/2", is_published=False)
    grow(
        session, [evidence(n, log="gw.example/log/other") for n in range(3)], origin="gw.example/log/other/1"
    )
    erase(session, 12)
    session.commit()
    return session


def read(session: Session, first: int, end: int) -> list[Held]:
    return list(chain.from_iterable(ranges.read(session, ORIGIN, first, end)))


def test_only_what_is_published_is_a_logs_extent(filled: Session) -> None:
    (found,) = ranges.extents(filled, LOG)
    assert (found.origin, found.size) == (ORIGIN, SIZE)
    assert ranges.extents(filled, "gw.example/log/nobody") == ()


def test_entries_are_read_in_order_erased_ones_as_such(filled: Session) -> None:
    found = read(filled, 10, 15)
    assert [index for index, *_ in found] == [10, 11, 12, 13, 14]
    raws = [stored and expand(stored) for _, _, stored, _, _ in found]
    assert raws == [None if n == 12 else mixed(n).raw for n in range(10, 15)]
    assert [leaf for _, leaf, *_ in found] == [mixed(n).leaf() for n in range(10, 15)]
    assert [(ref, kind) for *_, ref, kind in found] == [
        (mixed(n).ref, mixed(n).kind.value) for n in range(10, 15)
    ]
    assert [index for index, *_ in read(filled, 35, 99)] == [35, 36]
    assert read(filled, 7, 7) == []


def test_edges_and_roots_are_those_of_the_tree_in_memory(filled: Session) -> None:
    leaves = [mixed(n).leaf() for n in range(SIZE)]
    for size in (0, 1, 2, 31, 32, 33, SIZE):
        head, _ = Head(ORIGIN).append(leaves[:size])
        assert ranges.edges(filled, ORIGIN, [size]) == [head.edge]
        assert ranges.root(filled, ORIGIN, size) == head.root() == fold(head.edge)
    assert ranges.growth(filled, ORIGIN, 20, 20) == ()
    with pytest.raises(NotInLogError):
        ranges.edges(filled, ORIGIN, [SIZE + 8])


def sought(session: Session, extent: Extent, since: int, until: int) -> tuple[int | None, int | None]:
    found = Sought()
    while found.group is not None:
        found = ranges.seek(session, extent, (since, until), found)
    return found.first, found.last


@pytest.mark.parametrize("look", [ranges.LOOK, 2, 1])
def test_times_are_found_though_they_jitter(
    filled: Session, look: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "LOOK", look)
    times = [mixed(n).at for n in range(SIZE)]
    assert times != sorted(times)
    (extent,) = ranges.extents(filled, LOG)
    instants = (0, AT, AT + 9_000, times[10], times[10] + 1, times[-1], times[-1] + 1)
    for since, until in product(instants, instants):
        mine = [n for n, one in enumerate(times) if since <= one < until]
        expected = min(mine, default=None), max(mine, default=None)
        assert sought(filled, extent, since, until) == expected
    assert sought(filled, replace(extent, size=9), 0, 1 << 62) == (0, 8)
    other = Extent(f"{LOG}/2", 1, "")
    assert sought(filled, other, 0, 1 << 62) == (0, 0)


def test_a_time_is_sought_in_an_index_alone(filled: Session, plan: Callable[[str], list[str]]) -> None:
    mark = "?" if filled.get_bind().dialect.name == "sqlite" else "%s"
    query = ranges._SPREAD.replace("?", mark)
    values = (1, SIZE, 1, SIZE, LOG, False, "event.accepted", "inbound", 0, AT, ranges.LOOK)
    filled.connection().exec_driver_sql(query, values)
    found = " ".join(plan("audit_entry"))
    assert "audit_entry_page" in found
    assert "COVERING INDEX" in found or "Index Only Scan" in found


def test_a_range_is_read_by_the_logs_own_key(filled: Session, plan: Callable[[str], list[str]]) -> None:
    mark = "?" if filled.get_bind().dialect.name == "sqlite" else "%s"
    filled.connection().exec_driver_sql(ranges.READ.replace("?", mark), (LOG, 1, 10, 15))
    found = " ".join(plan("audit_entry"))
    assert "SCAN audit_entry" not in found
    assert "index" in found.lower()
