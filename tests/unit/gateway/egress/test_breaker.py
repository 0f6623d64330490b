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


def test_the_wait_doubles_up_to_a_limit() -> None:
    assert after(OPENS_AFTER + 1).probe_at == 1_000 + 2 * FIRST_WAIT_MS
    assert after(OPENS_AFTER + 50).probe_at == 1_000 + LONGEST_WAIT_MS


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
