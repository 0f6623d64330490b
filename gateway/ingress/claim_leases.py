"""Whose an unconfirmed claim is: every change here compares with the lease that its caller last saw or set.

A lease is an instant of the database's clock, ms; until then the claim is of the attempt that set it. No
attempt publishes what is another's, and none changes it.

None of these waits for a lock, so that they can be in no deadlock, in whatever order the writes of a group
come: a claim that another transaction is changing is passed over, as if it were no longer ours.
"""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, bindparam
from sqlmodel import Session, col, delete, select, update

from gateway.rows import ClaimRow


def abandon(session: Session, refused: Sequence[tuple[bytes, str, int]]) -> None:
    """Delete the claims, each as (ref, receipt, lease), that are still their maker's and unconfirmed."""
    for held in sorted(refused):
        session.execute(delete(ClaimRow).where(col(ClaimRow.ref).in_(_OURS)), _named(held))


def take_over(
    session: Session, seen: Sequence[tuple[bytes, int]], now: int, lease_ms: int
) -> dict[bytes, int]:
    """Set a lease on those, each as (ref, lease seen), whose lease has run out; by ref, the lease of ours."""
    ours = {}
    statement = update(ClaimRow).where(col(ClaimRow.ref).in_(_LATE)).values(lease_until=now + lease_ms)
    for ref, lease_until in sorted(seen):
        if lease_until >= now:
            continue
        found = session.execute(statement, {"at_ref": ref, "at_lease": lease_until})
        if cast("CursorResult[Any]", found).rowcount == 1:
            ours[ref] = now + lease_ms
    return ours


def give_back(session: Session, held: Sequence[tuple[bytes, str, int]]) -> None:
    """End the lease of those, each as (ref, receipt, lease that we set), that are still ours and unconfirmed.

    One that is passed over keeps its lease, which runs out.
    """
    rows = [_named(one) for one in sorted(held)]
    if rows:
        session.connection().execute(_GIVE_BACK, rows)


def _named(held: tuple[bytes, str, int]) -> dict[str, object]:
    ref, receipt, lease_until = held
    return {"at_ref": ref, "at_receipt": receipt, "at_lease": lease_until}


_LATE = (
    select(col(ClaimRow.ref))
    .where(
        col(ClaimRow.ref) == bindparam("at_ref"),
        col(ClaimRow.lease_until) == bindparam("at_lease"),
        col(ClaimRow.state) == "unconfirmed",
    )
    .with_for_update(skip_locked=True)
)
_OURS = _LATE.where(col(ClaimRow.receipt) == bindparam("at_receipt"))
_GIVE_BACK = (
    update(ClaimRow)
    .where(col(ClaimRow.ref).in_(_OURS))
    # Not the lease that was seen before: its maker could take the claim for its own again.
    .values(lease_until=0)
)
