"""Who reads a partner's inbound topic besides its log: for the house's endpoints, and for other partners'.

Each owner of endpoints reads a topic for itself, from the moment that it wants something of it, and keeps a
position of its own under a name of its own for the topic's id (`gateway.positions.share`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from gateway.catalog import Snapshot
from partners.endpoint import house_of
from partners.partner import Partner

CLOCKS_APART_MS: Final = 60_000
"""Records are looked for from so long before: of two hosts that sign anything the clocks differ by 10 s at
most, and whose an event is says its receipt."""

Ways = Mapping[str, list[Partner]]
"""The partners from which events go on, by the partner that they go on to."""


def ways(snapshot: Snapshot) -> Ways:
    """What today's contracts forward."""
    found: dict[str, list[Partner]] = {}
    for sender in snapshot.directory.partners():
        forwards = snapshot.directory.forwards(sender.slug).values()
        for receiver in {one.to for one in forwards if one.lasts}:
            found.setdefault(receiver, []).append(sender)
    return found


def forwarders(snapshot: Snapshot, receiver: str) -> list[Partner]:
    """Who forwards something to a partner, or did once; of those whose topics there are."""
    directory = snapshot.directory
    return [
        sender
        for sender in directory.partners()
        if any(to == receiver for _, to in directory.forwards(sender.slug))
        if snapshot.is_ready(sender.topics.inbound)
    ]


def readings(
    snapshot: Snapshot, partners: Iterable[Partner], forwarding: Ways
) -> Iterator[tuple[str, Partner]]:
    """Owner and sender of all that is to be read for these partners' endpoints, and for ours with them."""
    for partner in partners:
        if any(each.wants_events for each in snapshot.directory.house_endpoints(partner.slug)):
            yield house_of(partner.slug), partner
        for sender in forwarding.get(partner.slug, ()):
            yield partner.slug, sender


def wanted_since(snapshot: Snapshot, owner: str, sender: Partner) -> int:
    """When the first event may have been sent that is for an owner, in Unix milliseconds.

    That is, when its oldest endpoint was made, or the first contract came into force that forwards something,
    by whichever clock.
    """
    if owner == house_of(sender.slug):
        there = snapshot.directory.house_endpoints(sender.slug)
        return min((each.created_at for each in there), default=0)
    found = snapshot.directory.forwards(sender.slug).values()
    since = min((one.unbroken_since for one in found if one.lasts and one.to == owner), default=0)
    return max(0, since - CLOCKS_APART_MS)
