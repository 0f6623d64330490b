"""When it was agreed that events go on to another partner."""

from dataclasses import replace

from partners.contract import Forward, Line
from partners.forwarding import Agreed, agreed
from tests.unit.partners.test_directory import LINE


def forwards(name: str | None, to: str = "globex") -> tuple[Line, ...]:
    way = None if name is None else Forward(to, name)
    return (replace(LINE, terms=replace(LINE.terms, forward=way)),)


def test_a_line_is_as_old_as_the_contracts_in_a_row_that_say_it() -> None:
    revisions = [(1, forwards("a")), (2, forwards("a")), (3, forwards("b")), (4, forwards("b"))]
    found = agreed(revisions)
    assert found == {"order.placed": Agreed("globex", "b", 3, ((1, None),))}
    assert found["order.placed"].unbroken_since == 1


def test_what_was_not_agreed_for_a_while_begins_anew_and_was_at_other_times() -> None:
    (found,) = agreed([(1, forwards("a")), (3, forwards(None)), (5, forwards("a"))]).values()
    assert found == Agreed("globex", "a", 5, ((1, 3), (5, None)))
    assert found.unbroken_since == 5
    assert [at for at in range(7) if found.was_at(at)] == [1, 2, 5, 6]


def test_what_goes_to_another_partner_or_nowhere_says_nothing() -> None:
    (found,) = agreed([(1, forwards("a")), (2, forwards("a", to="initech"))]).values()
    assert (found.to, found.since, found.unbroken_since) == ("initech", 2, 2)
    assert agreed([(1, forwards("a")), (2, forwards(None))]) == {}
    assert agreed([]) == {}
