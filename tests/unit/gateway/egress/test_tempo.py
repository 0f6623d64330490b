from itertools import pairwise

import pytest

from gateway.egress.tempo import LEAST, MOST, QUIET_SECONDS, Tempo


def let_begin(tempo: Tempo, begun: float, *, seconds: float, late: float = 0.0) -> list[float]:
    """When retries begin that are always ready, while something new is always sent; `late`: each, by that."""
    now, times = begun, list[float]()
    while now < begun + seconds:
        tempo.note_new(now)
        if wait := tempo.wait(now):
            now += wait + late
        tempo.begin(now, ready_at=begun)
        times.append(now)
    return times


def test_while_something_new_is_sent_they_begin_evenly() -> None:
    times = let_begin(Tempo(), 100.0, seconds=1.0)
    assert len(times) == pytest.approx(MOST, rel=0.02)
    gaps = [after - before for before, after in pairwise(times[8:])]
    assert max(gaps) == pytest.approx(1 / MOST)


def test_while_nothing_new_is_sent_nothing_waits() -> None:
    tempo = Tempo()
    for _ in range(1_000):
        assert tempo.wait(5.0) == 0
        tempo.begin(5.0, ready_at=5.0)
    tempo.note_new(5.0)
    tempo.begin(5.0, ready_at=5.0)
    assert tempo.wait(5.0) > 0
    assert tempo.wait(5.0 + QUIET_SECONDS) == 0


def test_a_loop_that_is_late_gets_fewer_and_then_more_again_but_never_none() -> None:
    tempo = Tempo()
    let_begin(tempo, 0.0, seconds=2.0, late=0.006)
    few = tempo.rate
    assert LEAST <= few < MOST
    times = let_begin(tempo, 2.0, seconds=60.0, late=0.05)
    assert tempo.rate == LEAST
    assert tempo.wait(times[-1]) <= 1 / LEAST
    let_begin(tempo, 64.0, seconds=20.0)
    assert tempo.rate == MOST


def test_what_was_not_ready_in_time_does_not_say_that_the_loop_is_late() -> None:
    tempo = Tempo()
    for number in range(1_000):
        now = number / 10
        tempo.note_new(now)
        assert tempo.wait(now) == 0
        tempo.begin(now, ready_at=now)
    assert tempo.rate == MOST


def test_a_pause_of_the_loop_is_caught_up_with_but_a_little() -> None:
    tempo = Tempo()
    let_begin(tempo, 0.0, seconds=0.5)
    tempo.note_new(5.0)
    at_once = 0
    while not tempo.wait(5.0):
        tempo.begin(5.0, ready_at=5.0)
        at_once += 1
    assert at_once <= 4


def test_what_had_its_turn_elsewhere_counts_but_for_no_more_than_half() -> None:
    tempo = Tempo()
    times = list[float]()
    now = 0.0
    while now < 1.0:
        tempo.note_new(now)
        tempo.note_ahead(1_000)
        now += tempo.wait(now)
        tempo.begin(now, ready_at=0.0)
        times.append(now)
    assert len(times) == pytest.approx(MOST / 2, rel=0.05)


def test_the_slower_they_begin_the_fewer_take_places_in_lanes_meanwhile() -> None:
    tempo = Tempo()
    quiet = tempo.stock(0.0)
    tempo.note_new(0.0)
    usual = tempo.stock(0.0)
    tempo.rate = LEAST
    assert quiet > usual > tempo.stock(0.0) >= 1
