"""Imports in SQL: who receives or works on one, what lies there of its body, what became of its items.

One owner at a time: whoever receives the body, later whoever holds the lease. The epoch grows with each owner
and is compared in every transaction of one, so that a late owner's work is refused however late it comes.
Times of leases are the database's; nothing here commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from sqlalchemy import delete, func, insert, or_, select, tuple_, update
from sqlalchemy.orm import defer
from sqlmodel import Session, col

from audit.bulk import find_rows, insert_new_rows
from gateway.database import clock, lock
from gateway.errors import CallerError, LeaseLostError
from gateway.event import Direction
from gateway.imports.job import OPEN, Counts, Failure, Import, Piece, State, Wish
from gateway.imports.mapping import from_row, to_row
from gateway.imports.results import Kind, Result, unpack
from gateway.imports.rows import ImportPieceRow, ImportResultRow, ImportRow
from gateway.rows import ClaimRow
from partners.owners import is_of

MOST_OPEN: Final = 3
"""Imports of one partner and direction that have not ended."""

_LIGHT: Final = defer(cast("Any", ImportRow.header))
"""All of a row but the header, which may have a megabyte, and is needed once."""

_FEW: Final = 20
"""Rows of results that are read at a time."""


@dataclass(frozen=True, slots=True)
class Body:
    """A body that is here whole. `fingerprint`: what a repeat under the same key must have."""

    size: int
    total: int
    fingerprint: bytes
    broken: Failure | None
    header: bytes | None
    schema_id: int | None


@dataclass(frozen=True, slots=True)
class Advance:
    """One step of a job. `raw`: the packed results of items from `first` on; `used_up`: a piece's number."""

    first: int
    counts: Counts
    raw: bytes
    used_up: int | None


@dataclass(frozen=True, slots=True)
class Held:
    """An import under our lease, as it was taken."""

    job: Import
    lease_ms: int


def begin(session: Session, import_id: str, wish: Wish, *, now: int, lease_ms: int) -> Import | None:
    """Make an import whose body is about to come; or find the one that has its key, whose body is here.

    None: it was made. A body under the same key that is only half here is forgotten: its sender has begun
    anew.

    Raises:
        CallerError: `limit_reached`; `state_conflict`: another request with this key has begun just now.
    """
    # Those that begin at once would not see each other, and be more than may be.
    lock(session, "imports", wish.partner, wish.direction)
    mine = (col(ImportRow.partner) == wish.partner, col(ImportRow.direction) == wish.direction)
    if wish.key is not None:
        known = select(ImportRow).where(*mine, col(ImportRow.idempotency_key) == wish.key).options(_LIGHT)
        known = known.execution_options(populate_existing=True)
        row = session.execute(known).scalar_one_or_none()
        if row is not None and row.state == "receiving":
            # Not where it became whole just now: that was promised to be kept.
            forget(session, row.id)
            row = session.execute(known).scalar_one_or_none()
        if row is not None and row.state != "receiving":
            return from_row(row)
    until = clock(session)
    receiving = col(ImportRow.state) == "receiving"
    alive = or_(~receiving, col(ImportRow.lease_until) > until)
    count = select(func.count()).select_from(ImportRow).where(*mine, col(ImportRow.state).in_(OPEN), alive)
    if session.execute(count).scalar_one() >= MOST_OPEN:
        text = f"There are {MOST_OPEN} imports that have not ended, as many as there may be."
        raise CallerError("limit_reached", text, hint="Wait for one of them to end, or cancel one.")
    insert_new_rows(session, ImportRow, [to_row(import_id, wish, now, until + lease_ms)])
    if find(session, import_id) is None:
        raise CallerError("state_conflict", "Another request with this Idempotency-Key has begun just now.")
    return None


def keep(session: Session, import_id: str, pieces: Sequence[Piece], *, lease_ms: int) -> None:
    """Keep pieces of a body that is being received.

    Raises:
        CallerError: `state_conflict`: it was given up, or its sender has begun anew under the same key.
    """
    _verify_receiving(session, import_id)
    rows = [
        {
            "import_id": import_id,
            "number": one.number,
            "first": one.first,
            "count": one.count,
            "line": one.line,
            "offset": one.offset,
            "raw": one.raw,
        }
        for one in pieces
    ]
    if rows:
        session.execute(insert(ImportPieceRow), rows)
    until = clock(session) + lease_ms
    session.execute(_of(import_id).values(lease_until=until))


