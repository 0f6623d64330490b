"""What a partner's contracts agreed over time about events that go on to other partners. Pure.

Counted in revisions of the contract: the receipt of an event names the one that it was accepted under. Times
are the clocks' of whoever applied a contract, and serve to find a place in a topic, never to judge an event:
but what was accepted long before a contract was applied is another's, which had its number and is lost.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from partners.contract import Line


@dataclass(frozen=True, slots=True)
class Span:
    """Contracts in a row that forward a type to a partner, under any name.

    From `first` up to, not with, `end`. `since`, `until`: when these two came into force, in Unix
    milliseconds. Without an end it lasts.
    """

    first: int
    since: int
    end: int | None = None
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Agreed:
    """That events of a type go on to another partner, or did so once.

    `to`, `name`: to whom, and as which type, by the newest contract that says so. `begun`: the oldest of the
    contracts in a row that say exactly this; `since`: when it came into force, in Unix milliseconds. `spans`:
    all that forward the type to that partner, oldest first. `applied`: when each contract was, by revision.
    """

    to: str
    name: str
    begun: int
    since: int
    spans: tuple[Span, ...]
    applied: Mapping[int, int] = field(default_factory=dict, repr=False, compare=False)

    @property
    def lasts(self) -> bool:
        """Whether the contract in force says so."""
        return self.spans[-1].end is None

    def was_in(self, revision: int) -> bool:
        """Whether this contract forwards the type to that partner."""
        return any(one.first <= revision and (one.end is None or revision < one.end) for one in self.spans)

    def was_there(self, revision: int, at: int) -> bool:
        """Whether this contract was applied by then, in Unix milliseconds."""
        return self.applied.get(revision, at) <= at


@dataclass(frozen=True, slots=True)
class Ended:
    """Since which contract nothing goes on any more, and when that came into force, in Unix milliseconds."""

    contract: int
    at: int


def ended(lines: Iterable[Agreed]) -> Mapping[str, Ended | None]:
    """By whom these lines go on to, where the last of them ended; None: one lasts."""
    found: dict[str, Ended | None] = {}
    for line in lines:
        last, known = line.spans[-1], found.get(line.to, _NEVER)
        if last.end is None or last.until is None or known is None:
            found[line.to] = None
        elif last.end > known.contract:
            found[line.to] = Ended(last.end, last.until)
    return found


_NEVER: Final = Ended(0, 0)


@dataclass(slots=True)
class _Way:
    """One of them while contracts are read; `is_there`: in the one that was read last."""

    name: str = ""
    begun: int = 0
    since: int = 0
    is_there: bool = False
    spans: list[Span] = field(default_factory=list)


def agreed(revisions: Iterable[tuple[int, int, Sequence[Line]]]) -> Mapping[tuple[str, str], Agreed]:
    """What these contracts forward, by the type that is sent and the partner that it goes on to.

    `revisions`: all of a partner's contracts, oldest first, each with its number, when it was applied, and
    its lines.
    """
    ways: dict[tuple[str, str], _Way] = {}
    applied: dict[int, int] = {}
    for number, applied_at, lines in revisions:
        applied[number] = applied_at
        terms = [line.terms for line in lines]
        here = {(one.event_type, one.forward.to): one.forward.event_type for one in terms if one.forward}
        for pair, way in ways.items():
            if way.is_there and pair not in here:
                way.spans[-1] = replace(way.spans[-1], end=number, until=applied_at)
                way.is_there = False
        for pair, name in here.items():
            way = ways.setdefault(pair, _Way())
            if not way.is_there:
                way.spans.append(Span(number, applied_at))
            if not way.is_there or way.name != name:
                way.name, way.begun, way.since = name, number, applied_at
            way.is_there = True
    return {
        (sent, to): Agreed(to, way.name, way.begun, way.since, tuple(way.spans), applied)
        for (sent, to), way in ways.items()
    }
