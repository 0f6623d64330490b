"""What a partner's contracts agreed over time about events that go on to other partners. Pure.

Counted in revisions of the contract: the receipt of an event names the one that it was accepted under. Times
are the clocks' of whoever applied a contract, and serve to find a place in a topic, never to judge an event.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from partners.contract import Line


@dataclass(frozen=True, slots=True)
class Agreed:
    """That events of a type go on to another partner, or did so once.

    `to`, `name`: to whom, and as which type, by the newest contract that says so. `begun`: the oldest of the
    contracts in a row that say exactly this; `since`: when it came into force, and `unbroken_since` when that
    one did since which the type has gone on to that partner under whichever name, in Unix milliseconds.
    `spans`: all revisions that forward the type to that partner under any name, oldest first, each from and
    up to, not with; the last one has no end where it lasts.
    """

    to: str
    name: str
    begun: int
    since: int
    unbroken_since: int
    spans: tuple[tuple[int, int | None], ...]

    @property
    def lasts(self) -> bool:
        """Whether the contract in force says so."""
        return self.spans[-1][1] is None

    @property
    def unbroken(self) -> int:
        """The revision since which the type has gone on to that partner, or did last."""
        return self.spans[-1][0]

    def was_in(self, revision: int) -> bool:
        """Whether this contract forwards the type to that partner."""
        return any(first <= revision and (end is None or revision < end) for first, end in self.spans)


@dataclass(slots=True)
class _Way:
    """One of them while contracts are read; `is_there`: in the one that was read last."""

    name: str = ""
    begun: int = 0
    since: int = 0
    unbroken_since: int = 0
    is_there: bool = False


def agreed(revisions: Iterable[tuple[int, int, Sequence[Line]]]) -> Mapping[tuple[str, str], Agreed]:
    """What these contracts forward, by the type that is sent and the partner that it goes on to.

    `revisions`: all of a partner's contracts, oldest first, each with its number, when it was applied, and
    its lines.
    """
    ways: dict[tuple[str, str], _Way] = {}
    spans: dict[tuple[str, str], list[tuple[int, int | None]]] = {}
    for number, applied_at, lines in revisions:
        terms = [line.terms for line in lines]
        here = {(one.event_type, one.forward.to): one.forward.event_type for one in terms if one.forward}
        for pair, way in ways.items():
            if way.is_there and pair not in here:
                spans[pair][-1] = (spans[pair][-1][0], number)
                way.is_there = False
        for pair, name in here.items():
            way = ways.setdefault(pair, _Way())
            if not way.is_there:
                spans.setdefault(pair, []).append((number, None))
                way.unbroken_since = applied_at
            if not way.is_there or way.name != name:
                way.name, way.begun, way.since = name, number, applied_at
            way.is_there = True
    return {
        (sent, to): Agreed(to, way.name, way.begun, way.since, way.unbroken_since, tuple(spans[sent, to]))
        for (sent, to), way in ways.items()
    }
