"""When credentials leave memory."""

from gateway.leaving import EVERY_MS, Leaving
from partners.credential import DAY_MS
from partners.credential_index import TOLD_MS

NOW = 10 * TOLD_MS


def test_without_a_clock_none_leaves() -> None:
    assert Leaving().ended_before(is_first=True) is None
    assert not Leaving().was_ahead()


def test_they_are_looked_for_once_an_hour_and_when_all_is_loaded() -> None:
    leaving, now = Leaving(), [NOW]
    leaving.clock = lambda: now[0]
    assert leaving.ended_before(is_first=True) == NOW - TOLD_MS
    now[0] += EVERY_MS - 1
    assert leaving.ended_before(is_first=False) is None
    now[0] += 1
    assert leaving.ended_before(is_first=False) == now[0] - TOLD_MS


def test_a_clock_that_was_set_back_by_more_than_a_day_was_ahead() -> None:
    leaving, now = Leaving(), [NOW]
    leaving.clock = lambda: now[0]
    leaving.ended_before(is_first=True)
    now[0] -= DAY_MS
    assert not leaving.was_ahead()
    now[0] -= 1
    assert leaving.was_ahead()
    leaving.ended_before(is_first=True)
    assert not leaving.was_ahead()
