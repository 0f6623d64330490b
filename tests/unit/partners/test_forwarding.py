"""By which contracts events go on to another partner."""

from dataclasses import replace

from partners.contract import Forward, Line
from partners.forwarding import Agreed, Ended, Span, agreed, ended
from tests.unit.partners.test_directory import LINE

PAIR = ("order.placed", "globex")


def forwards(name: str | None, to: str = "globex") -> tuple[Line, ...]:
    way = None if name is None else Forward(to, name)
    return (replace(LINE, terms=replace(LINE.terms, forward=way)),)


def test_a_line_is_as_old_as_the_contracts_in_a_row_that_say_it() -> None:
    names = enumerate("aabb", 1)
    (found,) = agreed((number, number * 10, forwards(name)) for number, name in names).values()
    assert found == Agreed("globex", "b", 3, 30, (Span(1, 10),))
    assert found.lasts


def test_what_was_not_agreed_for_a_while_begins_anew_and_was_in_other_contracts() -> None:
    there = [(number, at, forwards("a")) for number, at in ((5, 20), (6, 60))]
    found = agreed([(2, 10, forwards("a")), (3, 30, forwards(None)), *there])[PAIR]
    assert found == Agreed("globex", "a", 5, 20, (Span(2, 10, 3, 30), Span(5, 20)))
    assert [number for number in range(8) if found.was_in(number)] == [2, 5, 6, 7]


def test_what_is_agreed_no_longer_was_under_the_name_that_it_had_last() -> None:
    found = agreed([(1, 10, forwards("a")), (2, 20, forwards("b")), (3, 30, forwards(None))])[PAIR]
    assert found == Agreed("globex", "b", 2, 20, (Span(1, 10, 3, 30),))
    assert not found.lasts
    assert [number for number in range(5) if found.was_in(number)] == [1, 2]


def test_what_goes_to_another_partner_is_another_ones() -> None:
    found = agreed([(1, 10, forwards("a")), (2, 20, forwards("a", to="initech"))])
    assert {to: one.lasts for (_, to), one in found.items()} == {"globex": False, "initech": True}
    assert found["order.placed", "initech"] == Agreed("initech", "a", 2, 20, (Span(2, 20),))
    assert agreed([(1, 10, forwards(None))]) == agreed([]) == {}


def test_lines_are_over_where_the_last_of_them_went() -> None:
    one = agreed([(1, 10, forwards("a")), (2, 20, forwards(None))])[PAIR]
    other = agreed([(1, 10, forwards("a")), (4, 5, forwards(None)), (5, 60, forwards(None))])[PAIR]
    lasting = agreed([(1, 10, forwards("a"))])[PAIR]
    elsewhere = replace(lasting, to="initech")
    assert ended([one, other, elsewhere]) == {"globex": Ended(4, 5), "initech": None}
    assert ended([other, one]) == {"globex": Ended(4, 5)}
    assert ended([one, lasting]) == ended([lasting, one]) == {"globex": None}


def test_a_contract_is_not_there_before_it_was_applied() -> None:
    found = agreed([(1, 10, forwards("a")), (2, 20, forwards("a"))])[PAIR]
    assert [found.was_there(number, 15) for number in (1, 2, 3)] == [True, False, True]
