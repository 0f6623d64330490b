"""Which missing evidence a log accounts for."""

from hypothesis import given
from hypothesis import strategies as st

from audit.evidence import Kind
from audit.export_erased import Erasures
from audit.merkle import hash_leaf
from tests.unit.audit.builders import ORIGIN, evidence

INDEXES = st.sets(st.integers(0, 40))


@given(INDEXES, st.lists(st.tuples(st.integers(0, 40), st.integers(1, 9))))
def test_what_no_record_speaks_of_is_counted(missing: set[int], declared: list[tuple[int, int]]) -> None:
    erasures = Erasures()
    for index in sorted(missing):
        erasures.note(ORIGIN, index)
    erasures.declared[ORIGIN] = [[first, first + count] for first, count in declared]
    spoken_of = {index for first, count in declared for index in range(first, first + count)}
    assert erasures.unsaid() == len(missing - spoken_of)


def test_a_record_speaks_of_its_own_log() -> None:
    erasures = Erasures()
    for index in (3, 4, 5):
        erasures.note(ORIGIN, index)
    erasures.hear(ORIGIN, evidence(1, kind=Kind.ERASED, index=4))
    erasures.hear("gw.example/log/other/1", evidence(2, kind=Kind.ERASED, index=5))
    erasures.hear(ORIGIN, evidence(3))
    assert erasures.unsaid() == 2


def test_what_was_erased_before_it_went_into_a_new_epoch_is_spoken_of_there() -> None:
    erasures, second = Erasures(), ORIGIN.removesuffix("/1") + "/2"
    moved, other = evidence(7).leaf(), evidence(8).leaf()
    for index, leaf in ((1, moved), (2, other)):
        erasures.note(second, index, leaf.decode())
    said = evidence(9, kind=Kind.ERASED, index=45, origin=ORIGIN, leaf_sha256=hash_leaf(moved).hex())
    erasures.hear(ORIGIN, said)
    assert erasures.unsaid() == 2, "said in the epoch itself it is about that entry there"
    erasures.hear(second, said)
    assert erasures.unsaid() == 1
