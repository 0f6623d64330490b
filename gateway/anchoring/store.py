"""Rows of the anchor to values and back. Never commits, never decides."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Select, delete, insert, select, update
from sqlmodel import Session, col

from audit.bulk import insert_new_rows
from gateway.anchoring.rows import AnchorNoteRow, AnchorRoundRow, WitnessRow

WHOLE_MS: Final = 7 * 86_400_000
"""Rounds are kept so long; older ones but for the first of each hour go."""

HOUR_MS: Final = 3_600_000
_DROPPED: Final = 200
"""Rows at once: after a long rest there are many, and each may hold the heads of a thousand logs."""

_LOOKED_AT: Final = 500
"""Checkpoints that are looked through for one that enough witnesses cosigned: hours of them."""


@dataclass(frozen=True, slots=True)
class Round:
    """The heads, packed, that one entry of the anchor commits to. `at` names it: no two have the same."""

    at: int
    secret: bytes = field(repr=False)
    heads: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint of the anchor as its log signed it, and the lines of witnesses.

    `is_enough`: they met the policy of the gateway, when they came.
    """

    origin: str
    size: int
    note: str = field(repr=False)
    lines: str = field(default="", repr=False)
    is_enough: bool = False
    at: int = 0

    def text(self) -> str:
        """The note with all lines."""
        return self.note + self.lines


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with a witness; see `WitnessRow`."""

    key: str
    origin: str = ""
    size: int = 0
    cosigned_at: int = 0
    asked_at: int = 0
    problem: str = ""


def newest_round(session: Session) -> Round | None:
    """The last round."""
    return next(iter(_rounds(session, since=None, limit=1)), None)


def rounds_since(session: Session, at: int, limit: int) -> list[Round]:
    """Rounds that are not older, the oldest first."""
    return _rounds(session, since=at, limit=limit)


def save_round(session: Session, one: Round) -> None:
    """Keep a round; the first of its hour for ever."""
    before = newest_round(session)
    is_kept = before is None or before.at // HOUR_MS != one.at // HOUR_MS
    row = {"at": one.at, "blind": one.secret, "heads": one.heads, "is_kept": is_kept}
    session.execute(insert(AnchorRoundRow), [row])


def thin_out(session: Session, *, now: int) -> None:
    """Drop what is older than a week, but for the first of each hour."""
    before = now - WHOLE_MS
    for row in (AnchorRoundRow, AnchorNoteRow):
        old = select(col(row.at)).where(col(row.at) < before, ~col(row.is_kept))
        some = session.execute(old.order_by(col(row.at)).limit(_DROPPED)).scalars().all()
        session.execute(delete(row).where(col(row.at).in_(some), ~col(row.is_kept)))


def _rounds(session: Session, *, since: int | None, limit: int) -> list[Round]:
    query = select(col(AnchorRoundRow.at), col(AnchorRoundRow.blind), col(AnchorRoundRow.heads))
    if since is None:
        query = query.order_by(col(AnchorRoundRow.at).desc())
    else:
        query = query.where(col(AnchorRoundRow.at) >= since).order_by(col(AnchorRoundRow.at))
    return [Round(*row) for row in session.execute(query.limit(limit))]


def save_cosigned(session: Session, one: Cosigned) -> None:
    """Keep a cosigned checkpoint, or the lines that one has got meanwhile."""
    newest = (
        select(col(AnchorNoteRow.at))
        .where(col(AnchorNoteRow.origin) == one.origin)
        .order_by(col(AnchorNoteRow.size).desc())
        .limit(1)
    )
    before = session.execute(newest).scalar_one_or_none()
    is_kept = before is None or before // HOUR_MS != one.at // HOUR_MS
    row = {
        "origin": one.origin,
        "size": one.size,
        "note": one.note,
        "lines": one.lines,
        "is_enough": one.is_enough,
        "is_kept": is_kept,
        "at": one.at,
    }
    insert_new_rows(session, AnchorNoteRow, [row])
    mine = col(AnchorNoteRow.origin) == one.origin, col(AnchorNoteRow.size) == one.size
    session.execute(update(AnchorNoteRow).where(*mine).values(lines=one.lines, is_enough=one.is_enough))


def find_cosigned(session: Session, origin: str, size: int) -> Cosigned | None:
    """The cosigned checkpoint of exactly this size."""
    return _one(session, _found(origin).where(col(AnchorNoteRow.size) == size))


def first_enough(session: Session, origin: str, index: int) -> Cosigned | None:
    """The oldest checkpoint that covers this entry and that enough witnesses cosigned."""
    size = col(AnchorNoteRow.size)
    near = size.between(index + 1, index + _LOOKED_AT)
    enough = _found(origin).where(near, col(AnchorNoteRow.is_enough)).order_by(size).limit(1)
    return _one(session, enough)


def newest_enough(session: Session, origin: str, size: int) -> Cosigned | None:
    """The newest checkpoint that enough witnesses cosigned, of those up to this size."""
    column = col(AnchorNoteRow.size)
    near = column.between(size - _LOOKED_AT, size)
    return _one(
        session, _found(origin).where(near, col(AnchorNoteRow.is_enough)).order_by(column.desc()).limit(1)
    )


def _found(origin: str) -> Any:
    return select(*_NOTE).where(col(AnchorNoteRow.origin) == origin)


def _one(session: Session, query: Select[Any]) -> Cosigned | None:
    row = session.execute(query).one_or_none()
    return None if row is None else Cosigned(*row)


_NOTE: Final = (
    col(AnchorNoteRow.origin),
    col(AnchorNoteRow.size),
    col(AnchorNoteRow.note),
    col(AnchorNoteRow.lines),
    col(AnchorNoteRow.is_enough),
    col(AnchorNoteRow.at),
)


def standings(session: Session) -> dict[str, Standing]:
    """How it stands with each witness that was ever asked, by its key."""
    query = select(
        col(WitnessRow.key),
        col(WitnessRow.origin),
        col(WitnessRow.size),
        col(WitnessRow.cosigned_at),
        col(WitnessRow.asked_at),
        col(WitnessRow.problem),
    )
    return {row[0]: Standing(*row) for row in session.execute(query)}


def save_standings(session: Session, some: Sequence[Standing]) -> None:
    """Keep how it stands with some."""
    for one in some:
        row = {
            "key": one.key,
            "origin": one.origin,
            "size": one.size,
            "cosigned_at": one.cosigned_at,
            "asked_at": one.asked_at,
            "problem": one.problem,
        }
        insert_new_rows(session, WitnessRow, [row])
        session.execute(update(WitnessRow).where(col(WitnessRow.key) == one.key).values(row))


def with_line(one: Cosigned, line: str) -> Cosigned:
    """With one more cosignature."""
    return replace(one, lines=one.lines + line)
