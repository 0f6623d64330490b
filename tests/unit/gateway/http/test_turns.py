from contextlib import ExitStack

import pytest

from gateway.errors import AwayError, CallerError
from gateway.http.turns import Turns


def test_turns_are_given_back_however_the_block_ends() -> None:
    turns = Turns(most=1, each=1)
    for _ in range(3):
        with pytest.raises(ValueError, match="x"), turns.turn("a"):
            raise ValueError("x")
    with turns.turn("b"), pytest.raises(AwayError) as caught, turns.turn("a"):
        pytest.fail("there was no turn left")
    assert caught.value.code == "overloaded"


def test_only_who_is_over_is_refused() -> None:
    turns = Turns(most=64, each=2)
    with turns.turn("a"), turns.turn("a"):
        with pytest.raises(AwayError, match="with your credentials"), turns.turn("a"):
            pytest.fail("two are as many as may be")
        with turns.turn("b"):
            pass
    with turns.turn("a"):
        pass


def test_what_was_agreed_goes_before_what_anybody_may() -> None:
    turns = Turns(most=64, each=1)
    with turns.turn("a", 2), turns.turn("a", 2):
        with pytest.raises(CallerError, match="2 streams") as caught, turns.turn("a", 2):
            pytest.fail("two were agreed")
        assert caught.value.code == "quota_exceeded"


def test_who_may_have_many_leaves_a_quarter_to_those_who_have_few() -> None:
    turns = Turns(most=16, each=2)
    with ExitStack() as held:
        for _ in range(12):
            held.enter_context(turns.turn("large", 1_000))
        with pytest.raises(AwayError, match="fewer than 2") as caught, turns.turn("large", 1_000):
            pytest.fail("what is left is for others")
        assert caught.value.code == "overloaded"
        # A second one that may have many comes by as many as anybody.
        for _ in range(2):
            held.enter_context(turns.turn("larger", 1_000))
        with pytest.raises(AwayError), turns.turn("larger", 1_000):
            pytest.fail("what is left is for others")
        for name in ("a", "b"):
            held.enter_context(turns.turn(name))
        with pytest.raises(AwayError, match="as many streams"), turns.turn("c"):
            pytest.fail("there was no turn left")
    with ExitStack() as held:
        for _ in range(12):
            held.enter_context(turns.turn("larger", 1_000))
