"""How far a sequencer believes to have come, and whom it asks for that."""

from typing import cast

from gateway.broker.port import Reader, place_in
from gateway.leases import Lease
from gateway.sequencer.belief import Belief
from gateway.sequencer.territory import Plot, Territory
from tests.unit.gateway.egress.test_drain import Faraway
from tests.unit.gateway.sequencer.test_round import LOG, sighted

LEASE = Lease("sequence", 0, 1, 0)


class Asked:
    """A reader that is at offset 7 everywhere, and knows where it was asked for that."""

    def __init__(self) -> None:
        self.places: list[tuple[str, int]] = []

    def reached(self, topic: str, partition: int) -> int:
        self.places.append((topic, partition))
        return 7


def believing(*topics: str) -> Belief:
    plots = {(name, 0): Plot(LEASE, "acme", "inbound", name, f"id-{name}", 0) for name in topics}
    return Belief(Territory(plots, {}))


def moved(
    belief: Belief,
    reader: Asked,
    leaps: dict[tuple[str, int], int],
    among: set[tuple[str, int]] | None = None,
) -> dict[str, int]:
    found = belief.moves(cast("Reader", reader), leaps, among=among)
    return {move.topic: move.after.next for _, moves in found for move in moves}


def test_steps_are_looked_for_everywhere_unless_it_is_said_where() -> None:
    belief, reader = believing("a", "b", "c"), Asked()
    assert moved(belief, reader, {}) == {"a": 7, "b": 7, "c": 7}
    reader.places.clear()
    assert moved(belief, reader, {("b", 0): 9}, {("a", 0)}) == {"a": 7, "b": 9}
    assert reader.places == [("a", 0)]
    assert moved(belief, reader, {}, set()) == {}


def test_what_was_read_of_a_topic_that_is_gone_since_is_entered_under_its_lease_too() -> None:
    _, seen = sighted()
    topic, partition = place_in(seen.read)
    plot = Plot(LEASE, "acme", "inbound", topic, seen.position.topic_id, partition)
    belief = Belief(territory=Territory({(topic, partition): plot}, {LOG: LEASE}))
    nothing_left = Elsewhere()
    assert belief.moves(nothing_left, {}) == []
    assert belief.moves(nothing_left, {}, [seen]) == [(LEASE, [])]


class Elsewhere(Faraway):
    """A reader that has let go of everything."""

    def reached(self, topic: str, partition: int) -> None:
        """Nowhere."""
