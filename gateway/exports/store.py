"""Exports in SQL: who works on one, how far it is, what is known of its files.

One owner at a time. The epoch grows with each owner and is compared in every transaction of one, so that a
late owner's work is refused however late it comes. Times of leases are the database's; nothing here commits.
"""

import json
from collections.abc import Sequence
from typing import Any, Final, cast

from sqlalchemy import delete, func, insert, select, tuple_, update
from sqlmodel import Session, col

from audit.manifest import Format
from gateway.database import clock
from gateway.errors import CallerError, LeaseLostError
from gateway.exports.job import OPEN, Export, Failure, Part, State, Stretch, Wish
from gateway.exports.rows import ExportPartRow, ExportRow
from partners.owners import is_of

MOST_OPEN: Final = 3
"""Exports of one partner that have not ended. Two that begin at once may make it one more."""

_SOME: Final = 500
"""Rows of files that one transaction deletes."""


def create(session: Session, export_id: str, wish: Wish, *, now: int) -> Export:
    """Make an export.

    Raises:
        CallerError: `limit_reached`.
    """
    mine = col(ExportRow.partner) == wish.partner, col(ExportRow.state).in_(OPEN)
    if session.execute(select(func.count()).select_from(ExportRow).where(*mine)).scalar_one() >= MOST_OPEN:
        text = f"There are {MOST_OPEN} exports that have not ended, as many as there may be."
        raise CallerError("limit_reached", text, hint="Wait for one of them to end, or cancel one.")
    row = {
        "id": export_id,
        "partner": wish.partner,
        "format": wish.format,
        "content_wanted": wish.has_content,
        "stretches": json.dumps([[one.origin, one.first, one.end] for one in wish.stretches]),
        "state": "waiting",
        "done": 0,
        "parts": 0,
        "erased": 0,
        "size": 0,
        "created_at": now,
        "owner": "",
        "epoch": 0,
        "lease_until": 0,
    }
    session.execute(insert(ExportRow), [row])
    return Export(export_id, wish, "waiting", 0, 0, 0, 0, now)


def find(session: Session, export_id: str) -> Export | None:
    """One export."""
    query = select(ExportRow).where(col(ExportRow.id) == export_id)
    row = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    return None if row is None else _export(row)


def page(session: Session, partner: str, *, after: tuple[int, str], limit: int) -> list[Export]:
    """Exports of a partner, or of all, newest first. `after`: time and id of the last one before."""
    place = (col(ExportRow.created_at), col(ExportRow.id))
    query = select(ExportRow).where(is_of(col(ExportRow.partner), partner), tuple_(*place) < tuple_(*after))
    rows = session.execute(query.order_by(*(one.desc() for one in place)).limit(limit)).scalars()
    return [_export(row) for row in rows]


def cancel(session: Session, export_id: str, *, now: int) -> Export | None:
    """End an export that has not ended, and show it as it is then. Whoever works on it hears of it soon."""
    row = _locked(session, export_id)
    if row is None:
        return None
    if row.state in OPEN:
        session.execute(_of(export_id).values(state="cancelled", ended_at=now))
    return find(session, export_id)


def has_work(session: Session) -> bool:
    """Whether there is an export that nobody works on."""
    free = col(ExportRow.state).in_(OPEN), col(ExportRow.lease_until) < clock(session)
    return session.execute(select(col(ExportRow.id)).where(*free).limit(1)).first() is not None


def lease(session: Session, owner: str, *, lease_ms: int) -> Export | None:
    """Take the export that nobody has worked on for longest."""
    now = clock(session)
    free = col(ExportRow.state).in_(OPEN), col(ExportRow.lease_until) < now
    order = col(ExportRow.lease_until), col(ExportRow.created_at), col(ExportRow.id)
    for export_id in session.execute(select(col(ExportRow.id)).where(*free).order_by(*order)).scalars().all():
        row = _locked(session, export_id, skip=True)
        if row is None or row.lease_until >= now or row.state not in OPEN:
            continue
        values = {"owner": owner, "epoch": row.epoch + 1, "lease_until": now + lease_ms, "state": "running"}
        session.execute(_of(export_id).values(values))
        return find(session, export_id)
    return None


def settle(session: Session, held: Export, part: Part, *, lease_ms: int) -> Export:
    """Keep what is known of the next file, once and for all, and renew the lease; the export as it is then.

    Raises:
        LeaseLostError: another owner has it, it is gone, or the file is not the next one.
    """
    row = _owned(session, held)
    if row.state not in OPEN:
        return _export(row)
    if row.parts + 1 != part.number or row.done != held.done:
        raise LeaseLostError(f"export {row.id}: file {part.number}, but it has {row.parts}")
    session.execute(insert(ExportPartRow), [{"export_id": row.id, **_values(part)}])
    changed = _of(row.id).values(
        done=row.done + part.end - part.first,
        parts=part.number,
        erased=row.erased + part.erased,
        size=row.size + part.size,
        lease_until=clock(session) + lease_ms,
    )
    session.execute(changed)
    return cast("Export", find(session, row.id))