def take(session: Session, import_id: str, body: Body) -> Import:
    """The body is whole: the job may begin. Raises as `keep`."""
    _verify_receiving(session, import_id)
    changed = _of(import_id).values(
        state="waiting",
        bytes=body.size,
        total=body.total,
        fingerprint=body.fingerprint,
        broken=None if body.broken is None else body.broken.to_json(),
        header=body.header,
        schema_id=body.schema_id,
        lease_until=0,
    )
    session.execute(changed)
    return cast("Import", find(session, import_id))


def forget(session: Session, import_id: str) -> None:
    """Give up a body that is not whole; its pieces are swept."""
    receiving = col(ImportRow.state) == "receiving"
    session.execute(delete(ImportRow).where(col(ImportRow.id) == import_id, receiving))


def find(session: Session, import_id: str) -> Import | None:
    """One import."""
    query = select(ImportRow).where(col(ImportRow.id) == import_id).options(_LIGHT)
    row = session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    return None if row is None else from_row(row)


def page(
    session: Session,
    partner: str,
    directions: Sequence[Direction],
    *,
    after: tuple[int, str] | None,
    limit: int,
) -> list[Import]:
    """Imports of a partner, or of all, newest first. `after`: time and id of the last one before."""
    place = (col(ImportRow.created_at), col(ImportRow.id))
    query = select(ImportRow).where(
        is_of(col(ImportRow.partner), partner), col(ImportRow.direction).in_(directions)
    )
    if after is not None:
        query = query.where(tuple_(*place) < tuple_(*after))
    newest = query.order_by(*(one.desc() for one in place)).limit(limit).options(_LIGHT)
    rows = session.execute(newest).scalars()
    return [from_row(row) for row in rows]


def cancel(session: Session, import_id: str, *, now: int) -> Import | None:
    """End an import that has not ended, and show it as it is then. Whoever works on it hears of it soon.

    The key of one whose body is not whole is free again: no body could be compared with what is here of it.
    """
    row = _locked(session, import_id)
    if row is None:
        return None
    if row.state == "receiving":
        session.execute(_of(import_id).values(idempotency_key=None))
    if row.state in OPEN:
        session.execute(_of(import_id).values(state="cancelled", ended_at=now, waits_for=None))
    return find(session, import_id)


def has_work(session: Session) -> bool:
    """Whether there is an import that nobody works on."""
    waiting = col(ImportRow.state).in_(("waiting", "running")), col(ImportRow.lease_until) < clock(session)
    return session.execute(select(col(ImportRow.id)).where(*waiting).limit(1)).first() is not None


def lease(session: Session, owner: str, *, lease_ms: int, but: frozenset[str] = frozenset()) -> Held | None:
    """Take the oldest import that is free, of a partner none of whose others is at work.

    One after the other: what a partner sends first is taken first. `but`: those that we work on already,
    however late we are.
    """
    now = clock(session)
    key = (col(ImportRow.partner), col(ImportRow.direction))
    query = select(col(ImportRow.id), *key, col(ImportRow.lease_until)).where(
        col(ImportRow.state).in_(("waiting", "running"))
    )
    rows = session.execute(query.order_by(col(ImportRow.created_at), col(ImportRow.id))).all()
    # One whose body took long may be older than the one at work.
    seen = {(one.partner, one.direction) for one in rows if one.lease_until >= now or one.id in but}
    for import_id, partner, direction, _ in rows:
        is_oldest = (partner, direction) not in seen
        seen.add((partner, direction))
        if not is_oldest:
            continue
        row = _locked(session, import_id, skip=True)
        if row is None or row.lease_until >= now or row.state not in {"waiting", "running"}:
            continue
        values = {"owner": owner, "epoch": row.epoch + 1, "lease_until": now + lease_ms, "state": "running"}
        session.execute(_of(import_id).values(values))
        header = session.execute(select(col(ImportRow.header)).where(col(ImportRow.id) == import_id))
        job = cast("Import", find(session, import_id))
        return Held(replace(job, header=header.scalar_one()), lease_ms)
    return None


def next_piece(session: Session, import_id: str) -> Piece | None:
    """The first piece that is left; None: all are used up."""
    mine = select(ImportPieceRow).where(col(ImportPieceRow.import_id) == import_id)
    row = session.execute(mine.order_by(col(ImportPieceRow.number)).limit(1)).scalar_one_or_none()
    if row is None:
        return None
    return Piece(row.number, row.first, row.count, row.line, row.offset, row.raw)


