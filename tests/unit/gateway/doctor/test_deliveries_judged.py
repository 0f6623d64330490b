from gateway.doctor.deliveries import DeliveriesSeen, judge
from gateway.doctor.finding import Level


def test_agreement_is_said_with_what_was_looked_at() -> None:
    (whole,) = judge(DeliveriesSeen((), 3, 3))
    (some,) = judge(DeliveriesSeen((), 200, 1_000))
    assert (whole.level, some.level) == (Level.OK, Level.OK)
    assert "200 of 1000 partners" in some.what
    assert "partners" not in whole.what


def test_each_disagreement_is_a_fault_and_many_are_counted() -> None:
    found = list(judge(DeliveriesSeen(tuple(f"dlv_{number}: odd" for number in range(9)), 1, 1)))
    assert {one.level for one in found} == {Level.FAULT}
    assert len(found) == 6
    assert found[-1].what == "and 4 more like these"
    assert all(one.mend for one in found)


def test_where_too_much_is_on_its_way_nobody_is_accused() -> None:
    (found,) = judge(DeliveriesSeen(None, 1, 1))
    assert found.level is Level.NOT_ASKED
