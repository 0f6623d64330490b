"""Whose an unconfirmed claim is: every change here compares with the lease that its caller last saw or set.

A lease is an instant of the database's clock, ms; until then the claim is of the attempt that set it. No
attempt publishes what is another's, and none changes it.
"""

from collections.abc import Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, bindparam
from sqlmodel import Session, col, delete, select, update

from gateway.rows import ClaimRow


def abandon(session: Session, refused: Sequence[tuple[bytes, str, int]]) -> None:
    """Delete the claims, each as (ref, receipt, lease), that are still their maker's and unconfirmed."""
    for ref, receipt, lease_until in sorted(refused):
        session.execute(
            delete(ClaimRow).where(
                col(ClaimRow.ref) == ref,
                col(ClaimRow.receipt) == receipt,
                col(ClaimRow.lease_until) == lease_until,
                col(ClaimRow.state) == "unconfirmed",
            )
        )


def take_over(
    session: Session, seen: Sequence[tuple[bytes, int]], now: int, lease_ms: int
) -> dict[bytes, int]:
    """Set a lease on those, each as (ref, lease seen), whose lease has run out; by ref, the lease of ours."""
    ours = {}
    for ref, lease_until in sorted(seen):
        statement = (
            update(ClaimRow)
            .where(
                col(ClaimRow.ref) == ref,
                col(ClaimRow.lease_until) == lease_until,
                col(ClaimRow.lease_until) < now,
                col(ClaimRow.state) == "unconfirmed",
            )
            .values(lease_until=now + lease_ms)
        )
        if cast("CursorResult[Any]", session.execute(statement)).rowcount == 1:
            ours[ref] = now + lease_ms
    return ours


def give_back(session: Session, held: Sequence[tuple[bytes, str, int]]) -> None:
    """End the lease of those, each as (ref, receipt, lease that we set), that are still ours and unconfirmed.

    The last work of a transaction, and it waits for no lock, so that it can be in no deadlock. A claim that
    another transaction is changing is passed over: its lease runs out.
    """
    rows = [
        {"at_ref": ref, "at_receipt": receipt, "at_lease": lease_until}
        for ref, receipt, lease_until in sorted(held)
    ]
    if rows:
        session.connection().execute(_GIVE_BACK, rows)


_GIVE_BACK = (
    update(ClaimRow)
    .where(
        col(ClaimRow.ref).in_(
            select(col(ClaimRow.ref))
            .where(
                col(ClaimRow.ref) == bindparam("at_ref"),
                col(ClaimRow.receipt) == bindparam("at_receipt"),
                col(ClaimRow.lease_until) == bindparam("at_lease"),
                col(ClaimRow.state) == "unconfirmed",
            )
            .with_for_update(skip_locked=True)
        )
    )
    # Not the lease that was seen before: its maker could take the claim for its own again.
    .values(lease_until=0)
)
