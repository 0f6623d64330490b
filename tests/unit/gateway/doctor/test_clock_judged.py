import pytest

from gateway.doctor.clock import judge_difference, judge_synchronisation
from gateway.doctor.finding import Level


@pytest.mark.parametrize(
    ("theirs", "level", "words"),
    [
        (10_050, Level.OK, "agrees with the database"),
        (9_500, Level.OK, "500 ms ahead of the database"),
        (8_500, Level.WARNING, "1.5 s ahead of the database"),
        (12_600, Level.WARNING, "2.5 s behind the database"),
        (5_000, Level.WARNING, "5.0 s ahead of"),
        (4_999, Level.FAULT, "503 clock_untrusted"),
        (20_101, Level.FAULT, "10.0 s behind the database"),
    ],
)
def test_clocks_apart_are_a_warning_from_one_second_and_a_fault_from_five(
    theirs: int, level: Level, words: str
) -> None:
    found = judge_difference(10_000, theirs, 10_100, whose="the database")
    assert found.level is level
    assert words in found.what
    assert ("time synchronisation" in found.mend) == (level is not Level.OK)


def test_the_time_that_the_question_took_is_nobodys_difference() -> None:
    assert judge_difference(10_000, 17_000, 18_000, whose="the database").level is Level.OK


def test_synchronisation_is_told_where_it_can_be_known() -> None:
    assert judge_synchronisation(["chrony"], is_container=False).level is Level.OK
    assert judge_synchronisation([], is_container=True).level is Level.NOT_ASKED
    assert judge_synchronisation([], is_container=False).level is Level.WARNING
