"""When a reader asks for each record, for many together, or calmly."""

import pytest

from gateway.broker.kafka_pace import CALM_MS, QUIET_SECONDS, Pace, Way, wanted_patience

CALM = Way("calm", CALM_MS)


def rested(least_ms: int, partitions: int) -> tuple[Pace, float]:
    """A pace for which nothing has come for long, and the instant."""
    pace = Pace(least_ms)
    pace.move(0.0, partitions)
    pace.look(QUIET_SECONDS, partitions)
    return pace, QUIET_SECONDS


def test_the_wait_has_an_end() -> None:
    assert [wanted_patience(count) for count in (0, 399, 400, 2_000, 50_000)] == [0, 0, 40, 200, 500]


@pytest.mark.parametrize(
    ("least_ms", "partitions", "way"),
    [
        (0, 99, Way("eager")),
        (0, 399, Way("eager")),
        (0, 1_000, Way("patient", 100)),
        (25, 2, Way("patient", 25)),
    ],
)
def test_a_new_partition_is_asked_for_without_calm(least_ms: int, partitions: int, way: Way) -> None:
    pace, now = rested(least_ms, partitions)
    pace.move(now, partitions)
    assert pace.way == way
    pace.look(now + QUIET_SECONDS - 0.01, partitions)
    assert pace.way == way


@pytest.mark.parametrize(
    ("least_ms", "partitions", "is_calm"),
    [(0, 99, False), (0, 100, True), (0, 400, True), (25, 1, True), (25, 0, False)],
)
def test_a_reader_for_which_nothing_comes_is_calm_where_that_saves_anything(
    least_ms: int, partitions: int, *, is_calm: bool
) -> None:
    pace, _ = rested(least_ms, partitions)
    assert (pace.way == CALM) is is_calm


@pytest.mark.parametrize(("partitions", "few", "many"), [(200, 20, 21), (1_000, 5, 6), (5_000, 1, 2)])
def test_calm_ends_once_it_is_answered_as_often_as_a_patient_client_would_ask(
    partitions: int, few: int, many: int
) -> None:
    for answers, is_calm in ((few, True), (many, False)):
        pace, now = rested(25, partitions)
        for number in range(answers):
            pace.answer(now + number * 0.02)
        pace.look(now + 0.9, partitions)
        assert (pace.way == CALM) is is_calm


def test_who_is_no_longer_calm_is_so_again_after_a_rest_alone() -> None:
    pace, now = rested(25, 200)
    for number in range(21):
        pace.answer(now + number * 0.02)
    for hundredth in range(50, int(QUIET_SECONDS * 100)):
        pace.look(now + hundredth / 100, 200)
        assert pace.way == Way("patient", 25)
    pace.look(now + 2 * QUIET_SECONDS, 200)
    assert pace.way == CALM


@pytest.mark.parametrize(("given", "wanted"), [(3_000, 9_000), (2_000_000, 3_600_000), (-1, -1)])
def test_a_calm_client_asks_for_metadata_as_seldom_as_librdkafka_allows(given: int, wanted: int) -> None:
    name = "topic.metadata.refresh.interval.ms"
    assert CALM.settings({name: given})[name] == wanted


def test_calm_comes_back_once_little_comes() -> None:
    pace = Pace(25)
    pace.move(0.0, 10)
    for number in range(1, 2_001):
        pace.answer(number * 0.05)
        pace.look(number * 0.05, 10)
        assert pace.way != CALM
    pace.look(100.0 + QUIET_SECONDS / 2 + 1, 10)
    assert pace.way == CALM


def test_what_is_handed_out_piece_by_piece_is_one_answer() -> None:
    pace, now = rested(25, 2_000)
    for number in range(9):
        pace.answer(now + number * 0.001)
    pace.look(now + 0.01, 2_000)
    assert pace.way == CALM


def test_an_eager_reader_stays_calm_however_much_comes() -> None:
    pace, now = rested(0, 300)
    for number in range(1_000):
        pace.answer(now + number * 0.01)
        pace.look(now + number * 0.01, 300)
    assert pace.way == CALM


def test_fewer_partitions_after_a_rest_wait_for_less() -> None:
    pace, now = rested(0, 5_000)
    pace.move(now, 1_000)
    assert pace.way == Way("patient", 100)
