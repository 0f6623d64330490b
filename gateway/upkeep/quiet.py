"""Nobody sequences: what must be sure before somebody else than a sequencer changes a log.

On one machine the lock of the data folder tells. A database on a server may be used by processes elsewhere:
their leases tell, by the database's clock.
"""

from sqlalchemy import func, select, update
from sqlmodel import Session, col

from gateway.database import clock
from gateway.errors import SetupError
from gateway.rows import LeaseRow
from gateway.sequencer.round import ROLE


class BusyError(SetupError):
    """A sequencer is at work, or died so lately that nobody can tell."""

    code = "log_busy"


def keep_quiet(session: Session, *, is_alone: bool) -> None:
    """Make sure that no sequencer holds a shard, and that none which held one writes any more.

    In the transaction that changes a log: whoever wakes up late finds the epoch of its lease gone by.
    `is_alone`: the caller knows that no other program is at work; leases of one that was killed are nobody's.

    Raises:
        BusyError: says how long the leases last.
    """
    sequencing = col(LeaseRow.role) == ROLE
    # Locks the rows, in the order in which others lock them: nobody takes a lease meanwhile.
    session.execute(
        select(col(LeaseRow.shard)).where(sequencing).order_by(col(LeaseRow.shard)).with_for_update()
    ).all()
    now = clock(session)
    until = session.execute(select(func.max(col(LeaseRow.until))).where(sequencing)).scalar_one() or 0
    if until > now and not is_alone:
        raise BusyError(
            "a sequencer is at work on this database, or was within the last seconds (its leases last "
            f"{until - now} ms): stop `gateway up` or every `gateway sequence`, then ask again"
        )
    later = {"epoch": col(LeaseRow.epoch) + 1}
    session.execute(
        update(LeaseRow).where(sequencing).values(later).execution_options(synchronize_session=False)
    )
