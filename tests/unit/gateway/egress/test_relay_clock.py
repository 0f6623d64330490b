from gateway.egress.relay import _Moment


def test_a_lease_is_over_by_whichever_clock_says_so_first() -> None:
    end = _Moment(wall=1_000, ticks=50).after(300)
    assert not _Moment(1_100, 150).is_past(end)
    assert _Moment(1_400, 350).is_past(end)
    # The wall clock was set back: it would give ten seconds more.
    assert _Moment(-8_700, 350).is_past(end)
    # The machine slept: the other clock stood still.
    assert _Moment(90_000, 60).is_past(end)