def settle(session: Session, held: Held, step: Advance) -> State:
    """Keep what became of items, once and for all, and renew the lease. Returns the state that it has now.

    Cancelled meanwhile, it keeps the results all the same: the events were taken.

    Raises:
        LeaseLostError: another owner has it, or it is gone.
    """
    row = _owned(session, held)
    if row.done != step.first:
        raise LeaseLostError(f"import {row.id}: results from {step.first} on, but it is at {row.done}")
    counts = step.counts
    if counts.done:
        result = {
            "import_id": row.id,
            "first": step.first,
            "count": counts.done,
            "duplicates": counts.duplicates,
            "refused": counts.refused,
            "raw": step.raw,
        }
        session.execute(insert(ImportResultRow), [result])
    changed = _of(row.id).values(
        done=row.done + counts.done,
        accepted=row.accepted + counts.accepted,
        duplicates=row.duplicates + counts.duplicates,
        refused=row.refused + counts.refused,
        waits_for=None,
        lease_until=clock(session) + held.lease_ms,
    )
    session.execute(changed)
    if step.used_up is not None:
        used_up = col(ImportPieceRow.import_id) == row.id, col(ImportPieceRow.number) == step.used_up
        session.execute(delete(ImportPieceRow).where(*used_up))
    return cast("State", row.state)


def renew(session: Session, held: Held, waits_for: str | None) -> State:
    """Keep the lease while there is something to wait for. Raises as `settle`."""
    row = _owned(session, held)
    until = clock(session) + held.lease_ms
    session.execute(_of(row.id).values(lease_until=until, waits_for=waits_for))
    return cast("State", row.state)


def release(session: Session, held: Held) -> None:
    """Let go: others may go on at once. Raises as `settle`."""
    row = _owned(session, held)
    session.execute(_of(row.id).values(lease_until=0, waits_for=None))


def end(session: Session, held: Held, error: Failure | None, *, now: int) -> None:
    """All that can be done is done. What was cancelled stays so. Raises as `settle`."""
    row = _owned(session, held)
    if row.state in OPEN:
        state = "done" if error is None else "failed"
        text = None if error is None else error.to_json()
        ended = _of(row.id).values(state=state, error=text, ended_at=now, waits_for=None)
        session.execute(ended)


def expire_leases(session: Session) -> None:
    """Let every import be taken up at once: only for a program that knows that no other is at work."""
    working = col(ImportRow.state).in_(("waiting", "running"))
    session.execute(update(ImportRow).where(working).values(lease_until=0))


def results(
    session: Session, import_id: str, *, since: int, limit: int, kind: Kind | None = None
) -> list[Result]:
    """What became of the items from the index `since` on, in order; at least `limit` of them if there are.

    `kind`: only those.
    """
    rows = select(ImportResultRow).where(
        col(ImportResultRow.import_id) == import_id,
        col(ImportResultRow.first) + col(ImportResultRow.count) > since,
    )
    if kind is not None:
        # No row is unpacked in vain: a page costs what it shows, however rare that is.
        rows = rows.where(_counts(kind) > 0)
    found: list[Result] = []
    query = rows.order_by(col(ImportResultRow.first)).execution_options(yield_per=_FEW)
    for row in session.execute(query).scalars():
        some = [one for one in unpack(row.raw, row.first) if one.index >= since]
        found += [one for one in some if kind in {None, one.kind}]
        if len(found) >= limit:
            break
    return found


def _counts(kind: Kind) -> Any:
    duplicates, refused = col(ImportResultRow.duplicates), col(ImportResultRow.refused)
    accepted = col(ImportResultRow.count) - duplicates - refused
    return {"accepted": accepted, "duplicate": duplicates, "refused": refused}[kind]


def receipts(session: Session, refs: Sequence[bytes]) -> dict[bytes, str]:
    """The receipts of accepted events, by ref, as far as their claims are kept, and not erased."""
    found = find_rows(session, ClaimRow, ("ref", "receipt"), key="ref", among=refs)
    return {ref: receipt for ref, receipt in found if receipt}


def _verify_receiving(session: Session, import_id: str) -> None:
    row = _locked(session, import_id)
    if row is None or row.state != "receiving":
        text = "The import was given up meanwhile: cancelled, too slow, or begun anew under the same key."
        raise CallerError("state_conflict", text)


def _owned(session: Session, held: Held) -> ImportRow:
    row = _locked(session, held.job.id)
    if row is None or row.epoch != held.job.epoch:
        raise LeaseLostError(f"import {held.job.id}: another owner has it, or it is gone")
    return row


def _locked(session: Session, import_id: str, *, skip: bool = False) -> ImportRow | None:
    query = select(ImportRow).where(col(ImportRow.id) == import_id).options(_LIGHT)
    query = query.with_for_update(skip_locked=skip)
    return session.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()


def _of(import_id: str) -> Any:
    changed = update(ImportRow).where(col(ImportRow.id) == import_id)
    return changed.execution_options(synchronize_session=False)
