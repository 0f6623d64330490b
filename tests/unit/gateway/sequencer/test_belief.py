from gateway.broker.port import place_in
from gateway.leases import Lease
from gateway.sequencer.belief import Belief
from gateway.sequencer.territory import Plot, Territory
from tests.unit.gateway.egress.test_drain import Faraway
from tests.unit.gateway.sequencer.test_round import LOG, sighted

LEASE = Lease("sequence", 0, 1, 0)


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
