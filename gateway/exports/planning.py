"""Which ranges of a log an export is to hold, from what a request names: indexes, or times.

Indexes are those of one epoch. A time is turned into the shortest range that holds every entry of that time,
epoch by epoch: entries are in the order in which they were appended, in which times may jitter, so that a few
of before and after may be among them. Nothing beyond the published checkpoint is exported: it is proved by
nothing yet.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sqlmodel import Session

from audit import ranges
from audit.checkpoint import split_origin
from audit.ranges import Extent
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
_Find = Callable[[Session, str, int, int, int], int | None]
_START: Final = 0


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
    first, end = _START, extent.size
    if times.since is not None:
        index = await _first(database, extent, times.since)
        first = extent.size if index is None else index
    if times.until is not None:
        index = await _last(database, extent, times.until, first)
        end = first if index is None else index + 1
    return Stretch(extent.origin, first, end)


async def _first(database: Database, extent: Extent, at: int) -> int | None:
    for low in range(_START, extent.size, ranges.LOOK):
        high = min(low + ranges.LOOK, extent.size)
        index = await _look(database, ranges.find_from, extent, (low, high), at)
        if index is not None:
            return index
    return None


async def _last(database: Database, extent: Extent, at: int, first: int) -> int | None:
    for high in range(extent.size, first, -ranges.LOOK):
        low = max(high - ranges.LOOK, first)
        index = await _look(database, ranges.find_before, extent, (low, high), at)
        if index is not None:
            return index
    return None


async def _look(
    database: Database, find: _Find, extent: Extent, within: tuple[int, int], at: int
) -> int | None:
    return await database.read(lambda session: find(session, extent.origin, *within, at))
