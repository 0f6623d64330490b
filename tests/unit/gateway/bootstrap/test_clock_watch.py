import pytest

from gateway.bootstrap.clock_watch import ClockWatch
from gateway.bootstrap.ground import clock, ticks
from gateway.database import Database
from gateway.honest_clock import HonestClock, difference, words_of_difference


@pytest.mark.parametrize(
    ("before", "there", "after", "ahead"),
    [
        (1_000, 1_000, 1_000, 0),
        (1_000, 1_200, 1_400, 0),
        (7_000, 1_000, 7_100, 6_000),
        (1_000, 8_000, 1_500, -6_500),
        (1_000, 1_600, 1_500, -100),
    ],
)
def test_the_time_of_asking_is_not_held_against_a_clock(
    before: int, there: int, after: int, ahead: int
) -> None:
    assert difference(before, there, after) == ahead


def test_the_words_say_by_how_much_and_how_to_mend() -> None:
    text = words_of_difference(-12_345)
    assert text.startswith("this host's clock is 12.3 s behind the database's")
    assert "NTP" in text
    assert "ahead of" in words_of_difference(6_000)


async def test_a_clock_that_is_off_is_a_problem_until_it_is_right(database_url: str) -> None:
    off = 0
    database = Database(database_url)
    host = lambda: clock() + off  # noqa: E731 - a clock that somebody sets
    watch = ClockWatch(database, host, HonestClock(host, ticks))
    try:
        await watch.look()
        assert watch.problem == ""
        off = 60_000
        await watch.look()
        assert "s ahead of the database's" in watch.problem
        off = 0
        await watch.look()
        assert watch.problem == ""
    finally:
        database.close()
