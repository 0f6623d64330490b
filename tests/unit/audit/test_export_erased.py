"""Which missing evidence a log accounts for."""

from hypothesis import given
from hypothesis import strategies as st

from audit.evidence import Kind
from audit.export_erased import Erasures
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
