import pytest

from gateway.errors import AwayError
from gateway.honest_clock import MAX_DIFFERENCE_MS, HonestClock


class Clocks:
    """A clock that somebody sets, and one that nobody sets."""

    def __init__(self) -> None:
        self.now = 1_700_000_000_000
        self.passed = 50

    def go_on(self, ms: int) -> None:
        self.now += ms
        self.passed += ms

    def honest(self) -> HonestClock:
        return HonestClock(lambda: self.now, lambda: self.passed)


def test_nothing_is_said_before_the_first_look_at_the_database() -> None:
    honest = Clocks().honest()
    with pytest.raises(AwayError, match="not compared") as told:
        honest()
    assert told.value.code == "clock_untrusted"


def test_a_clock_that_agrees_is_believed_for_as_long_as_nobody_sets_it() -> None:
    clocks = Clocks()
    honest = clocks.honest()
    honest.compare(clocks.now, clocks.now + MAX_DIFFERENCE_MS)
    clocks.go_on(3_600_000)
    assert (honest(), honest.problem) == (clocks.now, "")


@pytest.mark.parametrize("ms", [MAX_DIFFERENCE_MS + 1, -MAX_DIFFERENCE_MS - 1])
def test_a_clock_that_is_set_wrong_is_found_out_at_once_and_believed_again_once_it_is_right(ms: int) -> None:
    clocks = Clocks()
    honest = clocks.honest()
    honest.compare(clocks.now, clocks.now)
    clocks.now += ms
    with pytest.raises(AwayError, match=r"5\.0 s (ahead of|behind) the database's"):
        honest()
    clocks.now -= ms
    assert honest() == clocks.now


@pytest.mark.parametrize("ahead", [MAX_DIFFERENCE_MS + 1, -MAX_DIFFERENCE_MS - 1])
def test_a_database_that_has_another_time_is_not_outvoted(ahead: int) -> None:
    clocks = Clocks()
    honest = clocks.honest()
    honest.compare(clocks.now, clocks.now - ahead)
    assert honest.problem
    honest.compare(clocks.now, clocks.now - ahead // 2)
    assert honest.problem == ""


def test_what_was_slowly_answered_is_not_held_against_the_clock() -> None:
    clocks = Clocks()
    honest = clocks.honest()
    before = clocks.now
    clocks.go_on(30_000)
    honest.compare(before, before + 10_000)
    assert honest.problem == ""
