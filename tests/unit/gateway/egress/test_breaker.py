from gateway.egress.breaker import FIRST_WAIT_MS, LONGEST_WAIT_MS, OPENS_AFTER, Breaker


def after(failures: int, now: int = 1_000) -> Breaker:
    breaker = Breaker()
    for _ in range(failures):
        breaker = breaker.failed(now)
    return breaker


def test_it_opens_after_some_failures_in_a_row() -> None:
    assert not after(OPENS_AFTER - 1).is_open
    opened = after(OPENS_AFTER)
    assert opened.is_open
    assert opened.probe_at == 1_000 + FIRST_WAIT_MS


def test_the_wait_doubles_with_each_probe_that_fails_up_to_a_limit() -> None:
    breaker = after(OPENS_AFTER)
    waits = []
    for _ in range(8):
        now = breaker.probe_at
        breaker = breaker.failed(now)
        waits.append(breaker.probe_at - now)
    assert waits[:3] == [2 * FIRST_WAIT_MS, 4 * FIRST_WAIT_MS, 8 * FIRST_WAIT_MS]
    assert waits[-1] == LONGEST_WAIT_MS


def test_what_was_under_way_when_it_opened_does_not_make_the_wait_longer() -> None:
    opened = after(OPENS_AFTER)
    breaker = opened
    for late in range(20):
        breaker = breaker.failed(1_000 + late)
    assert (breaker.probe_at, breaker.is_open) == (opened.probe_at, True)
    assert breaker.failed(breaker.probe_at).probe_at == opened.probe_at + 2 * FIRST_WAIT_MS


def test_a_success_closes_it_and_forgets_the_failures() -> None:
    assert after(OPENS_AFTER).succeeded() == Breaker()


def test_a_rejected_event_neither_opens_nor_closes_it() -> None:
    breaker = after(OPENS_AFTER - 1).rejected(2_000)
    assert (breaker.failures, breaker.is_open) == (OPENS_AFTER - 1, False)
    assert after(OPENS_AFTER).rejected(2_000).is_open


def test_it_knows_since_when_nothing_was_delivered() -> None:
    breaker = Breaker().rejected(500).failed(900)
    assert breaker.failing_since == 500
    assert breaker.succeeded().failing_since is None
