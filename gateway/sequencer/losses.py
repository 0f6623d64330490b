"""What the sequencer found to be gone in this round: which records, whose events, and what is said of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from gateway.broker.port import Broker, BrokerError
from gateway.database import Database
from gateway.leases import Lease
from gateway.logs import logger
from gateway.positions import Move
from gateway.sequencer.orphans import (
    ORPHANS_AT_ONCE,
    Gone,
    find_behind,
    find_orphans,
    still_behind,
    words_of,
    words_of_strays,
)
from gateway.sequencer.sighting import Accepted
from gateway.sequencer.territory import Plot

Place = tuple[str, int]
"""Topic and partition."""

Moves = list[tuple[Lease, list[Move]]]

Strays = Mapping[Plot, Sequence[Accepted]]
"""Accepted events whose records will not be read, and that no known loss accounts for."""

Ends = Callable[[Sequence[Plot]], Awaitable[Mapping[Plot, int]]]
"""Asks where plots end now; of those that have gone nothing is known."""


@dataclass(slots=True)
class Losses:
    """Losses of one round, one a place. `complete`: those whose last orphans are among `orphans`.

    `strays`: accepted events that no known loss accounts for.
    """

    gone: Sequence[Gone] = ()
    orphans: dict[Place, list[Accepted]] = field(default_factory=dict)
    complete: dict[Place, Gone] = field(default_factory=dict)
    strays: Strays = field(default_factory=dict)

    def events(self) -> list[Accepted]:
        """All that were found, each once."""
        found = [*self.orphans.values(), *self.strays.values()]
        return list({one.ref: one for some in found for one in some}.values())

    def holes(self) -> dict[Place, int]:
        """Where to read on behind each complete hole."""
        return {place: gone.hole[1] for place, gone in self.complete.items() if gone.hole is not None}

    def renewed(self) -> list[Plot]:
        """Plots whose former topics are settled."""
        return [gone.plot for gone in self.complete.values() if gone.hole is None]

    def under_leases(self, moves: Moves) -> Moves:
        """`moves`, with every lease that the losses need to be checked."""
        held = {lease for lease, _ in moves}
        plots = [*(gone.plot for gone in self.gone), *self.strays]
        missing = {plot.lease: None for plot in plots if plot.lease not in held}
        return [*moves, *((lease, []) for lease in missing)]


async def look_for(
    database: Database,
    gone: Sequence[Gone],
    *,
    strays: Strays | None = None,
    cut: Sequence[Plot] = (),
    ends: Ends | None = None,
    limit: int = ORPHANS_AT_ONCE,
) -> Losses:
    """Find the accepted events among what is gone, about `limit` in all.

    `strays`: what was found besides. `cut`: plots that have lost what lay behind their `ends`, which are
    asked for again once the claims are read: what is accepted meanwhile lies before them. What `limit`
    leaves no room for is found in another round: nobody reads on before that.

    Raises:
        StoreError: the database is away.
        BrokerError: as `ends`.
    """
    losses, left = Losses(gone, strays=strays or {}), limit
    for one in gone:
        if left <= 0:
            break
        place = (one.plot.topic, one.plot.partition)
        reached = {one.plot: 0 if one.hole is None else one.hole[1]}
        found = await database.read(partial(find_orphans, reached=reached, limit=left))
        losses.orphans[place] = found.get(one.plot, [])
        if len(losses.orphans[place]) < left:
            losses.complete[place] = one
        left -= len(losses.orphans[place])
    if cut and ends is not None:
        # Else they would wait until as much has come again, however long that takes.
        before = await ends(cut)
        found = await database.read(partial(find_behind, ends=before, limit=limit))
        lost = still_behind(found, await ends(list(found)))
        found_before = losses.strays
        more = {plot: [*found_before.get(plot, ()), *some] for plot, some in lost.items()}
        losses.strays = {**found_before, **more}
    return losses


async def ends_of(broker: Broker, plots: Sequence[Plot]) -> dict[Plot, int]:
    """Where these plots end now; those whose topic is gone again are left out.

    Raises:
        BrokerError: the broker is away or refuses.
    """
    ends = {}
    for plot in plots:
        try:
            ((_, ends[plot]),) = await broker.bounds([(plot.topic, plot.partition)])
        except BrokerError as error:
            if error.code != "topic_unknown":
                raise
    return ends


@dataclass(slots=True)
class Told:
    """What was said of losses, by place; and how many orphans each has had so far."""

    words: dict[Place, str] = field(default_factory=dict)
    _counts: dict[Place, int] = field(default_factory=dict)

    def tell(self, losses: Losses) -> None:
        """Count the orphans of a round that is written; a loss that is complete goes to the log."""
        for place, orphans in losses.orphans.items():
            self._counts[place] = self._counts.get(place, 0) + len(orphans)
        for plot, found in losses.strays.items():
            words = words_of_strays(plot, len(found))
            self.words.setdefault((plot.topic, plot.partition), words)
            logger("gateway.sequencer").error("records were lost", reason=words)
        for place, one in losses.complete.items():
            self.words[place] = words_of(one, self._counts.pop(place, 0))
            logger("gateway.sequencer").error("records were lost", reason=self.words[place])
