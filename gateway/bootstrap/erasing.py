"""Erasures, wired: the role that works them off, and takes evidence away that is past its time."""

from collections.abc import Callable

from gateway.administration.evidence import Scribe
from gateway.bootstrap.ground import Ground, entropy
from gateway.catalog import Catalog
from gateway.erasing.job import Means
from gateway.erasing.worker import Eraser
from gateway.honest_clock import HonestClock


def make_eraser(ground: Ground, catalog: Catalog, honest: HonestClock, step: Callable[[str], None]) -> Eraser:
    """The role. Nothing goes with its time by a clock that is off."""
    settings = ground.settings
    return Eraser(
        database=ground.database,
        catalog=catalog,
        scribe=Scribe(settings.origin, ground.host, ground.house_log, entropy),
        means=Means(ground.host, step),
        clock=honest,
        claims_ms=settings.retention.claims,
    )
