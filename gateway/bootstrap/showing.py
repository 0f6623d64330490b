"""What shows the checkpoints of the logs: wired from the ground, the catalog and the keys."""

from collections.abc import Callable, Mapping

from gateway.bootstrap.ground import Ground
from gateway.catalog import Catalog
from gateway.keys import KeyRing
from gateway.leases import shard_of
from gateway.sequencer.territory import HOUSE
from gateway.shown import Owner, Shown
from partners.directory import Directory


def make_shown(
    ground: Ground, catalog: Catalog, keys: Callable[[], KeyRing], honest: Callable[[], int]
) -> Shown:
    """Of this process. `honest`: raises where our clock is not to be trusted."""
    return Shown(
        database=ground.database,
        clock=honest,
        signers=lambda: keys().signing("freshness"),
        name=f"{ground.host}/freshness",
        owner_of=Owners(catalog, ground.house_log, ground.settings.lease.shards),
        promise_ms=ground.settings.audit.merge_delay,
    )


class Owners:
    """Whose a log is, by the directory of the moment."""

    def __init__(self, catalog: Catalog, house_log: str, shards: int) -> None:
        """`house_log`: the random name of our own log."""
        self._catalog = catalog
        self._house_log = house_log
        self._shards = shards
        self._directory: Directory | None = None
        self._known: Mapping[str, Owner] = {}

    def __call__(self, log: str) -> Owner | None:
        """The owner of a log, by its random name."""
        directory = self._catalog.current.directory
        if directory is not self._directory:
            self._known = self._all(directory)
            self._directory = directory
        return self._known.get(log)

    def _all(self, directory: Directory) -> Mapping[str, Owner]:
        partners = {
            one.log: Owner(shard_of(one.slug, self._shards), (one.topics.inbound, one.topics.outbound))
            for one in directory.partners()
        }
        return {**partners, self._house_log: Owner(shard_of(HOUSE, self._shards))}
