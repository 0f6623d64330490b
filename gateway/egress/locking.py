"""Rows of deliveries are locked in one order by whoever writes many: by ref, then by endpoint.

PostgreSQL ends a transaction that waits for one that waits for it: a relay's tick and an erasure want the
same rows. By ref first, since bytes have one order everywhere, and names that of the database.
"""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import bindparam, delete
from sqlmodel import Session, col

from audit.bulk import find_rows_at
from gateway.rows import DeliveryRow

Place = tuple[str, bytes]
"""Endpoint and ref: the key of a row."""

IN_ORDER: Final = (col(DeliveryRow.ref), col(DeliveryRow.endpoint))

AT_PLACE: Final = (
    col(DeliveryRow.endpoint) == bindparam("at_endpoint"),
    col(DeliveryRow.ref) == bindparam("at_ref"),
)
"""One row, for statements that are made for many."""


def lock_rows(session: Session, places: Iterable[Place]) -> dict[Place, str]:
    """The states of those of these rows that are there; until the transaction ends nobody changes one."""
    wanted = {(ref, endpoint) for endpoint, ref in places}
    names = ("endpoint", "ref", "state")
    found = find_rows_at(session, DeliveryRow, names, keys=("ref", "endpoint"), among=wanted, are_locked=True)
    return {(endpoint, ref): state for endpoint, ref, state in found}


def delete_rows(session: Session, places: Iterable[Place]) -> None:
    """Delete rows that are there, and that this transaction has locked."""
    keys = [{"at_endpoint": endpoint, "at_ref": ref} for endpoint, ref in places]
    if keys:
        session.connection().execute(delete(DeliveryRow).where(*AT_PLACE), keys)
