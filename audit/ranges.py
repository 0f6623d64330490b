"""A range of a log, read for an export: its entries in order, its edges, and where a time begins and ends.

Entries are in the order in which they were appended, and times in them may jitter: what happened before may
be appended after. A time is therefore turned into the shortest range that holds every entry of that time, and
may hold a few of another.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

from sqlalchemy import select
from sqlmodel import Session, col

from audit import log
from audit.bulk import read_slices
from audit.checkpoint import split_origin
from audit.rows import EntryRow, HeadRow
from audit.store import load_nodes
from audit.tree import NodeKey, edge_at, root_at

READ: Final = (
    'SELECT "index", leaf, evidence, ref, kind FROM audit_entry '
    'WHERE log = ? AND epoch = ? AND "index" >= ? AND "index" < ? ORDER BY "index"'
)
"""Entries of an epoch between two indexes, in SQL; `?` for each value."""

LOOK: Final = 20_000
"""Entries that are looked at in one transaction."""


@dataclass(frozen=True, slots=True)
class Extent:
    """An epoch of a log, and how far its published checkpoint goes (a signed note)."""

    origin: str
    size: int
    checkpoint: str = field(repr=False)


Held = tuple[int, bytes, bytes | None, bytes | None, str]
"""An entry as it is held: index, leaf, evidence, ref, kind as a word."""


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
    for some in read_slices(session, READ, (log, epoch, first, end)):
        yield cast("list[Held]", some)


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


def find_from(session: Session, origin: str, first: int, end: int, at: int) -> int | None:
    """The first index within the range whose entry is of that time or later; None: there is none."""
    query = select(col(EntryRow.index)).where(*_within(origin, first, end), col(EntryRow.at) >= at)
    return session.execute(query.order_by(col(EntryRow.index)).limit(1)).scalar_one_or_none()


def find_before(session: Session, origin: str, first: int, end: int, at: int) -> int | None:
    """The last index within the range whose entry is of before that time; None: there is none."""
    query = select(col(EntryRow.index)).where(*_within(origin, first, end), col(EntryRow.at) < at)
    return session.execute(query.order_by(col(EntryRow.index).desc()).limit(1)).scalar_one_or_none()


def _within(origin: str, first: int, end: int) -> tuple[Any, ...]:
    name, _, epoch = origin.rpartition("/")
    index = col(EntryRow.index)
    return col(EntryRow.log) == name, col(EntryRow.epoch) == int(epoch), index >= first, index < end


def _reader(session: Session, origin: str) -> Any:
    def read_nodes(keys: Sequence[NodeKey]) -> dict[NodeKey, bytes]:
        return dict(load_nodes(session, origin, keys))

    return read_nodes
