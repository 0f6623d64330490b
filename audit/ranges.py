"""A range of a log, read for an export: its entries in order, its edges, and where a time begins and ends.

Entries are in the order in which they were appended, and times in them may jitter: what happened before may
be appended after. A time is therefore turned into the shortest range that holds every entry of that time, and
may hold a few of another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session, col

from audit import log
from audit.bulk import read_slices
from audit.checkpoint import split_origin
from audit.evidence import Kind
from audit.rows import HeadRow
from audit.store import load_nodes
from audit.tree import NodeKey, edge_at, root_at

READ: Final = (
    'SELECT "index", leaf, evidence, ref, kind FROM audit_entry '
    'WHERE log = ? AND epoch = ? AND "index" >= ? AND "index" < ? ORDER BY "index"'
)
"""Entries of an epoch between two indexes, in SQL; `?` for each value."""

LOOK: Final = 20_000
"""Entries of one group that are looked at in one transaction."""

_GROUPS: Final = tuple(
    (is_first, kind.value, direction)
    for kind in Kind
    for is_first in (False, True)
    for direction in ("", "inbound", "outbound")
)
"""Every entry is in one of them: an index has them apart, each in the order of time."""

_ALL: Final = 1 << 62
_GROUP: Final = "log = ? AND is_first = ? AND kind = ? AND direction = ? AND at >= ? AND at < ?"
_SPREAD: Final = (
    'SELECT count(*), max(at), min(CASE WHEN epoch = ? AND "index" < ? THEN "index" END), '  # noqa: S608 - fixed text
    'max(CASE WHEN epoch = ? AND "index" < ? THEN "index" END) FROM ('
    f'SELECT at, epoch, "index" FROM audit_entry WHERE {_GROUP} ORDER BY at LIMIT ?) AS found'
)


@dataclass(frozen=True, slots=True)
class Extent:
    """An epoch of a log, and how far its published checkpoint goes (a signed note)."""

    origin: str
    size: int
    checkpoint: str = field(repr=False)


Held = tuple[int, bytes, bytes | None, bytes | None, str]
"""An entry as its row holds it: index, leaf, evidence (see `audit.pressing`), ref, kind as a word."""


def extents(session: Session, name: str) -> tuple[Extent, ...]:
    """The epochs of a log that have a published checkpoint, oldest first. `name`: without the epoch."""
    query = (
        select(col(HeadRow.epoch), col(HeadRow.checkpoint_size), col(HeadRow.checkpoint))
        .where(col(HeadRow.log) == name, col(HeadRow.checkpoint).is_not(None))
        .order_by(col(HeadRow.epoch))
    )
    return tuple(Extent(f"{name}/{epoch}", size, text) for epoch, size, text in session.execute(query))


def read(session: Session, origin: str, first: int, end: int) -> Iterator[list[Held]]:
    """Entries from `first` up to, not with, `end`, in order, as far as they are there; some at a time."""
    log, epoch = split_origin(origin)
    yield from read_slices(session, READ, (log, epoch, first, end))


def edges(session: Session, origin: str, sizes: Sequence[int]) -> list[tuple[bytes, ...]]:
    """The subtrees that make up the log as it was with each of these sizes, largest first.

    Raises:
        NotInLogError: the log is smaller, or damaged.
    """
    return [edge_at(size, _reader(session, origin)) for size in sizes]


def root(session: Session, origin: str, size: int) -> bytes:
    """The root of the log as it was with so many entries. Raises as `edges`."""
    return root_at(size, _reader(session, origin))


def growth(session: Session, origin: str, old_size: int, new_size: int) -> tuple[bytes, ...]:
    """Hashes from the log of `old_size` entries to that of `new_size`. Raises as `log.consistency`."""
    return log.consistency(session, origin, old_size, new_size)


@dataclass(frozen=True, slots=True)
class Sought:
    """Between which indexes the entries of a time lie, as far as was looked.

    `group`, `at`: where to look on; `group` None: all was looked at. `first`, `last` None: none was found.
    """

    group: int | None = 0
    at: int = 0
    first: int | None = None
    last: int | None = None


def seek(session: Session, extent: Extent, times: tuple[int, int], sought: Sought) -> Sought:
    """Look on for entries of an extent that are of a time: from one instant up to, not with, another.

    Some ten thousand of them are looked at, in an index that holds all entries by their time, whatever else
    the log holds: so it costs what lies in the time, and nothing else.
    """
    since, until = times
    group, at = sought.group, max(sought.at, since)
    found = [index for index in (sought.first, sought.last) if index is not None]
    looked = False
    while group is not None and not looked:
        count, newest, *places = _spread(session, extent, group, (at, until), LOOK)
        looked = count == LOOK
        if looked and newest == at:
            # As many as that in one millisecond are looked at together.
            _, _, *places = _spread(session, extent, group, (at, at + 1), _ALL)
            at += 1
        elif looked:
            at = newest
        else:
            group, at = (group + 1 if group + 1 < len(_GROUPS) else None), since
        found += [index for index in places if index is not None]
    return Sought(group, at, min(found, default=None), max(found, default=None))


def _spread(session: Session, extent: Extent, group: int, times: tuple[int, int], limit: int) -> Any:
    log, epoch = split_origin(extent.origin)
    mine = (epoch, extent.size)
    values = (*mine, *mine, log, *_GROUPS[group], *times, limit)
    ((row,),) = read_slices(session, _SPREAD, values)
    return row


def _reader(session: Session, origin: str) -> Any:
    def read_nodes(keys: Sequence[NodeKey]) -> dict[NodeKey, bytes]:
        return dict(load_nodes(session, origin, keys))

    return read_nodes
