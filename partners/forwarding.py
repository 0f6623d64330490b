"""What a partner's contracts agreed over time about events that go on to other partners. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from partners.contract import Line


@dataclass(frozen=True, slots=True)
class Agreed:
    """One line that forwards today, with when that was agreed. Times in Unix milliseconds.

    `to`, `name`: to whom, and as which type. `since`: when the oldest came into force of the contracts in a
    row that say exactly this. `spans`: when the type went on to that partner under any name, oldest first,
    each from and up to, not with; the last one, without an end, lasts.
    """

    to: str
    name: str
    since: int
    spans: tuple[tuple[int, int | None], ...]

    @property
    def unbroken_since(self) -> int:
        """From when on the type has gone on to that partner without a break, under whichever name."""
        return self.spans[-1][0]

    def was_at(self, at: int) -> bool:
        """Whether the contract in force then forwarded the type to that partner."""
        return any(begin <= at and (end is None or at < end) for begin, end in self.spans)


def agreed(revisions: Iterable[tuple[int, Sequence[Line]]]) -> Mapping[str, Agreed]:
    """What the newest of these forwards, by the type that is sent.

    `revisions`: all of a partner's contracts, oldest first, each with when it was applied.
    """
    since: dict[tuple[str, str, str], int] = {}
    spans: dict[tuple[str, str], list[tuple[int, int | None]]] = {}
    for applied_at, lines in revisions:
        ways = [(line.terms.event_type, line.terms.forward) for line in lines]
        exact = [(sent, way.to, way.event_type) for sent, way in ways if way is not None]
        before, pairs = {one[:2] for one in since}, {one[:2] for one in exact}
        for pair in before - pairs:
            spans[pair][-1] = (spans[pair][-1][0], applied_at)
        for pair in pairs - before:
            spans.setdefault(pair, []).append((applied_at, None))
        since = {one: since.get(one, applied_at) for one in exact}
    return {
        sent: Agreed(to, name, begun, tuple(spans[sent, to])) for (sent, to, name), begun in since.items()
    }
