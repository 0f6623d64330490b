"""Exports, wired: who hands them out, and the role that makes them."""

from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.bootstrap.ground import Ground
from gateway.exports.desk import Exports
from gateway.exports.making import Maker
from gateway.exports.papers import Papers
from gateway.exports.worker import Exporter
from gateway.shown import Shown


@dataclass(frozen=True, slots=True)
class Exporting:
    """The role, and what the routes need of exports."""

    role: Exporter
    doors: Exports = field(repr=False)


def make_exporting(ground: Ground, owner: str, shown: Shown, step: Callable[[str], None]) -> Exporting:
    """Both, over one maker: a process makes few files at once."""
    settings, maker = ground.settings, Maker(ground.database)
    role = Exporter(
        database=ground.database,
        maker=maker,
        clock=ground.clock,
        owner=owner,
        lease_ms=settings.lease.duration,
        kept_ms=settings.retention.exports,
        step=step,
    )
    return Exporting(
        role,
        Exports(Papers(database=ground.database, maker=maker, checkpoint=shown.checkpoint), role.take_up),
    )
