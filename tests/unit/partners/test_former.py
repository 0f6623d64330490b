"""What earlier contracts had is kept, whatever the order in which it is learnt."""

from dataclasses import replace

from partners.contract import Line
from partners.former import Former, former_lines
from tests.unit.partners.test_directory import LINE


def line(event_type: str, subject: str = "t-x.Order", *ids: int) -> Line:
    return Line(replace(LINE.terms, event_type=event_type), subject, ids or (4,))


A, B, RENAMED = line("a"), line("b"), line("a", "t-x.Purchase", 7)
AGAIN = line("a", "t-x.Order", 5, 4)
REVISIONS = [
    (1, 10, (A, B)),
    (2, 20, (AGAIN, B)),
    (3, 30, (RENAMED, B)),
    (4, 40, (RENAMED,)),
    (5, 50, (AGAIN,)),
]


def test_a_line_counts_as_the_last_contract_had_it_until_the_next_one_came() -> None:
    assert former_lines(REVISIONS[:2]) == ()
    assert former_lines(REVISIONS[:3]) == (Former(AGAIN, 2, 30),)
    assert former_lines(REVISIONS[:4]) == (Former(B, 3, 40), Former(AGAIN, 2, 30))
    assert former_lines(REVISIONS) == (Former(RENAMED, 4, 50), Former(B, 3, 40))


def test_what_is_known_of_one_contract_on_needs_the_later_ones_alone() -> None:
    for known in range(1, len(REVISIONS)):
        for end in range(known, len(REVISIONS) + 1):
            had = former_lines(REVISIONS[:known])
            assert former_lines(REVISIONS[known - 1 : end], had) == former_lines(REVISIONS[:end]), (
                known,
                end,
            )
