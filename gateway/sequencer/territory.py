"""Which logs and partitions a sequencer works on, given its leases and today's partners."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.catalog import Snapshot
from gateway.event import Direction
from gateway.leases import Lease, shard_of

HOUSE = "house"
"""The party that is us: it has a log and a shard like a partner, and no topics."""

ANCHOR = "anchor"
"""Name of the log over the heads of all others. Other logs' names are random, and never this."""


def anchor_log(host: str) -> str:
    """The anchor's log, without its epoch."""
    return f"{host}/log/{ANCHOR}"


@dataclass(frozen=True, slots=True)
class Plot:
    """One partition of a partner's topic, and the lease under which it is read."""

    lease: Lease
    partner: str
    direction: Direction
    topic: str
    topic_id: str
    partition: int


@dataclass(frozen=True, slots=True)
class Territory:
    """The partitions that are ours now, and the logs (by name, with the host), each under its lease."""

    plots: Mapping[tuple[str, int], Plot]
    logs: Mapping[str, Lease]


def survey(
    snapshot: Snapshot, leases: Iterable[Lease], *, shards: int, host: str, house_log: str
) -> Territory:
    """Lay out what the leases cover. Topics that do not exist yet are left for the next survey."""
    by_shard = {lease.shard: lease for lease in leases}
    plots: dict[tuple[str, int], Plot] = {}
    logs: dict[str, Lease] = {}
    if (ours := by_shard.get(shard_of(HOUSE, shards))) is not None:
        logs = dict.fromkeys((f"{host}/log/{house_log}", anchor_log(host)), ours)
    for partner in snapshot.directory.partners():
        lease = by_shard.get(shard_of(partner.slug, shards))
        if lease is None:
            continue
        logs[f"{host}/log/{partner.log}"] = lease
        topics = partner.topics
        numbers = snapshot.partitions_of(topics.outbound, topics.outbound_partition)
        wanted: list[tuple[Direction, str, int]] = [
            ("inbound", topics.inbound, topics.inbound_partition),
            *(("outbound", topics.outbound, number) for number in numbers),
        ]
        for direction, topic, partition in wanted:
            topic_id = snapshot.topic_ids.get(topic)
            if topic_id is not None:
                plots[topic, partition] = Plot(lease, partner.slug, direction, topic, topic_id, partition)
    return Territory(plots, logs)
