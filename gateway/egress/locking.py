"""Rows of deliveries are locked in one order by whoever writes many: by ref, then by endpoint.

PostgreSQL ends a transaction that waits for one that waits for it: a relay's tick and an erasure want the
same rows. By ref first, since bytes have one order everywhere, and names that of the database.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from operator import itemgetter
from typing import Final

from sqlalchemy import bindparam, select, tuple_
from sqlmodel import Session, col

from gateway.rows import DeliveryRow

Place = tuple[str, bytes]
"""Endpoint and ref: the key of a row."""

IN_ORDER: Final = (col(DeliveryRow.ref), col(DeliveryRow.endpoint))

AT_PLACE: Final = (
    col(DeliveryRow.endpoint) == bindparam("at_endpoint"),
    col(DeliveryRow.ref) == bindparam("at_ref"),
)
"""One row, for statements that are made for many."""

_CHUNK: Final = 500


def lock_rows(session: Session, places: Iterable[Place]) -> dict[Place, str]:
    """The states of those of these rows that are there; until the transaction ends nobody changes one."""
    endpoint, ref = col(DeliveryRow.endpoint), col(DeliveryRow.ref)
    found: dict[Place, str] = {}
    for some in _chunks(set(places)):
        query = select(endpoint, ref, col(DeliveryRow.state)).where(tuple_(endpoint, ref).in_(some))
        for name, event, state in session.execute(query.order_by(*IN_ORDER).with_for_update()):
            found[name, event] = state
    return found


def _chunks(places: Iterable[Place]) -> Iterator[list[Place]]:
    """In the order of their refs; no ref is in two, whose endpoints only the database can order."""
    some: list[Place] = []
    for _, same in groupby(sorted(places, key=itemgetter(1)), key=itemgetter(1)):
        some += same
        if len(some) >= _CHUNK:
            yield some
            some = []
    if some:
        yield some
