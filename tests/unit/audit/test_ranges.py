"""Ranges of a log in SQL: read in order, found by time, with the edges that prove them."""

from collections.abc import Callable
from itertools import chain

import pytest
from sqlmodel import Session

from audit import ranges
from audit.errors import NotInLogError
from audit.merkle import fold
from audit.ranges import Held
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
    assert [raw for _, _, raw, _, _ in found] == [None if n == 12 else mixed(n).raw for n in range(10, 15)]
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


def test_times_are_found_though_they_jitter(filled: Session) -> None:
    times = [mixed(n).at for n in range(SIZE)]
    assert times != sorted(times)
    for at in (0, AT, AT + 9_000, times[10], times[10] + 1, times[-1], times[-1] + 1):
        later = [n for n, one in enumerate(times) if one >= at]
        before = [n for n, one in enumerate(times) if one < at]
        assert ranges.find_from(filled, ORIGIN, 0, SIZE, at) == min(later, default=None)
        assert ranges.find_before(filled, ORIGIN, 0, SIZE, at) == max(before, default=None)
    assert ranges.find_from(filled, ORIGIN, 30, 33, AT) == 30
    assert ranges.find_before(filled, ORIGIN, 3, 5, 1) is None


def test_a_range_is_read_by_the_logs_own_key(filled: Session, plan: Callable[[str], list[str]]) -> None:
    mark = "?" if filled.get_bind().dialect.name == "sqlite" else "%s"
    filled.connection().exec_driver_sql(ranges.READ.replace("?", mark), (LOG, 1, 10, 15))
    found = " ".join(plan("audit_entry"))
    assert "SCAN audit_entry" not in found
    assert "index" in found.lower()
