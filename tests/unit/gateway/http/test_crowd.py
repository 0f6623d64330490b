"""Who is let in while the loop is late, and that nobody is turned away while it is not."""

from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.errors import AwayError
from gateway.http.crowd import BEGINNING, GROWTH, LATE_SECONDS, LEAST, TARGET_SECONDS, Crowd
from tests.builders import open_house

MANY = 5_000


class Loop:
    """A clock that a test turns. `late`: how much later than asked for it calls back."""

    def __init__(self) -> None:
        self.now = 0.0
        self.late = 0.0
        self.calls: list[tuple[float, Callable[[], None]]] = []

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.calls.append((self.now + seconds, call))

    def run(self, crowd: Crowd, seconds: float, each_second: int) -> None:
        """Serve so many a second for so long."""
        until, served, begun = self.now + seconds, 0, self.now
        while self.now < until and self.calls:
            self.calls.sort(key=lambda each: each[0])
            due, call = self.calls.pop(0)
            self.now = max(self.now, due + self.late)
            while served < (self.now - begun) * each_second:
                with crowd.place():
                    served += 1
            call()


def crowd_of(loop: Loop) -> Crowd:
    return Crowd(ticks=lambda: loop.now, later=loop.later)


def filled(crowd: Crowd, stack: ExitStack, most: int = 5_000) -> int:
    """How many more are let in."""
    for number in range(most):
        try:
            stack.enter_context(crowd.place())
        except AwayError:
            return number
    return most


def most(crowd: Crowd) -> int:
    """How many may be under way."""
    inside, found = crowd._inside, 0
    while found < MANY:
        crowd._inside = found
        if crowd.is_full():
            break
        found += 1
    crowd._inside = inside
    return found


def test_nobody_is_turned_away_while_the_loop_is_on_time() -> None:
    loop = Loop()
    crowd = crowd_of(loop)
    with ExitStack() as stack:
        stack.enter_context(crowd.place())
        loop.run(crowd, 2.0, 10)
        assert filled(crowd, stack) == 5_000


@pytest.mark.parametrize("pace", [100, 500, 2_000])
def test_a_late_loop_lets_in_what_it_can_answer_within_the_target(pace: int) -> None:
    loop = Loop()
    crowd = crowd_of(loop)
    with ExitStack() as stack:
        stack.enter_context(crowd.place())
        loop.late = 0.03
        loop.run(crowd, 4.0, pace)
        inside = 1 + filled(crowd, stack)
        assert (
            max(LEAST, 0.9 * pace * TARGET_SECONDS) <= inside <= max(LEAST, 1.1 * pace * TARGET_SECONDS) + 1
        )
    # Those who left make room.
    with ExitStack() as stack:
        assert filled(crowd, stack) >= LEAST


def test_many_who_come_at_once_are_let_in_only_while_their_turn_of_the_loop_is_short() -> None:
    loop = Loop()
    crowd = crowd_of(loop)
    with ExitStack() as stack:
        # Nothing is called back meanwhile: all of them are there in one turn of the loop.
        let_in = 0
        with suppress(AwayError):
            while let_in < 500:
                loop.now += 0.0005
                stack.enter_context(crowd.place())
                let_in += 1
        assert let_in == BEGINNING
    # Those who came at once and cost nothing were no reason to refuse anybody.
    loop = Loop()
    crowd = crowd_of(loop)
    with ExitStack() as stack:
        assert filled(crowd, stack) == 5_000
        # What waits, for a broker that takes its time, holds up no turn.
        loop.run(crowd, 1.0, 0)
        assert filled(crowd, stack) == 5_000


def test_who_was_refused_at_the_door_is_no_part_of_the_pace() -> None:
    loop = Loop()
    crowd = crowd_of(loop)
    with ExitStack() as stack:
        stack.enter_context(crowd.place())
        loop.late = 0.03
        loop.run(crowd, 4.0, 500)
        before = crowd.limit()
        for _ in range(5_000):
            with pytest.raises(AwayError), crowd.place():
                raise AwayError("store_unavailable", "away")
        loop.run(crowd, 0.2, 500)
        assert crowd.limit() <= before * 1.2


def test_once_the_loop_is_on_time_again_all_come_in_again() -> None:
    loop = Loop()
    crowd = crowd_of(loop)
    with ExitStack() as stack:
        stack.enter_context(crowd.place())
        loop.late = 0.1
        loop.run(crowd, 1.0, 100)
        assert filled(crowd, stack) < LEAST + 1
        loop.late = 0.0
        loop.run(crowd, 0.0, 0)
    with ExitStack() as stack:
        stack.enter_context(crowd.place())
        loop.run(crowd, 3.0, 10)
        assert filled(crowd, stack) == 5_000


def test_once_the_loop_is_on_time_again_more_come_in_bit_by_bit() -> None:
    loop = Loop()
    crowd = crowd_of(loop)
    with ExitStack() as stack:
        stack.enter_context(crowd.place())
        loop.late = 0.1
        loop.run(crowd, 2.0, 600)
        loop.late, let_in = 0.0, []
        for _ in range(120):
            loop.run(crowd, 0.05, 600)
            let_in.append(most(crowd))
    assert let_in[-1] == MANY
    # Two ticks may fall into one step.
    assert all(after <= max(LEAST, before) * GROWTH**2 + 2 for before, after in pairwise(let_in))


def test_after_a_hiccup_as_many_come_in_as_before_it() -> None:
    loop = Loop()
    crowd = crowd_of(loop)
    with ExitStack() as stack:
        # A slow broker is waited for: many are under way, and few are answered.
        for _ in range(300):
            stack.enter_context(crowd.place())
        loop.run(crowd, 3.0, 400)
        loop.late = 0.03
        loop.run(crowd, 0.06, 0)
        assert most(crowd) < 100
        loop.late = 0.0
        loop.run(crowd, 0.7, 0)
        assert crowd._late < LATE_SECONDS
        assert most(crowd) >= 250


def test_a_quiet_crowd_asks_for_no_calls() -> None:
    loop = Loop()
    crowd = crowd_of(loop)
    with crowd.place():
        pass
    loop.run(crowd, 5.0, 0)
    assert loop.calls == []


async def test_events_are_turned_away_and_all_else_is_answered(tmp_path: Path) -> None:
    async with open_house(tmp_path) as house:
        crowd = house.doors.crowd
        with ExitStack() as stack:
            for _ in range(BEGINNING):
                stack.enter_context(crowd.place())
            crowd._late = 1.0
            async with house.client("acme") as client:
                refused = await client.post("/v1/events/order.placed", json={"order_id": "A-1", "qty": 1})
                assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
                assert refused.headers["retry-after"]
                assert (await client.get("/v1/me")).status_code == 200
        async with house.client("acme") as client:
            taken = await client.post("/v1/events/order.placed", json={"order_id": "A-1", "qty": 1})
            assert taken.status_code == 201
