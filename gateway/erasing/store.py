"""Erasures in SQL: made by administration, worked off by whoever serves, one step a transaction.

The row of a job is locked by the transaction that does a step of it; so no two do, and none is lost with the
process that did. Nothing here commits.
"""

import json
from collections.abc import Sequence
from typing import cast

from sqlalchemy import ColumnElement, func, insert, or_, select, tuple_, update
from sqlmodel import Session, col

from gateway.administration.evidence import Author
from gateway.erasing.job import Counts, Erasure, Place, State, Wish
from gateway.erasing.rows import ErasureRow
from partners.owners import is_of

PageKey = tuple[int, str]
"""Time and id of the last one of a page, newest first."""


def create(session: Session, erasure_id: str, wish: Wish, counts: Counts, *, now: int) -> Erasure:
    """Make an erasure, to be begun at once."""
    row = {
        "id": erasure_id,
        "partner": wish.partner,
        "refs": json.dumps([ref.hex() for ref in wish.refs]) if wish.refs else None,
        "since_at": wish.since,
        "until_at": wish.until,
        "basis": wish.basis,
        "role": wish.by.role,
        "credential": wish.by.credential,
        "state": "waiting",
        "place": "null",
        "total": counts.total,
        "done": 0,
        "erased": 0,
        "held": 0,
        "absent": 0,
        "pending": 0,
        "next_at": now,
        "created_at": now,
    }
    session.execute(insert(ErasureRow), [row])
    return Erasure(erasure_id, wish, "waiting", Counts(total=counts.total), None, now)


def find(session: Session, erasure_id: str, partner: str) -> Erasure | None:
    """One erasure of a partner; what is another's is asked for as what does not exist."""
    query = select(ErasureRow).where(col(ErasureRow.id) == erasure_id, col(ErasureRow.partner) == partner)
    row = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    return None if row is None else _erasure(row)


def page(session: Session, partner: str, *, after: PageKey | None, limit: int) -> list[Erasure]:
    """Erasures of a partner, or of all, newest first."""
    place = (col(ErasureRow.created_at), col(ErasureRow.id))
    query = select(ErasureRow).where(is_of(col(ErasureRow.partner), partner))
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    query = query.order_by(*(column.desc() for column in place)).limit(limit)
    return [_erasure(row) for row in session.execute(query).scalars()]


def count_open(session: Session, partner: str) -> int:
    """How many are worked on."""
    query = select(func.count()).select_from(ErasureRow)
    mine = col(ErasureRow.partner) == partner, col(ErasureRow.state) == "waiting"
    return int(session.execute(query.where(*mine)).scalar_one())


def is_due(session: Session, *, now: int) -> bool:
    """Whether the turn of one has come."""
    query = select(col(ErasureRow.id)).where(_due(now)).limit(1)
    return session.execute(query).first() is not None


def take_due(session: Session, *, now: int) -> Erasure | None:
    """The one whose turn it is, locked; None: there is none that nobody works on."""
    first = func.coalesce(col(ErasureRow.next_at), col(ErasureRow.again_at))
    query = select(ErasureRow).where(_due(now)).order_by(first, col(ErasureRow.id)).limit(1)
    locked = query.with_for_update(skip_locked=True).execution_options(populate_existing=True)
    row = session.execute(locked).scalar_one_or_none()
    return None if row is None else _erasure(row)


def save(session: Session, job: Erasure, *, next_at: int | None) -> None:
    """Keep how far it is; `next_at`: when to go on."""
    values = {
        "state": job.state,
        "place": json.dumps(job.place),
        "total": job.counts.total,
        "done": job.counts.done,
        "erased": job.counts.erased,
        "held": job.counts.held,
        "absent": job.counts.absent,
        "pending": job.counts.pending,
        "next_at": next_at,
        "again_at": job.again_at,
        "ended_at": job.ended_at,
    }
    changed = update(ErasureRow).where(col(ErasureRow.id) == job.id).values(**values)
    session.execute(changed.execution_options(synchronize_session=False))


def resume(session: Session, *, now: int) -> None:
    """A hold was lifted: what may have waited for that goes on."""
    held = col(ErasureRow.state) == "held"
    changed = update(ErasureRow).where(held).values(state="waiting", next_at=now)
    session.execute(changed.execution_options(synchronize_session=False))


def _due(now: int) -> ColumnElement[bool]:
    return or_(col(ErasureRow.next_at) <= now, col(ErasureRow.again_at) <= now)


def _erasure(row: ErasureRow) -> Erasure:
    refs: Sequence[str] = () if row.refs is None else json.loads(row.refs)
    place: list[int] | None = json.loads(row.place)
    wish = Wish(
        row.partner,
        tuple(bytes.fromhex(one) for one in refs),
        row.since_at,
        row.until_at,
        row.basis,
        Author(row.role, row.credential),
    )
    return Erasure(
        id=row.id,
        wish=wish,
        state=cast("State", row.state),
        counts=Counts(row.total, row.done, row.erased, row.held, row.absent, row.pending),
        place=None if place is None else cast("Place", tuple(place)),
        created_at=row.created_at,
        ended_at=row.ended_at,
        again_at=row.again_at,
    )
