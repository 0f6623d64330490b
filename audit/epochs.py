"""Epochs: a log that begins anew, and whose first entry says where the one before was seen to end.

A database that was restored from a backup, or wiped, no longer has all that the world was shown of a log.
Going on under the same origin would make a second history. The next epoch is another origin of the same name:
what was shown before stays true, as far as it goes, and nobody takes the new entries for its continuation.

Belongs to the one who has made sure that nobody sequences. Never signs, never publishes.

Source: docs/formats.md, section 3 (`epoch.opened`) and section 6.
"""

import base64
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, delete, select, update
from sqlmodel import Session, col

from audit import log as audit_log
from audit import store
from audit.checkpoint import Checkpoint, split_origin
from audit.entering import move_marks
from audit.entry import draft_entry
from audit.erasure import shift
from audit.errors import NotInLogError
from audit.evidence import Evidence, Kind
from audit.note import decode_base64
from audit.rows import EntryRow, HeadRow, NodeRow
from audit.store import LogState
from audit.tree import Head, edge_keys


@dataclass(frozen=True, slots=True)
class Opening:
    """What the first entry of an epoch says: which epoch, what the one before had shown, and why."""

    origin: str
    previous: Checkpoint | None
    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """Entries that went from the end of one epoch into the next.

    `refs`: of the accepted events among them. `shift`: what is added to their index.
    """

    count: int = 0
    refs: tuple[bytes, ...] = ()
    shift: int = 0


def members_of(opening: Opening) -> dict[str, Any]:
    """The members of its evidence, as docs/formats.md lists them."""
    previous = opening.previous
    head = None
    if previous is not None:
        root = base64.b64encode(previous.root).decode()
        head = {"origin": previous.origin, "size": previous.size, "root": root}
    return {"origin": opening.origin, "previous": head, "reason": opening.reason}


def read_opening(evidence: Evidence) -> Opening:
    """What evidence of the kind `epoch.opened` says.

    Raises:
        MalformedError: its head is none.
    """
    origin, reason = evidence.members["origin"], evidence.members["reason"]
    head = evidence.members["previous"]
    if head is None:
        return Opening(origin, None, reason)
    root = decode_base64(head["root"], "epoch.opened: root")
    return Opening(origin, Checkpoint(head["origin"], head["size"], root), reason)


def openings(session: Session, log: str) -> tuple[Opening, ...]:
    """The openings of a log's epochs that this database holds, oldest first; `log` without an epoch."""
    epochs = select(col(HeadRow.epoch)).where(col(HeadRow.log) == log).order_by(col(HeadRow.epoch))
    found: list[Opening] = []
    for epoch in session.execute(epochs).scalars().all():
        first = store.load_entry(session, f"{log}/{epoch}", 0)
        evidence = None if first is None or first.kind is not Kind.EPOCH_OPENED else first.evidence()
        if evidence is not None:
            found.append(read_opening(evidence))
    return tuple(found)


def is_succeeded(session: Session, shown: Checkpoint) -> bool:
    """Whether an epoch in this database came after this checkpoint, and knew of it.

    The opening names the newest checkpoint of the newest epoch that was shown then. One of that epoch which
    has more entries, or another root, was shown by somebody who did not hear of it: the opening that followed
    that very epoch says so for ever, whatever was opened after it.
    """
    log, epoch = split_origin(shown.origin)
    for opening in openings(session, log):
        previous = opening.previous
        if previous is None or split_origin(opening.origin)[1] <= epoch:
            continue
        known = split_origin(previous.origin)[1]
        if epoch < known:
            return True
        if epoch == known:
            is_same = shown.size == previous.size and shown.root == previous.root
            return shown.size < previous.size or is_same
    return False


def open_epoch(session: Session, evidence: Evidence, *, after: LogState | None, is_behind: bool) -> Moved:
    """Begin an epoch with `evidence`, of the kind `epoch.opened`, in the caller's transaction.

    Args:
        session: The caller's transaction; nobody appends to the log meanwhile.
        evidence: Its first entry.
        after: The newest epoch that this database has, if any.
        is_behind: More was shown of that one than the database has. It gets no checkpoint any more, so what
            it holds beyond its last one could never be proved there: these entries go into the new epoch,
            in their order, behind the first.

    Raises:
        StaleHeadError: Somebody appended meanwhile.
    """
    opening = read_opening(evidence)
    audit_log.open_log(session, opening.origin)
    head = audit_log.append_all(session, {opening.origin: [draft_entry(evidence)]})[opening.origin]
    if after is None or not is_behind or after.checkpoint_size >= after.head.size:
        return Moved()
    return _move(session, after, head)


def _move(session: Session, old: LogState, new: Head) -> Moved:
    kept, origin = old.checkpoint_size, old.head.origin
    count = old.head.size - kept
    leaves = store.load_leaves(session, origin, first=kept, count=count)
    if len(leaves) != count:
        raise NotInLogError(f"{origin}: entries beyond {kept} are missing: run `gateway log fsck`")
    log, epoch = split_origin(origin)
    beyond = (col(EntryRow.log) == log, col(EntryRow.epoch) == epoch, col(EntryRow.index) >= kept)
    refs = session.execute(
        select(col(EntryRow.ref)).where(*beyond, col(EntryRow.kind) == Kind.ACCEPTED.value)
    ).scalars()
    moved = Moved(count, tuple(ref for ref in refs if ref is not None), new.size - kept)
    firsts = select(col(EntryRow.at), col(EntryRow.index)).where(*beyond, and_(col(EntryRow.is_first)))
    later = split_origin(new.origin)[1]
    marked = {(at, epoch, index): (at, later, index + moved.shift) for at, index in session.execute(firsts)}
    place = {"epoch": later, "index": col(EntryRow.index) + moved.shift}
    session.execute(
        update(EntryRow).where(*beyond).values(place).execution_options(synchronize_session=False)
    )
    shift(session, log, (epoch, kept), (split_origin(new.origin)[1], new.size))
    move_marks(session, log, marked)
    _cut(session, old.head, kept)
    longer, nodes = new.append(leaves, lowest=store.LOWEST_LEVEL)
    store.replace_heads(session, [(new, longer)])
    store.insert_nodes(session, {new.origin: nodes})
    return moved


def _cut(session: Session, head: Head, size: int) -> None:
    """Make a log end where its last checkpoint does: nodes and head."""
    log, epoch = split_origin(head.origin)
    keys = edge_keys(size)
    edge = tuple(dict(store.load_nodes(session, head.origin, keys))[key] for key in keys)
    for level in range(head.size.bit_length()):
        session.execute(
            delete(NodeRow).where(
                col(NodeRow.log) == log,
                col(NodeRow.epoch) == epoch,
                col(NodeRow.level) == level,
                col(NodeRow.index) >= size >> level,
            )
        )
    store.replace_heads(session, [(head, Head(head.origin, size, edge))])
