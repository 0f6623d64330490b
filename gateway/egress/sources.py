"""Where a replay reads: the topics whose records may be for somebody's endpoints, and since when. Pure.

A partner's endpoints get what its own topic holds, and what contracts forward to it out of other partners'
inbound topics; the house's get what the partner sends, and, where they ask for it, what is the gateway's own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gateway.catalog import Snapshot
from gateway.errors import AwayError
from gateway.operational import is_operational
from gateway.positions import share
from gateway.readers import CLOCKS_APART_MS
from partners.endpoint import OPERATIONAL, Endpoint, Side, house_of
from partners.partner import Partner


@dataclass(frozen=True, slots=True)
class Origin:
    """A topic that is read for some endpoints. `topic_id`: shared, where it is another's (`positions.share`).

    `since`: nothing that was recorded before is for them, in Unix milliseconds.
    """

    topic: str
    topic_id: str
    partitions: Sequence[int]
    endpoints: tuple[str, ...]
    since: int = 0


def origins(
    snapshot: Snapshot, partner: Partner, side: Side, there: Sequence[Endpoint], types: Sequence[str]
) -> list[Origin]:
    """The topics for these endpoints of one owner. `types`: what alone is asked for; empty: everything.

    Raises:
        AwayError: the partner's own topic is not known yet.
    """
    found = _of_house if side == "house" else _of_partner
    return [one for one in found(snapshot, partner, there, types) if one.endpoints]


def _of_partner(
    snapshot: Snapshot, partner: Partner, there: Sequence[Endpoint], types: Sequence[str]
) -> Iterator[Origin]:
    ids = tuple(one.id for one in there)
    yield _outbound(snapshot, partner, ids)
    for sender in snapshot.directory.partners():
        forwards = snapshot.directory.forwards(sender.slug).values()
        mine = [one for one in forwards if one.lasts and one.to == partner.slug]
        wanted = [one for one in mine if not types or one.name in types]
        # As the relay does: what is closed, or has no topic, holds up nobody else's.
        if wanted and snapshot.is_ready(sender.topics.inbound):
            since = min(one.since for one in wanted) - CLOCKS_APART_MS
            yield _inbound(snapshot, sender, partner.slug, ids, since)


def _of_house(
    snapshot: Snapshot, partner: Partner, there: Sequence[Endpoint], types: Sequence[str]
) -> Iterator[Origin]:
    if not types or not all(map(is_operational, types)):
        ids = tuple(one.id for one in there if one.wants_events)
        yield _inbound(snapshot, partner, house_of(partner.slug), ids)
    own = [one for one in OPERATIONAL if not types or one in types]
    yield _outbound(snapshot, partner, tuple(one.id for one in there if any(map(one.listens_to, own))))


def _outbound(snapshot: Snapshot, partner: Partner, endpoints: tuple[str, ...]) -> Origin:
    topic = partner.topics.outbound
    numbers = snapshot.partitions_of(topic, partner.topics.outbound_partition)
    return Origin(topic, _id_of(snapshot, topic), numbers, endpoints)


def _inbound(
    snapshot: Snapshot,
    sender: Partner,
    owner: str,
    endpoints: tuple[str, ...],
    since: int = 0,
) -> Origin:
    topic = sender.topics.inbound
    topic_id = share(_id_of(snapshot, topic), owner)
    return Origin(topic, topic_id, (sender.topics.inbound_partition,), endpoints, since)


def _id_of(snapshot: Snapshot, topic: str) -> str:
    topic_id = snapshot.topic_ids.get(topic)
    if topic_id is None:
        raise AwayError("broker_unavailable", f"the topic {topic} is not known yet; try again")
    return topic_id
