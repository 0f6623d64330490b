"""What a sequencer believes between two rounds: where it reads, how far it came, which logs it writes to.

Nothing here is stored, and nothing here asks anybody: it is thrown away whenever a round fails.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gateway.broker.port import Position, Read, Reader, Start, TooHigh, TooLow, place_in
from gateway.catalog import Snapshot
from gateway.leases import Lease
from gateway.positions import Move, Progress
from gateway.sequencer.orphans import Gone
from gateway.sequencer.sighting import Sighting, Suspect, sight
from gateway.sequencer.territory import Plot, Territory


@dataclass(slots=True)
class Seen:
    """What was read for one round, sorted: records that may be ours, and partitions that are read no more."""

    sightings: list[Sighting] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)
    lows: list[TooLow] = field(default_factory=list)
    highs: list[TooHigh] = field(default_factory=list)

    def stopped(self) -> set[tuple[str, int]]:
        """Where nothing is read before it is assigned again."""
        return {*map(place_in, self.lows), *map(place_in, self.highs)}


@dataclass(slots=True)
class Belief:
    """See the module.

    `snapshot`, `held`: what the territory was surveyed by. `renewed`: plots whose name stood for another
    topic before, and where they ended when that was found. `ended`: epochs that are over, and whose last
    checkpoint is to be signed anew.
    """

    territory: Territory = field(default_factory=lambda: Territory({}, {}))
    snapshot: Snapshot | None = None
    held: frozenset[Lease] = frozenset()
    progress: dict[tuple[str, int], Progress] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    unpublished: set[str] = field(default_factory=set)
    ended: list[str] = field(default_factory=list)
    renewed: dict[Plot, int] = field(default_factory=dict)
    is_guarded: bool = False
    is_loaded: bool = False

    def learn(self, plots: Sequence[Plot], stored: Mapping[tuple[str, int], Progress]) -> None:
        """Take over what is stored of these plots, in place of what was believed."""
        for plot in plots:
            found = stored.get((plot.topic_id, plot.partition))
            if found is None:
                self.progress.pop((plot.topic_id, plot.partition), None)
            else:
                self.progress[plot.topic_id, plot.partition] = found

    def start(self, plot: Plot) -> Start:
        """Where reading a plot goes on."""
        progress = self.progress.get((plot.topic_id, plot.partition))
        offset = 0 if progress is None else progress.next
        return Start(plot.topic, Position(plot.topic_id, plot.partition, offset))

    def starts(self, places: Collection[tuple[str, int]]) -> list[Start]:
        """Where reading goes on at these places, as far as they are ours."""
        return [self.start(plot) for place, plot in self.territory.plots.items() if place in places]

    def settle(self, moves: Iterable[tuple[Lease, Sequence[Move]]], renewed: Iterable[Plot]) -> None:
        """These steps are stored by now, and the former topics of these plots settled."""
        for _, steps in moves:
            for move in steps:
                self.progress[move.topic_id, move.partition] = move.after
        for plot in renewed:
            self.renewed.pop(plot, None)

    def gone(self, reader: Reader, lows: Sequence[TooLow]) -> list[Gone]:
        """Holes that retention made; and former topics, once the present one is read as far as it went."""
        plots = self.territory.plots
        gone = [
            Gone(plots[place], (low.wanted.offset, low.first))
            for low in lows
            if (place := (low.topic, low.wanted.partition)) in plots
            and plots[place].topic_id == low.wanted.topic_id
        ]
        taken = {one.plot for one in gone}
        return gone + [
            Gone(plot, None)
            for plot, end in self.renewed.items()
            if plot not in taken and (reader.reached(plot.topic, plot.partition) or 0) >= end
        ]

    def reached(self) -> dict[Plot, int]:
        """How far each plot was read, as stored; without those whose former topics are still settled."""
        spots = {plot: (plot.topic_id, plot.partition) for plot in self.territory.plots.values()}
        return {
            plot: self.progress[spot].next if spot in self.progress else 0
            for plot, spot in spots.items()
            if plot not in self.renewed
        }

    def is_ours(self, high: TooHigh) -> bool:
        """Whether it is of a partition that we read, and of the topic that is there now."""
        plot = self.territory.plots.get(place_in(high))
        return plot is not None and plot.topic_id == high.wanted.topic_id

    def plots_at(self, places: Iterable[tuple[str, int]]) -> list[Plot]:
        """The plots of these places, as far as they are ours."""
        plots = self.territory.plots
        return [plots[place] for place in places if place in plots]

    def look(self, read: Read, seen: Seen) -> None:
        """Sort a record in, where it is ours to judge."""
        plot = self.territory.plots.get((read.record.topic, read.position.partition))
        if plot is None or plot.topic_id != read.position.topic_id:
            return
        found = sight(read, partner=plot.partner, direction=plot.direction)
        if isinstance(found, Sighting):
            seen.sightings.append(found)
        elif isinstance(found, Suspect):
            seen.suspects.append(found)

    def moves(
        self,
        reader: Reader,
        leaps: Mapping[tuple[str, int], int],
        sightings: Iterable[Sighting] = (),
        *,
        among: Collection[tuple[str, int]] | None = None,
    ) -> list[tuple[Lease, list[Move]]]:
        """Steps to where the reader has come, `among` these places alone; `leaps`: steps to elsewhere.

        Each lease that `sightings` were read under is among them: where their topic is gone since, nothing
        moves, and they are entered all the same.
        """
        seen = (self.territory.plots[place_in(one.read)].lease for one in sightings)
        by_lease: dict[Lease, list[Move]] = {lease: [] for lease in seen}
        for place, plot in self.territory.plots.items():
            if among is not None and place not in among and place not in leaps:
                continue
            before = self.progress.get((plot.topic_id, plot.partition))
            reached = leaps.get(place)
            if reached is None:
                reached = reader.reached(*place)
                if reached is None or reached <= (0 if before is None else before.next):
                    continue
            move = Move(plot.topic, plot.topic_id, plot.partition, before, Progress(reached))
            by_lease.setdefault(plot.lease, []).append(move)
        return list(by_lease.items())
