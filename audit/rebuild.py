"""A log's nodes and head made anew from its entries, in the caller's transaction.

Only what differs is written. Entries are never touched: where they are damaged there is nothing to go by, and
a backup has to be restored. What comes out must be what was published, else nothing is written. Leaves are
taken as they stand: whether they are those of the evidence beside them is for `audit.fsck` to say.

Belongs to the one who has made sure that nobody sequences.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from sqlalchemy import delete, select
from sqlmodel import Session, col

from audit import store
from audit.checkpoint import Checkpoint, split_origin
from audit.errors import InconsistentError, NotInLogError
from audit.merkle import EMPTY_ROOT
from audit.rows import EntryRow, NodeRow
from audit.store import LOWEST_LEVEL as LOWEST
from audit.store import LogState
from audit.tree import Head, Node

_STEP: Final = 4_096
"""Entries read at once; the nodes of a step are compared and written together."""

_LEVELS: Final = 64


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What was done to a log: its entries, nodes that were written, and whether the head was another."""

    origin: str
    entries: int
    written: int
    removed: int
    is_head_new: bool


def rebuild(
    session: Session,
    state: LogState,
    published: Iterable[Checkpoint] = (),
    told: Callable[[int], None] = lambda _: None,
) -> Rebuilt:
    """Make nodes and head of one epoch of a log what its entries say; roll back where it raises.

    `published`: checkpoints of it that the world was shown. `told`: as of `audit.fsck`.

    Raises:
        NotInLogError: entries are missing, or fewer than were published: there is nothing to go by.
        InconsistentError: another root was published.
    """
    origin = state.head.origin
    wanted = {one.size: one.root for one in published}
    head = Head(origin)
    written = 0
    while leaves := _leaves(session, origin, head.size):
        for some in _cut(leaves, head.size, wanted):
            head, nodes = head.append(some)
            written += _mend(session, origin, nodes)
            _verify(origin, head, wanted)
        told(len(leaves))
    newest = max(wanted, default=0)
    if newest > head.size:
        raise NotInLogError(f"{origin}: {newest} entries were published, the database has {head.size}")
    removed = _trim(session, head)
    if head != state.head:
        store.replace_heads(session, [(state.head, head)])
    return Rebuilt(origin, head.size, written, removed, head != state.head)


def _leaves(session: Session, origin: str, first: int) -> list[bytes]:
    """The leaves from `first` on, some of them."""
    log, epoch = split_origin(origin)
    query = (
        select(col(EntryRow.index), col(EntryRow.leaf))
        .where(col(EntryRow.log) == log, col(EntryRow.epoch) == epoch, col(EntryRow.index) >= first)
        .order_by(col(EntryRow.index))
        .limit(_STEP)
    )
    found = session.execute(query).all()
    for place, (index, _) in enumerate(found, first):
        if index != place:
            raise NotInLogError(f"{origin}: entry {place} is missing: restore a backup")
    return [leaf for _, leaf in found]


def _cut(leaves: Sequence[bytes], first: int, sizes: Mapping[int, bytes]) -> list[Sequence[bytes]]:
    """The leaves, parted where a checkpoint was."""
    ends = sorted(size - first for size in sizes if first < size < first + len(leaves))
    places = [0, *ends, len(leaves)]
    return [leaves[start:end] for start, end in pairwise(places)]


def _verify(origin: str, head: Head, wanted: Mapping[int, bytes]) -> None:
    if wanted.get(head.size, head.root()) != head.root() or wanted.get(0, EMPTY_ROOT) != EMPTY_ROOT:
        raise InconsistentError(
            f"{origin}: another root was published at {head.size} entries: its entries are not those that "
            "were logged. Nothing was changed; restore a backup"
        )


def _mend(session: Session, origin: str, nodes: Sequence[Node]) -> int:
    """Write those nodes that are missing or differ."""
    levels: dict[int, list[Node]] = {}
    for node in nodes:
        levels.setdefault(node.level, []).append(node)
    wrong: list[Node] = []
    for level, some in levels.items():
        there = _stored(session, origin, level, some[0].index, some[-1].index)
        # Of levels that are not stored any more, what is wrong goes, and nothing comes.
        wrong += [node for node in some if level >= LOWEST and there.get(node.index) != node.hash]
        _delete(
            session, origin, level, [one.index for one in some if there.get(one.index, one.hash) != one.hash]
        )
    store.insert_nodes(session, {origin: wrong})
    return len(wrong)


def _stored(session: Session, origin: str, level: int, first: int, last: int) -> dict[int, bytes]:
    log, epoch = split_origin(origin)
    query = select(col(NodeRow.index), col(NodeRow.hash)).where(
        col(NodeRow.log) == log,
        col(NodeRow.epoch) == epoch,
        col(NodeRow.level) == level,
        col(NodeRow.index).between(first, last),
    )
    return dict(session.execute(query).all())


def _delete(session: Session, origin: str, level: int, indexes: Sequence[int]) -> None:
    log, epoch = split_origin(origin)
    for start in range(0, len(indexes), 500):
        session.execute(
            delete(NodeRow).where(
                col(NodeRow.log) == log,
                col(NodeRow.epoch) == epoch,
                col(NodeRow.level) == level,
                col(NodeRow.index).in_(indexes[start : start + 500]),
            )
        )


def _trim(session: Session, head: Head) -> int:
    """Delete nodes of subtrees that the log does not have."""
    log, epoch = split_origin(head.origin)
    removed = 0
    for level in range(_LEVELS):
        query = select(col(NodeRow.index)).where(
            col(NodeRow.log) == log,
            col(NodeRow.epoch) == epoch,
            col(NodeRow.level) == level,
            col(NodeRow.index) >= head.size >> level,
        )
        beyond = list(session.execute(query).scalars())
        _delete(session, head.origin, level, beyond)
        removed += len(beyond)
    return removed
