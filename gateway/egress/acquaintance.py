"""How the shards of a relay come to know their partners: who they are today, and what waits for them.

What waits is loaded once, before anything is read for a partner; of much that waits in no order only which
rows there are (`gateway.egress.resting`). That takes a while where much waits, and nobody else is to wait for
it: partners for whom little waits come first, whichever shards they are in.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from gateway.catalog import Snapshot
from gateway.database import Database
from gateway.egress.addressees import ended_with, endpoints_of
from gateway.egress.deliveries import load_alone, load_gone, load_many
from gateway.egress.parties import Voices
from gateway.egress.reading import Today
from gateway.egress.shard import Shard
from partners.partner import Partner


async def in_turns(
    database: Database, shards: Sequence[Shard], everyone: Mapping[int, Sequence[Partner]]
) -> Sequence[Mapping[int, Sequence[Partner]]]:
    """The partners by shard, first without those for whom much is yet to be loaded; then all.

    Raises:
        StoreError: the database is away.
    """
    new = [one.slug for shard in shards for one in strange(shard, everyone.get(shard.lease.shard, ()))]
    many = await database.read(partial(load_many, partners=new)) if new else frozenset[str]()
    first = {number: [one for one in some if one.slug not in many] for number, some in everyone.items()}
    return [first, everyone] if many else [everyone]


def strange(shard: Shard, partners: Sequence[Partner]) -> list[Partner]:
    """Those of its partners that a shard does not know yet."""
    return [partner for partner in partners if not shard.knows(partner.slug)]


async def adopt(database: Database, catalog: Today, shard: Shard, partners: Sequence[Partner]) -> bool:
    """Have a shard take in what waits for those that it does not know yet; whether there are any.

    Where a former owner has left ranges, contracts are looked at that are as new as these: by older ones
    events in them would be passed over, and no tick would find that out.

    Raises:
        LeaseLostError: the shard is another's.
        StoreError: the database is away.
    """
    new = strange(shard, partners)
    if new:
        topics = {partner.slug: partner.topics.outbound for partner in new}
        stored = await load_alone(database, shard.lease, topics)
        if stored.spans:
            await catalog.follow()
        shard.adopt(stored)
    return bool(new)


def brief(shard: Shard, partners: Sequence[Partner], snapshot: Snapshot, voices: Voices) -> None:
    """Give a shard these partners, and their endpoints, as they are now."""
    partners = [snapshot.directory.partner(each.slug) or each for each in partners]
    said = {owner: voice for each in partners for owner, voice in voices.of(each).items()}
    endpoints = [each for partner in partners for each in endpoints_of(snapshot, partner)]
    shard.update(said, endpoints, contracts=snapshot.directory.revision)
    shard.bury(ended_with(snapshot, partners))


async def bury(database: Database, shard: Shard) -> None:
    """Tell a shard of endpoints that something waits for and that are no more. Raises as `Database.read`."""
    if strangers := shard.strangers():
        shard.bury(await database.read(partial(load_gone, strangers=strangers)))
