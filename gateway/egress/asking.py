"""What is asked of one delivery from outside: that it is tried at once, or given up.

Whoever asks changes the row, with evidence, in a transaction of its own, and leaves the time. The relay that
has the shard looks for such rows, follows them in its lanes, and takes the time away in its tick. So what was
given up stays so without any relay, and what is to be tried again is tried once there is one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import bindparam, select, update
from sqlmodel import Session, col

from gateway.egress.delivery import Delivery
from gateway.egress.saved_delivery import COLUMNS, delivery_of
from gateway.rows import DeliveryRow

MOST = 1_000
"""Rows that a relay takes in at one look."""

_IS_ASKED: Final = (
    "SELECT (SELECT min(asked_at) FROM gateway_delivery WHERE asked_at IS NOT NULL) IS NOT NULL"
    " OR EXISTS (SELECT 1 FROM gateway_replay WHERE state IN ('waiting', 'running'))"
)
"""The first of the index of such rows: to look whether there is any, PostgreSQL may read the whole table.
The states are those of `gateway.egress.replay.OPEN`."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A row that somebody asked something of, and when. `is_cancelled`: it is wanted no longer."""

    delivery: Delivery
    is_cancelled: bool
    at: int


def find(session: Session, endpoint: str, ref: bytes) -> DeliveryRow | None:
    """The row of a delivery, which nobody else changes until the transaction ends."""
    query = select(DeliveryRow).where(col(DeliveryRow.endpoint) == endpoint, col(DeliveryRow.ref) == ref)
    found = query.with_for_update().execution_options(populate_existing=True)
    return session.execute(found).scalar_one_or_none()


def ask(session: Session, row: DeliveryRow, *, state: str, now: int, is_behind: bool = False) -> None:
    """Put a row into a state, due now, and have the relay told.

    `is_behind`: another goes before it in its order, so that it is due at its turn.
    """
    changed = update(DeliveryRow).where(
        col(DeliveryRow.endpoint) == row.endpoint, col(DeliveryRow.ref) == row.ref
    )
    # Two that ask within a millisecond ask twice.
    at = now if row.asked_at is None else max(now, row.asked_at + 1)
    values: dict[str, Any] = {"state": state, "updated_at": now, "asked_at": at}
    if state == "pending":
        values["next_at"] = 0 if is_behind else now
    session.execute(changed.values(values).execution_options(synchronize_session=False))


def is_idle(session: Session) -> bool:
    """Whether nothing was asked that is not heard yet, and no replay is open: mostly so."""
    # As text: by way of the session it cost twice the question itself, of each relay twice a second.
    return not session.connection().exec_driver_sql(_IS_ASKED).scalar_one()


def load(session: Session) -> tuple[Asked, ...]:
    """What was asked and not heard yet, of whichever shard, oldest first."""
    row = DeliveryRow
    query = select(*COLUMNS).where(col(row.asked_at).is_not(None)).order_by(col(row.asked_at)).limit(MOST)
    return tuple(
        Asked(delivery_of(found, wanted_at=found.asked_at), found.state == "cancelled", found.asked_at)
        for found in session.execute(query)
    )


def settle(session: Session, heard: Sequence[tuple[str, bytes, int]]) -> None:
    """What was asked at these times is done; who asked again meanwhile is heard again."""
    if not heard:
        return
    mine = (
        col(DeliveryRow.endpoint) == bindparam("at_endpoint"),
        col(DeliveryRow.ref) == bindparam("at_ref"),
        col(DeliveryRow.asked_at) == bindparam("at_time"),
    )
    keys = [{"at_endpoint": endpoint, "at_ref": ref, "at_time": at} for endpoint, ref, at in heard]
    session.connection().execute(update(DeliveryRow).where(*mine).values(asked_at=None), keys)
