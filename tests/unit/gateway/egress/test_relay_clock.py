from gateway.egress.moment import Moment


def test_a_lease_is_over_by_whichever_clock_says_so_first() -> None:
    end = Moment(wall=1_000, ticks=50).after(300)
    assert not Moment(1_100, 150).is_past(end)
    assert Moment(1_400, 350).is_past(end)
    # The wall clock was set back: it would give ten seconds more.
    assert Moment(-8_700, 350).is_past(end)
    # The machine slept: the other clock stood still.
    assert Moment(90_000, 60).is_past(end)
