"""What a partner's earlier contracts had that the one in force has not: events were accepted by it. Pure.

An event is read as it was accepted, whatever became of its type since. So nothing of an earlier contract is
forgotten that events may have come by.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from partners.contract import Line


@dataclass(frozen=True, slots=True)
class Former:
    """A line of an earlier contract: the last that had this type with this subject.

    `contract`: the revision of that contract. `until`: when the next one came into force, Unix milliseconds,
    by the clock of whoever applied it.
    """

    line: Line
    contract: int
    until: int


def former_lines(
    revisions: Iterable[tuple[int, int, Sequence[Line]]], known: Sequence[Former] = ()
) -> tuple[Former, ...]:
    """The lines that the newest of these contracts has no more, under that subject at least; newest first.

    `revisions`: contracts in a row, oldest first, each with its number, when it was applied, and its lines.
    `known`: what this was of the first of them.
    """
    kept = {_key(one.line): one for one in reversed(known)}
    before: tuple[int, Sequence[Line]] = (0, ())
    for number, applied_at, lines in revisions:
        for line in before[1]:
            kept.pop(_key(line), None)
            kept[_key(line)] = Former(line, before[0], applied_at)
        before = (number, lines)
    for line in before[1]:
        kept.pop(_key(line), None)
    return tuple(reversed(kept.values()))


def _key(line: Line) -> tuple[str, str, str]:
    return line.terms.direction, line.terms.event_type, line.subject
