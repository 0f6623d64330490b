"""Who is who in a shard: its partners, whose endpoints they are, and in which log what is told."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.catalog import Snapshot
from gateway.egress.wording import Voice
from gateway.leases import shard_of
from partners.endpoint import house_of
from partners.partner import Partner


@dataclass(frozen=True, slots=True)
class Voices:
    """Makes voices. `origin`: our URL; `host`: what log names begin with; `house_log`: our own log's name."""

    origin: str
    host: str
    house_log: str
    entropy: Callable[[int], bytes] = field(repr=False)

    def partner(self, partner: Partner) -> Voice:
        """Speaks in the partner's log."""
        return Voice(self.origin, f"{self.host}/log/{partner.log}", partner.slug, self.entropy)

    def of(self, partner: Partner) -> Mapping[str, Voice]:
        """By owner of endpoints: what the house gets is told in its own log: no partner sees our URLs."""
        ours = Voice(self.origin, f"{self.host}/log/{self.house_log}", partner.slug, self.entropy)
        return {partner.slug: self.partner(partner), house_of(partner.slug): ours}


def by_shard(snapshot: Snapshot, shards: int) -> Mapping[int, list[Partner]]:
    """The partners of each shard."""
    found: dict[int, list[Partner]] = {}
    for partner in snapshot.directory.partners():
        found.setdefault(shard_of(partner.slug, shards), []).append(partner)
    return found
