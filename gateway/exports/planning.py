"""Which ranges of a log an export is to hold, from what a request names: indexes, or times.

Indexes are those of one epoch. A time is turned into the shortest range that holds every entry of that time,
epoch by epoch: entries are in the order in which they were appended, in which times may jitter, so that a few
of before and after may be among them. Nothing beyond the published checkpoint is exported: it is proved by
nothing yet.
"""

from dataclasses import dataclass
from functools import partial
from typing import Final

from audit import ranges
from audit.checkpoint import split_origin
from audit.ranges import Extent, Sought
from gateway.database import Database
from gateway.errors import CallerError
from gateway.exports.job import Stretch


@dataclass(frozen=True, slots=True)
class Indexes:
    """From one index up to, not with, another; None: from the first, up to the last. `epoch` None: newest."""

    first: int | None = None
    end: int | None = None
    epoch: int | None = None


@dataclass(frozen=True, slots=True)
class Times:
    """From one instant up to, not with, another (Unix milliseconds); None: from or up to the end."""

    since: int | None = None
    until: int | None = None


Asked = Indexes | Times
_START: Final = 0
_ENDLESS: Final = (1 << 63) - 1


async def plan(database: Database, name: str, asked: Asked) -> tuple[Stretch, ...]:
    """The ranges of the log `name` (without epoch), at least one, which may be empty.

    Raises:
        CallerError: `proof_pending`, `parameter_invalid`.
        StoreError: the database is away.
    """
    found = await database.read(lambda session: ranges.extents(session, name))
    if not found:
        raise CallerError(
            "proof_pending", "Nothing of the log is published yet.", hint="Ask again in a few seconds."
        )
    if isinstance(asked, Indexes) and (asked.first, asked.end, asked.epoch) != (None, None, None):
        return (_by_index(found, asked),)
    times = asked if isinstance(asked, Times) else Times()
    stretches = [await _by_time(database, one, times) for one in found]
    return tuple(one for one in stretches if one.count) or (stretches[-1],)


def _by_index(found: tuple[Extent, ...], asked: Indexes) -> Stretch:
    extent = found[-1]
    if asked.epoch is not None:
        known = {split_origin(one.origin)[1]: one for one in found}
        if asked.epoch not in known:
            listed = ", ".join(map(str, known))
            raise CallerError(
                "parameter_invalid", f"The member epoch must be an epoch of the log; there is: {listed}."
            )
        extent = known[asked.epoch]
    first, end = asked.first or _START, extent.size if asked.end is None else asked.end
    if end > extent.size or first > end:
        text = (
            f"The members from and to must name indexes of {extent.origin} in order, up to {extent.size}: "
            "so far goes its published checkpoint."
        )
        raise CallerError("parameter_invalid", text)
    return Stretch(extent.origin, first, end)


async def _by_time(database: Database, extent: Extent, times: Times) -> Stretch:
    if times == Times():
        return Stretch(extent.origin, _START, extent.size)
    within = (times.since or _START, _ENDLESS if times.until is None else times.until)
    sought = Sought()
    while sought.group is not None:
        sought = await database.read(partial(ranges.seek, extent=extent, times=within, sought=sought))
    if sought.first is None or sought.last is None:
        return Stretch(extent.origin, extent.size, extent.size)
    return Stretch(extent.origin, sought.first, sought.last + 1)
