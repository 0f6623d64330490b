from gateway.egress.pace import Pace


def test_without_a_limit_everything_goes_at_once() -> None:
    pace = Pace(None)
    for _ in range(1_000):
        assert pace.ready_at(7) == 7
        pace = pace.spend(7)


def test_a_second_goes_at_once_and_then_one_an_interval() -> None:
    pace, now, sent = Pace(10), 5_000, []
    for _ in range(30):
        now = pace.ready_at(now)
        sent.append(now)
        pace = pace.spend(now)
    assert sent[:10] == [5_000] * 10
    assert sent[10:] == [5_000 + 100 * n for n in range(1, 21)]


def test_idle_time_is_not_saved_up_beyond_a_second() -> None:
    pace = Pace(2).spend(0)
    for _ in range(2):
        assert pace.ready_at(60_000) == 60_000
        pace = pace.spend(60_000)
    assert pace.ready_at(60_000) == 60_500
