"""`gateway log fsck`: everything that the logs stand on, derived anew and compared. Changes nothing.

The logs themselves are `audit.fsck`'s work; here are the claims, which say of events where their entries are,
and what the checkpoint topic shows.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlmodel import Session, col

from audit import fsck
from audit import log as audit_log
from audit.checkpoint import split_origin
from audit.fsck import Fault
from audit.ref import format_ref
from audit.store import LogState
from gateway.errors import SetupError
from gateway.rows import ClaimRow
from gateway.sequencer.authors import Author
from gateway.sequencer.guard import behind
from gateway.sequencer.published import Shown, all_shown

_PAGE: Final = 2_000


@dataclass(frozen=True, slots=True)
class Scope:
    """What is examined. `names`: of logs, without an epoch, with their host; none: all.

    `keys`: public halves of every key of ours that signs checkpoints of a log, by its origin. `shown`: what
    the topic holds; None: it was not read.
    """

    keys: Callable[[str], Sequence[bytes]]
    shown: Shown | None = None
    names: frozenset[str] = frozenset()

    def covers(self, origin: str) -> bool:
        """Whether a log, with its epoch, is examined."""
        return not self.names or split_origin(origin)[0] in self.names


def states_in(session: Session, scope: Scope) -> list[LogState]:
    """The logs that are examined.

    Raises:
        SetupError: one that is named is not there.
    """
    states = [one for one in audit_log.heads(session) if scope.covers(one.head.origin)]
    missing = scope.names - {split_origin(one.head.origin)[0] for one in states}
    if missing:
        raise SetupError(f"there is no log {min(missing)}; gateway status names them")
    return states


def inspect(
    session: Session,
    scope: Scope,
    told: Callable[[int], None] = lambda _: None,
    *,
    ranges: fsck.Ranges | None = None,
) -> Iterator[Fault]:
    """Every fault, log by log; `told`, `ranges`: as of `audit.fsck`, entries first."""
    states = states_in(session, scope)
    for state in states:
        yield from fsck.examine_log(session, state, told, ranges=ranges)
        yield from fsck.examine_checkpoint(session, state, scope.keys(state.head.origin))
    yield from fsck.examine_events(session, states)
    for log in sorted({split_origin(one.head.origin)[0] for one in states}):
        yield from fsck.examine_pending(session, log)
    yield from _shown(session, scope)
    yield from _claims(session, scope)
    if not scope.names:
        yield from fsck.strays(session, states)


def _shown(session: Session, scope: Scope) -> Iterator[Fault]:
    """Every checkpoint in the topic: is it ours, and can this database stand by it?"""
    if scope.shown is None:
        return
    for passed in scope.shown.passed_over:
        if not scope.names or (passed.origin and scope.covers(passed.origin)):
            yield Fault("shown_unsigned", passed.origin, detail=f"offset {passed.offset}: {passed.why}")
    for doubt in scope.shown.doubtful:
        if doubt.author is Author.UNKNOWN and scope.covers(doubt.checkpoint.origin):
            words = f"offset {doubt.offset}: signed by {doubt.who}, which this database does not know"
            yield Fault("shown_unsigned", doubt.checkpoint.origin, detail=words)
    for origin, checkpoint in sorted(all_shown(scope.shown).items()):
        why = behind(session, checkpoint) if scope.covers(origin) else None
        if why is not None:
            yield Fault("shown_ahead", origin, detail=f"in the checkpoint topic: {why}")


def _claims(session: Session, scope: Scope) -> Iterator[Fault]:
    """Claims against entries: each that has an entry says where, and no other does."""
    columns = (col(ClaimRow.ref), col(ClaimRow.log), col(ClaimRow.leaf_index), col(ClaimRow.state))
    last = b""
    while True:
        query = select(*columns).where(col(ClaimRow.ref) > last).order_by(col(ClaimRow.ref)).limit(_PAGE)
        page = session.execute(query).all()
        if not page:
            return
        last = page[-1].ref
        places = fsck.accepted_at(session, [row.ref for row in page])
        for ref, log, index, state in page:
            there = places.get((log, ref), set())
            if state == "erased" and not there:
                continue  # the tombstone of an event that no request brought in
            if scope.names and log not in scope.names:
                continue
            if index is None and there:
                words = f"{format_ref(ref)} has entry {min(there)}, and its claim does not say so"
                yield Fault("claim_unmarked", log, min(there), min(there), words)
            if index is not None and index not in there:
                yield Fault("claim_wrong", log, index, index, f"the entry is not that of {format_ref(ref)}")
