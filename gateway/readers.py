"""Who reads a partner's inbound topic besides its log: for the house's endpoints, and for other partners'.

Each owner of endpoints reads a topic for itself, from the moment that it wants something of it, and keeps a
position of its own under a name of its own for the topic's id (`gateway.positions.share`). What was accepted
by a contract that forwards it is read, however late: so whoever read for a partner goes on when nothing is
forwarded to it any more, until all that was is behind it (`gateway.egress.leaving`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.broker.port import Broker
from gateway.catalog import Snapshot
from gateway.positions import Progress, share
from partners.endpoint import house_of
from partners.forwarding import Ended, ended
from partners.partner import Partner

CLOCKS_APART_MS: Final = 60_000
"""Records are looked for from so long before: of two hosts that sign anything the clocks differ by 10 s at
most, and whose an event is says its receipt."""

Ways = Mapping[str, list[tuple[Partner, Ended | None]]]
"""The partners from which events go on, or did once, by the partner that they go on to; and since when none
does."""

Left = Mapping[tuple[str, int], int]
"""By shared topic id and partition, the contract before which all was read that was for an owner."""


def left_in(progress: Mapping[tuple[str, int], Progress]) -> Left:
    """What was noted of readings that nothing goes on for any more."""
    return {spot: one.left_by for spot, one in progress.items() if one.left_by}


def ways(snapshot: Snapshot) -> Ways:
    """What contracts forward, or did once."""
    found: dict[str, list[tuple[Partner, Ended | None]]] = {}
    for sender in snapshot.directory.partners():
        for receiver, over in ended_for(snapshot, sender).items():
            found.setdefault(receiver, []).append((sender, over))
    return found


def forwarders(snapshot: Snapshot, receiver: str) -> list[Partner]:
    """Who forwards something to a partner, or did once; of those whose topics there are."""
    found = ways(snapshot).get(receiver, [])
    return [sender for sender, _ in found if snapshot.is_ready(sender.topics.inbound)]


def readings(
    snapshot: Snapshot, partners: Iterable[Partner], forwarding: Ways, left: Left
) -> Iterator[tuple[str, Partner]]:
    """Owner and sender of all that is to be read for these partners' endpoints, and for ours with them."""
    for partner in partners:
        if any(each.wants_events for each in snapshot.directory.house_endpoints(partner.slug)):
            yield house_of(partner.slug), partner
        for sender, over in forwarding.get(partner.slug, ()):
            if over is None or over.contract > _left_by(snapshot, partner.slug, sender, left):
                yield partner.slug, sender


def ended_for(snapshot: Snapshot, sender: Partner) -> Mapping[str, Ended | None]:
    """By the partners that a partner's events go on to, or did once, since when none does; None: some do."""
    return ended(snapshot.directory.forwards(sender.slug).values())


async def find_begin(broker: Broker, snapshot: Snapshot, owner: str, sender: Partner, left: Left) -> int:
    """The first offset of a sender's inbound topic that may be for an owner.

    Where the topic ended when the oldest endpoint of the house was made, if that was noted of all; else what
    was recorded since then, or since the first contract came into force that forwards something that was not
    read for the owner yet: and a little before, by whichever clock.

    Raises:
        BrokerError: as `Broker.offset_at`.
    """
    place, since = (sender.topics.inbound, sender.topics.inbound_partition), 0
    if owner == house_of(sender.slug):
        there = [each for each in snapshot.directory.house_endpoints(sender.slug) if each.wants_events]
        topic_id = snapshot.topic_ids.get(place[0])
        noted = [each.begins[1] for each in there if each.begins is not None and each.begins[0] == topic_id]
        if there and len(noted) == len(there):
            # What retention has taken of a time in which nobody listened is no loss.
            ((first, _),) = await broker.bounds([place])
            return max(min(noted), first)
        since = min((each.created_at for each in there), default=0)
    else:
        lines = snapshot.directory.forwards(sender.slug).items()
        spans = [span for (_, to), line in lines if to == owner for span in line.spans]
        before = _left_by(snapshot, owner, sender, left)
        since = min((one.since for one in spans if one.end is None or one.end > before), default=0)
    return await broker.offset_at(place, max(0, since - CLOCKS_APART_MS))


def _left_by(snapshot: Snapshot, owner: str, sender: Partner, left: Left) -> int:
    topic_id = snapshot.topic_ids.get(sender.topics.inbound, "")
    return left.get((share(topic_id, owner), sender.topics.inbound_partition), 0)
