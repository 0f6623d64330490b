"""Which missing evidence a log accounts for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.evidence import Evidence, Kind
from audit.export_erased import Erasures
from audit.merkle import hash_leaf
from tests.unit.audit.builders import AT, LOG, ORIGIN, evidence

INDEXES = st.dictionaries(st.integers(0, 40), st.integers(0, 5))
DECLARED = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9), st.integers(0, 5)))
HOUR_MS = 3_600_000
FROM = AT // HOUR_MS * HOUR_MS


def bare(index: int, hours: int = 0) -> str:
    return evidence(index, at=FROM + hours * HOUR_MS).leaf().decode()


def expired(
    first: int, end: int, before: int, *, origin: str = ORIGIN, at: int = FROM + 99 * HOUR_MS
) -> Evidence:
    ranges = [{"from": first, "to": end}]
    members: dict[str, Any] = {"origin": origin, "ranges": ranges, "entries": end - first, "before": before}
    return evidence(9, kind=Kind.EXPIRED, at=at, **members)


def erased(index: int, of: int, *, origin: str = ORIGIN) -> Evidence:
    leaf_sha256 = hash_leaf(bare(of).encode()).hex()
    return evidence(9, kind=Kind.ERASED, index=index, origin=origin, leaf_sha256=leaf_sha256)


@given(INDEXES, DECLARED)
def test_what_no_record_speaks_of_is_counted(
    missing: dict[int, int], declared: list[tuple[int, int, int]]
) -> None:
    erasures, said = Erasures(), set[int]()
    for index in sorted(missing):
        erasures.note(ORIGIN, index, bare(index, missing[index]))
    for first, count, hours in declared:
        erasures.hear(ORIGIN, expired(first, first + count, FROM + hours * HOUR_MS + 1), 100)
        said |= {one for one in range(first, first + count) if missing.get(one, 9) <= hours}
    assert erasures.unsaid() == len(missing.keys() - said)


def missing(*indexes: int, origin: str = ORIGIN) -> Erasures:
    erasures = Erasures()
    for index in indexes:
        erasures.note(origin, index, bare(index))
    return erasures


def test_a_record_speaks_of_its_own_log() -> None:
    erasures = missing(3, 4, 5)
    erasures.hear(ORIGIN, erased(4, 4), 7)
    erasures.hear("gw.example/log/other/1", erased(5, 5, origin="gw.example/log/other/1"), 8)
    erasures.hear(ORIGIN, evidence(3), 9)
    assert erasures.unsaid() == 2


def test_what_expired_stands_before_the_record_that_says_so() -> None:
    """One entry of long ago would else excuse whatever is left out for ever after."""
    erasures = missing(0, 1)
    erasures.hear(ORIGIN, expired(0, 10**9, FROM + 1), 2)
    for index in (3, 4, 5):
        erasures.note(ORIGIN, index, bare(index))
    assert erasures.unsaid() == 3
    second = missing(1, origin=f"{LOG}/2")
    second.hear(ORIGIN, expired(0, 10**9, FROM + 1, origin=f"{LOG}/2"), 2)
    assert second.unsaid() == 0, "of an epoch that was told before"
    later = Erasures()
    later.hear(ORIGIN, expired(0, 10**9, FROM + 1, origin=f"{LOG}/2"), 2)
    later.note(f"{LOG}/2", 1, bare(1))
    assert later.unsaid() == 1


@pytest.mark.parametrize(
    ("before", "at", "left"),
    [
        pytest.param(1, FROM + HOUR_MS, 2, id="of long ago"),
        pytest.param(FROM, FROM + HOUR_MS, 2, id="of the hour before"),
        pytest.param(FROM + 1, FROM + HOUR_MS, 0, id="of that hour"),
        pytest.param(FROM + HOUR_MS, FROM + 1, 2, id="of a time that had not come"),
    ],
)
def test_what_expired_is_older_than_the_record_says(before: int, at: int, left: int) -> None:
    erasures = missing(0, 1)
    erasures.hear(ORIGIN, expired(0, 2, before, at=at), 2)
    assert erasures.unsaid() == left


def test_an_erasure_is_of_the_entry_whose_leaf_it_names() -> None:
    erasures = missing(3, 4, 9)
    erasures.hear(ORIGIN, erased(4, 3), 10)
    assert erasures.unsaid() == 3
    erasures.hear(ORIGIN, erased(4, 4), 11)
    erasures.hear(ORIGIN, erased(9, 9), 12)
    assert erasures.unsaid() == 1


def test_what_was_erased_before_it_went_into_a_new_epoch_is_spoken_of_there() -> None:
    second = f"{LOG}/2"
    erasures = missing(7, 8, origin=second)
    said = erased(45, 7)
    erasures.hear(ORIGIN, said, 50)
    assert erasures.unsaid() == 2, "said in the epoch itself it is about that entry there"
    erasures.hear(second, said, 10)
    assert erasures.unsaid() == 1
