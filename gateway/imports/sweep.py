"""What is no longer needed of imports goes, a little in each transaction."""

from typing import Final

from sqlalchemy import delete, select
from sqlmodel import Session, col

from gateway.database import clock
from gateway.imports.job import OPEN
from gateway.imports.rows import ImportPieceRow, ImportResultRow, ImportRow

_FEW: Final = 20
"""Pieces, of a megabyte or more, that one transaction deletes."""

_SOME: Final = 200


def sweep(session: Session, *, now: int, kept_ms: int) -> bool:
    """Drop some of what is no longer needed; whether there may be more.

    Bodies that never became whole, pieces of what has ended, and imports that ended `kept_ms` ago.
    """
    stale = col(ImportRow.state) == "receiving", col(ImportRow.lease_until) < clock(session)
    session.execute(delete(ImportRow).where(*stale))
    alive = select(col(ImportRow.id)).where(col(ImportRow.state).in_(OPEN))
    dead = select(col(ImportPieceRow.import_id), col(ImportPieceRow.number)).where(
        col(ImportPieceRow.import_id).not_in(alive)
    )
    pieces = session.execute(dead.limit(_FEW)).all()
    for import_id, number in pieces:
        which = col(ImportPieceRow.import_id) == import_id, col(ImportPieceRow.number) == number
        session.execute(delete(ImportPieceRow).where(*which))
    return _drop_old(session, now - kept_ms) or len(pieces) == _FEW


def _drop_old(session: Session, before: int) -> bool:
    old = select(col(ImportRow.id)).where(~col(ImportRow.state).in_(OPEN), col(ImportRow.ended_at) < before)
    import_id = session.execute(old.limit(1)).scalar_one_or_none()
    if import_id is None:
        return False
    mine = col(ImportResultRow.import_id) == import_id
    firsts = session.execute(select(col(ImportResultRow.first)).where(mine).limit(_SOME)).scalars().all()
    if firsts:
        session.execute(delete(ImportResultRow).where(mine, col(ImportResultRow.first).in_(firsts)))
    if len(firsts) < _SOME:
        session.execute(delete(ImportRow).where(col(ImportRow.id) == import_id))
    return True
