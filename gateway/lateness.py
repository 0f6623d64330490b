"""Does something wait for a log for longer than was promised?

What an accepted event, or evidence of anything else, waits for is an entry under a published checkpoint.
Looks that answer within a few rows, however many wait.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import func, select, text
from sqlmodel import Session, col

from audit import log as audit_log
from audit.checkpoint import split_origin
from audit.store import LogState
from gateway.rows import ClaimRow, LeaseRow

_UNLOGGED: Final = text("state = 'confirmed' AND leaf_index IS NULL")
"""As the index has it, without parameters: databases take no index for a rule that a parameter may change."""

SEQUENCE: Final = "sequence"
"""The role whose leases are looked at."""


def is_late(session: Session, state: LogState, topics: Sequence[str], before: int) -> bool:
    """Whether anything that is older than `before` (Unix ms) has no entry that is published.

    `topics`: those that the log's partner sends and receives on. What an instance that died was about to
    confirm counts from the moment at which the sequencer confirms it.
    """
    log, _ = split_origin(state.head.origin)
    return (
        audit_log.has_pending_before(session, log, before)
        or _has_claim_before(session, topics, before)
        or _has_uncovered_before(session, state, before)
    )


def oldest_waiting(session: Session) -> Mapping[str, int]:
    """By log (its name without an epoch): when the oldest of what has no entry of it was made, Unix ms.

    Of accepted events those count that are confirmed.
    """
    found = dict(audit_log.oldest_pending(session))
    claims = (
        select(col(ClaimRow.log), func.min(col(ClaimRow.at))).where(_UNLOGGED).group_by(col(ClaimRow.log))
    )
    for log, at in session.execute(claims):
        found[log] = min(int(at), found.get(log, int(at)))
    return found


def is_sequenced(session: Session, shard: int, now: int) -> bool:
    """Whether a sequencer has the lease of a shard, by the database's clock.

    It is renewed every few seconds, so that neither a database that lags behind nor one that was cut off from
    the others has one that is in force.
    """
    query = select(col(LeaseRow.until)).where(col(LeaseRow.role) == SEQUENCE, col(LeaseRow.shard) == shard)
    until = session.execute(query).scalar_one_or_none()
    return until is not None and until > now


def _has_claim_before(session: Session, topics: Sequence[str], before: int) -> bool:
    for topic in topics:
        waiting = select(1).where(_UNLOGGED, col(ClaimRow.topic) == topic, col(ClaimRow.at) < before).limit(1)
        if session.execute(waiting).first() is not None:
            return True
    return False


def _has_uncovered_before(session: Session, state: LogState, before: int) -> bool:
    if state.head.size <= state.checkpoint_size:
        return False
    return audit_log.entry(session, state.head.origin, state.checkpoint_size).at < before
