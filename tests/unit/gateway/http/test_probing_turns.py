"""How often endpoints may be tried, and that slow ones of one owner leave others their turn."""

from contextlib import ExitStack

import pytest

from gateway.errors import AwayError, CallerError
from gateway.http.probing import A_MINUTE, OF_ONE, UNDER_WAY, ProbeTurns

NOW = 1_800_000_000_000


def test_slow_endpoints_of_one_owner_hold_up_nobody_else() -> None:
    turns = ProbeTurns(lambda: NOW)
    with ExitStack() as held:
        for number in range(OF_ONE):
            held.enter_context(turns.turn("acme", f"ep_{number}"))
        with pytest.raises(AwayError) as caught, turns.turn("acme", "ep_more"):
            pass
        assert caught.value.code == "overloaded"
        with turns.turn("globex", "ep_theirs"):
            pass
    with turns.turn("acme", "ep_more"):
        pass


def test_no_more_than_so_many_are_under_way() -> None:
    turns = ProbeTurns(lambda: NOW)
    with ExitStack() as held:
        for number in range(UNDER_WAY):
            held.enter_context(turns.turn(f"partner-{number}", f"ep_{number}"))
        with pytest.raises(AwayError), turns.turn("another", "ep_another"):
            pass


def test_one_endpoint_is_tried_so_often_and_a_refusal_takes_nothing() -> None:
    turns = ProbeTurns(lambda: NOW)
    for _ in range(A_MINUTE):
        with turns.turn("acme", "ep_a"):
            pass
    for _ in range(OF_ONE + 1):
        with pytest.raises(CallerError) as caught, turns.turn("acme", "ep_a"):
            pass
        assert caught.value.code == "quota_exceeded"
    with turns.turn("acme", "ep_b"):
        pass