def renew(session: Session, held: Export, *, lease_ms: int) -> None:
    """Keep it ours. Raises LeaseLostError as `settle`."""
    row = _owned(session, held)
    session.execute(_of(row.id).values(lease_until=clock(session) + lease_ms))


def end(session: Session, held: Export, failure: Failure | None, *, now: int) -> State:
    """The export has ended: done, or failed; cancelled it stays so. Raises LeaseLostError as `settle`."""
    row = _owned(session, held)
    if row.state not in OPEN:
        return cast("State", row.state)
    state: State = "done" if failure is None else "failed"
    error = None if failure is None else failure.to_json()
    session.execute(_of(row.id).values(state=state, error=error, ended_at=now, lease_until=0))
    return state


def release(session: Session, held: Export) -> None:
    """Let others go on with it. Raises LeaseLostError as `settle`."""
    row = _owned(session, held)
    # Not 0: those that nobody has worked on come first.
    session.execute(_of(row.id).values(lease_until=clock(session) - 1))


def expire_leases(session: Session) -> None:
    """Let every export be taken up at once: only for a program that knows that no other is at work."""
    session.execute(update(ExportRow).where(col(ExportRow.state).in_(OPEN)).values(lease_until=0))


def parts(session: Session, export_id: str) -> list[Part]:
    """What is known of the files, in order."""
    mine = select(ExportPartRow).where(col(ExportPartRow.export_id) == export_id)
    query = mine.order_by(col(ExportPartRow.number)).execution_options(populate_existing=True)
    return [_part(row) for row in session.execute(query).scalars()]


def part(session: Session, export_id: str, number: int) -> Part | None:
    """What is known of one file."""
    row = session.get(ExportPartRow, (export_id, number), populate_existing=True)
    return None if row is None else _part(row)


def replace_part(session: Session, export_id: str, made: Part) -> None:
    """A file has become another one: entries of it were erased, or content ran out."""
    was = part(session, export_id, made.number)
    row = _locked(session, export_id)
    if was is None or row is None:
        return
    changed = update(ExportPartRow).where(
        col(ExportPartRow.export_id) == export_id, col(ExportPartRow.number) == made.number
    )
    session.execute(changed.values(_values(made)).execution_options(synchronize_session=False))
    values = {"erased": row.erased + made.erased - was.erased, "size": row.size + made.size - was.size}
    session.execute(_of(export_id).values(values))


def sweep(session: Session, *, now: int, kept_ms: int) -> bool:
    """Drop some of what ended `kept_ms` ago; whether there may be more."""
    old = select(col(ExportRow.id)).where(
        ~col(ExportRow.state).in_(OPEN), col(ExportRow.ended_at) < now - kept_ms
    )
    export_id = session.execute(old.limit(1)).scalar_one_or_none()
    if export_id is None:
        return False
    mine = col(ExportPartRow.export_id) == export_id
    numbers = session.execute(select(col(ExportPartRow.number)).where(mine).limit(_SOME)).scalars().all()
    if numbers:
        session.execute(delete(ExportPartRow).where(mine, col(ExportPartRow.number).in_(numbers)))
    if len(numbers) < _SOME:
        session.execute(delete(ExportRow).where(col(ExportRow.id) == export_id))
    return True


def _values(made: Part) -> dict[str, Any]:
    return {
        "number": made.number,
        "stretch": made.stretch,
        "first": made.first,
        "end": made.end,
        "erased": made.erased,
        "size": made.size,
        "sha256": made.sha256,
        "first_at": made.first_at,
        "last_at": made.last_at,
    }


def _part(row: ExportPartRow) -> Part:
    return Part(
        row.number,
        row.stretch,
        row.first,
        row.end,
        row.erased,
        row.size,
        row.sha256,
        row.first_at,
        row.last_at,
    )


def _export(row: ExportRow) -> Export:
    stretches: Sequence[tuple[str, int, int]] = json.loads(row.stretches)
    wish = Wish(
        row.partner, cast("Format", row.format), row.content_wanted, tuple(Stretch(*one) for one in stretches)
    )
    return Export(
        id=row.id,
        wish=wish,
        state=cast("State", row.state),
        done=row.done,
        parts=row.parts,
        erased=row.erased,
        size=row.size,
        created_at=row.created_at,
        ended_at=row.ended_at,
        error=None if row.error is None else Failure.from_json(row.error),
        epoch=row.epoch,
    )


def _owned(session: Session, held: Export) -> ExportRow:
    row = _locked(session, held.id)
    if row is None or row.epoch != held.epoch:
        raise LeaseLostError(f"export {held.id}: another owner has it, or it is gone")
    return row


def _locked(session: Session, export_id: str, *, skip: bool = False) -> ExportRow | None:
    query = select(ExportRow).where(col(ExportRow.id) == export_id).with_for_update(skip_locked=skip)
    return session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()


def _of(export_id: str) -> Any:
    changed = update(ExportRow).where(col(ExportRow.id) == export_id)
    return changed.execution_options(synchronize_session=False)
